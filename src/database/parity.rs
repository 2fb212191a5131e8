//! Computes from the catalogs whether one user can do all that another can.

use serde::Deserialize;
use tokio_postgres::types::{ToSql, Type};

use super::missing::Missing;
use super::session::Session;
use super::sql;
use crate::error::Error;

const OPERATION: &str = "comparing the rights of the two users";

/// What the current user can do and this session cannot.
#[derive(Debug, Deserialize)]
pub(crate) struct Parity {
    /// Whether the current user exists.
    pub(crate) current_exists: bool,
    /// The role in the "role" setting of this session's user.
    pub(crate) wanted: Option<String>,
    /// The role in the "role" setting of the current user.
    pub(crate) current_wanted: Option<String>,
    /// The role that this session acts as.
    pub(crate) acts_as: String,
    /// The number of all differences.
    pub(crate) total: u64,
    /// The first of them, as many as were requested.
    pub(crate) missing: Vec<Missing>,
    /// What one of the two users owns itself, and the other does not.
    pub(crate) directly_owned: Vec<DirectlyOwned>,
    /// Privileges of one of the two users itself, which its sessions cannot use because they act as
    /// another role.
    pub(crate) ineffective_grants: Vec<IneffectiveGrants>,
}

/// The objects that a user owns itself.
#[derive(Debug, Deserialize)]
pub(crate) struct DirectlyOwned {
    /// The user.
    pub(crate) role: String,
    /// The number in this database and of the whole cluster.
    pub(crate) here: u64,
    /// The number in other databases.
    pub(crate) elsewhere: u64,
}

/// The privileges of a user itself, which its sessions cannot use.
#[derive(Debug, Deserialize)]
pub(crate) struct IneffectiveGrants {
    /// The user.
    pub(crate) role: String,
    /// The number of objects in all databases.
    pub(crate) grants: u64,
}

/// What the file for newer servers adds.
#[derive(Debug, Deserialize)]
struct More {
    total: u64,
    missing: Vec<Missing>,
}

/// Compares the rights of this session with those of sessions of the user `current`. The session's
/// `search_path` has to be `pg_catalog`. At most `examples` differences are described.
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
