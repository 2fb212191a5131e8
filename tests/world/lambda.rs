//! Lambda: the real binary under the Runtime API, and the Invoke endpoint that Secrets Manager
//! calls it by.

use std::collections::HashMap;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot, watch};

use super::aws::REGION;
use super::{RUNTIME, eventually, random_hex, setting, unique, wait, world};

const ACCOUNT: &str = "123456789012";
/// A function that Secrets Manager can call and that does nothing but fail: a rotation it starts is
/// then driven step by step.
pub const BY_HAND: &str = "by-hand";

/// What an invocation comes to: the response, or `errorType` and `errorMessage`.
pub type Answer = Result<Value, Failure>;

#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    pub kind: String,
    pub message: String,
}

struct Invocation {
    id: String,
    event: Vec<u8>,
    answer: oneshot::Sender<Answer>,
}

type Queue = mpsc::UnboundedSender<Invocation>;
type Functions = Arc<Mutex<HashMap<String, Queue>>>;

/// Lambda's Invoke API over all functions of this run.
pub struct Gateway {
    pub url: String,
    functions: Functions,
}

/// One function: a process of the binary that is started anew when it has died, as Lambda does.
pub struct Function {
    pub name: String,
    environment: Vec<(String, String)>,
    runtime: Arc<Runtime>,
    process: Mutex<Process>,
    output: Arc<Mutex<String>>,
}

struct Runtime {
    queue: Queue,
    waiting: AsyncMutex<mpsc::UnboundedReceiver<Invocation>>,
    running: Mutex<HashMap<String, oneshot::Sender<Answer>>>,
    /// What the context says is left to each invocation.
    timeout: Mutex<Duration>,
    /// When a process asked for an invocation.
    asked: Mutex<Vec<Instant>>,
    /// Counts the processes, so that no invocation is handed to one that is gone.
    process: watch::Sender<u32>,
}

/// A process, and when it was started.
struct Process(Child, Instant);

/// What one process has used since it started.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// From the start to the first request for an invocation.
    pub init: Duration,
    pub cpu: Duration,
    pub peak_memory_kib: u64,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Gateway {
    pub fn start() -> Self {
        let functions = Functions::default();
        let router = Router::new()
            .route("/2015-03-31/functions/{name}/invocations", post(invoked_by_aws))
            .with_state(Arc::clone(&functions));
        Self { url: serve(router), functions }
    }
}

async fn invoked_by_aws(
    State(functions): State<Functions>,
    Path(name): Path<String>,
    event: Bytes,
) -> Response {
    let function = functions.lock().expect("no test panics here").get(&name).cloned();
    let deployed = if function.is_none() && name != BY_HAND {
        world().aws.world("functions", &name).await
    } else {
        Value::Null
    };
    let answer = match function {
        Some(queue) => send(&queue, event.to_vec()).await,
        None if deployed.is_object() => Function::deployed(&name, &deployed, event.to_vec()).await,
        None => Err(Failure {
            kind: "ByHand".to_owned(),
            message: "this rotation is driven by the test".to_owned(),
        }),
    };
    match answer {
        Ok(value) => value.to_string().into_response(),
        Err(Failure { kind, message }) => {
            let body = json!({"errorType": kind, "errorMessage": message}).to_string();
            ([("x-amz-function-error", "Unhandled")], body).into_response()
        }
    }
}

async fn send(queue: &Queue, event: Vec<u8>) -> Answer {
    let (answer, answered) = oneshot::channel();
    let _ = queue.send(Invocation { id: random_hex(), event, answer });
    answered.await.unwrap_or_else(|_| {
        Err(Failure {
            kind: "Runtime.ExitError".to_owned(),
            message: "the process ended".to_owned(),
        })
    })
}

impl Function {
    /// Starts the binary with these variables beside those that Lambda itself sets.
    pub fn start(environment: &[(&str, &str)]) -> Self {
        let function = Self::launch(unique("rotation-"), environment);
        let queue = function.runtime.queue.clone();
        world()
            .gateway
            .functions
            .lock()
            .expect("no test panics here")
            .insert(function.name.clone(), queue);
        function
    }

    /// A cold start of a function that was deployed, with the variables and the credentials that it
    /// has by now.
    async fn deployed(name: &str, configuration: &Value, event: Vec<u8>) -> Answer {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let variables = ["variables", "credentials"]
            .into_iter()
            .filter_map(|key| configuration[key].as_object())
            .flatten();
        let mut environment: Vec<_> =
            variables.map(|(name, value)| (name.clone(), text(value))).collect();
        // The name of an endpoint that is not there.
        environment.push(("SECRETS_MANAGER_ENDPOINT".to_owned(), String::new()));
        let owned = name.to_owned();
        let launch = move || {
            let environment: Vec<_> =
                environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            Self::launch(owned, &environment)
        };
        let function = tokio::task::spawn_blocking(launch).await.expect("the function starts");
        function.set_timeout(Duration::from_secs(configuration["timeout"].as_u64().unwrap_or(3)));
        let answer = send(&function.runtime.queue, event).await;
        let output =
            tokio::task::spawn_blocking(move || function.end()).await.expect("the function ends");
        world().aws.tell("POST", "functions", name, output).await;
        answer
    }

    fn launch(name: String, environment: &[(&str, &str)]) -> Self {
        let (queue, waiting) = mpsc::unbounded_channel();
        let runtime = Arc::new(Runtime {
            queue,
            waiting: AsyncMutex::new(waiting),
            running: Mutex::default(),
            timeout: Mutex::new(Duration::from_secs(30)),
            asked: Mutex::default(),
            process: watch::Sender::new(0),
        });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(respond))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(fail))
            .with_state(Arc::clone(&runtime));
        let address = serve(router);
        let environment = [
            ("AWS_LAMBDA_RUNTIME_API", address.trim_start_matches("http://")),
            ("AWS_LAMBDA_FUNCTION_NAME", &name),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", "testing"),
            ("AWS_SECRET_ACCESS_KEY", "testing"),
            ("AWS_ENDPOINT_URL", &world().aws.url),
            ("CA_BUNDLE_FILE", &world().postgres.ca_file.display().to_string()),
        ]
        .into_iter()
        .chain(environment.iter().copied())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect::<Vec<_>>();
        let output = Arc::new(Mutex::new(String::new()));
        let process = Mutex::new(spawn(&environment, &output));
        Self { name, environment, runtime, process, output }
    }

    pub fn arn(&self) -> String {
        arn(&self.name)
    }

    /// Sends an event, as `aws lambda invoke` does, and waits for the answer.
    pub async fn invoke(&self, event: Value) -> Answer {
        send(&self.runtime.queue, event.to_string().into_bytes()).await
    }

    /// What the context of the following invocations says is left to them.
    pub fn set_timeout(&self, timeout: Duration) {
        *self.runtime.timeout.lock().expect("no test panics here") = timeout;
    }

    /// Ends the process, whatever it is doing, and starts a new one: the next invocation is a cold
    /// start.
    pub fn restart(&self) {
        self.kill();
        *self.process.lock().expect("no test panics here") = spawn(&self.environment, &self.output);
    }

    /// Ends the process, whatever it is doing: its invocation fails as Lambda's do.
    pub fn kill(&self) {
        let process = &mut self.process.lock().expect("no test panics here").0;
        let _ = process.kill();
        let _ = process.wait();
        self.runtime.process.send_modify(|count| *count += 1);
        self.runtime.running.lock().expect("no test panics here").clear();
    }

    /// What the process that runs now has used, as the kernel accounts it.
    pub async fn usage(&self) -> Usage {
        let (id, started) = {
            let process = self.process.lock().expect("no test panics here");
            (process.0.id(), process.1)
        };
        let first = || {
            self.runtime
                .asked
                .lock()
                .expect("no test panics here")
                .iter()
                .copied()
                .find(|asked| *asked >= started)
        };
        let ready = eventually("the first request", async || first()).await;
        let tasks = std::fs::read_dir(format!("/proc/{id}/task")).expect("the process runs");
        let nanoseconds = tasks
            .filter_map(|task| {
                std::fs::read_to_string(task.ok()?.path().join("schedstat"))
                    .ok()?
                    .split(' ')
                    .next()?
                    .parse::<u64>()
                    .ok()
            })
            .sum();
        let status =
            std::fs::read_to_string(format!("/proc/{id}/status")).expect("the process runs");
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        Usage {
            init: ready - started,
            cpu: Duration::from_nanos(nanoseconds),
            peak_memory_kib: peak.expect("VmHWM"),
        }
    }

    /// Ends the process, and gives all that it has written.
    fn end(self) -> String {
        drop(self.process);
        while Arc::strong_count(&self.output) > 1 {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.output.lock().expect("no test panics here").clone()
    }

    /// All that the processes have written to standard output and standard error.
    pub fn output(&self) -> String {
        self.output.lock().expect("no test panics here").clone()
    }

    /// The log events of the function, its lines of JSON.
    pub fn log(&self) -> Vec<Value> {
        self.output().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The first log event that `wanted` accepts; the pipe may deliver it after the answer.
    pub async fn logged(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(what, async || self.log().into_iter().find(|event| wanted(event))).await
    }
}

pub fn arn(function: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}")
}

/// The binary that is tested: the packaged one where `make` names it, else this build's.
pub fn binary() -> PathBuf {
    setting("BOOTSTRAP").map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_postgres-secret-rotation")),
        PathBuf::from,
    )
}

fn spawn(environment: &[(String, String)], output: &Arc<Mutex<String>>) -> Process {
    let started = Instant::now();
    let mut child = Command::new(binary())
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    collect(child.stdout.take().expect("a pipe"), Arc::clone(output));
    collect(child.stderr.take().expect("a pipe"), Arc::clone(output));
    Process(child, started)
}

fn collect(mut pipe: impl Read + Send + 'static, output: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = pipe.read(&mut buffer) {
            output
                .lock()
                .expect("no test panics here")
                .push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    });
}

async fn next(State(runtime): State<Arc<Runtime>>) -> Response {
    runtime.asked.lock().expect("no test panics here").push(Instant::now());
    let mut process = runtime.process.subscribe();
    let invocation = tokio::select! {
        biased;
        _ = process.changed() => None,
        invocation = async { runtime.waiting.lock().await.recv().await } => invocation,
    };
    let Some(invocation) = invocation else { return StatusCode::GONE.into_response() };
    let timeout = *runtime.timeout.lock().expect("no test panics here");
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970") + timeout;
    let headers = [
        ("lambda-runtime-aws-request-id", invocation.id.clone()),
        ("lambda-runtime-deadline-ms", deadline.as_millis().to_string()),
        ("lambda-runtime-invoked-function-arn", arn("rotation")),
    ];
    runtime.running.lock().expect("no test panics here").insert(invocation.id, invocation.answer);
    (headers, invocation.event).into_response()
}

async fn respond(
    State(runtime): State<Arc<Runtime>>,
    Path(id): Path<String>,
    body: Bytes,
) -> StatusCode {
    let value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    settle(&runtime, &id, Ok(value))
}

async fn fail(
    State(runtime): State<Arc<Runtime>>,
    Path(id): Path<String>,
    _headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    settle(&runtime, &id, Err(Failure { kind: text("errorType"), message: text("errorMessage") }))
}

fn settle(runtime: &Runtime, id: &str, answer: Answer) -> StatusCode {
    if let Some(waiting) = runtime.running.lock().expect("no test panics here").remove(id) {
        let _ = waiting.send(answer);
    }
    StatusCode::ACCEPTED
}

/// Serves on a free port of the loopback, for as long as this process lives.
pub fn serve(router: Router) -> String {
    let listener = wait(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
    let address = listener.local_addr().expect("an address");
    RUNTIME.spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}
