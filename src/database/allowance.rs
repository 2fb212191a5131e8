//! Limits what a server may send: its certificate is verified, but its answers are not trusted.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A login: some messages of authentication, and the settings that the server reports.
pub(super) const OF_A_LOGIN: usize = 64 * 1024;
/// An answer: our queries ask for one row, whose examples are limited.
pub(super) const OF_AN_ANSWER: usize = 4 * 1024 * 1024;
/// The types of parameters. The driver asks for them one by one, since a type may contain others.
pub(super) const OF_TYPES: usize = 256 * 1024;

/// The bytes that a connection may still receive.
#[derive(Debug, Clone)]
pub(super) struct Allowance(Arc<AtomicUsize>);

impl Default for Allowance {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(OF_A_LOGIN)))
    }
}

impl Allowance {
    /// Allows this many bytes from now on.
    pub(super) fn renew(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    /// Whether nothing is left.
    pub(super) fn exceeded(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// Subtracts what was received.
    ///
    /// # Errors
    /// An error that ends the connection, when nothing is left.
    pub(super) fn take(&self, bytes: usize) -> io::Result<()> {
        let left = self.0.load(Ordering::Relaxed).saturating_sub(bytes);
        self.0.store(left, Ordering::Relaxed);
        if left == 0 { Err(io::Error::other(TOO_MUCH)) } else { Ok(()) }
    }
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
