//! Answers for an invocation that ends in a panic. The process aborts, and without an answer Lambda
//! would wait until the time-out.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;

use crate::config;

const KIND: &str = "InternalError";
const WAIT: Duration = Duration::from_secs(1);

/// The invocation that is not answered yet.
static UNANSWERED: Mutex<Option<String>> = Mutex::new(None);

/// Remembers the invocation until the value is dropped.
pub(crate) struct UnansweredInvocation;

impl UnansweredInvocation {
    pub(crate) fn begin(request_id: &str) -> Self {
        *UNANSWERED.lock().unwrap_or_else(PoisonError::into_inner) = Some(request_id.to_owned());
        Self
    }
}

impl Drop for UnansweredInvocation {
    fn drop(&mut self) {
        *UNANSWERED.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// From now on, a panic logs only its place, answers the invocation and ends the process. Its
/// message is not shown, because it may quote a secret.
pub(crate) fn prepare() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = format!(
            "the function failed at {place}. This is an error of the function: please report it. A \
             retry finds out how far the invocation came."
        );
        tracing::error!(error.kind = KIND, "{message}");
        // A panic while the lock is held must not wait for it.
        let request = UNANSWERED.try_lock().ok().and_then(|mut unanswered| unanswered.take());
        if let (Some(api), Some(request)) = (config::runtime_api(), request) {
            // Lambda finds out by the end of the process, too.
            let _ = answer(&api, &request, &message);
        }
        std::process::abort();
    }));
}

/// Tells the Runtime API that the invocation failed. The runtime itself can no longer do it.
fn answer(api: &str, request: &str, message: &str) -> io::Result<()> {
    let body = json!({"errorType": KIND, "errorMessage": message}).to_string();
    let mut stream = TcpStream::connect(api)?;
    stream.set_read_timeout(Some(WAIT))?;
    stream.set_write_timeout(Some(WAIT))?;
    write!(
        stream,
        "POST /2018-06-01/runtime/invocation/{request}/error HTTP/1.1\r\nHost: {api}\r\n\
         Content-Type: application/json\r\nLambda-Runtime-Function-Error-Type: {KIND}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    stream.read_exact(&mut [0; 12])
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_runtime_api_is_told_which_invocation_failed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let api = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"}") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            stream.write_all(b"HTTP/1.1 202 Accepted\r\n\r\n").unwrap();
            String::from_utf8(request).unwrap()
        });
        answer(&api, "id-1", "the function failed").unwrap();
        let request = server.join().unwrap();
        assert!(request.starts_with("POST /2018-06-01/runtime/invocation/id-1/error HTTP/1.1\r\n"));
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        let expected = json!({"errorType": KIND, "errorMessage": "the function failed"});
        assert_eq!(serde_json::from_str::<serde_json::Value>(body).unwrap(), expected);
        assert!(request.contains(&format!("Content-Length: {}\r\n", body.len())));
    }

    #[test]
    fn an_invocation_is_unanswered_until_it_is_answered() {
        let invocation = UnansweredInvocation::begin("id-2");
        assert_eq!(UNANSWERED.lock().unwrap().as_deref(), Some("id-2"));
        drop(invocation);
        assert_eq!(*UNANSWERED.lock().unwrap(), None);
    }
}
