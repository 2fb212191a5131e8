//! Who has a session open, and how the server stores what they logged in with.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use tokio_postgres::types::{ToSql, Type};

use super::session::Session;
use super::settings::APPLICATION_NAME;
use crate::error::Error;

/// Sessions of a user but this one: anybody may give a session the name of ours. A query's worker
/// processes are no sessions, but only whoever may look at the user's sees which they are.
const OTHERS: &str = "usename = $1 AND pid <> pg_backend_pid() AND backend_type IS DISTINCT FROM \
    'parallel worker' AND ($2::float8 IS NULL OR backend_start < clock_timestamp() - \
    make_interval(secs => $2))";

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
    let sql = "SELECT json_object_agg(u.name, (SELECT count(*) FROM pg_stat_activity AS a \
                                             WHERE a.usename = u.name AND a.application_name <> \
                                             $2))::text FROM (SELECT DISTINCT unnest($1) AS name) \
                                             AS u";
    let parameters: [(&(dyn ToSql + Sync), Type); 2] =
        [(&users, Type::TEXT_ARRAY), (&APPLICATION_NAME, Type::TEXT)];
    session.query_json("counting the open sessions", sql, &parameters).await
}

/// The sessions of a user, but this one, by application and address; with `age`, those that were
/// opened longer ago than that.
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn clients(
    session: &Session,
    user: &str,
    age: Option<Duration>,
) -> Result<Vec<Client>, Error> {
    let sql = format!(
        "SELECT COALESCE(json_agg(c), '[]')::text FROM ( \
             SELECT application_name AS application, host(client_addr) AS address, count(*) AS \
             sessions, floor(extract(epoch FROM clock_timestamp() - min(backend_start)))::int8 AS \
             oldest_seconds FROM pg_stat_activity WHERE {OTHERS} GROUP BY 1, 2 ORDER BY 3 DESC, 1, \
             2) AS c"
    );
    let age = age.map(|age| age.as_secs_f64());
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&user, Type::TEXT), (&age, Type::FLOAT8)];
    session.query_json("reading the open sessions", &sql, &parameters).await
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
    let sql = format!(
        "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity WHERE \
         {OTHERS}"
    );
    let age = age.map(|age| age.as_secs_f64());
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&user, Type::TEXT), (&age, Type::FLOAT8)];
    let row = session.query_one("ending sessions", &sql, &parameters).await?;
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
    let sql = "SELECT COALESCE(json_object_agg(rolname, CASE WHEN rolpassword IS NULL THEN 'none' \
                          WHEN rolpassword LIKE 'SCRAM-SHA-256$%' THEN 'scram-sha-256' ELSE 'md5' \
                          END), '{}')::text FROM pg_authid WHERE rolname = ANY ($1)";
    session.query_json(OPERATION, sql, &[(&users, Type::TEXT_ARRAY)]).await
}
