//! A rotation that goes well.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::application::{Application, STEPS};
use crate::world::lambda::Function;
use crate::world::proxy::AwsProxy;
use crate::world::wire::{Fault, Wire};
use crate::world::{eventually, random_hex, unique, world};

#[tokio::test]
async fn secrets_manager_rotates_a_secret_and_no_session_notices() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let session = application.login(&application.password).await;

    let rotation = application.rotate(&function).await;

    assert_eq!(rotation["state"], "succeeded", "{rotation}");
    let steps: Vec<_> =
        rotation["steps"].as_array().unwrap().iter().map(|step| step["step"].clone()).collect();
    assert_eq!(steps, STEPS);
    let token = application.version_with("AWSCURRENT").await.unwrap();
    application.assert_rotated(&token, &application.password).await;
    let table = format!("SELECT count(*) FROM {}.orders", application.role);
    assert!(session.query_one(&table, &[]).await.is_ok(), "the open session still works");
}

#[tokio::test]
async fn rotations_follow_each_other() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let mut before = application.password.clone();
    for _ in 0..3 {
        let rotation = application.rotate(&function).await;
        assert_eq!(rotation["state"], "succeeded", "{rotation}");
        let token = application.version_with("AWSCURRENT").await.unwrap();
        application.assert_rotated(&token, &before).await;
        before = application.password_in("AWSCURRENT").await;
    }
}

#[tokio::test]
async fn every_step_may_run_in_a_process_of_its_own() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let token = application.begin().await;
    for step in STEPS {
        function.restart();
        application.steps(&function, &[step], &token).await;
    }
    application.assert_rotated(&token, &application.password).await;
}

#[tokio::test]
async fn a_step_reports_what_it_did() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let token = application.begin().await;
    for (step, outcome) in
        STEPS.into_iter().zip(["Created", "Rehearsed", "CurrentTested", "Finished"])
    {
        let report = application.step(&function, step, &token).await.unwrap();
        assert_eq!(report["Step"], step);
        assert_eq!(report["SecretId"], application.secret.as_str());
        assert_eq!(report["VersionId"], token.as_str());
        assert_eq!(report["Strategy"], "single-user");
        assert_eq!(report["Outcome"], outcome);
        assert!(report["DurationMs"].is_u64() && report["Message"].is_string(), "{report}");
    }
}

#[tokio::test]
async fn a_healthy_rotation_fails_no_login_and_keeps_to_the_budget() {
    let proxy = AwsProxy::start();
    let function = Function::start(&[("SECRETS_MANAGER_ENDPOINT", &proxy.url)]);
    let application = Application::new().await;
    let token = application.begin().await;
    application.steps(&function, &STEPS, &token).await;

    let calls: Vec<_> = proxy.calls().into_iter().map(|(operation, _)| operation).collect();
    assert!(calls.len() <= 12, "{} calls: {calls:?}", calls.len());
    let about = format!("|{}|", application.role);
    let lines = eventually("the end of four sessions in the server's log", async || {
        let log = world().postgres.log();
        let lines: Vec<_> =
            log.lines().filter(|line| line.contains(&about)).map(str::to_owned).collect();
        (lines.iter().filter(|line| line.contains("disconnection")).count() >= 4).then_some(lines)
    })
    .await;
    assert_eq!(
        lines.iter().filter(|line| line.contains("connection authorized")).count(),
        4,
        "{lines:#?}"
    );
    let trouble = ["FATAL", "ERROR", "WARNING", "could not", "unexpected EOF"];
    assert!(lines.iter().all(|line| !trouble.iter().any(|text| line.contains(text))), "{lines:#?}");
}

#[tokio::test]
async fn the_rotation_token_is_passed_on_and_never_logged() {
    let proxy = AwsProxy::start();
    let function = Function::start(&[
        ("SECRETS_MANAGER_ENDPOINT", &proxy.url),
        ("AWS_LAMBDA_LOG_LEVEL", "TRACE"),
    ]);
    let application = Application::new().await;
    let token = application.begin().await;
    let rotation_token = random_hex();
    for step in STEPS {
        let mut event = application.event(step, &token);
        event["RotationToken"] = json!(rotation_token);
        function.invoke(event).await.unwrap();
    }
    for (operation, body) in proxy.calls() {
        let expected =
            if operation == "PutSecretValue" { json!(rotation_token) } else { Value::Null };
        assert_eq!(body["RotationToken"], expected, "{operation}");
    }
    function
        .await_log_event("the last step", |event| event["rotation.step"] == "finishSecret")
        .await;
    assert!(!function.output().contains(&rotation_token));
}

#[tokio::test]
async fn everything_else_in_the_document_survives() {
    let function = Function::start(&[]);
    let role = unique("app_");
    let made = Application::named(&role, |_| {}).await;
    let text = format!(
        concat!(
            r#"{{"z":1e400,"port":"{port}","password":"{password}","#,
            r#""deep":{{"b":[1.0,  1.00,-0.0,{{}}],"a":null}},"engine":"aurora-postgresql","#,
            r#""n":12345678901234567890.12345678901234567890,"host":"localhost","#,
            r#""é":"\ud83d\ude00\/","dbInstanceIdentifier":"shop-1","username":"{role}","#,
            r#""ssl":"true","":false}}"#
        ),
        port = world().postgres.port,
        password = made.password,
        role = role,
    );
    let application = Application::storing(&role, &made.password, Value::Null, &text, "app/").await;
    let token = application.begin().await;
    application.steps(&function, &STEPS, &token).await;

    let new = application.password_in("AWSCURRENT").await;
    let escaped = serde_json::to_string(&new).unwrap();
    assert_eq!(
        application.value("AWSCURRENT").await.unwrap(),
        text.replace(&format!("\"{}\"", made.password), &escaped)
    );
}

#[tokio::test]
async fn every_name_that_postgresql_allows_can_be_rotated() {
    let function = Function::start(&[]);
    let sixty_three_bytes = format!("{}é", "n".repeat(61));
    for name in [
        "Upper Case",
        "per%cent%s",
        "double\"quote",
        "single'quote",
        "back\\slash",
        "; DROP TABLE orders; --",
        "$$dollar$$",
        "ünïcödé-名前",
        "tab\tand\nnewline",
        "pg-like.dots",
        "select",
        &sixty_three_bytes,
    ] {
        let application = Application::named(name, |_| {}).await;
        let token = application.begin().await;
        application.steps(&function, &STEPS, &token).await;
        application.assert_rotated(&token, &application.password).await;
    }
}

#[tokio::test]
async fn passwords_follow_the_variables_of_aws() {
    let function = Function::start(&[
        ("PASSWORD_LENGTH", "40"),
        ("EXCLUDE_PUNCTUATION", "true"),
        ("EXCLUDE_CHARACTERS", "abc"),
    ]);
    let application = Application::new().await;
    let token = application.begin().await;
    application.steps(&function, &STEPS, &token).await;
    let password = application.password_in("AWSCURRENT").await;
    assert_eq!(password.len(), 40);
    assert!(
        password.chars().all(|c| c.is_ascii_alphanumeric() && !"abc".contains(c)),
        "an excluded character"
    );
}

#[tokio::test]
async fn rotate_immediately_false_tests_the_current_value() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let before = application.snapshot().await;
    let rotation = application.test(&function).await;
    assert_eq!(rotation["state"], "succeeded", "{rotation}");
    function.await_log_event("the test", |event| event["outcome"] == "CurrentTested").await;
    assert_eq!(application.snapshot().await, before);
}

/// A throwaway password, whose verifier takes one iteration.
const REHEARSAL: &str = "PASSWORD 'SCRAM-SHA-256$1:";

#[tokio::test]
async fn set_secret_rehearses_the_change_and_test_secret_only_where_it_is_alone() {
    let wire = Wire::idle();
    let application = wire.application(|_| {}).await;
    let policy = json!({"defaults": {"allow_plaintext": true}}).to_string();
    let function = Function::start(&[("ROTATION_POLICY", &policy)]);
    let token = application.begin().await;
    let rehearses = async |step: &str| {
        wire.arm_for(REHEARSAL, Fault::Refuse("42501"));
        let halted = application.step(&function, step, &token).await;
        assert_eq!(halted.is_err(), wire.hits() == 1, "{step}: {halted:?}");
        wire.disarm();
        wire.hits() == 1
    };
    assert!(rehearses("testSecret").await);
    application.steps(&function, &["createSecret"], &token).await;
    assert!(rehearses("setSecret").await);
    assert!(!rehearses("testSecret").await, "setSecret has done it");
    application.steps(&function, &STEPS, &token).await;
    application.assert_rotated(&token, &application.password).await;
}

#[tokio::test]
async fn a_pending_copy_of_the_current_value_is_tested_too() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let token = application.begin().await;
    application
        .put(&token, &application.document_with(&application.password), &["AWSPENDING"])
        .await;
    let report = application.step(&function, "testSecret", &token).await.unwrap();
    assert_eq!(report["Outcome"], "CurrentTested");
}

#[tokio::test]
async fn a_role_that_acts_as_an_owner_and_is_read_only_by_default_is_rotated() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let role = &application.role;
    let sql = format!(
        "CREATE ROLE {role}_owner; GRANT {role}_owner TO {role}; ALTER ROLE {role} SET role = \
         '{role}_owner'; ALTER ROLE {role} SET default_transaction_read_only = on; ALTER ROLE \
         {role} SET search_path = {role}; CREATE FUNCTION {role}.current_setting(text) RETURNS \
         text LANGUAGE sql AS $$ SELECT 'md5' $$",
    );
    crate::world::postgres::admin().await.batch_execute(&sql).await.unwrap();
    let token = application.begin().await;
    application.steps(&function, &STEPS, &token).await;
    application.assert_rotated(&token, &application.password).await;
    assert!(
        application.stored_hash().await.unwrap().starts_with("SCRAM-SHA-256$"),
        "the role's own current_setting() was not called"
    );
    let tested =
        function.await_log_event("the test", |event| event["outcome"] == "CurrentTested").await;
    assert!(
        tested["message"].as_str().unwrap().contains(&format!("acts as \"{role}_owner\"")),
        "{tested}"
    );
}

#[tokio::test]
async fn plaintext_is_used_only_where_secret_and_policy_both_say_so() {
    let role = unique("app_");
    let application = Application::named(&role, |document| document["ssl"] = json!(false)).await;
    let group = crate::world::postgres::PLAINTEXT_ROLES;
    crate::world::postgres::admin()
        .await
        .batch_execute(&format!("GRANT {group} TO {role}"))
        .await
        .unwrap();
    let token = application.begin().await;
    let strict = Function::start(&[]);
    application.steps(&strict, &["createSecret"], &token).await;
    let refused = application.step(&strict, "setSecret", &token).await.unwrap_err();
    assert_eq!(refused.kind, "InvalidSecret");
    assert!(refused.message.contains("allow_plaintext"), "{}", refused.message);

    let policy = json!({"secrets": {&application.name: {"allow_plaintext": true}}}).to_string();
    let allowed = Function::start(&[("ROTATION_POLICY", &policy)]);
    application.steps(&allowed, &STEPS, &token).await;
    application.assert_rotated(&token, &application.password).await;
}

#[tokio::test]
async fn the_rotation_may_connect_by_another_name_than_the_application() {
    let role = unique("app_");
    let application =
        Application::named(&role, |document| document["host"] = json!("pooler.invalid")).await;
    let policy = json!({"secrets": {&application.name: {"rotation_host": "127.0.0.1",
        "tls_server_name": "localhost"}}})
    .to_string();
    let function = Function::start(&[("ROTATION_POLICY", &policy)]);
    let token = application.begin().await;
    application.steps(&function, &STEPS, &token).await;
    application.assert_rotated(&token, &application.password).await;
}

#[tokio::test]
async fn a_warm_function_answers_one_event_after_another() {
    let function = Function::start(&[]);
    function.set_timeout(Duration::from_secs(20));
    for _ in 0..3 {
        let application = Application::new().await;
        let token = application.begin().await;
        application.steps(&function, &STEPS, &token).await;
    }
}
