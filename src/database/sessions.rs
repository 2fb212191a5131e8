//! The open sessions of users, and the form in which the server stores their passwords.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use tokio_postgres::types::{ToSql, Type};

use super::session::Session;
use super::settings::APPLICATION_NAME;
use super::sql;
use crate::error::{DatabaseFault, Error};

/// Sessions of one application from one address.
#[derive(Debug, Deserialize)]
pub(crate) struct Client {
    pub(crate) application: Option<String>,
    /// `None` if the role may not see it.
    pub(crate) address: Option<String>,
    pub(crate) sessions: u64,
    pub(crate) oldest_seconds: Option<u64>,
}

/// The number of open sessions of each user, without ours.
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn count(
    session: &Session,
    users: &[&str],
) -> Result<BTreeMap<String, u64>, Error> {
    let parameters: [(&(dyn ToSql + Sync), Type); 2] =
        [(&users, Type::TEXT_ARRAY), (&APPLICATION_NAME, Type::TEXT)];
    session.query_json("counting the open sessions", sql::SESSIONS_COUNT, &parameters).await
}

/// The sessions of a user except this one, by application and address. `age` limits them to those
/// opened longer ago. Our application name does not matter: any role may use it.
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn clients(
    session: &Session,
    user: &str,
    age: Option<Duration>,
) -> Result<Vec<Client>, Error> {
    let age = age.map(|age| age.as_secs_f64());
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&user, Type::TEXT), (&age, Type::FLOAT8)];
    session.query_json("reading the open sessions", sql::SESSIONS_CLIENTS, &parameters).await
}

/// Terminates those sessions; their number.
///
/// # Errors
/// [`Error::Database`], with `PermissionDenied` if they belong to a role that this session cannot
/// act as.
pub(crate) async fn terminate(
    session: &Session,
    user: &str,
    age: Option<Duration>,
) -> Result<u64, Error> {
    let age = age.map(|age| age.as_secs_f64());
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&user, Type::TEXT), (&age, Type::FLOAT8)];
    let row = session.query_one("terminating sessions", sql::SESSIONS_TERMINATE, &parameters).await;
    let row = row.map_err(|error| {
        error.instead_of(DatabaseFault::CatalogHidden, DatabaseFault::PermissionDenied)
    })?;
    session.column::<i64>(&row, 0).map(i64::unsigned_abs)
}

/// The form in which the server stores each user's password. Empty if the session may not see it,
/// which is usual. No hash is read.
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn stored_as(
    session: &Session,
    users: &[&str],
) -> Result<BTreeMap<String, String>, Error> {
    const OPERATION: &str = "reading how passwords are stored";
    let visible = session
        .query_one(OPERATION, "SELECT has_table_privilege('pg_authid', 'SELECT')", &[])
        .await?;
    if !session.column::<bool>(&visible, 0)? {
        return Ok(BTreeMap::new());
    }
    session.query_json(OPERATION, sql::STORED_AS, &[(&users, Type::TEXT_ARRAY)]).await
}
