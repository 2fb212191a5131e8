//! Whether one user can do all that another one can, computed from the catalogs.

use serde::Deserialize;
use tokio_postgres::types::{ToSql, Type};

use super::missing::Missing;
use super::session::{Session, for_version};
use crate::error::Error;

const PARITY: &str = include_str!("sql/parity.sql");

/// What a user can do that this session cannot.
#[derive(Debug, Deserialize)]
pub(crate) struct Parity {
    /// Whether there is such a user.
    pub(crate) current_exists: bool,
    /// The role that this session's user is set to act as; its own rights are all it has where it
    /// may not.
    pub(crate) wanted: Option<String>,
    /// The role that the current user is set to act as.
    pub(crate) current_wanted: Option<String>,
    /// The role that it acts as.
    pub(crate) acts_as: String,
    /// How much is missing in all.
    pub(crate) total: u64,
    /// As many of them as were asked for.
    pub(crate) missing: Vec<Missing>,
    /// Objects that belong to one of the two users itself.
    pub(crate) strays: Vec<Stray>,
    /// Privileges that were granted to one of the two users itself, which acts as another role and
    /// so does not have them.
    pub(crate) idle: Vec<Idle>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Stray {
    pub(crate) role: String,
    /// Objects in this database, or of the whole cluster.
    pub(crate) here: u64,
    pub(crate) elsewhere: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Idle {
    pub(crate) role: String,
    pub(crate) grants: u64,
}

/// Compares this session, whose `search_path` is `pg_catalog`, with the sessions of the user
/// `current`; at most `examples` of what is missing are described.
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn parity(
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
