//! Describes what a role lacks.

use postgres_protocol::escape::escape_identifier;
use serde::Deserialize;

/// One right or setting that a role lacks.
#[derive(Debug, Deserialize)]
pub(crate) struct Missing {
    pub(super) what: MissingKind,
    #[serde(default)]
    pub(super) privilege: Option<String>,
    #[serde(default)]
    pub(super) grantable: bool,
    /// The role, database, server or setting that it concerns. For an object, its owner.
    #[serde(default)]
    pub(super) name: Option<String>,
    /// The server's name for the object's type, such as `materialized view`.
    #[serde(default, rename = "type")]
    pub(super) kind: Option<String>,
    /// The object, quoted for SQL.
    #[serde(default)]
    pub(super) identity: Option<String>,
    #[serde(default)]
    pub(super) column: Option<String>,
    #[serde(default)]
    pub(super) table: Option<String>,
    /// For default privileges: the schema, if they apply to only one.
    #[serde(default)]
    pub(super) schema: Option<String>,
    /// For default privileges: the kind of objects, as in ALTER DEFAULT PRIVILEGES.
    #[serde(default)]
    pub(super) objects: Option<String>,
    /// For default privileges: the grantee, `None` for PUBLIC. For a mapping: the user that has
    /// one. For a path: the `search_path` without "$user", quoted for SQL.
    #[serde(default)]
    pub(super) other: Option<String>,
    /// Whether a grant would give power or could not run.
    #[serde(default)]
    pub(super) ungrantable: Option<bool>,
    /// Its database. `None` means the whole cluster.
    #[serde(skip)]
    pub(crate) database: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum MissingKind {
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
    /// A security label of the role that logs in.
    Label,
    Absent,
    Unsupported,
    RowSecurity,
}

impl Missing {
    /// Whether the password ends earlier.
    pub(super) fn is_date(&self) -> bool {
        self.what == MissingKind::Attribute
            && self.name.as_deref().is_some_and(|name| name.starts_with("VALID UNTIL"))
    }

    /// The role whose rights are missing, in the whole cluster.
    pub(crate) fn inherited_role(&self) -> Option<&str> {
        self.name.as_deref().filter(|_| self.what == MissingKind::InheritedRole)
    }

    /// The owner, if ownership is missing.
    pub(crate) fn owner(&self) -> Option<&str> {
        self.name.as_deref().filter(|_| self.what == MissingKind::Owner)
    }

    /// Whether it is an extension, which has no statement of its own that gives it away.
    pub(crate) fn is_extension(&self) -> bool {
        self.kind.as_deref() == Some("extension")
    }

    /// What is missing, without the remedy. `acts_as` lacks it.
    pub(super) fn words(&self, acts_as: &str) -> String {
        let (kind, identity, name) =
            (shown(self.kind.as_ref()), shown(self.identity.as_ref()), shown(self.name.as_ref()));
        let privilege = shown(self.privilege.as_ref());
        let option = if self.grantable { " WITH GRANT OPTION" } else { "" };
        match self.what {
            MissingKind::Owner => format!("ownership of {kind} {identity}"),
            MissingKind::Privilege => {
                let kind =
                    if self.table.is_some() { "column" } else { kind.trim_end_matches(" ACL") };
                format!("{privilege}{option} on {kind} {identity}")
            }
            MissingKind::Connect => format!("CONNECT on database {name}"),
            MissingKind::Policy => format!("the rows of policy {identity}"),
            MissingKind::RestrictivePolicy => {
                format!("the rows that policy {identity} hides from {}", quoted(acts_as))
            }
            MissingKind::Mapping => format!("the user mapping for server {name}"),
            MissingKind::Default | MissingKind::SurplusDefault => {
                let objects = shown(self.objects.as_ref()).to_lowercase();
                let grantee = self.other.as_deref().map_or("PUBLIC".to_owned(), quoted);
                let schema = self
                    .schema
                    .as_deref()
                    .map_or(String::new(), |schema| format!(" in schema {}", quoted(schema)));
                let surplus = if self.what == MissingKind::SurplusDefault {
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
            MissingKind::Path => {
                format!("schema {identity}, which \"$user\" in search_path stands for")
            }
            MissingKind::Member => format!("membership in role {name}"),
            MissingKind::InheritedRole if self.grantable => format!("ADMIN OPTION on role {name}"),
            MissingKind::InheritedRole => format!("the rights of role {name}"),
            MissingKind::AdminOption => format!("ADMIN OPTION on role {name}"),
            MissingKind::Attribute | MissingKind::ActorAttribute => format!("attribute {name}"),
            MissingKind::Setting => format!("the same setting {name}"),
            MissingKind::Label => format!("the same security label of provider {name}"),
            MissingKind::Absent => format!("{name} does not exist"),
            MissingKind::Unsupported => {
                format!("{privilege} exists only from PostgreSQL {name} on")
            }
            MissingKind::RowSecurity => {
                format!("row-level security blocks every INSERT into {kind} {identity}")
            }
        }
    }
}

pub(super) fn shown(text: Option<&String>) -> &str {
    text.map_or("", String::as_str)
}

pub(super) fn quoted(name: &str) -> String {
    escape_identifier(name)
}
