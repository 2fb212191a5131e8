//! Passwords that end before the next rotation (`VALID UNTIL`): every report says so in time.

use serde_json::{Value, json};

use crate::world::application::{Application, STEPS};
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::postgres::admin;
use crate::world::{random_token, world};

/// The warnings of `status` and `preflight`, and of the step that tests the login.
async fn warnings(application: &Application, function: &Function) -> [String; 3] {
    let operate = async |operation: &str| {
        let event = json!({"Operation": operation, "SecretId": application.name});
        function.invoke(event).await.unwrap()
    };
    let status = operate("status").await["Warnings"].to_string();
    let preflight = operate("preflight").await;
    assert_eq!(preflight["Ready"], true, "{preflight}");
    let token = random_token();
    let client = world().aws.client();
    let rules = aws_sdk_secretsmanager::types::RotationRulesType::builder();
    let rules = rules.schedule_expression("rate(30 days)").build();
    let call = client.rotate_secret().secret_id(&application.secret).rotation_rules(rules);
    let arn = crate::world::lambda::arn(crate::world::lambda::BY_HAND);
    let call = call.rotation_lambda_arn(arn).client_request_token(&token);
    call.send().await.unwrap();
    crate::world::eventually("the end of the rotation", async || {
        (world().aws.rotation(&token).await["state"] != "running").then_some(())
    })
    .await;
    application.steps(function, &STEPS[..2], &token).await;
    let step = application.step(function, "testSecret", &token).await.unwrap();
    application.steps(function, &STEPS[3..], &token).await;
    [status, preflight["Checks"].to_string(), step["Warnings"].to_string()]
}

#[tokio::test]
async fn a_password_that_ends_before_the_next_rotation_is_a_warning_in_every_report() {
    let function = Function::start(&[]);
    let (one, two) = (Application::new().await, Pair::new().await);
    // The first round sets the schedule and the second user.
    for application in [&one, &two.application] {
        for found in warnings(application, &function).await {
            assert!(!found.contains("VALID UNTIL"), "{found}");
        }
    }
    for application in [&one, &two.application] {
        let current: Value =
            serde_json::from_str(&application.value("AWSCURRENT").await.unwrap()).unwrap();
        let role = current["username"].as_str().unwrap();
        let sql = format!(
            "DO $$ BEGIN EXECUTE format('ALTER ROLE {role} VALID UNTIL %L', now() + '20 days'); \
             END $$"
        );
        admin().await.batch_execute(&sql).await.unwrap();
        for (place, found) in warnings(application, &function).await.iter().enumerate() {
            let text = format!("ALTER ROLE \\\"{role}\\\" VALID UNTIL 'infinity'");
            assert!(
                found.contains(&text) && found.contains("before the next rotation"),
                "{role}, report {place}: {found}"
            );
        }
    }
    let advised = format!("ALTER ROLE \"{}\" VALID UNTIL 'infinity'", one.role);
    admin().await.batch_execute(&advised).await.unwrap();
    let event = json!({"Operation": "preflight", "SecretId": one.secret});
    let report = function.invoke(event).await.unwrap().to_string();
    assert!(!report.contains("VALID UNTIL"), "{report}");
}
