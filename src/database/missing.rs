//! Describes what a role lacks, with the statement that grants it.

use postgres_protocol::escape::escape_identifier;
use serde::Deserialize;

/// One right or setting that a role lacks.
#[derive(Debug, Deserialize)]
pub(crate) struct Missing {
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

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum What {
    Owner,
    Privilege,
    Policy,
    Mapping,
    Default,
    Member,
    /// Membership of the role that the session acts as.
    InheritedRole,
    Attribute,
    Setting,
    Absent,
    Unsupported,
    RowSecurity,
}

impl Missing {
    /// Describes it, with the statement that grants it. The grantee is the role that the session
    /// acts as, or the user that logged in.
    pub(crate) fn text(&self, acts_as: &str, login: &str) -> String {
        let (acts_as, login) = (escape_identifier(acts_as), escape_identifier(login));
        let shown = |text: &Option<String>| text.clone().unwrap_or_default();
        let (kind, identity, name, privilege) =
            (shown(&self.kind), shown(&self.identity), shown(&self.name), shown(&self.privilege));
        let quoted = escape_identifier(&name);
        let option = |option: &'static str| if self.grantable { option } else { "" };
        match self.what {
            What::Owner => {
                let keyword = kind
                    .replace('-', " ")
                    .replace("statistics object", "statistics")
                    .to_uppercase();
                format!(
                    "ownership of {kind} {identity} (ALTER {keyword} {identity} OWNER TO {acts_as})"
                )
            }
            What::Privilege => {
                let option = option(" WITH GRANT OPTION");
                let (kind, grant) = match (&self.column, &self.table) {
                    (Some(column), Some(table)) => {
                        ("column", format!("{privilege} ({column}) ON TABLE {table}"))
                    }
                    _ => (
                        kind.trim_end_matches(" ACL"),
                        format!("{privilege} ON {} {identity}", keyword(&kind)),
                    ),
                };
                format!(
                    "{privilege}{option} on {kind} {identity} (GRANT {grant} TO {acts_as}{option})"
                )
            }
            What::Policy if privilege == "permissive" => {
                format!(
                    "the rows of policy {identity} (ALTER POLICY {identity} TO {name}, {acts_as})"
                )
            }
            What::Policy => format!(
                "the rows that policy {identity} hides from {acts_as} (remove {name} from its \
                 roles)"
            ),
            What::Mapping => format!(
                "the user mapping for server {name} (CREATE USER MAPPING FOR {acts_as} SERVER \
                 {quoted} OPTIONS (...), with the options of role {privilege})"
            ),
            What::Default => format!(
                "default privileges {identity} (ALTER DEFAULT PRIVILEGES for or to role {acts_as})"
            ),
            What::Member => format!("membership in role {name} (GRANT {quoted} TO {login})"),
            What::InheritedRole if self.grantable => format!(
                "ADMIN OPTION on role {name} (GRANT {quoted} TO {acts_as} WITH ADMIN OPTION)"
            ),
            What::InheritedRole => {
                format!("the rights of role {name} (GRANT {quoted} TO {acts_as})")
            }
            What::Attribute => {
                // These count for the role that a session acts as, all others for the user.
                let of_actor =
                    ["SUPERUSER", "CREATEROLE", "CREATEDB", "BYPASSRLS"].contains(&name.as_str());
                format!(
                    "attribute {name} (ALTER ROLE {} {name})",
                    if of_actor { acts_as } else { login }
                )
            }
            What::Absent => format!("{name} does not exist"),
            What::Unsupported => format!("{privilege} exists only from PostgreSQL {name} on"),
            What::RowSecurity => {
                format!(
                    "row-level security blocks every INSERT into {kind} {identity} (CREATE POLICY \
                     ... ON {identity} FOR INSERT TO {acts_as})"
                )
            }
            What::Setting => format!("the same setting {name} (ALTER ROLE {login} SET)"),
        }
    }
}

/// The keyword for this kind of object in GRANT.
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
