//! When the passwords of roles end: their `VALID UNTIL`, which every role may read. The server's
//! clock decides, and it may differ from the function's.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use postgres_protocol::escape::{escape_identifier, escape_literal};
use serde::Deserialize;
use tokio_postgres::types::Type;

use super::session::Session;
use super::sql;
use super::transaction::Transaction;
use crate::error::Error;

const ZONE: &str = " UTC";
/// The microseconds of each date that a lease sets. They tell it from a date that a person sets.
const LEASE_MARK: &str = ".513726";

/// The end of a role's password.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Expiry {
    pub(crate) role: String,
    /// The date, by the server's clock, in the form that `VALID UNTIL` takes.
    pub(crate) at: String,
    /// The same to the microsecond.
    pub(crate) exact: String,
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

    /// Whether a lease set the date.
    pub(crate) fn is_of_lease(&self) -> bool {
        is_of_lease(&self.exact)
    }

    /// The end without its role. `None` if it is outside of what the function's clock can show.
    pub(crate) fn end(&self) -> Option<PasswordEnd> {
        after_1970(self.epoch).map(|date| PasswordEnd { date, seconds_left: self.seconds })
    }

    /// The end of one role's password, if it ends.
    pub(crate) fn of<'a>(ends: &'a [Self], role: &str) -> Option<&'a Self> {
        ends.iter().find(|end| end.role == role)
    }
}

/// When a password ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PasswordEnd {
    /// By the server's clock.
    pub(crate) date: SystemTime,
    /// The seconds until then. Negative if it has passed.
    pub(crate) seconds_left: i64,
}

impl PasswordEnd {
    /// Whether the password has ended.
    pub(crate) fn has_passed(&self) -> bool {
        self.seconds_left < 0
    }

    /// The date by a clock that shows `now`.
    pub(crate) fn by_clock(&self, now: SystemTime) -> SystemTime {
        let distance = Duration::from_secs(self.seconds_left.unsigned_abs());
        let date =
            if self.has_passed() { now.checked_sub(distance) } else { now.checked_add(distance) };
        date.unwrap_or(self.date)
    }

    /// The end after it was moved to this long from now.
    pub(crate) fn renewed(self, period: Duration) -> Self {
        let seconds_left = i64::try_from(period.as_secs()).unwrap_or(i64::MAX);
        let later = seconds_left.saturating_sub(self.seconds_left).unsigned_abs();
        let date = self.date.checked_add(Duration::from_secs(later)).unwrap_or(self.date);
        Self { date, seconds_left }
    }
}

/// Whether a lease set this date, in any of the server's forms.
pub(crate) fn is_of_lease(date: &str) -> bool {
    date.contains(LEASE_MARK)
}

/// The date of a lease, as the server stores it. `until` is from [`after`].
pub(crate) fn of_lease(until: &str) -> String {
    let second = until.strip_suffix(ZONE).unwrap_or(until);
    format!("{second}{LEASE_MARK}{ZONE}")
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
pub(crate) fn clause(until: &str) -> String {
    format!("VALID UNTIL {}", escape_literal(until))
}

/// When the role's password ends. `None` if it never does.
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn of(session: &Session, role: &str) -> Result<Option<PasswordEnd>, Error> {
    let expiry = read(session, &[role]).await?.pop();
    Ok(expiry.and_then(|expiry| expiry.end()))
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
    fn the_date_of_a_lease_is_known_in_every_form() {
        let date = of_lease("2030-01-01 04:00:00 UTC");
        assert!(is_of_lease(&date), "{date}");
        for (date, expected) in [
            ("2030-01-01 05:00:00.513726+01", true),
            ("01/01/2030 04:00:00.513726 UTC", true),
            ("2030-01-01 04:00:00+00", false),
            ("infinity", false),
        ] {
            assert_eq!(is_of_lease(date), expected, "{date}");
        }
    }

    #[test]
    fn an_end_is_as_far_away_by_every_clock() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let end = |date, seconds_left| PasswordEnd { date: at(date), seconds_left };
        // The server's clock shows 1000.
        assert_eq!(end(1060, 60).by_clock(at(5000)), at(5060));
        assert_eq!(end(940, -60).by_clock(at(5000)), at(4940));
        assert_eq!(end(940, -60).renewed(Duration::from_mins(5)), end(1300, 300));
        assert_eq!(end(1060, 60).renewed(Duration::from_mins(5)), end(1300, 300));
    }

    #[test]
    fn no_number_of_a_server_is_too_large() {
        // This one is neither a panic nor today.
        assert_ne!(after_1970(i64::MAX), Some(SystemTime::now()));
        assert_eq!(after_1970(60), Some(UNIX_EPOCH + Duration::from_mins(1)));
        assert_eq!(after_1970(-60), Some(UNIX_EPOCH - Duration::from_mins(1)));
    }
}
