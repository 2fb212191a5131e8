//! A secret whose rotation the tests make fail, and the three ways out of a failure.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use serde_json::json;

use super::application::{Application, STEPS};
use super::lambda::{Failure, Function};
use super::pair::Pair;
use super::proxy::{AwsProxy, Fault};
use super::wire::{self, Wire};
use super::{eventually, world};

/// The way out of a rotation that a fault stopped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum WayOut {
    /// Secrets Manager sends the same token again.
    Retry,
    /// The label is removed, and another rotation begins.
    Abandon,
    /// A person invokes `recover`.
    Recover,
}

/// Where a fault strikes, counted from 1.
#[derive(Debug, Clone, Copy)]
pub enum Where {
    Request(usize),
    Statement(usize),
    Login(usize),
}

/// What strikes.
#[derive(Debug, Clone, Copy)]
pub enum What {
    FailsBefore,
    AnswerLost,
    KilledAfter,
    NeverAnswered,
}

/// The time of an invocation that has all it needs.
pub const LONG: Duration = Duration::from_secs(30);

/// A secret whose function reaches Secrets Manager and PostgreSQL through proxies that can fail.
pub struct FaultRig {
    pub proxy: AwsProxy,
    pub wire: Wire,
    pub function: Function,
    pub application: Application,
    pub pair: bool,
}

impl FaultRig {
    pub async fn new(pair: bool) -> Self {
        let (proxy, wire) = (AwsProxy::start(), Wire::idle());
        let function = start_function(&proxy);
        let application = if pair {
            Pair::through(&wire).await.application
        } else {
            wire.application(|_| {}).await
        };
        Self { proxy, wire, function, application, pair }
    }

    /// A single user of that database.
    pub async fn in_database(dbname: &str) -> Self {
        let (proxy, wire) = (AwsProxy::start(), Wire::idle());
        let function = start_function(&proxy);
        let application = wire.application(|document| document["dbname"] = json!(dbname)).await;
        Self { proxy, wire, function, application, pair: false }
    }

    /// Another function that uses the same proxies.
    pub fn second_function(&self) -> Function {
        start_function(&self.proxy)
    }

    /// Does `work` with that fault; whether the fault struck. Without it, the work succeeds.
    pub async fn strike<T: Debug>(
        &self,
        at: Where,
        what: What,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> bool {
        let on_the_wire = match what {
            What::FailsBefore => wire::Fault::BreakBefore,
            What::AnswerLost | What::KilledAfter => wire::Fault::BreakAfter,
            What::NeverAnswered => wire::Fault::Hang,
        };
        // This also restarts the count of logins and commits.
        self.wire.arm(usize::MAX, wire::Fault::Hang);
        match at {
            Where::Request(nth) => self.proxy.arm(
                nth,
                match what {
                    What::FailsBefore => Fault::Refuse(400, "LimitExceededException"),
                    What::AnswerLost => Fault::LoseAnswer,
                    What::KilledAfter | What::NeverAnswered => Fault::HangAfterEffect,
                },
            ),
            Where::Statement(nth) => self.wire.arm(nth, on_the_wire),
            Where::Login(nth) => self.wire.arm_login(nth, on_the_wire),
        }
        let hit = || self.proxy.hit() || self.wire.hits() > 0;
        tokio::pin!(work);
        let ended = if matches!(what, What::KilledAfter) {
            let killed = async {
                eventually("the fault", async || hit().then_some(())).await;
                self.function.restart();
            };
            tokio::select! {
                biased;
                () = killed => work.await,
                ended = &mut work => ended,
            }
        } else {
            work.await
        };
        let struck = hit();
        assert!(ended.is_ok() || struck, "{at:?} {what:?}: {ended:?}");
        self.proxy.arm(usize::MAX, Fault::Hang);
        self.wire.disarm();
        struck
    }

    pub async fn rotate(&self, function: &Function, token: &str) -> Result<(), Failure> {
        self.rotate_within([LONG; 4], function, token).await
    }

    /// Rotates while nothing fails.
    pub async fn rotate_undisturbed(&self) {
        let token = self.application.begin().await;
        self.rotate(&self.function, &token).await.expect("nothing fails");
    }

    /// Rotates with these times for the four steps.
    pub async fn rotate_within(
        &self,
        times: [Duration; 4],
        function: &Function,
        token: &str,
    ) -> Result<(), Failure> {
        for (step, time) in STEPS.into_iter().zip(times) {
            function.set_timeout(time);
            self.application.step(function, step, token).await?;
        }
        Ok(())
    }

    /// Whether the database accepts AWSCURRENT.
    pub async fn current_logs_in(&self) -> bool {
        let value = self.application.value("AWSCURRENT").await.expect("AWSCURRENT has a value");
        let value: serde_json::Value = serde_json::from_str(&value).expect("JSON");
        let text = |key: &str| value[key].as_str().expect("a string").to_owned();
        world().postgres.login(&text("username"), &text("password")).await.is_ok()
    }

    /// Takes the way out. AWSCURRENT then works, and the next rotation can begin.
    pub async fn take_way_out(&self, way: WayOut, token: &str, context: &str) {
        match way {
            WayOut::Retry => {
                let again = unlocked(async || self.rotate(&self.function, token).await).await;
                assert!(again.is_ok(), "{context}: {again:?}");
            }
            WayOut::Abandon => {
                let token = self.application.abandon_and_begin().await;
                let again = unlocked(async || self.rotate(&self.function, &token).await).await;
                assert!(again.is_ok(), "{context}: {again:?}");
            }
            WayOut::Recover => {
                let event = json!({"Operation": "recover", "SecretId": self.application.secret});
                let recovered = unlocked(async || self.function.invoke(event.clone()).await).await;
                assert!(recovered.is_ok(), "{context}: {recovered:?}");
                self.assert_current_passes_test(context).await;
            }
        }
        assert!(self.current_logs_in().await, "{context}: AWSCURRENT does not log in");
        self.assert_in_order(context).await;
    }

    /// `status` finds nothing to do.
    pub async fn assert_in_order(&self, context: &str) {
        let status = self
            .function
            .invoke(json!({"Operation": "status", "SecretId": self.application.secret}))
            .await;
        assert!(
            status.as_ref().is_ok_and(|status| status["Remedy"] == "Nothing"),
            "{context}: {status:?}"
        );
    }

    /// Runs the test that `RotateImmediately=false` makes of AWSCURRENT.
    async fn assert_current_passes_test(&self, context: &str) {
        let next = self.application.begin().await;
        let tested = self.application.step(&self.function, "testSecret", &next).await;
        assert!(
            tested.as_ref().is_ok_and(|report| report["Outcome"] == "CurrentTested"),
            "{context}: {tested:?}"
        );
        self.application.remove_pending_label().await;
    }
}

fn start_function(proxy: &AwsProxy) -> Function {
    let policy = json!({"defaults": {"allow_plaintext": true}}).to_string();
    Function::start(&[("AWS_ENDPOINT_URL", &proxy.url), ("ROTATION_POLICY", &policy)])
}

/// Repeats what a lock stops. A session that was cut off keeps it until the server ends the
/// session, which takes a minute at most.
async fn unlocked<T>(work: impl AsyncFn() -> Result<T, Failure>) -> Result<T, Failure> {
    let started = Instant::now();
    loop {
        match work().await {
            Err(failure) if failure.kind == "LockTimedOut" && started.elapsed().as_secs() < 60 => {}
            ended => return ended,
        }
    }
}
