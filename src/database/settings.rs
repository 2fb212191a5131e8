//! The settings of our sessions, which override those of the role and the database.

use std::time::Duration;

use super::session::STATEMENT_TIMEOUT;
use crate::deadline::Deadline;

/// A setting that means nothing to the server. Each session gives it a value of its own. Behind a
/// pooler that drops start-up options or shares sessions, the value is missing or another one.
const MARKER: &str = "postgres_secret_rotation.direct";
/// What the server shows of our sessions in `pg_stat_activity`.
pub(super) const APPLICATION_NAME: &str = "postgres-secret-rotation";
/// Settings that a role must not impose on our sessions, with our values.
pub(super) const ADMINISTRATIVE: [(&str, &str); 7] = [
    ("search_path", "pg_catalog"),
    ("role", "none"),
    ("default_transaction_read_only", "off"),
    // Under any other, what is read after the wait for a lock is from before it.
    ("default_transaction_isolation", "read committed"),
    ("datestyle", "ISO"),
    ("quote_all_identifiers", "off"),
    ("standard_conforming_strings", "on"),
];
/// Settings of a session that keeps the application's role and rights.
pub(super) const CATALOG: [(&str, &str); 3] = [
    ("search_path", "pg_catalog"),
    ("quote_all_identifiers", "off"),
    ("standard_conforming_strings", "on"),
];
/// Time-outs that would end our sessions, and the version that brought each.
const ENDS_SESSIONS: [(&str, u32); 2] =
    [("idle_session_timeout", 140_000), ("transaction_timeout", 170_000)];
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

/// The options in the start-up packet, the same for every purpose. Options that change names or
/// rights are not among them: they would act before the server's triggers on login, unlike the
/// application's.
pub(super) fn startup_options(marker: &str, deadline: Deadline) -> String {
    format!(
        "-c {MARKER}={marker} -c statement_timeout={} -c lock_timeout={} \
         -c idle_in_transaction_session_timeout={} -c default_transaction_deferrable=off",
        deadline.remaining(STATEMENT_TIMEOUT).as_millis().max(1),
        deadline.remaining(LOCK_TIMEOUT).as_millis().max(1),
        // Otherwise a session that is cut off would keep its locks after the invocation.
        deadline.remaining(TRANSACTION_TIMEOUT).as_millis().max(1),
    )
}

/// A statement that gives the session these settings and longer time-outs, and returns whether it
/// did. Without our marker it does nothing: a pooler would pass the settings on to the application.
/// Every name is qualified, since the application's `search_path` may apply.
pub(super) fn setting(marker: &str, settings: &[(&str, &str)]) -> String {
    let mut columns = vec!["direct".to_owned()];
    columns.extend(settings.iter().map(|(name, value)| set(name, value)));
    // A crash may lose a commit that did not wait for the disk. By then AWSCURRENT may have the
    // lost password.
    let durable = set("synchronous_commit", "local");
    columns.push(format!(
        "CASE WHEN pg_catalog.current_setting('synchronous_commit') OPERATOR(pg_catalog.=) 'off' \
         THEN {durable} END"
    ));
    columns.extend(ENDS_SESSIONS.map(|(name, since)| {
        let set = set(name, "0");
        format!("CASE WHEN version OPERATOR(pg_catalog.>=) {since} THEN {set} END")
    }));
    format!(
        "SELECT {columns} FROM (SELECT pg_catalog.current_setting('{MARKER}', true) \
         OPERATOR(pg_catalog.=) '{marker}' AS direct, \
         pg_catalog.current_setting('server_version_num')::pg_catalog.int4 AS version) AS session",
        columns = columns.join(", ")
    )
}

fn set(name: &str, value: &str) -> String {
    format!("CASE WHEN direct THEN pg_catalog.set_config('{name}', '{value}', false) END")
}
