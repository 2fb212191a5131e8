//! Whether one user can do all that another one can, computed from the catalogs.

use serde::Deserialize;
use tokio_postgres::types::{ToSql, Type};

use super::missing::Missing;
use super::session::Session;
use super::sql;
use crate::error::Error;

const OPERATION: &str = "comparing what the two users can do";

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
    /// The role that this session acts as.
    pub(crate) acts_as: String,
    /// How much is missing in all.
    pub(crate) total: u64,
    /// As many of them as were asked for.
    pub(crate) missing: Vec<Missing>,
    /// What one of the two users owns itself, so that it is not the other's.
    pub(crate) directly_owned: Vec<DirectlyOwned>,
    /// Privileges that one of the two users was granted itself. It acts as another role, and so
    /// does not have them.
    pub(crate) ineffective_grants: Vec<IneffectiveGrants>,
}

/// What a user owns itself.
#[derive(Debug, Deserialize)]
pub(crate) struct DirectlyOwned {
    /// The user.
    pub(crate) role: String,
    /// Objects in this database, or of the whole cluster.
    pub(crate) here: u64,
    /// Objects in other databases.
    pub(crate) elsewhere: u64,
}

/// What a user was granted itself, and does not have as the role that it acts as.
#[derive(Debug, Deserialize)]
pub(crate) struct IneffectiveGrants {
    /// The user.
    pub(crate) role: String,
    /// Objects, in all databases.
    pub(crate) grants: u64,
}

/// What a file for newer servers adds.
#[derive(Debug, Deserialize)]
struct More {
    total: u64,
    missing: Vec<Missing>,
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
    let limit = i64::from(examples);
    let parameters: [(&(dyn ToSql + Sync), Type); 2] =
        [(&current, Type::TEXT), (&limit, Type::INT8)];
    let mut parity: Parity = session.query_json(OPERATION, sql::PARITY, &parameters).await?;
    if sql::from_15(version) {
        let more: More = session.query_json(OPERATION, sql::PARITY_PARAMETERS, &parameters).await?;
        parity.total += more.total;
        parity.missing.extend(more.missing);
        parity.missing.truncate(examples as usize);
    }
    Ok(parity)
}
