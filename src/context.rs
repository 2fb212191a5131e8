//! What every step and operation gets.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::config::Config;
use crate::database::tls::Tls;
use crate::deadline::Deadline;
use crate::secret::store::Store;

/// What every step and operation of one invocation gets.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) config: &'a Config,
    pub(crate) tls: &'a Tls,
    pub(crate) store: Store,
    pub(crate) deadline: Deadline,
    pub(crate) refused_logins: &'a RefusedLogins,
    /// The ARN by which the function was invoked.
    pub(crate) function_arn: &'a str,
}

/// Counts the failed logins of an invocation. Each is a line in the server's log.
#[derive(Debug, Default)]
pub(crate) struct RefusedLogins(AtomicU32);

impl RefusedLogins {
    /// Counts one failed login.
    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of failed logins so far.
    pub(crate) fn so_far(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}
