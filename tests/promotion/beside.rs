//! Another invocation between the COMMIT and the move of AWSCURRENT: it waits for the lock, and
//! finds the rotation finished.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{COMMIT, Rotation, SHORT, admin};
use crate::world::fault_rig::WayOut;
use crate::world::lambda::Answer;
use crate::world::postgres::{self, await_role_lock_waiter};
use crate::world::proxy::Fault;
use crate::world::{eventually, wire};

const MOVE: &str = "UpdateSecretVersionStage";

/// A rotation whose password the role changes itself, or the admin.
async fn begin(by_admin: bool) -> Rotation {
    if !by_admin {
        return Rotation::begin().await;
    }
    let rotation = Rotation::of(admin::rig().await).await;
    rotation.rig.wire.arm_each([admin::NOT_ITSELF]);
    rotation
}

/// Holds the move, has another function do something meanwhile, and releases the move once that
/// waits for the lock, or is done; both answers.
async fn while_moving(rotation: &Rotation, event: Value, waits: bool) -> (Answer, Answer) {
    let other = rotation.rig.second_function();
    let released = Arc::new(Notify::new());
    rotation.rig.proxy.fail(MOVE, 1, Fault::Hold(Arc::clone(&released)));
    let meanwhile = async {
        rotation.rig.proxy.await_request(MOVE).await;
        if !waits {
            let answer = other.invoke(event).await;
            released.notify_one();
            return answer;
        }
        let release = async {
            await_role_lock_waiter(rotation.role()).await;
            released.notify_one();
        };
        tokio::join!(other.invoke(event), release).0
    };
    tokio::join!(rotation.finish(), meanwhile)
}

#[tokio::test]
async fn a_second_finish_secret_waits_and_finds_the_token_to_be_current() {
    for by_admin in [false, true] {
        let rotation = begin(by_admin).await;
        let event = rotation.rig.application.event("finishSecret", &rotation.token);
        let (first, second) = while_moving(&rotation, event, true).await;
        let message = second.unwrap()["Message"].as_str().unwrap_or_default().to_owned();
        assert!(message.contains("another call moved it"), "by admin: {by_admin}, {message}");
        rotation.assert_moved(first).await;
    }
}

#[tokio::test]
async fn a_recovery_that_prefers_back_waits_and_takes_nothing_back() {
    for by_admin in [false, true] {
        let rotation = begin(by_admin).await;
        let secret = &rotation.rig.application.secret;
        let event = json!({"Operation": "recover", "SecretId": secret, "Prefer": "back"});
        let (first, recovered) = while_moving(&rotation, event, true).await;
        // It looks at the labels once more under the lock.
        let refused = recovered.unwrap_err();
        assert_eq!(refused.kind, "CurrentVersionMoved", "by admin: {by_admin}, {refused:?}");
        rotation.assert_moved(first).await;
    }
}

#[tokio::test]
async fn a_retirement_is_refused_while_a_rotation_is_under_way() {
    for by_admin in [false, true] {
        let rotation = begin(by_admin).await;
        let event = json!({"Operation": "retire", "SecretId": rotation.rig.application.secret});
        let (first, retired) = while_moving(&rotation, event, false).await;
        let refused = retired.unwrap_err();
        assert_eq!(refused.kind, "RotationUnderWay", "by admin: {by_admin}, {refused:?}");
        rotation.assert_moved(first).await;
    }
}

/// The process is gone and the server does not learn of it, as when Lambda freezes a function that
/// ran out of time.
#[tokio::test]
async fn a_killed_process_does_not_keep_the_lock() {
    let rotation = Rotation::begin().await;
    let role = rotation.role().to_owned();
    rotation.rig.wire.arm_for(COMMIT, wire::Fault::Orphan);
    rotation.rig.function.set_timeout(SHORT);
    let killed = async {
        eventually("the change", async || (rotation.rig.wire.hits() > 0).then_some(())).await;
        rotation.rig.function.restart();
    };
    let (finished, ()) = tokio::join!(rotation.finish(), killed);
    assert!(finished.is_err());
    let started = Instant::now();
    assert!(!rotation.rig.current_logs_in().await, "the change took effect");
    assert_eq!(holders(&role).await, 1, "the session of the dead process holds the lock");
    eventually("the end of the lock", async || (holders(&role).await == 0).then_some(())).await;
    assert!(started.elapsed() <= SHORT, "{:?}", started.elapsed());
    rotation.rig.wire.disarm();
    rotation.rig.take_way_out(WayOut::Retry, &rotation.token, "the retry").await;
}

/// How many sessions of the role hold an advisory lock.
async fn holders(role: &str) -> i64 {
    let sql = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = \
        'advisory' AND granted AND usename = $1";
    postgres::admin().await.query_one(sql, &[&role]).await.unwrap().get(0)
}
