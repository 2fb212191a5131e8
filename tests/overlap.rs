//! Two turns keep a distance, so that no application loses the password before the last one.

use serde_json::{Value, json};

use crate::world::application::{Application, STEPS};
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::{eventually, random_hex};

fn with_overlap(overlap: &str) -> Function {
    let policy = json!({"defaults": {"overlap": overlap}}).to_string();
    Function::start(&[("ROTATION_POLICY", &policy)])
}

#[tokio::test]
async fn a_second_press_of_the_button_locks_nobody_out_and_leaves_nothing_stuck() {
    let (pair, function) = (Pair::new().await, with_overlap("5m"));
    let application = &pair.application;
    let first = application.rotate(&function).await;
    assert_eq!(first["state"], "succeeded", "a new secret is not delayed: {first}");

    let second = application.rotate(&function).await;
    assert_eq!(second["state"], "failed", "{second}");
    let error = second["steps"][0]["error"].as_str().unwrap();
    for expected in
        ["RotationTooSoon", "overlap is 5 min: rotate again in 5 min", "\\\"Force\\\": true"]
    {
        assert!(error.contains(expected), "{error}");
    }
    for stage in ["AWSCURRENT", "AWSPREVIOUS"] {
        pair.session(stage).await;
    }
    assert_eq!(application.version_with("AWSPENDING").await, None, "{second}");
    let status = application.operate(&function, "status", json!({})).await.unwrap();
    assert_eq!(status["Remedy"], "Nothing", "{status}");

    // Secrets Manager begins afresh, with another version.
    let third = application.rotate(&with_overlap("0s")).await;
    assert_eq!(third["state"], "succeeded", "{third}");
    assert_eq!(pair.credentials("AWSCURRENT").await.0, pair.base);
}

#[tokio::test]
async fn a_version_that_has_a_value_is_never_refused() {
    let pair = Pair::new().await;
    pair.turn(&with_overlap("0s")).await;
    let function = with_overlap("5m");
    let token = pair.application.abandon_and_begin().await;
    let mut value: Value =
        serde_json::from_str(&pair.application.value("AWSCURRENT").await.unwrap()).unwrap();
    (value["username"], value["password"]) = (json!(pair.base), json!(random_hex()));
    pair.application.put(&token, &value.to_string(), &["AWSPENDING"]).await;
    pair.application.steps(&function, &STEPS, &token).await;
    assert_eq!(pair.application.version_with("AWSCURRENT").await, Some(token));
}

#[tokio::test]
async fn a_leaked_password_does_not_wait_and_the_overlap_ends() {
    let (pair, function) = (Pair::new().await, with_overlap("5m"));
    let rotate = async |function| pair.application.operate(function, "rotate", json!({})).await;
    rotate(&function).await.unwrap();
    let before = pair.application.snapshot().await;
    let refused = rotate(&function).await.unwrap_err();
    assert_eq!(refused.kind, "RotationTooSoon", "{}", refused.message);
    assert_eq!(pair.application.snapshot().await, before);
    let forced = json!({"Force": true});
    pair.application.operate(&function, "rotate", forced).await.unwrap();
    assert_eq!(pair.credentials("AWSCURRENT").await.0, pair.base);

    let short = with_overlap("3s");
    let refused = rotate(&short).await.unwrap_err();
    assert_eq!(refused.kind, "RotationTooSoon", "{}", refused.message);
    eventually("the end of the overlap", async || rotate(&short).await.ok()).await;
    assert_eq!(pair.credentials("AWSCURRENT").await.0, pair.clone);
}

#[tokio::test]
async fn a_single_user_has_no_password_to_keep() {
    let (application, function) = (Application::new().await, with_overlap("5m"));
    for _ in 0..2 {
        let rotation = application.rotate(&function).await;
        assert_eq!(rotation["state"], "succeeded", "{rotation}");
    }
}
