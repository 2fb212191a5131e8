//! When the passwords of roles end: their `VALID UNTIL`, which every role may read. The server's
//! clock decides.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use postgres_protocol::escape::{escape_identifier, escape_literal};
use serde::Deserialize;
use tokio_postgres::types::Type;

use super::session::Session;
use super::sql;
use super::transaction::Transaction;
use crate::error::Error;

/// The end of a role's password.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Expiry {
    pub(crate) role: String,
    /// The date, by the server's clock, in the form that `VALID UNTIL` takes.
    pub(crate) at: String,
    /// The seconds after 1970.
    pub(crate) epoch: i64,
    /// The seconds until then. Negative if it has passed.
    pub(crate) seconds: i64,
}

impl Expiry {
    /// Whether the password has ended.
    pub(crate) fn has_passed(&self) -> bool {
        self.seconds < 0
    }

    /// The end of one role's password, if it ends.
    pub(crate) fn of<'a>(ends: &'a [Self], role: &str) -> Option<&'a Self> {
        ends.iter().find(|end| end.role == role)
    }
}

/// The roles among these whose passwords end. The session's `search_path` has to be `pg_catalog`.
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn read(session: &Session, roles: &[&str]) -> Result<Vec<Expiry>, Error> {
    let roles: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 1] =
        [(&roles, Type::TEXT_ARRAY)];
    session.query_json("reading VALID UNTIL", sql::EXPIRY, &roles).await
}

/// The server's present time plus a period, in the form of [`Expiry::at`].
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn after(session: &Session, period: Duration) -> Result<String, Error> {
    let sql = "SELECT pg_catalog.to_char((clock_timestamp() + make_interval(secs => $1)) AT TIME \
               ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS \"UTC\"')";
    let seconds = period.as_secs_f64();
    let row = session.query_one("reading the clock", sql, &[(&seconds, Type::FLOAT8)]).await?;
    session.column(&row, 0)
}

/// Sets when the password of a role ends. A role cannot do that for itself.
///
/// # Errors
/// [`Error::Database`], with `ConcurrentUpdate` if another session is changing the role: roll back
/// and retry.
pub(crate) async fn set(
    transaction: &Transaction<'_>,
    role: &str,
    until: &str,
) -> Result<(), Error> {
    let sql = format!("ALTER ROLE {} {}", escape_identifier(role), clause(until));
    transaction.session().execute("setting VALID UNTIL", &sql).await
}

/// The part of a statement that sets the end.
pub(super) fn clause(until: &str) -> String {
    format!("VALID UNTIL {}", escape_literal(until))
}

/// When the role's password ends. `None` if it never does.
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn of(session: &Session, role: &str) -> Result<Option<SystemTime>, Error> {
    let expiry = read(session, &[role]).await?.pop();
    Ok(expiry.and_then(|expiry| after_1970(expiry.epoch)))
}

/// The point in time so many seconds after 1970, or before.
fn after_1970(seconds: i64) -> Option<SystemTime> {
    let span = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { UNIX_EPOCH.checked_sub(span) } else { UNIX_EPOCH.checked_add(span) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_of_a_server_is_too_large() {
        // This one is neither a panic nor today.
        assert_ne!(after_1970(i64::MAX), Some(SystemTime::now()));
        assert_eq!(after_1970(60), Some(UNIX_EPOCH + Duration::from_mins(1)));
        assert_eq!(after_1970(-60), Some(UNIX_EPOCH - Duration::from_mins(1)));
    }
}
