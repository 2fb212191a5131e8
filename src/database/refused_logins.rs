//! The refused logins of an invocation. Each is a line in the server's log, and some extensions ban
//! a role after a few.

use std::sync::atomic::{AtomicU32, Ordering};

/// Counts logins that the server refused because of the password or `pg_hba.conf`.
#[derive(Debug, Default)]
pub(crate) struct RefusedLogins(AtomicU32);

impl RefusedLogins {
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of refused logins so far.
    pub(crate) fn so_far(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}
