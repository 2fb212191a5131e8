//! One rotation after the other, by the four events with pauses, and what goes wrong on the way.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::sleep;

use crate::world::application::{Application, STEPS};
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::postgres::{Standby, admin};
use crate::world::world;

/// Between two events of one rotation. Published for the real service: 28 ms.
const PAUSE: Duration = Duration::from_millis(200);
/// Between two rotations: longer than the clients keep a value.
pub(crate) const DISTANCE: Duration = Duration::from_millis(1500);
/// How often the rotation is sent again before `recover` is called.
const ATTEMPTS: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Strategy {
    SingleUser,
    AlternatingUsers,
}

impl Strategy {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SingleUser => "single-user",
            Self::AlternatingUsers => "alternating-users",
        }
    }
}

/// What goes wrong in the middle of a rotation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// The function's process ends.
    Kill,
    /// The server crashes and comes back.
    Restart,
    /// The server becomes a standby, and is promoted half a second later.
    Failover,
}

/// One rotation, from its first event to its end.
#[derive(Debug)]
pub(crate) struct Rotation {
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    pub(crate) fault: Option<Fault>,
    /// When the server was not to be used.
    pub(crate) outage: Option<(Instant, Instant)>,
    /// Why it did not succeed, not even by `recover`.
    pub(crate) failure: Option<String>,
}

/// The secret that rotates, and the function that rotates it.
pub(crate) struct Rotator {
    pub(crate) application: Application,
    function: Function,
    faults: bool,
}

impl Rotator {
    pub(crate) async fn new(strategy: Strategy, faults: bool) -> Self {
        let name = strategy.name().replace('-', "_");
        let application = match strategy {
            Strategy::SingleUser => Application::named(&name, |_| {}).await,
            Strategy::AlternatingUsers => {
                let pair = Pair::named(&name, |_| {}).await;
                let table = format!("CREATE TABLE {name}.orders (id int)");
                pair.session("AWSCURRENT").await.batch_execute(&table).await.expect("a table");
                pair.application
            }
        };
        Self { application, function: Function::start(&[]), faults }
    }

    /// The rotation of that number, counted from 0.
    pub(crate) async fn rotate(&self, number: usize) -> Rotation {
        let began = Instant::now();
        let fault = self.faults.then_some(match number % 4 {
            0 | 2 => Fault::Kill,
            1 => Fault::Restart,
            _ => Fault::Failover,
        });
        let (failure, outage) = tokio::join!(self.carry_out(), self.strike(fault, number));
        Rotation { began, ended: Instant::now(), fault, outage, failure }
    }

    /// As Secrets Manager does it: all steps again, with the same token, when one has failed.
    async fn carry_out(&self) -> Option<String> {
        let token = self.application.begin().await;
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            match self.send_all(&token).await {
                Ok(()) => return None,
                Err(failure) => last = failure,
            }
            sleep(2 * PAUSE).await;
        }
        let recover = json!({"Operation": "recover", "SecretId": self.application.secret});
        let recovered = self.function.invoke(recover).await;
        recovered.err().map(|failure| format!("{last}; recover: {}", failure.message))
    }

    async fn send_all(&self, token: &str) -> Result<(), String> {
        for (nth, step) in STEPS.iter().enumerate() {
            if nth > 0 {
                sleep(PAUSE).await;
            }
            let answer = self.application.step(&self.function, step, token).await;
            answer.map_err(|failure| format!("{step}: {} {}", failure.kind, failure.message))?;
        }
        Ok(())
    }

    /// Strikes at another moment each time; when the server was out of use.
    async fn strike(&self, fault: Option<Fault>, number: usize) -> Option<(Instant, Instant)> {
        let fault = fault?;
        // Steps of a prime number of milliseconds come by every moment of a rotation.
        sleep(Duration::from_millis(number as u64 * 97 % 800)).await;
        let began = Instant::now();
        match fault {
            Fault::Kill => {
                self.function.restart();
                return None;
            }
            Fault::Restart => blocking(|| world().postgres.crash()).await,
            Fault::Failover => {
                blocking(|| world().postgres.become_standby(Standby::Readable)).await;
                sleep(Duration::from_millis(500)).await;
                blocking(|| world().postgres.promote()).await;
            }
        }
        Some((began, Instant::now()))
    }

    /// The numbers of all rows that the server holds.
    pub(crate) async fn rows(&self) -> std::collections::HashSet<i64> {
        let query = format!("SELECT id::int8 FROM {}.orders", self.application.role);
        let rows = admin().await.query(&query, &[]).await.expect("the rows");
        rows.iter().map(|row| row.get(0)).collect()
    }
}

async fn blocking(work: impl FnOnce() + Send + 'static) {
    tokio::task::spawn_blocking(work).await.expect("it does not panic");
}
