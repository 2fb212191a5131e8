//! The method by which the server authenticated a login, read from its messages during the login.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsStream};

use super::allowance::Allowance;

/// The problem of a server that asks for too few iterations.
pub(super) const FEW_ITERATIONS: &str = "the server asks for too few iterations of SCRAM";
/// The longest message that is read. Longer ones do not belong to the authentication.
const LONGEST_MESSAGE: usize = 4096;
/// The size of a message's type and length.
const HEADER: usize = 5;

/// What the server asked for at the login.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Method {
    /// No password: `trust`, `peer` or a certificate. Such a login proves no password.
    #[default]
    NoPassword,
    Cleartext,
    Md5,
    /// SCRAM-SHA-256, with the iterations of the stored verifier.
    Scram {
        iterations: u32,
    },
}

/// What the server said during a login.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Authentication {
    pub(crate) method: Method,
    /// The server asked for a password and sent `AuthenticationOk`: it accepted the password, even
    /// if it refused the session later.
    pub(crate) accepted: bool,
    /// `in_hot_standby`, which PostgreSQL 14 and newer report.
    pub(crate) hot_standby: Option<bool>,
}

/// Reads the server's messages as they arrive, until the session is ready.
#[derive(Debug, Clone, Default)]
pub(super) struct AuthenticationWatch(Arc<Mutex<Watch>>);

#[derive(Debug, Default)]
struct Watch {
    seen: Authentication,
    /// The fewest iterations of SCRAM that may be asked for.
    least: u32,
    /// The server has said how many it asks for.
    first: bool,
    /// The message that is being read, as far as it has arrived.
    message: Vec<u8>,
    /// The bytes of a long message that still have to be skipped.
    skip: usize,
    ready: bool,
}

impl AuthenticationWatch {
    /// What the server said so far.
    pub(super) fn seen(&self) -> Authentication {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).seen.clone()
    }

    fn ready(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).ready
    }

    /// Requires at least this many iterations of SCRAM before anything that depends on the password
    /// is sent.
    pub(super) fn require(&self, iterations: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).least = iterations;
    }

    /// Refuses a server that asks for fewer. In SCRAM the client proves first, and a false server
    /// could guess at a cheap proof.
    fn refuse_few_iterations(&self) -> io::Result<()> {
        let watch = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match watch.seen.method {
            Method::Scram { iterations } if watch.first && iterations < watch.least => {
                Err(io::Error::other(format!("{FEW_ITERATIONS}: {iterations}")))
            }
            _ => Ok(()),
        }
    }

    fn read(&self, bytes: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).read(bytes);
    }
}

impl Watch {
    fn read(&mut self, mut bytes: &[u8]) {
        while !self.ready && !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if self.skip > 0 || bytes.is_empty() {
                return;
            }
            let wanted = self.length().unwrap_or(HEADER);
            let taken = wanted.saturating_sub(self.message.len()).min(bytes.len());
            self.message.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            match self.length() {
                Some(length) if length > LONGEST_MESSAGE => {
                    self.skip = length - self.message.len();
                    self.message.clear();
                }
                Some(length) if self.message.len() >= length => {
                    let message = std::mem::take(&mut self.message);
                    self.understand(message[0], &message[HEADER..]);
                }
                _ => {}
            }
        }
    }

    /// The length of the present message with its header, once the header has arrived.
    fn length(&self) -> Option<usize> {
        let length = self.message.get(1..HEADER)?.try_into().ok()?;
        // The length counts itself and not the type.
        Some((u32::from_be_bytes(length) as usize).max(4) + 1)
    }

    fn understand(&mut self, kind: u8, body: &[u8]) {
        match kind {
            b'R' => self.authentication(body),
            b'S' => {
                let mut texts = body.split(|byte| *byte == 0);
                if texts.next() == Some(b"in_hot_standby") {
                    self.seen.hot_standby = texts.next().map(|value| value == b"on");
                }
            }
            b'Z' => self.ready = true,
            _ => {}
        }
    }

    fn authentication(&mut self, body: &[u8]) {
        let Some((code, data)) = body.split_first_chunk::<4>() else { return };
        match u32::from_be_bytes(*code) {
            0 => self.seen.accepted = self.seen.method != Method::NoPassword,
            3 => self.seen.method = Method::Cleartext,
            5 => self.seen.method = Method::Md5,
            10 => self.seen.method = Method::Scram { iterations: 0 },
            11 => {
                let attributes = data.split(|byte| *byte == b',');
                let iterations = attributes
                    .filter_map(|attribute| attribute.strip_prefix(b"i="))
                    .find_map(|number| std::str::from_utf8(number).ok()?.parse().ok());
                self.seen.method = Method::Scram { iterations: iterations.unwrap_or_default() };
                self.first = true;
            }
            _ => {}
        }
    }
}

/// A stream that passes its incoming bytes to the watch.
#[derive(Debug)]
pub(super) struct WatchedStream<S> {
    stream: S,
    watch: AuthenticationWatch,
    allowance: Allowance,
    ready: bool,
}

impl<S> WatchedStream<S> {
    pub(super) fn new(stream: S, watch: AuthenticationWatch, allowance: Allowance) -> Self {
        Self { stream, watch, allowance, ready: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WatchedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if matches!(polled, Poll::Ready(Ok(()))) {
            let received = &buffer.filled()[before..];
            self.allowance.take(received.len())?;
            if !self.ready {
                self.watch.read(received);
                self.watch.refuse_few_iterations()?;
                self.ready = self.watch.ready();
            }
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WatchedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        if polled.is_ready() {
            self.allowance.take_write()?;
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: TlsStream + Unpin> TlsStream for WatchedStream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[kind], length.as_slice(), body].concat()
    }

    fn authentication(code: u32, data: &[u8]) -> Vec<u8> {
        message(b'R', &[code.to_be_bytes().as_slice(), data].concat())
    }

    #[test]
    fn each_method_is_recognised_however_the_bytes_are_cut() {
        let scram = [
            authentication(10, b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"),
            authentication(11, b"r=nonce,s=c2FsdA==,i=20000"),
            authentication(12, b"v=signature"),
            authentication(0, b""),
        ]
        .concat();
        let standby = message(b'S', b"in_hot_standby\0on\0");
        let primary = message(b'S', b"in_hot_standby\0off\0");
        let long = message(b'N', &vec![b'x'; 3 * LONGEST_MESSAGE]);
        let ready = message(b'Z', b"I");
        let late = authentication(3, b"");
        for (bytes, method, accepted, hot_standby) in [
            (scram.clone(), Method::Scram { iterations: 20_000 }, true, None),
            (authentication(0, b""), Method::NoPassword, false, None),
            (authentication(3, b""), Method::Cleartext, false, None),
            (authentication(5, b"salt"), Method::Md5, false, None),
            (
                [scram, long, standby, ready, late].concat(),
                Method::Scram { iterations: 20_000 },
                true,
                Some(true),
            ),
            ([authentication(0, b""), primary].concat(), Method::NoPassword, false, Some(false)),
            (b"R\0\0\0\0".to_vec(), Method::NoPassword, false, None),
        ] {
            for size in [1, 2, 3, 7, 4096, bytes.len()] {
                let watch = AuthenticationWatch::default();
                bytes.chunks(size).for_each(|chunk| watch.read(chunk));
                let expected = Authentication { method, accepted, hot_standby };
                assert_eq!(watch.seen(), expected, "in pieces of {size}");
            }
        }
    }
}
