//! A rotation at once, in one invocation.

use serde_json::json;

use super::assert_in_order;
use crate::world::application::{Application, STEPS};
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::world;

#[tokio::test]
async fn a_forced_rotation_is_one_call() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    for _ in 0..2 {
        let before = application.password_in("AWSCURRENT").await;
        let report = application.operate(&function, "rotate", json!({})).await.unwrap();
        let steps: Vec<_> = report["Steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| step["Step"].as_str().unwrap())
            .collect();
        assert_eq!(steps, STEPS);
        assert!(
            report["Steps"]
                .as_array()
                .unwrap()
                .iter()
                .all(|step| step["DurationMs"].as_u64() > Some(0)),
            "{report}"
        );
        let token = report["Steps"][0]["VersionId"].as_str().unwrap();
        application.assert_rotated(token, &before).await;
        assert!(
            !report.to_string().contains(&application.password_in("AWSCURRENT").await),
            "a password in the report"
        );
    }
    let pair = Pair::new().await;
    let report = pair.application.operate(&function, "rotate", json!({})).await.unwrap();
    assert_eq!(report["Strategy"], "alternating-users");
    assert_eq!(pair.credentials("AWSCURRENT").await.0, pair.clone);
    assert_in_order(&function, &pair.application).await;
}

#[tokio::test]
async fn a_forced_rotation_does_not_touch_one_that_is_under_way() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let token = application.begin().await;
    application.steps(&function, &["createSecret"], &token).await;
    let before = application.snapshot().await;
    let refused = application.operate(&function, "rotate", json!({})).await.unwrap_err();
    assert_eq!(refused.kind, "RotationUnderWay");
    assert!(
        refused.message.contains(&token) && refused.message.contains("\"recover\""),
        "{}",
        refused.message
    );
    assert_eq!(application.snapshot().await, before);
}

#[tokio::test]
async fn a_rotation_that_is_switched_off_is_not_forced() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let token = application.begin().await;
    let client = world().aws.client();
    client.cancel_rotate_secret().secret_id(&application.secret).send().await.unwrap();
    let before = application.snapshot().await;
    let refused = application.operate(&function, "rotate", json!({})).await.unwrap_err();
    assert_eq!(refused.kind, "RotationDisabled", "{token}: {}", refused.message);
    assert_eq!(application.snapshot().await, before);
    // A look and a repair are still allowed.
    application.operate(&function, "status", json!({})).await.unwrap();
    application.operate(&function, "recover", json!({})).await.unwrap();
}

#[tokio::test]
async fn a_secret_that_another_service_manages_is_refused() {
    let function = Function::start(&[]);
    let application = Application::storing(
        "app",
        "",
        json!({}),
        r#"{"username": "app", "password": "secret"}"#,
        "rds!cluster-",
    )
    .await;
    for operation in ["rotate", "status", "recover"] {
        let refused = application.operate(&function, operation, json!({})).await.unwrap_err();
        assert_eq!(refused.kind, "SecretManagedByService", "{operation}: {}", refused.message);
    }
}
