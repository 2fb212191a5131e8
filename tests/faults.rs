//! A fault at every request to Secrets Manager and at every statement to PostgreSQL, and three ways out of it; all have to converge.

use std::io::Write;

use serde_json::json;

use crate::world::application::{Application, STEPS};
use crate::world::lambda::{Failure, Function};
use crate::world::pair::Pair;
use crate::world::proxy::{AwsProxy, Fault};
use crate::world::wire::{self, Wire};
use crate::world::{eventually, world};

/// What is done about a rotation that a fault has stopped.
#[derive(Debug, Clone, Copy, PartialEq)]
enum WayOut {
    /// Secrets Manager sends the same token again.
    Retry,
    /// It is given up: the label is taken away, and another rotation begins.
    Abandon,
    /// A person calls `recover`.
    Recover,
}

#[derive(Debug, Clone, Copy)]
enum Where {
    Request(usize),
    Statement(usize),
}

#[derive(Debug, Clone, Copy)]
enum What {
    FailsBefore,
    AnswerLost,
    KilledAfter,
}

/// A secret whose two ways lead through something that can be made to fail.
struct Stage {
    proxy: AwsProxy,
    wire: Wire,
    function: Function,
    application: Application,
    pair: bool,
}

impl Stage {
    async fn new(pair: bool) -> Self {
        let (proxy, wire) = (AwsProxy::start(), Wire::idle());
        let policy = json!({"defaults": {"allow_plaintext": true}}).to_string();
        let function = Function::start(&[("AWS_ENDPOINT_URL", &proxy.url), ("ROTATION_POLICY", &policy)]);
        let application = if pair { Pair::through(&wire).await.application } else { wire.application(|_| {}).await };
        Self { proxy, wire, function, application, pair }
    }

    async fn rotate(&self, token: &str) -> Result<(), Failure> {
        for step in STEPS {
            self.application.step(&self.function, step, token).await?;
        }
        Ok(())
    }

    /// One rotation with that fault; whether the fault has come at all.
    async fn fail(&self, at: Where, what: What, token: &str) -> bool {
        match at {
            Where::Request(nth) => self.proxy.arm(
                nth,
                match what {
                    What::FailsBefore => Fault::Refuse(400, "LimitExceededException"),
                    What::AnswerLost => Fault::LoseAnswer,
                    What::KilledAfter => Fault::HangAfterEffect,
                },
            ),
            Where::Statement(nth) => self.wire.arm(
                nth,
                match what {
                    What::FailsBefore => wire::Fault::BreakBefore,
                    What::AnswerLost | What::KilledAfter => wire::Fault::BreakAfter,
                },
            ),
        }
        let hit = || self.proxy.hit() || self.wire.hits() > 0;
        let rotated = self.rotate(token);
        if matches!(what, What::KilledAfter) {
            let killed = async {
                eventually("the fault", async || hit().then_some(())).await;
                self.function.restart();
            };
            tokio::pin!(rotated);
            tokio::select! {
                biased;
                () = killed => { let _ = rotated.await; }
                ended = &mut rotated => assert!(ended.is_ok() || hit(), "{ended:?}"),
            }
        } else {
            let ended = rotated.await;
            assert!(ended.is_ok() || hit(), "{at:?} {what:?}: {ended:?}");
        }
        let came = hit();
        self.proxy.arm(usize::MAX, Fault::Hang);
        self.wire.disarm();
        came
    }

    async fn login(&self) -> bool {
        let value = self.application.value("AWSCURRENT").await.expect("AWSCURRENT has a value");
        let value: serde_json::Value = serde_json::from_str(&value).expect("JSON");
        let text = |key: &str| value[key].as_str().expect("a string").to_owned();
        world().postgres.login(&text("username"), &text("password")).await.is_ok()
    }

    /// The way out leads to a secret whose AWSCURRENT works, and that the next rotation can be begun for.
    async fn leave(&self, way: WayOut, token: &str, context: &str) {
        match way {
            WayOut::Retry => {
                let again = self.rotate(token).await;
                assert!(again.is_ok(), "{context}: {again:?}");
            }
            WayOut::Abandon => {
                let token = self.application.begin_again().await;
                let again = self.rotate(&token).await;
                assert!(again.is_ok(), "{context}: {again:?}");
            }
            WayOut::Recover => {
                let recovered = self.function.invoke(json!({"Operation": "recover", "SecretId": self.application.secret})).await;
                assert!(recovered.is_ok(), "{context}: {recovered:?}");
            }
        }
        assert!(self.login().await, "{context}: AWSCURRENT does not log in");
        let status = self.function.invoke(json!({"Operation": "status", "SecretId": self.application.secret})).await;
        assert!(status.as_ref().is_ok_and(|status| status["Remedy"] == "Nothing"), "{context}: {status:?}");
    }
}

async fn every_fault(pair: bool, way: WayOut) {
    let stage = Stage::new(pair).await;
    let mut points = 0;
    for what in [What::FailsBefore, What::AnswerLost, What::KilledAfter] {
        for place in [Where::Request as fn(usize) -> Where, Where::Statement as fn(usize) -> Where] {
            for nth in 1.. {
                let token = stage.application.begin().await;
                let came = stage.fail(place(nth), what, &token).await;
                let context = format!("{what:?} at {:?}, then {way:?}", place(nth));
                // Two users: the one in use works at every moment. One user: its old password is refused from setSecret on.
                assert!(!stage.pair || stage.login().await, "{context}: AWSCURRENT stopped working");
                if !came {
                    assert!(stage.login().await, "{context}: AWSCURRENT does not log in");
                    break;
                }
                points += 1;
                stage.leave(way, &token, &context).await;
            }
        }
    }
    let users = if pair { "two users" } else { "one user" };
    let _ = writeln!(std::io::stderr(), "{points} faults of a rotation of {users}, each followed by {way:?}: all converge");
    assert!(points > 40, "only {points} points");
}

#[tokio::test]
async fn every_fault_of_one_user_then_a_retry() {
    every_fault(false, WayOut::Retry).await;
}

#[tokio::test]
async fn every_fault_of_one_user_then_another_rotation() {
    every_fault(false, WayOut::Abandon).await;
}

#[tokio::test]
async fn every_fault_of_one_user_then_recovery() {
    every_fault(false, WayOut::Recover).await;
}

#[tokio::test]
async fn every_fault_of_two_users_then_a_retry() {
    every_fault(true, WayOut::Retry).await;
}

#[tokio::test]
async fn every_fault_of_two_users_then_another_rotation() {
    every_fault(true, WayOut::Abandon).await;
}

#[tokio::test]
async fn every_fault_of_two_users_then_recovery() {
    every_fault(true, WayOut::Recover).await;
}
