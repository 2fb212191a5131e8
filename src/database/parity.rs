//! Whether one user can do all that another one can, computed from the catalogs.

use postgres_protocol::escape::escape_identifier;
use serde::Deserialize;
use tokio_postgres::types::Type;

use super::Session;
use crate::error::Error;

const PARITY: &str = include_str!("sql/parity.sql");
const OPERATION: &str = "comparing what the two users can do";
/// Lines that begin with this are for servers from PostgreSQL 15 on, which have privileges on parameters.
const FROM_15: &str = "--15: ";

/// What a user can do that this session cannot.
#[derive(Debug, Deserialize)]
pub struct Parity {
    /// Whether there is such a user.
    pub current_exists: bool,
    /// The role that this session's user is set to act as; its own rights are all it has where it may not.
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
    /// Privileges that were granted to one of the two users itself, which acts as another role and so does not have them.
    pub idle: Vec<Idle>,
}

/// One thing that is missing.
#[derive(Debug, Default, Deserialize)]
pub struct Missing {
    what: What,
    privilege: Option<String>,
    grantable: bool,
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    identity: Option<String>,
    column: Option<String>,
    table: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum What {
    #[default]
    Owner,
    Privilege,
    Policy,
    Mapping,
    Default,
    Member,
    Attribute,
    Setting,
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

/// Compares this session with the sessions of the user `current`; at most `examples` of what is missing are described.
///
/// The session's `search_path` is `pg_catalog` from then on.
///
/// # Errors
/// [`Error::Database`].
pub async fn parity(session: &Session, current: &str, examples: u32) -> Result<Parity, Error> {
    // The application's own path may put somebody's operators before the catalog's.
    let version = session.query_one(OPERATION, "SELECT pg_catalog.set_config('search_path', 'pg_catalog', false), pg_catalog.current_setting('server_version_num')::pg_catalog.int4", &[]).await?;
    let sql = if version.get::<_, i32>(1) >= 150_000 { PARITY.replace(FROM_15, "") } else { PARITY.to_owned() };
    session.query_json(OPERATION, &sql, &[(&current, Type::TEXT), (&i64::from(examples), Type::INT8)]).await
}

impl Missing {
    /// What it is, and the statement that mends it: for the role that the session acts as, or for the user that has logged in.
    #[must_use]
    pub fn text(&self, acts_as: &str, login: &str) -> String {
        let (acts_as, login) = (escape_identifier(acts_as), escape_identifier(login));
        let shown = |text: &Option<String>| text.clone().unwrap_or_default();
        let (kind, identity, name, privilege) = (shown(&self.kind), shown(&self.identity), shown(&self.name), shown(&self.privilege));
        let quoted = escape_identifier(&name);
        let option = |option: &'static str| if self.grantable { option } else { "" };
        match self.what {
            What::Owner => {
                let keyword = kind.replace('-', " ").replace("statistics object", "statistics").to_uppercase();
                format!("ownership of {kind} {identity} (ALTER {keyword} {identity} OWNER TO {acts_as})")
            }
            What::Privilege => {
                let option = option(" WITH GRANT OPTION");
                let (kind, grant) = match (&self.column, &self.table) {
                    (Some(column), Some(table)) => ("column", format!("{privilege} ({column}) ON TABLE {table}")),
                    _ => (kind.trim_end_matches(" ACL"), format!("{privilege} ON {} {identity}", keyword(&kind))),
                };
                format!("{privilege}{option} on {kind} {identity} (GRANT {grant} TO {acts_as}{option})")
            }
            What::Policy => format!("the rows of {privilege} policy {identity} (ALTER POLICY ... TO {acts_as})"),
            What::Mapping => format!("the user mapping for server {name} (CREATE USER MAPPING FOR {acts_as} SERVER {quoted})"),
            What::Default => format!("default privileges {identity} (ALTER DEFAULT PRIVILEGES for, or to, role {acts_as})"),
            What::Member => {
                let option = option(" WITH ADMIN OPTION");
                format!("membership in role {name}{option} (GRANT {quoted} TO {login}{option})")
            }
            What::Attribute => {
                // These are those of the role that a session acts as; the others those of the one that logs in.
                let of_actor = ["SUPERUSER", "CREATEROLE", "CREATEDB", "BYPASSRLS"].contains(&name.as_str());
                format!("attribute {name} (ALTER ROLE {} {name})", if of_actor { acts_as } else { login })
            }
            What::Setting => format!("the same setting {name} (ALTER ROLE {login} SET)"),
        }
    }
}

/// What GRANT calls an object of that type.
fn keyword(kind: &str) -> String {
    match kind {
        "view" | "materialized view" | "foreign table" | "partitioned table" => "TABLE".to_owned(),
        "aggregate" => "FUNCTION".to_owned(),
        "server" => "FOREIGN SERVER".to_owned(),
        "foreign-data wrapper" => "FOREIGN DATA WRAPPER".to_owned(),
        "parameter ACL" => "PARAMETER".to_owned(),
        kind => kind.to_uppercase(),
    }
}
