//! Where the server itself holds a copy of a role's password: user mappings and subscriptions. No
//! password is read.

use serde::Deserialize;
use tokio_postgres::types::{ToSql, Type};

use super::session::Session;
use super::sql;
use crate::error::Error;

const OPERATION: &str = "looking for stored copies of the password";

/// An object of the server that logs in with a stored password.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct StoredCopy {
    /// The role that it logs in as.
    pub(crate) role: String,
    /// What it is, and in which database.
    pub(crate) place: String,
    /// The statement that stores another password there, without the password.
    pub(crate) statement: String,
}

/// The objects that this session may see and that log in as one of these roles. The session's
/// `search_path` has to be `pg_catalog`.
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn read(session: &Session, roles: &[&str]) -> Result<Vec<StoredCopy>, Error> {
    let roles: [(&(dyn ToSql + Sync), Type); 1] = [(&roles, Type::TEXT_ARRAY)];
    let mut copies: Vec<StoredCopy> =
        session.query_json(OPERATION, sql::COPIES_MAPPINGS, &roles).await?;
    // This question comes last: for it, the server walks all memberships of the role.
    let shown = "SELECT has_table_privilege('pg_stat_subscription', 'SELECT')";
    let some = "SELECT EXISTS (SELECT FROM pg_stat_subscription)";
    let readable = "SELECT has_column_privilege('pg_subscription', 'subconninfo', 'SELECT')";
    if (!ask(session, shown).await? || ask(session, some).await?) && ask(session, readable).await? {
        let subscriptions: Vec<StoredCopy> =
            session.query_json(OPERATION, sql::COPIES_SUBSCRIPTIONS, &roles).await?;
        copies.extend(subscriptions);
    }
    Ok(copies)
}

async fn ask(session: &Session, question: &str) -> Result<bool, Error> {
    let row = session.query_one(OPERATION, question, &[]).await?;
    session.column(&row, 0)
}
