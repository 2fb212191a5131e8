//! Which role a rotation works on: what the strategy makes of the current username, and what it lets a pending value change.

use crate::policy::Strategy;
use crate::secret::document::Document;

/// The username of the next version.
pub(super) fn next_username(strategy: Strategy, current: &str) -> String {
    match strategy {
        Strategy::SingleUser | Strategy::AlternatingUsers => current.to_owned(),
    }
}

/// The key in which a pending value, which a person may have written, differs from the current one although it may not.
///
/// Every key counts: what the application reads from the secret would change with the password, or go back to what it was.
pub(super) fn mismatch(current: &Document, pending: &Document) -> Option<String> {
    current.difference(pending, &["password"]).map(str::to_owned)
}
