//! Whether one user can do all that another one can, computed from the catalogs.

use serde::Deserialize;
use tokio_postgres::types::{ToSql, Type};

use super::missing::Missing;
use super::session::Session;
use super::sql;
use crate::error::Error;

const OPERATION: &str = "comparing what the two users can do";

/// Who is compared with whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Comparison<'a> {
    /// The current user.
    pub(crate) current: &'a str,
    /// The user that is to be able to do as much.
    pub(crate) next_user: &'a str,
    /// The role that a session of it acts as; `None` where its settings have to tell.
    pub(crate) acts_as: Option<&'a str>,
    /// The secret's database.
    pub(crate) dbname: &'a str,
    /// The other databases that count; `None` for all.
    pub(crate) databases: Option<&'a [String]>,
}

/// What the roles themselves and the whole cluster tell, and what has to be asked in databases.
#[derive(Debug, Deserialize)]
pub(crate) struct Parity {
    /// `server_version_num`.
    pub(crate) version: u32,
    /// Whether there is a current user.
    pub(crate) current_exists: bool,
    /// The role that the next user is set to act as. Where it may not, its own rights are all that
    /// it has.
    pub(crate) wanted: Option<String>,
    /// The role that the current user is set to act as.
    pub(crate) current_wanted: Option<String>,
    /// The role that the next user acts as; `None` where there is no next user.
    pub(crate) acts_as: Option<String>,
    #[serde(flatten)]
    pub(crate) lacking: Lack,
    /// What one of the two users owns itself, so that it is not the other's.
    pub(crate) directly_owned: Vec<DirectlyOwned>,
    /// Privileges that one of the two users was granted itself. It acts as another role, and so
    /// does not have them.
    pub(crate) ineffective_grants: Vec<IneffectiveGrants>,
    /// What is to be asked, where the two act as different roles.
    pub(crate) questions: Vec<Question>,
}

/// What is missing.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Lack {
    /// How much in all.
    pub(crate) total: u64,
    /// As many of them as were asked for.
    pub(crate) missing: Vec<Missing>,
}

/// What a user owns itself in one database.
#[derive(Debug, Deserialize)]
pub(crate) struct DirectlyOwned {
    pub(crate) role: String,
    pub(crate) database: String,
    pub(crate) objects: u64,
}

/// What a user was granted itself, and does not have as the role that it acts as.
#[derive(Debug, Deserialize)]
pub(crate) struct IneffectiveGrants {
    pub(crate) role: String,
    /// Objects, in all databases.
    pub(crate) grants: u64,
}

/// As which roles the two users act in some databases, and whose rights they have then. All roles
/// are oids, which mean the same in each database.
#[derive(Debug, Deserialize)]
pub(crate) struct Question {
    /// Where to ask; the secret's own first.
    pub(crate) databases: Vec<String>,
    their_login: u32,
    their_actor: u32,
    our_actor: u32,
    theirs: Vec<u32>,
    ours: Vec<u32>,
    ungrantable: Vec<u32>,
}

/// Compares two users by what the cluster knows of them. At most `examples` of what is missing are
/// described, all of it with `None`. The session's `search_path` is `pg_catalog`.
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

/// Compares two users by what is in the session's database.
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

/// Compares two users by their privileges on parameters, which are the whole cluster's.
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
    /// Adds what is missing in a database, or `None` for the whole cluster. A role whose rights are
    /// missing in several is counted once.
    pub(crate) fn add(&mut self, other: Self, database: Option<&str>) {
        self.total += other.total;
        for mut missing in other.missing {
            match missing.inherited_role() {
                Some(role) if self.missing.iter().any(|m| m.inherited_role() == Some(role)) => {
                    self.total -= 1;
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
