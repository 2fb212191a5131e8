//! The operations that a person or a schedule invokes.

mod monitor;
mod preflight;
mod races;
mod recover;
mod retire;
mod rotate;
mod status;

use serde_json::json;

use crate::world::application::Application;
use crate::world::lambda::Function;
use crate::world::{random_hex, world};

/// AWSCURRENT works, and a rotation can begin and end.
async fn assert_in_order(function: &Function, application: &Application) {
    let status = application.operate(function, "status", json!({})).await.unwrap();
    assert_eq!(status["Remedy"], "Nothing", "{status}");
    let rotation = application.rotate(function).await;
    assert_eq!(rotation["state"], "succeeded", "{rotation}");
    let status = application.operate(function, "status", json!({})).await.unwrap();
    assert_eq!(status["Remedy"], "Nothing", "{status}");
}

#[tokio::test]
async fn no_operation_shows_a_password() {
    let (application, function) =
        (Application::new().await, Function::start(&[("AWS_LAMBDA_LOG_LEVEL", "TRACE")]));
    let canary = random_hex();
    let token = application.begin().await;
    application.put(&token, &application.document_with(&canary), &["AWSPENDING"]).await;
    for (operation, more) in [
        ("status", json!({})),
        ("recover", json!({"DryRun": true})),
        ("recover", json!({})),
        ("rotate", json!({})),
    ] {
        let shown = format!("{:?}", application.operate(&function, operation, more).await);
        assert!(
            !shown.contains(&canary) && !shown.contains(&application.password),
            "{operation}: {shown}"
        );
    }
    let new = application.password_in("AWSCURRENT").await;
    for secret in [&canary, &application.password, &new] {
        assert!(!function.output().contains(secret.as_str()), "the function's log");
        assert!(!world().postgres.log().contains(secret.as_str()), "the server's log");
    }
}
