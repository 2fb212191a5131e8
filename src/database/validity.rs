//! How long a role's password is valid.

use std::time::{Duration, SystemTime};

use tokio_postgres::types::Type;

use super::session::Session;
use super::sql;
use crate::error::Error;

/// The role's `VALID UNTIL`, by this machine's clock. `None` if it has none.
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn valid_until(
    session: &Session,
    role: &str,
) -> Result<Option<SystemTime>, Error> {
    let operation = "reading VALID UNTIL";
    let row = session.query_one(operation, sql::VALID_UNTIL, &[(&role, Type::TEXT)]).await?;
    let left: Option<f64> = session.column(&row, 0)?;
    Ok(left.and_then(from_now))
}

/// The point in time so many seconds from now, or ago.
fn from_now(seconds: f64) -> Option<SystemTime> {
    let span = Duration::try_from_secs_f64(seconds.abs()).ok()?;
    let now = SystemTime::now();
    if seconds < 0.0 { now.checked_sub(span) } else { now.checked_add(span) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_of_a_server_is_too_large() {
        for seconds in [f64::MAX, f64::MIN, f64::NAN, f64::INFINITY] {
            assert_eq!(from_now(seconds), None, "{seconds}");
        }
        assert!(from_now(60.0).unwrap() > SystemTime::now());
        assert!(from_now(-60.0).unwrap() < SystemTime::now());
    }
}
