//! The progress of a login. It tells a slow name server from a slow handshake.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use postgres_openssl::{TlsConnector, TlsStream};
use tokio::net::TcpStream;
use tokio_postgres::tls::TlsConnect;

use super::allowance::Allowance;
use super::authentication::{Authentication, AuthenticationWatch, WatchedStream};
use super::certificate::CertificateLifetime;

/// The parts of a login, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Dns,
    Tcp,
    Tls,
    Login,
}

/// The parts that were reached, and the time that each took.
#[derive(Debug)]
pub(crate) struct Progress {
    reached: Mutex<(Instant, Vec<(Part, Duration)>)>,
    pub(super) watch: AuthenticationWatch,
    pub(super) allowance: Allowance,
    /// The time that the server's certificate has left, as the handshake saw it.
    pub(super) certificate: CertificateLifetime,
}

impl Progress {
    pub(super) fn start() -> Self {
        let reached = Mutex::new((Instant::now(), Vec::new()));
        let (watch, allowance) = (AuthenticationWatch::default(), Allowance::default());
        Self { reached, watch, allowance, certificate: CertificateLifetime::default() }
    }

    /// What the server said about the authentication so far.
    pub(crate) fn authentication(&self) -> Authentication {
        self.watch.seen()
    }

    /// How long the server's certificate stays valid, in seconds. `None` without a handshake.
    pub(crate) fn certificate_expires_in(&self) -> Option<i64> {
        self.certificate.seconds()
    }

    /// The stream, whose incoming bytes are watched and counted.
    pub(super) fn watched<S>(&self, stream: S) -> WatchedStream<S> {
        WatchedStream::new(stream, self.watch.clone(), self.allowance.clone())
    }

    pub(super) fn reached(&self, part: Part) {
        let mut state = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        let took = state.0.elapsed();
        state.0 = Instant::now();
        state.1.push((part, took));
    }

    /// The parts that were reached, and the time that the next one has taken so far.
    pub(crate) fn into_parts(self) -> (Vec<(Part, Duration)>, Duration) {
        let (since, parts) = self.reached.into_inner().unwrap_or_else(PoisonError::into_inner);
        (parts, since.elapsed())
    }
}

/// A TLS handshake that reports its end.
pub(super) struct WatchedHandshake<'a> {
    pub(super) connector: TlsConnector,
    pub(super) progress: &'a Progress,
}

impl<'a> TlsConnect<TcpStream> for WatchedHandshake<'a> {
    type Stream = WatchedStream<TlsStream<TcpStream>>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, Self::Error>> + Send + 'a>>;

    fn connect(self, stream: TcpStream) -> Self::Future {
        Box::pin(async move {
            let stream = self.connector.connect(stream).await?;
            self.progress.reached(Part::Tls);
            Ok(self.progress.watched(stream))
        })
    }
}
