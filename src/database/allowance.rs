//! Limits what a server may send, and how often it may make us ask. Its certificate is verified,
//! but its answers are not trusted.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A login: some messages of authentication, and the settings that the server reports.
pub(super) const OF_A_LOGIN: usize = 64 * 1024;
/// An answer: our queries ask for one row, whose examples are limited.
pub(super) const OF_AN_ANSWER: usize = 4 * 1024 * 1024;
/// The writes for one answer. Most answers take one. The driver also asks for each type that it
/// does not know, and a type may contain others without end.
const WRITES: usize = 1000;

/// What a connection may still receive and send.
#[derive(Debug, Clone)]
pub(super) struct Allowance(Arc<Left>);

#[derive(Debug)]
struct Left {
    bytes: AtomicUsize,
    writes: AtomicUsize,
}

impl Default for Allowance {
    fn default() -> Self {
        let (bytes, writes) = (AtomicUsize::new(OF_A_LOGIN), AtomicUsize::new(WRITES));
        Self(Arc::new(Left { bytes, writes }))
    }
}

impl Allowance {
    /// Allows this many bytes from now on.
    pub(super) fn renew(&self, bytes: usize) {
        self.0.bytes.store(bytes, Ordering::Relaxed);
        self.0.writes.store(WRITES, Ordering::Relaxed);
    }

    /// Whether nothing is left.
    pub(super) fn exceeded(&self) -> bool {
        [&self.0.bytes, &self.0.writes].iter().any(|left| left.load(Ordering::Relaxed) == 0)
    }

    /// Subtracts what was received.
    ///
    /// # Errors
    /// An error that ends the connection, when nothing is left.
    pub(super) fn take(&self, bytes: usize) -> io::Result<()> {
        reduce(&self.0.bytes, bytes)
    }

    /// Takes a write.
    ///
    /// # Errors
    /// An error that ends the connection, when none is left.
    pub(super) fn take_write(&self) -> io::Result<()> {
        reduce(&self.0.writes, 1)
    }
}

fn reduce(left: &AtomicUsize, by: usize) -> io::Result<()> {
    let rest = left.load(Ordering::Relaxed).saturating_sub(by);
    left.store(rest, Ordering::Relaxed);
    if rest == 0 { Err(io::Error::other(TOO_MUCH)) } else { Ok(()) }
}

/// The problem of a server that uses up its allowance.
pub(super) const TOO_MUCH: &str = "the server sends more than any answer needs";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_received_is_counted_until_the_next_answer() {
        let allowance = Allowance::default();
        allowance.renew(10);
        assert!(allowance.take(9).is_ok() && !allowance.exceeded());
        assert!(allowance.take(1).is_err() && allowance.exceeded());
        allowance.renew(10);
        assert!(!allowance.exceeded());
        assert!(allowance.take(usize::MAX).is_err());
    }
}
