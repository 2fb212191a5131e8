//! A step beside another invocation, another session of the database, or a person who writes the
//! secret.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::world::application::{Application, STEPS};
use crate::world::lambda::{Failure, Function};
use crate::world::postgres::{admin, await_role_lock_waiter, lock_role};
use crate::world::proxy::{AwsProxy, Fault};
use crate::world::{eventually, random_hex, world};

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
            Ok::<_, Failure>(())
        };
        let (one, two) = tokio::join!(rotate(&functions[0]), rotate(&functions[1]));
        assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
        application.assert_rotated(&token, &application.password).await;
    }
}

#[tokio::test]
async fn a_value_written_while_create_secret_puts_its_own_is_kept_and_checked() {
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
                proxy.await_request("PutSecretValue").await;
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

/// The steps that touch a single user's role: `setSecret` rolls its change back.
const CHANGES: [(usize, &str); 2] = [(1, "Rehearsed"), (3, "Finished")];

#[tokio::test]
async fn a_role_that_another_session_is_changing_is_changed_afterwards() {
    let function = Function::start(&[]);
    for (done, outcome) in CHANGES {
        let application = Application::new().await;
        let token = application.begin().await;
        application.steps(&function, &STEPS[..done], &token).await;
        let other = admin().await;
        let refusals = || world().postgres.log().matches("tuple concurrently updated").count();
        let before = refusals();
        other
            .batch_execute(&format!("BEGIN; ALTER ROLE {} CONNECTION LIMIT 50", application.role))
            .await
            .unwrap();
        let step = application.step(&function, STEPS[done], &token);
        let (report, ()) = tokio::join!(step, async {
            let watch = admin().await;
            let waits =
                "SELECT 1 FROM pg_stat_activity WHERE usename = $1 AND wait_event_type = 'Lock'";
            eventually("the wait for the lock", async || {
                watch.query_opt(waits, &[&application.role]).await.unwrap()
            })
            .await;
            other.batch_execute("COMMIT").await.unwrap();
        });
        assert_eq!(report.unwrap()["Outcome"], outcome);
        assert!(refusals() > before, "the server did refuse the first attempt");
        application.steps(&function, &STEPS, &token).await;
        application.assert_rotated(&token, &application.password).await;
    }
}

#[tokio::test]
async fn a_lasting_lock_is_reported_and_not_waited_for_for_ever() {
    let function = Function::start(&[]);
    for (done, _) in CHANGES {
        let application = Application::new().await;
        let token = application.begin().await;
        application.steps(&function, &STEPS[..done], &token).await;
        let other = admin().await;
        other
            .batch_execute(&format!("BEGIN; ALTER ROLE {} CONNECTION LIMIT 50", application.role))
            .await
            .unwrap();
        let failed = application.step(&function, STEPS[done], &token).await.unwrap_err();
        assert_eq!(failed.kind, "LockTimedOut");
        assert!(failed.message.contains("pg_locks"), "{}", failed.message);
        other.batch_execute("ROLLBACK").await.unwrap();
        application.steps(&function, &STEPS, &token).await;
        application.assert_rotated(&token, &application.password).await;
    }
}

#[tokio::test]
async fn a_value_that_a_person_writes_while_the_last_step_logs_in_stops_it_before_the_change() {
    let proxy = AwsProxy::start();
    let function = Function::start(&[("AWS_ENDPOINT_URL", &proxy.url)]);
    let application = Application::new().await;
    let token = application.begin().await;
    application.steps(&function, &STEPS[..3], &token).await;
    let described = proxy.calls().len();
    let released = Arc::new(Notify::new());
    proxy.fail("DescribeSecret", 1, Fault::Hold(Arc::clone(&released)));
    let stored = application.stored_hash().await;
    let (refused, ()) = tokio::join!(application.step(&function, "finishSecret", &token), async {
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
    assert_eq!(application.stored_hash().await, stored, "the database was not changed");
    assert!(application.accepts(&application.password).await);
}

#[tokio::test]
async fn a_value_that_a_person_writes_while_the_last_step_waits_for_a_lock_stops_it_too() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let token = application.begin().await;
    application.steps(&function, &STEPS[..3], &token).await;
    let stored = application.stored_hash().await;
    let other = lock_role(&application.role).await;
    let (refused, ()) = tokio::join!(application.step(&function, "finishSecret", &token), async {
        await_role_lock_waiter(&application.role).await;
        application
            .put(&random_hex(), &application.document_with(&application.password), &["AWSCURRENT"])
            .await;
        other.batch_execute("COMMIT").await.unwrap();
    });
    assert_eq!(refused.unwrap_err().kind, "UnknownVersion");
    assert_eq!(application.stored_hash().await, stored, "the database was not changed");
}

#[tokio::test]
async fn a_value_that_a_person_writes_during_the_last_step_stays_current_and_works() {
    let proxy = AwsProxy::start();
    let function = Function::start(&[("AWS_ENDPOINT_URL", &proxy.url)]);
    let application = Application::new().await;
    let token = application.begin().await;
    application.steps(&function, &STEPS[..3], &token).await;
    let released = Arc::new(Notify::new());
    proxy.fail("UpdateSecretVersionStage", 1, Fault::Hold(Arc::clone(&released)));
    let written = random_hex();
    let (refused, ()) = tokio::join!(application.step(&function, "finishSecret", &token), async {
        proxy.await_request("UpdateSecretVersionStage").await;
        application
            .put(&written, &application.document_with("written by a person"), &["AWSCURRENT"])
            .await;
        released.notify_one();
    });
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind, "CurrentVersionMoved");
    assert!(refused.message.contains(&written), "{}", refused.message);
    assert_eq!(application.version_with("AWSCURRENT").await, Some(written));
    assert!(application.accepts("written by a person").await, "the role follows AWSCURRENT");
}
