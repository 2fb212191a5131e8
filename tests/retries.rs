//! Every step sent twice, after a death, after a lost answer and out of order.

use crate::world::application::{Application, STEPS};
use crate::world::lambda::Function;
use crate::world::proxy::{AwsProxy, Fault};
use crate::world::random_hex;
use crate::world::wire::{self, Wire};

#[tokio::test]
async fn every_step_may_be_sent_twice() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let token = application.begin().await;
    for (step, again) in STEPS.into_iter().zip(["Kept", "AlreadySet", "Tested", "AlreadyCurrent"]) {
        application.steps(&function, &[step], &token).await;
        let before = application.snapshot().await;
        let report = application.step(&function, step, &token).await.unwrap();
        assert_eq!(report["Outcome"], again);
        assert_eq!(application.snapshot().await, before, "{step} changes nothing the second time");
    }
    application.assert_rotated(&token, &application.password).await;
}

#[tokio::test]
async fn a_value_that_is_stored_is_not_put_again() {
    let proxy = AwsProxy::start();
    let function = Function::start(&[("AWS_ENDPOINT_URL", &proxy.url)]);
    let application = Application::new().await;
    let token = application.begin().await;
    application.steps(&function, &["createSecret", "createSecret"], &token).await;
    assert_eq!(
        proxy.calls().iter().filter(|(operation, _)| operation == "PutSecretValue").count(),
        1
    );
}

#[tokio::test]
async fn the_whole_rotation_may_be_sent_again_after_every_step() {
    let function = Function::start(&[]);
    for done in 1..=STEPS.len() {
        let application = Application::new().await;
        let token = application.begin().await;
        application.steps(&function, &STEPS[..done], &token).await;
        application.steps(&function, &STEPS, &token).await;
        application.assert_rotated(&token, &application.password).await;
    }
}

#[tokio::test]
async fn a_death_right_after_each_write_to_secrets_manager_is_repaired_by_a_retry() {
    for (step, operation) in [(0, "PutSecretValue"), (3, "UpdateSecretVersionStage")] {
        let proxy = AwsProxy::start();
        let function = Function::start(&[("AWS_ENDPOINT_URL", &proxy.url)]);
        let application = Application::new().await;
        let token = application.begin().await;
        application.steps(&function, &STEPS[..step], &token).await;
        proxy.fail(operation, 1, Fault::HangAfterEffect);
        let (died, ()) = tokio::join!(application.step(&function, STEPS[step], &token), async {
            proxy.await_effect(operation).await;
            function.restart();
        });
        assert_eq!(died.unwrap_err().kind, "Runtime.ExitError");
        let pending = application.value("AWSPENDING").await;
        application.steps(&function, &STEPS, &token).await;
        application.assert_rotated(&token, &application.password).await;
        assert_eq!(
            application.value("AWSPENDING").await,
            pending,
            "the value that was stored first stays"
        );
    }
}

#[tokio::test]
async fn a_connection_that_breaks_around_the_change_is_repaired_by_a_retry() {
    for (statement, fault, again) in [
        ("ALTER ROLE", wire::Fault::BreakBefore, "PasswordSet"),
        ("ALTER ROLE", wire::Fault::BreakAfter, "PasswordSet"),
        ("COMMIT", wire::Fault::BreakAfter, "AlreadySet"),
    ] {
        let wire = Wire::start(statement, fault);
        let application = wire.application(|_| {}).await;
        let policy = serde_json::json!({"defaults": {"allow_plaintext": true}}).to_string();
        let function = Function::start(&[("ROTATION_POLICY", &policy)]);
        let token = application.begin().await;
        application.steps(&function, &["createSecret"], &token).await;
        let broken = application.step(&function, "setSecret", &token).await.unwrap_err();
        assert_eq!(broken.kind, "ConnectionLost", "{}", broken.message);
        assert_eq!(wire.hits(), 1);
        let report = application.step(&function, "setSecret", &token).await.unwrap();
        assert_eq!(report["Outcome"], again);
        application.steps(&function, &STEPS, &token).await;
        application.assert_rotated(&token, &application.password).await;
    }
}

#[tokio::test]
async fn lost_answers_of_secrets_manager_change_nothing() {
    let proxy = AwsProxy::start();
    let function = Function::start(&[("AWS_ENDPOINT_URL", &proxy.url)]);
    let application = Application::new().await;
    let token = application.begin().await;
    for operation in
        ["DescribeSecret", "GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"]
    {
        proxy.fail(operation, 1, Fault::LoseAnswer);
    }
    application.steps(&function, &STEPS, &token).await;
    application.assert_rotated(&token, &application.password).await;
}

#[tokio::test]
async fn a_step_out_of_order_promotes_and_changes_nothing() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let token = application.begin().await;
    let before = application.snapshot().await;
    for step in ["setSecret", "finishSecret"] {
        let refused = application.step(&function, step, &token).await.unwrap_err();
        assert_eq!(refused.kind, "NoPendingValue");
        assert!(refused.message.contains("createSecret has to run"), "{}", refused.message);
    }
    assert_eq!(application.snapshot().await, before);

    application.steps(&function, &["createSecret"], &token).await;
    let before = application.snapshot().await;
    for step in ["testSecret", "finishSecret"] {
        let refused = application.step(&function, step, &token).await.unwrap_err();
        assert_eq!(refused.kind, "LoginRejected");
    }
    assert_eq!(application.snapshot().await, before);
}

#[tokio::test]
async fn no_step_continues_an_abandoned_rotation() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let token = application.begin().await;
    application.steps(&function, &["createSecret"], &token).await;
    application
        .put(&random_hex(), &application.document_with("written by a person"), &["AWSCURRENT"])
        .await;
    let before = application.snapshot().await;
    for step in STEPS {
        let refused = application.step(&function, step, &token).await.unwrap_err();
        assert!(
            ["VersionNotPending", "UnknownVersion"].contains(&refused.kind.as_str()),
            "{step}: {refused:?}"
        );
    }
    assert_eq!(application.snapshot().await, before);
}
