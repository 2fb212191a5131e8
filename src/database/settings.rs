//! The settings of our sessions, which override those of the role and the database.

use std::time::Duration;

use super::session::STATEMENT_TIMEOUT;
use crate::deadline::Deadline;

/// A setting that means nothing to the server. A pooler that keeps start-up options to itself keeps
/// this one as well, and so gives itself away.
pub(super) const MARKER: &str = "postgres_secret_rotation.direct";
/// What the server shows of our sessions in `pg_stat_activity`.
pub(super) const APPLICATION_NAME: &str = "postgres-secret-rotation";
/// Settings that a role must not impose on our sessions, with our values.
pub(super) const ADMINISTRATIVE: [(&str, &str); 4] = [
    ("search_path", "pg_catalog"),
    ("role", "none"),
    ("default_transaction_read_only", "off"),
    ("datestyle", "ISO"),
];
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than a login or a call of Secrets Manager during a transaction.
const TRANSACTION_TIMEOUT: Duration = Duration::from_mins(1);

/// Whose settings a session has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Ours: the role's `search_path`, `role` and read-only default do not apply.
    Administer,
    /// The application's.
    Application,
}

/// The options in the start-up packet.
pub(super) fn startup_options(purpose: Purpose, deadline: Deadline) -> String {
    let timeouts = format!(
        "-c {MARKER}=on -c statement_timeout={} -c lock_timeout={} \
         -c idle_in_transaction_session_timeout={} -c default_transaction_deferrable=off",
        deadline.remaining(STATEMENT_TIMEOUT).as_millis().max(1),
        deadline.remaining(LOCK_TIMEOUT).as_millis().max(1),
        // A session that is cut off would keep its locks after the invocation.
        deadline.remaining(TRANSACTION_TIMEOUT).as_millis().max(1),
    );
    match purpose {
        Purpose::Administer => ADMINISTRATIVE
            .iter()
            .fold(timeouts, |options, (name, value)| format!("{options} -c {name}={value}")),
        Purpose::Application => timeouts,
    }
}
