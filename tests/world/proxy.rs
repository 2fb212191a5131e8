//! A proxy between the function and Secrets Manager: it counts, refuses and delays requests, and
//! loses answers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::https::{self, Authority, Handshakes};
use super::{eventually, serve, world};

/// What goes wrong with a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It is refused with this status and error code, and has no effect.
    Refuse(u16, &'static str),
    /// Something else answers with this status and a page.
    Page(u16),
    /// The version that it names by id was just written and cannot be read yet.
    NotReadableYet,
    /// It takes effect, and its answer is lost.
    LoseAnswer,
    /// It is never answered, and has no effect.
    Hang,
    /// It takes effect, and is never answered.
    HangAfterEffect,
    /// It waits for the notification and is then forwarded.
    Hold(Arc<Notify>),
}

pub struct AwsProxy {
    pub url: String,
    shared: Arc<Shared>,
    handshakes: Handshakes,
}

#[derive(Default)]
struct Shared {
    calls: Mutex<Vec<(String, Value)>>,
    /// Each request that took effect, and when that was known.
    effects: Mutex<Vec<(String, Instant)>>,
    faults: Mutex<Vec<(&'static str, usize, Fault)>>,
    /// The fault of one request, counted from 1; `None` after that request.
    nth: Mutex<Option<(usize, Fault)>>,
    hits: AtomicUsize,
}

impl AwsProxy {
    pub fn start() -> Self {
        let (shared, router) = Self::router();
        Self { url: serve(router), shared, handshakes: Handshakes::default() }
    }

    /// By HTTPS, with a certificate of that authority.
    pub fn start_with(authority: &Authority) -> Self {
        let (shared, router) = Self::router();
        let (url, handshakes) = https::serve(router, authority);
        Self { url, shared, handshakes }
    }

    fn router() -> (Arc<Shared>, Router) {
        let shared = Arc::<Shared>::default();
        let router = Router::new().fallback(forward).with_state(Arc::clone(&shared));
        (shared, router)
    }

    /// How many connections by TLS were made so far.
    pub fn handshakes(&self) -> usize {
        self.handshakes.count()
    }

    /// Makes the next `times` requests of `operation` fail.
    pub fn fail(&self, operation: &'static str, times: usize, fault: Fault) {
        self.shared.faults.lock().expect("no test panics here").push((operation, times, fault));
    }

    /// Passes everything on again that `fail` stopped.
    pub fn fail_no_more(&self) {
        self.shared.faults.lock().expect("no test panics here").clear();
    }

    /// Makes the `nth` request from now fail, counted from 1.
    pub fn arm(&self, nth: usize, fault: Fault) {
        self.shared.hits.store(0, Ordering::SeqCst);
        *self.shared.nth.lock().expect("no test panics here") = Some((nth, fault));
    }

    /// Whether the fault that `arm` set has struck.
    pub fn hit(&self) -> bool {
        self.shared.hits.load(Ordering::SeqCst) > 0
    }

    /// Waits until a request of `operation` has arrived.
    pub async fn await_request(&self, operation: &str) {
        self.await_request_after(0, operation).await;
    }

    /// Waits until a request of `operation` has arrived, beyond those first ones.
    pub async fn await_request_after(&self, first: usize, operation: &str) {
        eventually(operation, async || {
            self.calls().iter().skip(first).any(|(of, _)| of == operation).then_some(())
        })
        .await;
    }

    /// Waits until a request of `operation` has taken effect.
    pub async fn await_effect(&self, operation: &str) {
        eventually(operation, async || (!self.effects_of(operation).is_empty()).then_some(()))
            .await;
    }

    /// When requests of `operation` took effect.
    pub fn effects_of(&self, operation: &str) -> Vec<Instant> {
        let effects = self.shared.effects.lock().expect("no test panics here");
        effects.iter().filter(|(of, _)| of == operation).map(|(_, at)| *at).collect()
    }

    /// The requests so far: the operation's name and the body.
    pub fn calls(&self) -> Vec<(String, Value)> {
        self.shared.calls.lock().expect("no test panics here").clone()
    }
}

async fn forward(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let target =
        headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
    let parsed = serde_json::from_slice(&body).unwrap_or(Value::Null);
    shared.calls.lock().expect("no test panics here").push((operation.clone(), parsed.clone()));

    let nth = take_nth(&mut shared.nth.lock().expect("no test panics here"));
    let armed = nth.is_some();
    let fault = nth.or_else(|| {
        take_fault(&mut shared.faults.lock().expect("no test panics here"), &operation, &parsed)
    });
    if armed && !matches!(fault, Some(Fault::LoseAnswer | Fault::HangAfterEffect)) {
        shared.hits.fetch_add(1, Ordering::SeqCst);
    }
    match fault {
        Some(Fault::Refuse(status, code)) => return refusal(status, code),
        Some(Fault::Page(status)) => {
            let status = StatusCode::from_u16(status).expect("a status");
            let page = "<html><body>canary: who are you?</body></html>";
            return (status, [("content-type", "text/html")], page).into_response();
        }
        Some(Fault::NotReadableYet) => return refusal(400, "ResourceNotFoundException"),
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Hold(ref released)) => released.notified().await,
        Some(Fault::LoseAnswer | Fault::HangAfterEffect) | None => {}
    }
    let answer = reqwest::Client::new()
        .post(&world().aws.url)
        .headers(
            headers
                .iter()
                .filter(|(name, _)| *name != "host")
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        )
        .body(body)
        .send()
        .await
        .expect("the emulator answers");
    shared.effects.lock().expect("no test panics here").push((operation, Instant::now()));
    if armed {
        shared.hits.fetch_add(1, Ordering::SeqCst);
    }
    match fault {
        Some(Fault::LoseAnswer) => return refusal(500, "InternalServiceError"),
        Some(Fault::HangAfterEffect) => std::future::pending().await,
        _ => {}
    }
    let status = StatusCode::from_u16(answer.status().as_u16()).expect("a status");
    let kind = answer
        .headers()
        .get("content-type")
        .cloned()
        .unwrap_or_else(|| HeaderValue::from_static("application/json"));
    let body = answer.bytes().await.expect("a body");
    (status, [(HeaderName::from_static("content-type"), kind)], body).into_response()
}

/// Counts a request; the fault if it is the one that `arm` named.
fn take_nth(nth: &mut Option<(usize, Fault)>) -> Option<Fault> {
    let (left, _) = nth.as_mut()?;
    *left -= 1;
    if *left > 0 {
        return None;
    }
    nth.take().map(|(_, fault)| fault)
}

/// The fault that `fail` set for this request.
fn take_fault(
    faults: &mut [(&'static str, usize, Fault)],
    operation: &str,
    body: &Value,
) -> Option<Fault> {
    let concerns =
        |fault: &Fault| !matches!(fault, Fault::NotReadableYet) || body["VersionId"].is_string();
    let (_, times, fault) = faults
        .iter_mut()
        .find(|(of, times, fault)| *of == operation && *times > 0 && concerns(fault))?;
    *times -= 1;
    Some(fault.clone())
}

fn refusal(status: u16, code: &str) -> Response {
    let body = json!({"__type": code, "Message": format!("{code} by the test")}).to_string();
    (
        StatusCode::from_u16(status).expect("a status"),
        [("content-type", "application/x-amz-json-1.1")],
        body,
    )
        .into_response()
}
