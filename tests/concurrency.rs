//! Every step again, at once with itself, after a death, and out of its order.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::world::application::{Application, STEPS};
use crate::world::lambda::Function;
use crate::world::postgres::admin;
use crate::world::proxy::{AwsProxy, Fault};
use crate::world::wire::{self, Wire};
use crate::world::{eventually, random_hex, world};

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
async fn a_value_that_is_there_is_not_put_again() {
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
async fn a_value_that_is_written_while_create_secret_puts_its_own_is_kept_and_checked() {
    for (valid, outcome) in [(true, "Kept"), (false, "InvalidSecret")] {
        let proxy = AwsProxy::start();
        let function = Function::start(&[("AWS_ENDPOINT_URL", &proxy.url)]);
        let application = Application::new().await;
        let token = application.begin().await;
        let released = Arc::new(Notify::new());
        proxy.fail("PutSecretValue", 1, Fault::Hold(Arc::clone(&released)));
        let value =
            if valid { application.document_with("written by a person") } else { "[]".to_owned() };
        let (result, ()) =
            tokio::join!(application.step(&function, "createSecret", &token), async {
                proxy.arrived("PutSecretValue").await;
                application.put(&token, &value, &["AWSPENDING"]).await;
                released.notify_one();
            });
        let came_to = result.map_or_else(
            |failure| failure.kind,
            |report| report["Outcome"].as_str().unwrap().to_owned(),
        );
        assert_eq!(came_to, outcome);
        assert_eq!(application.value("AWSPENDING").await, Some(value));
    }
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
async fn every_step_may_run_twice_at_once() {
    let functions = [Function::start(&[]), Function::start(&[])];
    for _ in 0..5 {
        let application = Application::new().await;
        let token = application.begin().await;
        for step in STEPS {
            let (one, two) = tokio::join!(
                application.step(&functions[0], step, &token),
                application.step(&functions[1], step, &token)
            );
            assert!(one.is_ok() && two.is_ok(), "{step}: {one:?} {two:?}");
        }
        application.assert_rotated(&token, &application.password).await;
    }
}

#[tokio::test]
async fn two_whole_rotations_of_one_token_end_in_one_password() {
    let functions = [Function::start(&[]), Function::start(&[])];
    for _ in 0..5 {
        let application = Application::new().await;
        let token = application.begin().await;
        let rotate = async |function| {
            for step in STEPS {
                application.step(function, step, &token).await?;
            }
            Ok::<_, crate::world::lambda::Failure>(())
        };
        let (one, two) = tokio::join!(rotate(&functions[0]), rotate(&functions[1]));
        assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
        application.assert_rotated(&token, &application.password).await;
    }
}

#[tokio::test]
async fn a_death_right_after_each_write_to_secrets_manager_is_mended_by_a_retry() {
    for (step, operation) in [(0, "PutSecretValue"), (3, "UpdateSecretVersionStage")] {
        let proxy = AwsProxy::start();
        let function = Function::start(&[("AWS_ENDPOINT_URL", &proxy.url)]);
        let application = Application::new().await;
        let token = application.begin().await;
        application.steps(&function, &STEPS[..step], &token).await;
        proxy.fail(operation, 1, Fault::HangAfterEffect);
        let (died, ()) = tokio::join!(application.step(&function, STEPS[step], &token), async {
            proxy.took_effect(operation).await;
            function.restart();
        });
        assert_eq!(died.unwrap_err().kind, "Runtime.ExitError");
        let pending = application.value("AWSPENDING").await;
        application.steps(&function, &STEPS, &token).await;
        application.assert_rotated(&token, &application.password).await;
        assert_eq!(
            application.value("AWSPENDING").await,
            pending,
            "the value that was stored first is the one that stays"
        );
    }
}

#[tokio::test]
async fn a_connection_that_breaks_around_the_change_is_mended_by_a_retry() {
    for (fault, again) in
        [(wire::Fault::BreakBefore, "PasswordSet"), (wire::Fault::BreakAfter, "AlreadySet")]
    {
        let wire = Wire::start("ALTER ROLE", fault);
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
async fn a_role_that_somebody_else_is_changing_is_changed_after_that() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let token = application.begin().await;
    application.steps(&function, &["createSecret"], &token).await;
    let other = admin().await;
    other
        .batch_execute(&format!("BEGIN; ALTER ROLE {} CONNECTION LIMIT 50", application.role))
        .await
        .unwrap();
    let (report, ()) = tokio::join!(application.step(&function, "setSecret", &token), async {
        let watch = admin().await;
        let waits =
            "SELECT 1 FROM pg_stat_activity WHERE usename = $1 AND wait_event_type = 'Lock'";
        eventually("the wait for the lock", async || {
            watch.query_opt(waits, &[&application.role]).await.unwrap()
        })
        .await;
        other.batch_execute("COMMIT").await.unwrap();
    });
    assert_eq!(report.unwrap()["Outcome"], "PasswordSet");
    assert!(
        world().postgres.log().contains("tuple concurrently updated"),
        "the server did refuse the first attempt"
    );
    application.steps(&function, &STEPS, &token).await;
    application.assert_rotated(&token, &application.password).await;
}

#[tokio::test]
async fn a_lock_that_stays_is_told_and_not_waited_for_for_ever() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let token = application.begin().await;
    application.steps(&function, &["createSecret"], &token).await;
    let other = admin().await;
    other
        .batch_execute(&format!("BEGIN; ALTER ROLE {} CONNECTION LIMIT 50", application.role))
        .await
        .unwrap();
    let failed = application.step(&function, "setSecret", &token).await.unwrap_err();
    assert_eq!(failed.kind, "LockTimedOut");
    assert!(failed.message.contains("pg_locks"), "{}", failed.message);
    other.batch_execute("ROLLBACK").await.unwrap();
    application.steps(&function, &STEPS, &token).await;
    application.assert_rotated(&token, &application.password).await;
}

#[tokio::test]
async fn a_step_out_of_its_order_promotes_and_changes_nothing() {
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
async fn a_rotation_that_was_abandoned_is_carried_no_further() {
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

#[tokio::test]
async fn a_value_that_a_person_writes_while_set_secret_logs_in_stops_it_before_the_change() {
    let proxy = AwsProxy::start();
    let function = Function::start(&[("AWS_ENDPOINT_URL", &proxy.url)]);
    let application = Application::new().await;
    let token = application.begin().await;
    application.steps(&function, &["createSecret"], &token).await;
    let described = proxy.calls().len();
    let released = Arc::new(Notify::new());
    proxy.fail("DescribeSecret", 1, Fault::Hold(Arc::clone(&released)));
    let stored = application.stored().await;
    let (refused, ()) = tokio::join!(application.step(&function, "setSecret", &token), async {
        let held = || {
            proxy.calls().iter().skip(described).any(|(operation, _)| operation == "DescribeSecret")
        };
        eventually("the look at the labels", async || held().then_some(())).await;
        application
            .put(&random_hex(), &application.document_with(&application.password), &["AWSCURRENT"])
            .await;
        released.notify_one();
    });
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind, "UnknownVersion");
    assert!(refused.message.contains("was abandoned"), "{}", refused.message);
    assert_eq!(application.stored().await, stored, "the database was not changed");
    assert!(application.accepts(&application.password).await);
}

#[tokio::test]
async fn a_value_that_a_person_writes_while_set_secret_waits_for_another_one_stops_it_too() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let token = application.begin().await;
    application.steps(&function, &["createSecret"], &token).await;
    let stored = application.stored().await;
    // What another invocation holds while it changes the same role.
    let other = admin().await;
    let key = format!("postgres-secret-rotation {}", application.role);
    other
        .batch_execute(&format!(
            "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('{key}', 0))"
        ))
        .await
        .unwrap();
    let (refused, ()) = tokio::join!(application.step(&function, "setSecret", &token), async {
        let watch = admin().await;
        let waits = "SELECT 1 FROM pg_stat_activity WHERE usename = $1 AND wait_event = 'advisory'";
        eventually("the wait for the lock", async || {
            watch.query_opt(waits, &[&application.role]).await.unwrap()
        })
        .await;
        application
            .put(&random_hex(), &application.document_with(&application.password), &["AWSCURRENT"])
            .await;
        other.batch_execute("COMMIT").await.unwrap();
    });
    assert_eq!(refused.unwrap_err().kind, "UnknownVersion");
    assert_eq!(application.stored().await, stored, "the database was not changed");
}

#[tokio::test]
async fn a_value_that_a_person_writes_during_the_last_step_is_not_taken_away() {
    let proxy = AwsProxy::start();
    let function = Function::start(&[("AWS_ENDPOINT_URL", &proxy.url)]);
    let application = Application::new().await;
    let token = application.begin().await;
    application.steps(&function, &STEPS[..3], &token).await;
    let released = Arc::new(Notify::new());
    proxy.fail("UpdateSecretVersionStage", 1, Fault::Hold(Arc::clone(&released)));
    let written = random_hex();
    let (refused, ()) = tokio::join!(application.step(&function, "finishSecret", &token), async {
        proxy.arrived("UpdateSecretVersionStage").await;
        application
            .put(&written, &application.document_with("written by a person"), &["AWSCURRENT"])
            .await;
        released.notify_one();
    });
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind, "CurrentVersionMoved");
    assert!(refused.message.contains(&written), "{}", refused.message);
    assert_eq!(application.holder("AWSCURRENT").await, Some(written));
}
