//! Those who use the secret meanwhile: the examples, and applications that do not follow them.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::client::{Example, Kind, Settings, next_row};
use crate::rotations::DISTANCE;
use crate::world::world;

/// For a program to start and do its first work, on a machine that is busy.
const START: Duration = Duration::from_mins(1);

/// How a client comes by its credential.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Access {
    /// One of the examples, with a cache of a second.
    Example(Kind),
    /// Reads AWSCURRENT before each login, and does nothing about a refusal.
    Fresh,
    /// Keeps what it has read for a second.
    Cached,
    /// Keeps what it has read beyond the next rotation.
    Stale,
    /// Logs in once, and keeps that connection.
    OldConnection,
}

pub(crate) const ACCESSES: [Access; 8] = [
    Access::Example(Kind::Rust),
    Access::Example(Kind::Psycopg),
    Access::Example(Kind::Sqlalchemy),
    Access::Example(Kind::Node),
    Access::Fresh,
    Access::Cached,
    Access::Stale,
    Access::OldConnection,
];

impl Access {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Example(Kind::Rust) => "example: Rust",
            Self::Example(Kind::Psycopg) => "example: psycopg",
            Self::Example(Kind::Sqlalchemy) => "example: SQLAlchemy",
            Self::Example(Kind::Node) => "example: Node.js",
            Self::Fresh => "fresh credential",
            Self::Cached => "cached credential",
            Self::Stale => "stale credential",
            Self::OldConnection => "old connection",
        }
    }

    fn keeps(self) -> Duration {
        match self {
            Self::Fresh => Duration::ZERO,
            Self::Stale => 6 * DISTANCE,
            Self::Example(_) | Self::Cached | Self::OldConnection => Duration::from_secs(1),
        }
    }
}

/// One unit of work.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) row: i64,
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    /// Done by the server's process of that number.
    Done(i64),
    /// The credential was refused: 28P01 or 28000.
    Refused,
    /// The statement was denied: 42501.
    Denied,
    Failed(String),
}

/// All that clients of one kind have done.
pub(crate) struct Record {
    pub(crate) access: Access,
    pub(crate) work: Vec<Work>,
    /// When a login was refused, also where the work was done in the end.
    pub(crate) refused: Vec<Instant>,
}

/// Clients of one kind at work.
pub(crate) struct Crowd {
    access: Access,
    example: Option<Arc<Example>>,
    workers: JoinSet<Vec<Work>>,
    at_work: Arc<Semaphore>,
}

/// What the worker and those who watch it share.
#[derive(Clone)]
struct Shift {
    /// Set when the work is to end.
    stop: Arc<AtomicBool>,
    /// Has a permit of each worker that has done its first work.
    at_work: Arc<Semaphore>,
}

impl Crowd {
    /// Starts that many workers, each of which works until it is told to stop.
    pub(crate) fn start(
        access: Access,
        workers: usize,
        secret: &str,
        stop: &Arc<AtomicBool>,
    ) -> Self {
        let example = match access {
            Access::Example(kind) => {
                let settings = Settings {
                    cache_seconds: 1,
                    max_lifetime_seconds: 2,
                    sessions: workers,
                    ..Settings::default()
                };
                Some(Arc::new(Example::start(kind, secret, &settings)))
            }
            _ => None,
        };
        let count = if access == Access::OldConnection { 1 } else { workers };
        let at_work = Arc::new(Semaphore::new(0));
        let shift = Shift { stop: Arc::clone(stop), at_work: Arc::clone(&at_work) };
        let mut crowd = Self { access, example, workers: JoinSet::new(), at_work };
        for number in 0..count {
            let shift = shift.clone();
            if let Some(example) = crowd.example.clone() {
                // Every other worker keeps its connection, as long as the pool lets it.
                let what = if number % 2 == 0 { "login" } else { "work" };
                crowd.workers.spawn(async move { follow(&example, what, shift).await });
            } else {
                let plain = Plain { access, secret: secret.to_owned(), held: None, open: None };
                crowd.workers.spawn(plain.run(shift));
            }
        }
        crowd
    }

    /// Waits until each worker has done its first work: programs take their time to start.
    pub(crate) async fn at_work(&self) {
        let workers = u32::try_from(self.workers.len()).expect("not that many workers");
        let all = self.at_work.acquire_many(workers);
        let name = self.access.name();
        let all = tokio::time::timeout(START, all).await;
        assert!(all.is_ok(), "{name}: not each worker has done some work within {START:?}");
    }

    /// Waits for the workers to end.
    pub(crate) async fn end(self) -> Record {
        let mut work: Vec<_> = self.workers.join_all().await.into_iter().flatten().collect();
        work.sort_by_key(|work| work.ended);
        let refused = match &self.example {
            Some(example) => example.refused_at(),
            None => work
                .iter()
                .filter(|work| work.outcome == Outcome::Refused)
                .map(|work| work.ended)
                .collect(),
        };
        Record { access: self.access, work, refused }
    }
}

impl Record {
    /// Without what was before.
    pub(crate) fn since(mut self, began: Instant) -> Self {
        self.work.retain(|work| work.began >= began);
        self.refused.retain(|at| *at >= began);
        self
    }

    /// When each login was accepted, as far as a new process of the server shows it.
    pub(crate) fn logins(&self) -> Vec<Instant> {
        let mut seen = HashSet::new();
        let new = |work: &&Work| matches!(work.outcome, Outcome::Done(pid) if seen.insert(pid));
        self.work.iter().filter(new).map(|work| work.ended).collect()
    }
}

impl Shift {
    /// Notes a unit of work. Returns whether there is more to do.
    fn goes_on(&self, done: &mut Vec<Work>, work: Work) -> bool {
        let works = matches!(work.outcome, Outcome::Done(_));
        if works && !done.iter().any(|work| matches!(work.outcome, Outcome::Done(_))) {
            self.at_work.add_permits(1);
        }
        done.push(work);
        !self.stop.load(Ordering::Relaxed)
    }
}

/// Between two units of work of a worker, so that the machine does other things, too.
async fn think() {
    tokio::time::sleep(Duration::from_millis(rand::random_range(100..300))).await;
}

async fn follow(example: &Example, what: &str, shift: Shift) -> Vec<Work> {
    let mut done = Vec::new();
    loop {
        let (row, began) = (next_row(), Instant::now());
        let outcome = match example.insert(what, row).await.result {
            Ok((_, session)) => Outcome::Done(session),
            Err(text) => of_text(text),
        };
        if !shift.goes_on(&mut done, Work { row, began, ended: Instant::now(), outcome }) {
            return done;
        }
        think().await;
    }
}

fn of_text(text: String) -> Outcome {
    let says = |marks: &[&str]| marks.iter().any(|mark| text.contains(mark));
    if says(&["28P01", "28000", "password authentication failed", "not permitted to log in"]) {
        Outcome::Refused
    } else if says(&["42501", "permission denied"]) {
        Outcome::Denied
    } else {
        Outcome::Failed(text)
    }
}

/// An application that does nothing about a refusal.
struct Plain {
    access: Access,
    secret: String,
    held: Option<(Instant, String, String)>,
    open: Option<Client>,
}

impl Plain {
    async fn run(mut self, shift: Shift) -> Vec<Work> {
        let mut done = Vec::new();
        loop {
            let (row, began) = (next_row(), Instant::now());
            let outcome = match self.insert(row).await {
                Ok(session) => Outcome::Done(session),
                Err(error) => match error.code().map(SqlState::code) {
                    Some("28P01" | "28000") => Outcome::Refused,
                    Some("42501") => Outcome::Denied,
                    _ => Outcome::Failed(error.to_string()),
                },
            };
            if !shift.goes_on(&mut done, Work { row, began, ended: Instant::now(), outcome }) {
                return done;
            }
            think().await;
        }
    }

    async fn insert(&mut self, row: i64) -> Result<i64, tokio_postgres::Error> {
        let client = match self.open.take() {
            Some(client) if !client.is_closed() => client,
            _ => self.log_in().await?,
        };
        let insert = "INSERT INTO orders (id) VALUES ($1::int8) RETURNING pg_backend_pid()::int8";
        let session = client.query_one(insert, &[&row]).await?.get(0);
        if self.access == Access::OldConnection {
            self.open = Some(client);
        }
        Ok(session)
    }

    /// After an outage, this client tries until it has another connection to keep.
    async fn log_in(&mut self) -> Result<Client, tokio_postgres::Error> {
        loop {
            let (user, password) = self.credentials().await;
            match world().postgres.login(&user, &password).await {
                Err(error)
                    if self.access == Access::OldConnection
                        && error.code() == Some(&SqlState::INVALID_PASSWORD) =>
                {
                    think().await;
                }
                other => return other,
            }
        }
    }

    async fn credentials(&mut self) -> (String, String) {
        let held = self.held.as_ref().filter(|held| held.0.elapsed() < self.access.keeps());
        if let Some((_, user, password)) = held {
            return (user.clone(), password.clone());
        }
        let read_at = Instant::now();
        let client = world().aws.client();
        let value = client.get_secret_value().secret_id(&self.secret).send().await;
        let value = value.expect("AWSCURRENT can be read");
        let value: Value =
            serde_json::from_str(value.secret_string().expect("text")).expect("JSON");
        let text = |key: &str| value[key].as_str().expect("a string").to_owned();
        let (user, password) = (text("username"), text("password"));
        self.held = Some((read_at, user.clone(), password.clone()));
        (user, password)
    }
}
