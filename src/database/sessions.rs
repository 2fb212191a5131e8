//! Who has a session open, and how the server stores what they logged in with.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use tokio_postgres::types::{ToSql, Type};

use super::session::Session;
use super::settings::APPLICATION_NAME;
use super::sql;
use crate::error::Error;

/// Sessions of one application from one address.
#[derive(Debug, Deserialize)]
pub(crate) struct Client {
    pub(crate) application: Option<String>,
    /// `None` where the role that looks may not see it.
    pub(crate) address: Option<String>,
    pub(crate) sessions: u64,
    pub(crate) oldest_seconds: Option<u64>,
}

/// How many sessions of each of these users are open, beside ours.
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

/// The sessions of a user, but this one, by application and address; with `age`, those that were
/// opened longer ago than that. Any role may give a session the name of ours: ours is not told by
/// that.
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

/// Ends those sessions; how many were told to end.
///
/// # Errors
/// [`Error::Database`], with `PermissionDenied` where they are of a role that this one neither is
/// nor may act as.
pub(crate) async fn terminate(
    session: &Session,
    user: &str,
    age: Option<Duration>,
) -> Result<u64, Error> {
    let age = age.map(|age| age.as_secs_f64());
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&user, Type::TEXT), (&age, Type::FLOAT8)];
    let row = session.query_one("ending sessions", sql::SESSIONS_TERMINATE, &parameters).await?;
    Ok(row.get::<_, i64>(0).unsigned_abs())
}

/// How the server stores the passwords of these users; nothing where the session may not see it, as
/// is usual. No hash is read.
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
    if !visible.get::<_, bool>(0) {
        return Ok(BTreeMap::new());
    }
    session.query_json(OPERATION, sql::STORED_AS, &[(&users, Type::TEXT_ARRAY)]).await
}
