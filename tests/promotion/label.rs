//! What follows from the answer to the move of AWSCURRENT.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Notify;

use super::{COMMIT, Rotation, SHORT};
use crate::world::fault_rig::WayOut;
use crate::world::postgres::admin;
use crate::world::proxy::Fault;
use crate::world::wire;
use crate::world::{eventually, random_hex};

const MOVE: &str = "UpdateSecretVersionStage";
/// Attempts that the SDK makes of one request.
const ATTEMPTS: usize = 5;

#[tokio::test]
async fn a_move_that_iam_refuses_restores_the_current_password() {
    let rotation = Rotation::begin().await;
    rotation.rig.proxy.fail(MOVE, 1, Fault::Refuse(400, "AccessDeniedException"));
    let finished = rotation.finish().await;
    let failure = rotation.assert_restored(finished, "SecretsManagerAccessDenied", false).await;
    assert!(failure.message.contains(MOVE), "{}", failure.message);
    assert!(failure.message.contains("AWSCURRENT's password again"), "{}", failure.message);
}

/// No other permission is needed to tell that nothing moved.
#[tokio::test]
async fn a_refusal_of_the_move_counts_without_a_look_at_the_labels() {
    let rotation = Rotation::begin().await;
    let described = rotation.rig.proxy.calls().len();
    rotation.rig.proxy.fail(MOVE, 1, Fault::Refuse(400, "AccessDeniedException"));
    let released = Arc::new(Notify::new());
    rotation.rig.proxy.fail("DescribeSecret", 1, Fault::Hold(Arc::clone(&released)));
    let refuse_the_next = async {
        rotation.rig.proxy.await_request_after(described, "DescribeSecret").await;
        rotation.rig.proxy.fail("DescribeSecret", 1, Fault::Refuse(400, "AccessDeniedException"));
        released.notify_one();
    };
    let (finished, ()) = tokio::join!(rotation.finish(), refuse_the_next);
    rotation.assert_restored(finished, "SecretsManagerAccessDenied", false).await;
}

#[tokio::test]
async fn a_move_whose_answers_are_lost_is_repeated_until_it_is_known() {
    for (times, fault) in [
        (1, Fault::LoseAnswer),
        (ATTEMPTS + 1, Fault::LoseAnswer),
        (ATTEMPTS + 1, Fault::Refuse(500, "InternalServiceError")),
        (ATTEMPTS + 1, Fault::Refuse(400, "ThrottlingException")),
    ] {
        let rotation = Rotation::begin().await;
        rotation.rig.proxy.fail(MOVE, times, fault);
        let finished = rotation.finish().await;
        rotation.assert_moved(finished).await;
    }
}

/// It may still take effect, so the database keeps the password that AWSCURRENT may get.
#[tokio::test]
async fn a_move_that_stays_unknown_is_left_to_a_retry() {
    let rotation = Rotation::begin().await;
    rotation.rig.proxy.fail(MOVE, 99, Fault::Refuse(500, "InternalServiceError"));
    let finished = rotation.finish_within(SHORT).await;
    let failure = rotation.assert_failed(finished, "SecretsManagerUnavailable", true).await;
    assert!(failure.message.contains("The role has the pending password."), "{failure:?}");
    assert!(rotation.rig.application.accepts(&rotation.pending).await, "it was not restored");
    rotation.rig.proxy.fail_no_more();
    rotation.rig.take_way_out(WayOut::Retry, &rotation.token, "the retry").await;
}

/// A refusal after an answer that was lost says nothing of the request before.
#[tokio::test]
async fn a_refusal_after_a_lost_answer_restores_nothing() {
    let rotation = Rotation::begin().await;
    rotation.rig.proxy.fail(MOVE, ATTEMPTS, Fault::Refuse(500, "InternalServiceError"));
    rotation.rig.proxy.fail(MOVE, 99, Fault::Refuse(400, "AccessDeniedException"));
    let finished = rotation.finish_within(SHORT).await;
    let failure = rotation.assert_failed(finished, "SecretsManagerAccessDenied", true).await;
    assert!(failure.message.contains("The role has the pending password."), "{failure:?}");
    assert!(rotation.rig.application.accepts(&rotation.pending).await, "it was not restored");
    rotation.rig.proxy.fail_no_more();
    rotation.rig.take_way_out(WayOut::Retry, &rotation.token, "the retry").await;
}

/// A person writes AWSCURRENT between the COMMIT and the move.
#[tokio::test]
async fn a_third_version_decides_which_password_the_role_gets() {
    for same_role in [true, false] {
        let rotation = Rotation::begin().await;
        let (application, proxy) = (&rotation.rig.application, &rotation.rig.proxy);
        let (written, password) = (random_hex(), random_hex());
        let mut document = application.document.clone();
        document["password"] = json!(password);
        if !same_role {
            document["username"] = json!("another_role");
        }
        let released = Arc::new(Notify::new());
        proxy.fail(MOVE, 1, Fault::Hold(Arc::clone(&released)));
        let (finished, ()) = tokio::join!(rotation.finish(), async {
            proxy.await_request(MOVE).await;
            application.put(&written, &document.to_string(), &["AWSCURRENT"]).await;
            released.notify_one();
        });
        let failure = rotation.assert_kind(finished, "CurrentVersionMoved", false).await;
        assert!(failure.message.contains(&written), "{}", failure.message);
        assert_eq!(application.version_with("AWSCURRENT").await, Some(written));
        let expected = if same_role { &password } else { &application.password };
        assert!(application.accepts(expected).await, "same role: {same_role}, {failure:?}");
    }
}

/// The way back is gone, and the pending password was proven.
#[tokio::test]
async fn a_refused_move_without_the_session_that_made_the_change_is_left_to_a_retry() {
    let rotation = Rotation::begin().await;
    let role = rotation.role().to_owned();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = ";
    rotation.rig.wire.arm_for(COMMIT, wire::Fault::Then(format!("{end}'{role}'")));
    rotation.rig.proxy.fail(MOVE, 1, Fault::Refuse(400, "AccessDeniedException"));
    let finished = rotation.finish().await;
    let failure = rotation.assert_failed(finished, "SecretsManagerAccessDenied", false).await;
    assert!(failure.message.contains("The role has the pending password."), "{failure:?}");
    rotation.rig.take_way_out(WayOut::Recover, &rotation.token, "the recovery").await;
}

/// The change waits for a proof, and the labels are looked at before: a slow one changes nothing.
#[tokio::test]
async fn a_change_is_not_begun_with_too_little_time_left() {
    let rotation = Rotation::begin().await;
    let before = rotation.rig.application.stored_hash().await;
    let finished = rotation.finish_within(Duration::from_secs(10)).await;
    let failure = rotation.assert_failed(finished, "TooLittleTime", true).await;
    assert!(failure.message.contains("at least 30 s"), "{}", failure.message);
    assert_eq!(rotation.rig.application.stored_hash().await, before);
    rotation.rig.take_way_out(WayOut::Retry, &rotation.token, "the retry").await;
}

/// Another session holds the role's row until the time that a proof needs has passed.
#[tokio::test]
async fn a_change_that_had_to_wait_too_long_is_rolled_back() {
    let rotation = Rotation::begin().await;
    let before = rotation.rig.application.stored_hash().await;
    let (other, role) = (admin().await, rotation.role());
    other.batch_execute(&format!("BEGIN; ALTER ROLE {role} CONNECTION LIMIT 9")).await.unwrap();
    let release = async {
        let waits =
            "SELECT 1 FROM pg_stat_activity WHERE usename = $1 AND wait_event_type = 'Lock'";
        let watch = admin().await;
        eventually("the wait", async || watch.query_opt(waits, &[&role]).await.unwrap()).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        other.batch_execute("ROLLBACK").await.unwrap();
    };
    let (finished, ()) = tokio::join!(rotation.finish_within(SHORT), release);
    let failure = rotation.assert_failed(finished, "TooLittleTime", true).await;
    assert_eq!(rotation.rig.application.stored_hash().await, before, "{failure:?}");
    rotation.rig.take_way_out(WayOut::Retry, &rotation.token, "the retry").await;
}
