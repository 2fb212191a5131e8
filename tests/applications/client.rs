//! The examples as processes: each answers lines of JSON, and says on standard error what it was
//! refused.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::world::aws::REGION;
use crate::world::postgres::HOST;
use crate::world::{project, world};

/// One of the folders in `examples`, and which of its programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Rust,
    Psycopg,
    Sqlalchemy,
    Node,
}

pub(crate) const KINDS: [Kind; 4] = [Kind::Rust, Kind::Psycopg, Kind::Sqlalchemy, Kind::Node];

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) cache_seconds: u32,
    pub(crate) budget_seconds: f64,
    pub(crate) max_lifetime_seconds: u32,
    pub(crate) sessions: usize,
    pub(crate) dbname: &'static str,
    /// Where Secrets Manager answers.
    pub(crate) aws: String,
    pub(crate) log: &'static str,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cache_seconds: 3600,
            budget_seconds: 30.0,
            max_lifetime_seconds: 3600,
            sessions: 20,
            dbname: "postgres",
            aws: world().aws.url.clone(),
            log: "INFO",
        }
    }
}

/// What a unit of work has come to.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The session's user and the server's process, or the error.
    pub(crate) result: Result<(String, i64), String>,
    pub(crate) took: Duration,
}

type Waiting = Arc<Mutex<HashMap<i64, oneshot::Sender<Value>>>>;

pub(crate) struct Example {
    pub(crate) kind: Kind,
    process: Child,
    requests: Mutex<ChildStdin>,
    waiting: Waiting,
    /// All that it has written, answers and log.
    output: Arc<Mutex<String>>,
    refusals: Arc<Mutex<Vec<Instant>>>,
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Kind {
    fn command(self) -> Command {
        let deps = project().join(".deps/examples");
        let python = |name: &str| {
            let mut command = Command::new(deps.join("python/bin/python"));
            command.arg(project().join("examples/python/worker.py")).arg(name);
            command
        };
        match self {
            Self::Rust => {
                Command::new(project().join("target/examples/debug/rotating-secret-example"))
            }
            Self::Psycopg => python("psycopg"),
            Self::Sqlalchemy => python("sqlalchemy"),
            Self::Node => {
                let mut command = Command::new(deps.join("node/node"));
                command.arg(deps.join("node/worker.mjs"));
                command
            }
        }
    }
}

/// Installs what the examples need, once in a run.
pub(crate) fn install() {
    static INSTALLED: LazyLock<()> = LazyLock::new(|| {
        let status = Command::new(project().join("examples/install")).status();
        assert!(status.is_ok_and(|status| status.success()), "the examples can be installed");
    });
    LazyLock::force(&INSTALLED);
}

impl Example {
    /// Starts an example that uses that secret.
    pub(crate) fn start(kind: Kind, secret: &str, settings: &Settings) -> Self {
        install();
        let document = json!({
            "secret": secret,
            "server": {
                "host": HOST, "port": world().postgres.port.to_string(), "dbname": settings.dbname,
                "sslmode": "verify-full", "sslrootcert": world().postgres.ca_file,
            },
            "cache_seconds": settings.cache_seconds,
            "budget_seconds": settings.budget_seconds,
            "max_lifetime": settings.max_lifetime_seconds,
            "sessions": settings.sessions,
            "log": settings.log,
        });
        let mut process = kind
            .command()
            .env_clear()
            .envs([
                ("SETTINGS", document.to_string().as_str()),
                ("AWS_ENDPOINT_URL", settings.aws.as_str()),
                ("AWS_REGION", REGION),
                ("AWS_DEFAULT_REGION", REGION),
                ("AWS_ACCESS_KEY_ID", "testing"),
                ("AWS_SECRET_ACCESS_KEY", "testing"),
                ("AWS_EC2_METADATA_DISABLED", "true"),
                ("PYTHONDONTWRITEBYTECODE", "1"),
            ])
            .current_dir(Path::new("/"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("the example {kind:?} starts: {error}"));
        let (waiting, output) = (Waiting::default(), Arc::<Mutex<String>>::default());
        let refusals = Arc::<Mutex<Vec<Instant>>>::default();
        let (answered, refused) = (Arc::clone(&waiting), Arc::clone(&refusals));
        follow(process.stdout.take().expect("a pipe"), Arc::clone(&output), move |line| {
            let mut waiting = answered.lock().expect("no test panics here");
            let Some(line) = line else { return waiting.clear() };
            let Ok(answer) = serde_json::from_str::<Value>(line) else { return };
            let id = answer["id"].as_i64().unwrap_or_default();
            if let Some(waiting) = waiting.remove(&id) {
                let _ = waiting.send(answer);
            }
        });
        follow(process.stderr.take().expect("a pipe"), Arc::clone(&output), move |line| {
            if line.is_some_and(|line| line.contains("login refused: user")) {
                refused.lock().expect("no test panics here").push(Instant::now());
            }
        });
        let requests = Mutex::new(process.stdin.take().expect("a pipe"));
        Self { kind, process, requests, waiting, output, refusals }
    }

    /// A unit of work over a connection of the pool. It starts before the caller awaits it.
    pub(crate) fn work(&self) -> impl Future<Output = Answer> + use<> {
        self.insert("work", next_row())
    }

    /// A unit of work over a connection that is closed after it.
    pub(crate) fn login(&self) -> impl Future<Output = Answer> + use<> {
        self.insert("login", next_row())
    }

    /// Inserts that row by `work` or `login`.
    pub(crate) fn insert(&self, what: &str, row: i64) -> impl Future<Output = Answer> + use<> {
        let started = Instant::now();
        let answer = self.ask(json!({"do": what, "row": row}));
        async move {
            let answer = answer.await;
            let result = match (answer["user"].as_str(), answer["session"].as_i64()) {
                (Some(user), Some(session)) => Ok((user.to_owned(), session)),
                _ => Err(answer["error"].as_str().unwrap_or("it ended").to_owned()),
            };
            Answer { result, took: started.elapsed() }
        }
    }

    /// What a debugger would show of all that the example holds.
    pub(crate) async fn show(&self) -> String {
        let answer = self.ask(json!({"do": "show"})).await;
        answer["shown"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    fn ask(&self, mut request: Value) -> impl Future<Output = Value> + use<> {
        static NEXT: AtomicI64 = AtomicI64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        request["id"] = json!(id);
        let (answer, answered) = oneshot::channel();
        self.waiting.lock().expect("no test panics here").insert(id, answer);
        let line = format!("{request}\n");
        let sent = self.requests.lock().expect("no test panics here").write_all(line.as_bytes());
        assert!(sent.is_ok(), "{:?} has ended: {}", self.kind, self.output());
        async { answered.await.unwrap_or(Value::Null) }
    }

    /// How many logins were refused for their password so far.
    pub(crate) fn refusals(&self) -> usize {
        self.refusals.lock().expect("no test panics here").len()
    }

    /// When these were.
    pub(crate) fn refused_at(&self) -> Vec<Instant> {
        self.refusals.lock().expect("no test panics here").clone()
    }

    /// All that it has written.
    pub(crate) fn output(&self) -> String {
        self.output.lock().expect("no test panics here").clone()
    }
}

/// A number for a row that no other row has.
pub(crate) fn next_row() -> i64 {
    static NEXT: AtomicI64 = AtomicI64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Hands over each line, and nothing at the end.
fn follow(
    pipe: impl Read + Send + 'static,
    output: Arc<Mutex<String>>,
    each: impl Fn(Option<&str>) + Send + 'static,
) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut output = output.lock().expect("no test panics here");
            output.push_str(&line);
            output.push('\n');
            drop(output);
            each(Some(&line));
        }
        each(None);
    });
}
