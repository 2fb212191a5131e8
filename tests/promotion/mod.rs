//! `finishSecret` for a single user, from the COMMIT of the new password to the move of AWSCURRENT:
//! each row of the table that decides what follows.

mod admin;
mod beside;
mod changed;
mod label;
mod previous;
mod proof;
mod window;

use std::time::Duration;

use postgres_protocol::escape::escape_literal;
use postgres_protocol::password::scram_sha_256;

use crate::world::application::STEPS;
use crate::world::fault_rig::{FaultRig, LONG, WayOut};
use crate::world::lambda::{Answer, Failure};
use crate::world::postgres::superuser;
use crate::world::random_hex;

/// The statement that makes the change of the password last. It also ends the way back.
const COMMIT: &str = "COMMIT AND CHAIN";
/// Time for a change, and little more: what is tried again ends soon.
const SHORT: Duration = Duration::from_secs(13);

/// A rotation of which only `finishSecret` is left.
struct Rotation {
    rig: FaultRig,
    token: String,
    pending: String,
}

impl Rotation {
    async fn begin() -> Self {
        Self::of(FaultRig::new(false).await).await
    }

    async fn of(rig: FaultRig) -> Self {
        let token = rig.application.begin().await;
        rig.application.steps(&rig.function, &STEPS[..3], &token).await;
        let pending = rig.application.password_in("AWSPENDING").await;
        Self { rig, token, pending }
    }

    fn role(&self) -> &str {
        &self.rig.application.role
    }

    async fn finish(&self) -> Answer {
        self.rig.application.step(&self.rig.function, "finishSecret", &self.token).await
    }

    async fn finish_within(&self, time: Duration) -> Answer {
        self.rig.function.set_timeout(time);
        let finished = self.finish().await;
        self.rig.function.set_timeout(LONG);
        finished
    }

    /// A statement that gives the role another password.
    fn other_password(&self) -> String {
        let verifier = escape_literal(&scram_sha_256(random_hex().as_bytes()));
        format!("ALTER ROLE {} PASSWORD {verifier}", self.role())
    }

    async fn assert_moved(&self, finished: Answer) {
        assert_eq!(finished.as_ref().map(|report| &report["Outcome"]), Ok(&"Finished".into()));
        self.rig.wire.disarm();
        self.rig.application.assert_rotated(&self.token, &self.rig.application.password).await;
    }

    /// The role has AWSCURRENT's password, all labels are where they were, and a retry finishes.
    async fn assert_restored(self, finished: Answer, kind: &str, retryable: bool) -> Failure {
        let failure = self.assert_failed(finished, kind, retryable).await;
        assert!(self.rig.current_logs_in().await, "AWSCURRENT logs in: {failure:?}");
        self.rig.wire.disarm();
        self.rig.take_way_out(WayOut::Retry, &self.token, &failure.message).await;
        failure
    }

    /// AWSCURRENT was not moved, and AWSPENDING stays.
    async fn assert_failed(&self, finished: Answer, kind: &str, retryable: bool) -> Failure {
        let failure = self.assert_kind(finished, kind, retryable).await;
        let application = &self.rig.application;
        assert_eq!(application.version_with("AWSPENDING").await.as_ref(), Some(&self.token));
        assert_ne!(application.version_with("AWSCURRENT").await.as_ref(), Some(&self.token));
        failure
    }

    async fn assert_kind(&self, finished: Answer, kind: &str, retryable: bool) -> Failure {
        let failure = finished.expect_err("it failed");
        assert_eq!(failure.kind, kind, "{failure:?}");
        let event = self
            .rig
            .function
            .await_log_event("the failure", |event| event["message"] == failure.message.as_str())
            .await;
        assert_eq!(event["error.retryable"], retryable, "{event}");
        failure
    }
}
