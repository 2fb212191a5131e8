//! Computes from the catalogs whether one user can do all that another can.

use serde::Deserialize;
use tokio_postgres::types::{ToSql, Type};

use super::missing::Missing;
use super::session::Session;
use super::sql;
use crate::error::Error;

const OPERATION: &str = "comparing the rights of the two users";

/// The two users to compare.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Comparison<'a> {
    /// The current user.
    pub(crate) current: &'a str,
    /// The user that has to be able to do as much.
    pub(crate) next_user: &'a str,
    /// The role that its sessions act as. `None` means the role in its settings.
    pub(crate) acts_as: Option<&'a str>,
    /// The secret's database.
    pub(crate) dbname: &'a str,
    /// The other databases to compare. `None` means all.
    pub(crate) databases: Option<&'a [String]>,
}

/// The differences in the whole cluster, and the questions for its databases.
#[derive(Debug, Deserialize)]
pub(crate) struct Parity {
    /// `server_version_num`.
    pub(crate) version: u32,
    /// Whether the current user exists.
    pub(crate) current_exists: bool,
    /// The role in the "role" setting of the next user.
    pub(crate) wanted: Option<String>,
    /// The role in the "role" setting of the current user.
    pub(crate) current_wanted: Option<String>,
    /// The role that the next user acts as. `None` if that user does not exist.
    pub(crate) acts_as: Option<String>,
    #[serde(flatten)]
    pub(crate) lacking: Lack,
    /// What one of the two users owns directly, so that the other does not.
    pub(crate) directly_owned: Vec<DirectlyOwned>,
    /// Privileges of one of the two users itself, which its sessions cannot use because they act as
    /// another role.
    pub(crate) ineffective_grants: Vec<IneffectiveGrants>,
    /// The questions for databases in which the two users act as different roles.
    pub(crate) questions: Vec<Question>,
}

/// What the next user lacks.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Lack {
    /// The number of all differences.
    pub(crate) total: u64,
    /// The first of them, as many as were requested.
    pub(crate) missing: Vec<Missing>,
}

/// The objects that a user owns itself in one database.
#[derive(Debug, Deserialize)]
pub(crate) struct DirectlyOwned {
    pub(crate) role: String,
    pub(crate) database: String,
    pub(crate) objects: u64,
}

/// The privileges of a user itself, which its sessions cannot use.
#[derive(Debug, Deserialize)]
pub(crate) struct IneffectiveGrants {
    pub(crate) role: String,
    /// The number of objects in all databases.
    pub(crate) grants: u64,
}

/// The roles that the two users act as in some databases, and whose rights they have there. Roles
/// are oids, which are the same in every database.
#[derive(Debug, Deserialize)]
pub(crate) struct Question {
    /// The databases to ask, the secret's own first.
    pub(crate) databases: Vec<String>,
    their_login: u32,
    their_actor: u32,
    our_actor: u32,
    theirs: Vec<u32>,
    ours: Vec<u32>,
    ungrantable: Vec<u32>,
}

/// Compares two users in the whole cluster. At most `examples` differences are described, or all
/// with `None`. The session's `search_path` has to be `pg_catalog`.
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn of_roles(
    session: &Session,
    comparison: Comparison<'_>,
    examples: Option<u32>,
) -> Result<Parity, Error> {
    let Comparison { current, next_user, acts_as, dbname, databases } = comparison;
    let limit = examples.map(i64::from);
    let parameters: [(&(dyn ToSql + Sync), Type); 6] = [
        (&current, Type::TEXT),
        (&next_user, Type::TEXT),
        (&dbname, Type::TEXT),
        (&acts_as, Type::TEXT),
        (&databases, Type::TEXT_ARRAY),
        (&limit, Type::INT8),
    ];
    session.query_json(OPERATION, sql::PARITY, &parameters).await
}

/// Compares two users in the session's database.
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn of_objects(
    session: &Session,
    question: &Question,
    examples: Option<u32>,
) -> Result<Lack, Error> {
    let Question { their_login, their_actor, our_actor, theirs, ours, ungrantable, .. } = question;
    let limit = examples.map(i64::from);
    let parameters: [(&(dyn ToSql + Sync), Type); 7] = [
        (their_login, Type::OID),
        (their_actor, Type::OID),
        (our_actor, Type::OID),
        (theirs, Type::OID_ARRAY),
        (ours, Type::OID_ARRAY),
        (ungrantable, Type::OID_ARRAY),
        (&limit, Type::INT8),
    ];
    session.query_json(OPERATION, sql::PARITY_OBJECTS, &parameters).await
}

/// Compares the privileges of two users on parameters, which belong to the whole cluster.
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn of_parameters(
    session: &Session,
    version: u32,
    question: &Question,
    examples: Option<u32>,
) -> Result<Lack, Error> {
    if !sql::from_15(version) {
        return Ok(Lack::default());
    }
    let Question { their_login, their_actor, theirs, ours, ungrantable, .. } = question;
    let limit = examples.map(i64::from);
    let parameters: [(&(dyn ToSql + Sync), Type); 6] = [
        (their_login, Type::OID),
        (their_actor, Type::OID),
        (theirs, Type::OID_ARRAY),
        (ours, Type::OID_ARRAY),
        (ungrantable, Type::OID_ARRAY),
        (&limit, Type::INT8),
    ];
    session.query_json(OPERATION, sql::PARITY_PARAMETERS, &parameters).await
}

impl Lack {
    /// Leaves the ends of the two passwords out of the comparison.
    pub(crate) fn ignore_dates(&mut self) {
        let before = self.missing.len();
        self.missing.retain(|missing| !missing.is_date());
        self.total = self.total.saturating_sub((before - self.missing.len()) as u64);
    }

    /// Adds what is missing in a database, or with `None` in the whole cluster. A role whose rights
    /// are missing in several databases counts once.
    pub(crate) fn add(&mut self, other: Self, database: Option<&str>) {
        self.total = self.total.saturating_add(other.total);
        for mut missing in other.missing {
            match missing.inherited_role() {
                Some(role) if self.missing.iter().any(|m| m.inherited_role() == Some(role)) => {
                    self.total = self.total.saturating_sub(1);
                }
                Some(_) => self.missing.push(missing),
                None => {
                    missing.database = database.map(str::to_owned);
                    self.missing.push(missing);
                }
            }
        }
    }
}
