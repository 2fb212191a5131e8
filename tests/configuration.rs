//! The environment: a wrong setting is reported at cold start and to every event, and no step runs.

use std::process::Command;

use crate::world::application::{Application, STEPS};
use crate::world::lambda::Function;

#[tokio::test]
async fn a_misconfigured_function_says_so_to_every_event() {
    let application = Application::new().await;
    let token = application.begin().await;
    let before = application.snapshot().await;
    for (variable, value, text) in [
        ("PASSWORD_LENGTH", "4", "4 is not a length from 8 to 128"),
        ("EXCLUDE_NUMBERS", "maybe", "neither true nor false"),
        ("ROTATION_POLICY", "{\"default\": {}}", "unknown field `default`"),
        ("CA_BUNDLE_FILE", "/no/such/file.pem", "cannot be read"),
        ("SECRETS_MANAGER_ENDPOINT", "secretsmanager", "is not a URL"),
        ("AWS_USE_FIPS_ENDPOINT", "maybe", "neither true nor false"),
        ("AWS_CA_BUNDLE", "/no/such/file.pem", "cannot be read"),
        ("AWS_CA_BUNDLE", "/dev/null", "holds no usable root certificate"),
    ] {
        let function = Function::start(&[(variable, value)]);
        let started = function
            .await_log_event("the error at cold start", |event| {
                event["error.kind"] == "InvalidConfiguration"
            })
            .await;
        assert!(started["message"].as_str().unwrap().contains(text), "{started}");
        for step in STEPS {
            let refused = application.step(&function, step, &token).await.unwrap_err();
            assert_eq!(refused.kind, "InvalidConfiguration");
            assert!(
                refused.message.contains(variable) && refused.message.contains(text),
                "{}",
                refused.message
            );
        }
    }
    assert_eq!(application.snapshot().await, before);
}

#[tokio::test]
async fn log_levels_and_formats_follow_lambdas_variables() {
    let function =
        Function::start(&[("AWS_LAMBDA_LOG_LEVEL", "DEBUG"), ("AWS_LAMBDA_LOG_FORMAT", "Text")]);
    let application = Application::new().await;
    let token = application.begin().await;
    application.steps(&function, &STEPS, &token).await;
    crate::world::eventually("the last step in the log", async || {
        function.output().contains("AWSCURRENT moved").then_some(())
    })
    .await;
    assert!(
        function.output().contains("DEBUG") && function.output().contains("INFO"),
        "{}",
        function.output()
    );
    assert_eq!(function.log(), Vec::<serde_json::Value>::new(), "text format holds no JSON");

    let function = Function::start(&[("AWS_LAMBDA_LOG_LEVEL", "WARN")]);
    let application = Application::new().await;
    let token = application.begin().await;
    application.steps(&function, &STEPS, &token).await;
    function.await_log_event("the last metric", |event| event["Step"] == "finishSecret").await;
    assert!(
        function.log().iter().all(|event| event.get("level").is_none()),
        "{}",
        function.output()
    );
}

#[test]
fn outside_lambda_the_binary_says_what_it_is() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_postgres-secret-rotation")).env_clear().output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("this is an AWS Lambda function") && text.contains("make demo"),
        "{text}"
    );
}
