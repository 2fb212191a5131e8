//! One privilege on one object, and the privileges of each kind of object.

use serde::Serialize;

use super::lexer::{Mistake, Token};

/// One privilege on one object, or on all objects of a schema.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Check {
    pub(crate) kind: Kind,
    /// `None` means the application's `search_path`, or an object that has no schema.
    pub(crate) schema: Option<String>,
    /// `None` means all objects of the schema.
    pub(crate) name: Option<String>,
    /// The types of a function's arguments. `None` means the only function of that name.
    pub(crate) arguments: Option<Vec<String>>,
    pub(crate) column: Option<String>,
    /// `None` means membership in the role `name`.
    pub(crate) privilege: Option<&'static str>,
    pub(crate) grantable: bool,
    /// Whether it comes from ALL, which leaves out what an older server does not know.
    pub(crate) implied: bool,
}

/// The most checks that all declared grants together may have.
pub(super) const MOST_CHECKS: usize = 1000;

/// The mistake of a declaration that stands for too many checks.
pub(super) fn too_many(at: usize) -> Mistake {
    let expected = format!(
        "expected no more than {MOST_CHECKS} checks (privileges times objects) in all grants; use \
         ALL TABLES IN SCHEMA instead"
    );
    Mistake::new("", at, &expected)
}

impl Check {
    /// How much it counts towards [`MOST_CHECKS`].
    pub(super) fn weight(&self) -> usize {
        1 + self.arguments.as_ref().map_or(0, Vec::len)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    Table,
    Sequence,
    Function,
    Procedure,
    Routine,
    Type,
    Schema,
    Database,
    Language,
    Server,
    Wrapper,
    Tablespace,
    Parameter,
    LargeObject,
    Role,
}

/// The privileges of each kind, as GRANT's documentation lists them.
pub(super) const PRIVILEGES: [(Kind, &[&str]); 14] = [
    (
        Kind::Table,
        &["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"],
    ),
    (Kind::Sequence, &["USAGE", "SELECT", "UPDATE"]),
    (Kind::Function, &["EXECUTE"]),
    (Kind::Procedure, &["EXECUTE"]),
    (Kind::Routine, &["EXECUTE"]),
    (Kind::Type, &["USAGE"]),
    (Kind::Schema, &["CREATE", "USAGE"]),
    (Kind::Database, &["CONNECT", "CREATE", "TEMPORARY"]),
    (Kind::Language, &["USAGE"]),
    (Kind::Server, &["USAGE"]),
    (Kind::Wrapper, &["USAGE"]),
    (Kind::Tablespace, &["CREATE"]),
    (Kind::Parameter, &["SET", "ALTER SYSTEM"]),
    (Kind::LargeObject, &["SELECT", "UPDATE"]),
];
/// The privileges that a single column can have.
pub(super) const OF_COLUMNS: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "REFERENCES"];

/// The name of a privilege of one word. TEMP is short for TEMPORARY.
pub(super) fn privilege_name(token: &Token<'_>) -> Option<&'static str> {
    if token.is("TEMP") {
        return Some("TEMPORARY");
    }
    PRIVILEGES
        .iter()
        .flat_map(|(_, privileges)| privileges.iter())
        .copied()
        .find(|privilege| token.is(privilege))
}
