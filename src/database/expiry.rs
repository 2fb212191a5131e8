//! When the passwords of roles end: their `VALID UNTIL`, which every role may read.

use serde::Deserialize;
use tokio_postgres::types::Type;

use super::session::Session;
use super::sql;
use crate::error::Error;

/// The end of a role's password.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Expiry {
    pub(crate) role: String,
    /// The date, by the server's clock.
    pub(crate) at: String,
    /// The seconds until then. Negative if it has passed.
    pub(crate) seconds: i64,
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
