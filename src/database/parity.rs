//! Whether one user can do all that another one can, computed from the catalogs.

use serde::Deserialize;
use tokio_postgres::types::{ToSql, Type};

use super::Session;
use super::missing::Missing;
use super::session::for_version;
use crate::error::Error;

const PARITY: &str = include_str!("sql/parity.sql");

/// What a user can do that this session cannot.
#[derive(Debug, Deserialize)]
pub struct Parity {
    /// Whether there is such a user.
    pub current_exists: bool,
    /// The role that this session's user is set to act as; its own rights are all it has where it
    /// may not.
    pub wanted: Option<String>,
    /// The role that the current user is set to act as.
    pub current_wanted: Option<String>,
    /// The role that it acts as.
    pub acts_as: String,
    /// How much is missing in all.
    pub total: u64,
    /// As many of them as were asked for.
    pub missing: Vec<Missing>,
    /// Objects that belong to one of the two users itself.
    pub strays: Vec<Stray>,
    /// Privileges that were granted to one of the two users itself, which acts as another role and
    /// so does not have them.
    pub idle: Vec<Idle>,
}

#[derive(Debug, Deserialize)]
pub struct Stray {
    pub role: String,
    /// Objects in this database, or of the whole cluster.
    pub here: u64,
    pub elsewhere: u64,
}

#[derive(Debug, Deserialize)]
pub struct Idle {
    pub role: String,
    pub grants: u64,
}

/// Compares this session, whose `search_path` is `pg_catalog`, with the sessions of the user
/// `current`; at most `examples` of what is missing are described.
///
/// # Errors
/// [`Error::Database`].
pub async fn parity(
    session: &Session,
    version: u32,
    current: &str,
    examples: u32,
) -> Result<Parity, Error> {
    let parameters: [(&(dyn ToSql + Sync), Type); 2] =
        [(&current, Type::TEXT), (&i64::from(examples), Type::INT8)];
    session
        .query_json(
            "comparing what the two users can do",
            &for_version(PARITY, version),
            &parameters,
        )
        .await
}
