//! Whether one user can do all that another one can, computed from the catalogs.

use serde::Deserialize;
use tokio_postgres::types::{ToSql, Type};

use super::missing::Missing;
use super::{Session, sql};
use crate::error::Error;

const OPERATION: &str = "comparing what the two users can do";

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
    /// The role that this session acts as.
    pub acts_as: String,
    /// How much is missing in all.
    pub total: u64,
    /// As many of them as were asked for.
    pub missing: Vec<Missing>,
    /// What one of the two users owns itself, so that it is not the other's.
    pub directly_owned: Vec<DirectlyOwned>,
    /// Privileges that one of the two users was granted itself. It acts as another role, and so
    /// does not have them.
    pub ineffective_grants: Vec<IneffectiveGrants>,
}

/// What a user owns itself.
#[derive(Debug, Deserialize)]
pub struct DirectlyOwned {
    /// The user.
    pub role: String,
    /// Objects in this database, or of the whole cluster.
    pub here: u64,
    /// Objects in other databases.
    pub elsewhere: u64,
}

/// What a user was granted itself, and does not have as the role that it acts as.
#[derive(Debug, Deserialize)]
pub struct IneffectiveGrants {
    /// The user.
    pub role: String,
    /// Objects, in all databases.
    pub grants: u64,
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
pub async fn parity(
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
