//! Which role a rotation works on: what the strategy makes of the current username, and what it lets a pending value say.

use crate::policy::Strategy;
use crate::secret::credentials::Credentials;

/// A key of the pending value that is not what the strategy asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mismatch {
    pub key: &'static str,
    pub pending: String,
    pub current: String,
}

/// The username of the next version.
pub(super) fn next_username(strategy: Strategy, current: &str) -> String {
    match strategy {
        Strategy::SingleUser | Strategy::AlternatingUsers => current.to_owned(),
    }
}

/// Where a pending value, which a person may have written, points at another role or server than the current one.
pub(super) fn mismatch(current: &Credentials, pending: &Credentials) -> Option<Mismatch> {
    [
        ("username", current.username.clone(), pending.username.clone()),
        ("host", current.server.host.clone(), pending.server.host.clone()),
        ("port", current.server.port.to_string(), pending.server.port.to_string()),
    ]
    .into_iter()
    .find(|(_, current, pending)| current != pending)
    .map(|(key, current, pending)| Mismatch { key, pending, current })
}
