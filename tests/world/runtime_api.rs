//! Lambda's Runtime API: it hands invocations to a process of the binary and takes the answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot, watch};

use super::lambda::arn;
use super::{random_hex, serve};

/// The response of an invocation, or its `errorType` and `errorMessage`.
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

/// Takes the events of one function.
#[derive(Debug, Clone)]
pub struct Queue(mpsc::UnboundedSender<Invocation>);

impl Queue {
    /// Sends an event and waits for the answer.
    pub async fn invoke(&self, event: Vec<u8>) -> Answer {
        let (answer, answered) = oneshot::channel();
        let _ = self.0.send(Invocation { id: random_hex(), event, answer });
        answered.await.unwrap_or_else(|_| {
            Err(Failure {
                kind: "Runtime.ExitError".to_owned(),
                message: "the process ended".to_owned(),
            })
        })
    }
}

/// The Runtime API of one function.
pub struct Runtime {
    pub queue: Queue,
    waiting: AsyncMutex<mpsc::UnboundedReceiver<Invocation>>,
    running: Mutex<HashMap<String, oneshot::Sender<Answer>>>,
    timeout: Mutex<Duration>,
    /// The times at which a process asked for an invocation.
    requests: Mutex<Vec<Instant>>,
    /// Counts the processes: a dead process must not take an invocation away.
    process: watch::Sender<u32>,
    /// By which each invocation says it was made.
    arn: String,
}

impl Runtime {
    /// Starts the API of a function; the second value is its address, without a scheme.
    pub fn start(function: &str) -> (Arc<Self>, String) {
        let (queue, waiting) = mpsc::unbounded_channel();
        let runtime = Arc::new(Self {
            queue: Queue(queue),
            waiting: AsyncMutex::new(waiting),
            running: Mutex::default(),
            timeout: Mutex::new(Duration::from_secs(30)),
            requests: Mutex::default(),
            process: watch::Sender::new(0),
            arn: arn(function),
        });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(respond))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(fail))
            .with_state(Arc::clone(&runtime));
        let url = serve(router);
        (runtime, url.trim_start_matches("http://").to_owned())
    }

    /// Sets the time that the context of the following invocations gives them.
    pub fn set_timeout(&self, timeout: Duration) {
        *self.timeout.lock().expect("no test panics here") = timeout;
    }

    /// The first request for an invocation that came after `start`.
    pub fn first_request(&self, start: Instant) -> Option<Instant> {
        let requests = self.requests.lock().expect("no test panics here");
        requests.iter().copied().find(|request| *request >= start)
    }

    /// Fails the invocations of a process that has just died.
    pub fn forget_process(&self) {
        self.process.send_modify(|count| *count += 1);
        self.running.lock().expect("no test panics here").clear();
    }

    fn answer(&self, id: &str, answer: Answer) -> StatusCode {
        if let Some(waiting) = self.running.lock().expect("no test panics here").remove(id) {
            let _ = waiting.send(answer);
        }
        StatusCode::ACCEPTED
    }
}

async fn next(State(runtime): State<Arc<Runtime>>) -> Response {
    runtime.requests.lock().expect("no test panics here").push(Instant::now());
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
        ("lambda-runtime-invoked-function-arn", runtime.arn.clone()),
    ];
    runtime.running.lock().expect("no test panics here").insert(invocation.id, invocation.answer);
    (headers, invocation.event).into_response()
}

async fn respond(
    State(runtime): State<Arc<Runtime>>,
    Path(id): Path<String>,
    body: Bytes,
) -> StatusCode {
    runtime.answer(&id, Ok(serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

async fn fail(
    State(runtime): State<Arc<Runtime>>,
    Path(id): Path<String>,
    body: Bytes,
) -> StatusCode {
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    runtime.answer(&id, Err(Failure { kind: text("errorType"), message: text("errorMessage") }))
}
