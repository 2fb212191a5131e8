//! Describes what a role lacks, with its remedy: a statement, or what a person has to decide.

use postgres_protocol::escape::escape_identifier;
use serde::Deserialize;

use super::advice::{AskedBy, Remedy};
use crate::error::clean;

/// One right or setting that a role lacks.
#[derive(Debug, Deserialize)]
pub(crate) struct Missing {
    what: What,
    #[serde(default)]
    privilege: Option<String>,
    #[serde(default)]
    grantable: bool,
    /// The role, database, server or setting that it concerns. For an object, its owner.
    #[serde(default)]
    name: Option<String>,
    /// The server's name for the object's type, such as `materialized view`.
    #[serde(default, rename = "type")]
    kind: Option<String>,
    /// The object, quoted for SQL.
    #[serde(default)]
    identity: Option<String>,
    #[serde(default)]
    column: Option<String>,
    #[serde(default)]
    table: Option<String>,
    /// For default privileges: the schema, if they apply to only one.
    #[serde(default)]
    schema: Option<String>,
    /// For default privileges: the kind of objects, as in ALTER DEFAULT PRIVILEGES.
    #[serde(default)]
    objects: Option<String>,
    /// For default privileges: the grantee, `None` for PUBLIC. For a mapping: the user that has
    /// one. For a path: the `search_path` without "$user".
    #[serde(default)]
    other: Option<String>,
    /// Whether a grant would give power or could not run.
    #[serde(default)]
    ungrantable: Option<bool>,
    /// Its database. `None` means the whole cluster.
    #[serde(skip)]
    pub(crate) database: Option<String>,
}

impl Missing {
    /// Whether the password of one user ends before that of the other.
    pub(super) fn is_date(&self) -> bool {
        let name = self.name.as_deref().unwrap_or_default();
        self.what == What::Attribute && name.starts_with("VALID UNTIL")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum What {
    Owner,
    Privilege,
    Connect,
    Policy,
    RestrictivePolicy,
    Mapping,
    Default,
    /// PUBLIC gets a privilege on what this user creates later, and not from the other user.
    SurplusDefault,
    Path,
    Member,
    /// Membership of the role that a session acts as.
    InheritedRole,
    AdminOption,
    Attribute,
    /// An attribute that counts for the role that a session acts as, and not for the login.
    ActorAttribute,
    Setting,
    Absent,
    Unsupported,
    RowSecurity,
}

/// The roles that lack it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lacking<'a> {
    /// The role that logs in.
    pub(crate) login: &'a str,
    /// The role that its sessions act as.
    pub(crate) acts_as: &'a str,
    /// Who says that it is needed.
    pub(crate) asked_by: AskedBy,
}

/// The remedy for what the next attempt of a rotation makes equal.
const NEXT_ATTEMPT: &str = "the next attempt of the rotation makes the two users equal again";

impl Missing {
    /// The role whose rights are missing, in the whole cluster.
    pub(crate) fn inherited_role(&self) -> Option<&str> {
        self.name.as_deref().filter(|_| self.what == What::InheritedRole)
    }

    /// The description, with the remedy in brackets.
    pub(crate) fn text(&self, lacking: Lacking<'_>) -> String {
        let what = self.words(lacking);
        clean::clause(&match self.remedy(lacking) {
            Some(remedy) => format!("{what} ({})", remedy.text()),
            None => what,
        })
    }

    fn words(&self, lacking: Lacking<'_>) -> String {
        let (kind, identity, name) =
            (shown(self.kind.as_ref()), shown(self.identity.as_ref()), shown(self.name.as_ref()));
        let privilege = shown(self.privilege.as_ref());
        let option = if self.grantable { " WITH GRANT OPTION" } else { "" };
        match self.what {
            What::Owner => format!("ownership of {kind} {identity}"),
            What::Privilege => {
                let kind =
                    if self.table.is_some() { "column" } else { kind.trim_end_matches(" ACL") };
                format!("{privilege}{option} on {kind} {identity}")
            }
            What::Connect => format!("CONNECT on database {name}"),
            What::Policy => format!("the rows of policy {identity}"),
            What::RestrictivePolicy => {
                format!("the rows that policy {identity} hides from {}", quoted(lacking.acts_as))
            }
            What::Mapping => format!("the user mapping for server {name}"),
            What::Default | What::SurplusDefault => {
                let objects = shown(self.objects.as_ref()).to_lowercase();
                let grantee = self.other.as_deref().map_or("PUBLIC".to_owned(), quoted);
                let schema = self
                    .schema
                    .as_deref()
                    .map_or(String::new(), |schema| format!(" in schema {}", quoted(schema)));
                let surplus = if self.what == What::SurplusDefault {
                    format!(", which role {} does not give", quoted(identity.trim_matches('"')))
                } else {
                    String::new()
                };
                format!(
                    "{privilege}{option} for {grantee} on {objects} that role {} creates \
                     later{schema}{surplus}",
                    quoted(name)
                )
            }
            What::Path => format!("schema {identity}, which \"$user\" in search_path stands for"),
            What::Member => format!("membership in role {name}"),
            What::InheritedRole if self.grantable => format!("ADMIN OPTION on role {name}"),
            What::InheritedRole => format!("the rights of role {name}"),
            What::AdminOption => format!("ADMIN OPTION on role {name}"),
            What::Attribute | What::ActorAttribute => format!("attribute {name}"),
            What::Setting => format!("the same setting {name}"),
            What::Absent => format!("{name} does not exist"),
            What::Unsupported => format!("{privilege} exists only from PostgreSQL {name} on"),
            What::RowSecurity => {
                format!("row-level security blocks every INSERT into {kind} {identity}")
            }
        }
    }

    /// The remedy, if there is one.
    pub(crate) fn remedy(&self, lacking: Lacking<'_>) -> Option<Remedy> {
        use Remedy::{Advice, Statement};
        let (acts_as, login) = (quoted(lacking.acts_as), quoted(lacking.login));
        let (identity, name) = (shown(self.identity.as_ref()), shown(self.name.as_ref()));
        let grant_option = if self.grantable { " WITH GRANT OPTION" } else { "" };
        Some(match self.what {
            What::Owner => self.new_owner(&acts_as),
            What::Privilege => {
                let on = match (&self.column, &self.table) {
                    (Some(column), Some(table)) => format!("({column}) ON TABLE {table}"),
                    _ => format!("ON {} {identity}", keyword(shown(self.kind.as_ref()))),
                };
                let privilege = shown(self.privilege.as_ref());
                let grant = format!("GRANT {privilege} {on} TO {acts_as}{grant_option}");
                let object = shown(self.table.as_ref().or(self.identity.as_ref()));
                lacking.asked_by.advise_right(shown(self.kind.as_ref()), object, grant)
            }
            What::Connect => {
                Statement(format!("GRANT CONNECT ON DATABASE {} TO {login}", quoted(name)))
            }
            What::Policy => Statement(format!("ALTER POLICY {identity} TO {name}, {acts_as}")),
            What::RestrictivePolicy => Advice(format!(
                "it applies to {name}: limit it by ALTER POLICY to roles that {acts_as} does not \
                 inherit from, or drop it"
            )),
            What::Mapping => Advice(format!(
                "create one for {acts_as} with the options of role {}'s; a superuser sees them in \
                 pg_user_mappings",
                shown(self.other.as_ref())
            )),
            What::Default | What::SurplusDefault => {
                let schema = self
                    .schema
                    .as_deref()
                    .map_or(String::new(), |schema| format!(" IN SCHEMA {}", quoted(schema)));
                let on = format!(
                    "{} ON {}",
                    shown(self.privilege.as_ref()),
                    shown(self.objects.as_ref())
                );
                let change = if self.what == What::Default {
                    let grantee = self.other.as_deref().map_or("PUBLIC".to_owned(), quoted);
                    format!("GRANT {on} TO {grantee}{grant_option}")
                } else {
                    format!("REVOKE {on} FROM PUBLIC")
                };
                Statement(format!(
                    "ALTER DEFAULT PRIVILEGES FOR ROLE {}{schema} {change}",
                    quoted(name)
                ))
            }
            What::Path => Statement(format!(
                "ALTER ROLE {} IN DATABASE {} SET search_path = {}",
                quoted(name),
                quoted(shown(self.objects.as_ref())),
                shown(self.other.as_ref())
            )),
            What::InheritedRole if self.ungrantable == Some(true) => Advice(format!(
                "no statement: the role is powerful, or {acts_as} cannot become a member that \
                 inherits. Grant the rights on the objects, or revoke the role from the current \
                 user"
            )),
            What::InheritedRole => {
                let option = if self.grantable { " WITH ADMIN OPTION" } else { "" };
                let grant = format!("GRANT {} TO {acts_as}{option}", quoted(name));
                lacking.asked_by.advise(name, grant)
            }
            What::Member if lacking.asked_by != AskedBy::Pair => {
                let grant = format!("GRANT {} TO {login}", quoted(name));
                lacking.asked_by.advise(name, grant)
            }
            What::ActorAttribute if name == "CREATEDB" => {
                Statement(format!("ALTER ROLE {acts_as} CREATEDB"))
            }
            What::ActorAttribute => Advice(format!(
                "no statement: it gives power. A superuser can give it to {acts_as}, or take it \
                 from the current user"
            )),
            What::Member | What::AdminOption | What::Attribute | What::Setting => {
                Advice(NEXT_ATTEMPT.to_owned())
            }
            What::RowSecurity => Advice(format!(
                "create a policy FOR INSERT TO {acts_as} whose WITH CHECK names the rows"
            )),
            What::Absent | What::Unsupported => return None,
        })
    }

    fn new_owner(&self, acts_as: &str) -> Remedy {
        let (kind, identity) = (shown(self.kind.as_ref()), shown(self.identity.as_ref()));
        let owner = quoted(shown(self.name.as_ref()));
        match kind {
            // No statement changes the owner of one extension.
            "extension" => Remedy::Statement(format!("REASSIGN OWNED BY {owner} TO {acts_as}")),
            "foreign-data wrapper" | "event trigger" => Remedy::Advice(format!(
                "only a superuser may own one: ALTER {} {identity} OWNER TO a superuser",
                keyword(kind)
            )),
            "subscription" if self.ungrantable == Some(true) => Remedy::Advice(format!(
                "only a superuser may own one: ALTER SUBSCRIPTION {identity} OWNER TO a superuser, \
                 in its database"
            )),
            _ => Remedy::Statement(format!(
                "ALTER {} {identity} OWNER TO {acts_as}",
                owned_keyword(kind)
            )),
        }
    }
}

fn shown(text: Option<&String>) -> &str {
    text.map_or("", String::as_str)
}

fn quoted(name: &str) -> String {
    escape_identifier(name)
}

/// The keyword for this type in GRANT.
fn keyword(kind: &str) -> String {
    match kind {
        "view" | "materialized view" | "foreign table" | "partitioned table" => "TABLE".to_owned(),
        "aggregate" => "ROUTINE".to_owned(),
        "server" => "FOREIGN SERVER".to_owned(),
        "foreign-data wrapper" => "FOREIGN DATA WRAPPER".to_owned(),
        "parameter ACL" => "PARAMETER".to_owned(),
        kind => kind.to_uppercase(),
    }
}

/// The keyword for this type in ALTER ... OWNER.
fn owned_keyword(kind: &str) -> String {
    match kind {
        // ALTER AGGREGATE would need another form for an aggregate without arguments.
        "function" | "procedure" | "aggregate" => "ROUTINE".to_owned(),
        "statistics object" => "STATISTICS".to_owned(),
        kind => kind.to_uppercase(),
    }
}
