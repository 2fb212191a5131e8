//! One privilege on one object, and which privileges there are of each kind of object.

use serde::Serialize;

use super::lexer::Token;

/// One privilege on one object, or on all of a schema.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Check {
    pub(crate) kind: Kind,
    /// `None`: where the application's `search_path` leads, or what has no schema.
    pub(crate) schema: Option<String>,
    /// Absent where all objects of the schema are meant.
    pub(crate) name: Option<String>,
    /// Types of a function's arguments; `None`: the function has but one form.
    pub(crate) arguments: Option<Vec<String>>,
    pub(crate) column: Option<String>,
    /// `None`: membership in the role `name`.
    pub(crate) privilege: Option<&'static str>,
    pub(crate) grantable: bool,
    /// It is a part of ALL, which does not have it on servers that do not know it.
    pub(crate) implied: bool,
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
/// Those that may be had on a single column.
pub(super) const OF_COLUMNS: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "REFERENCES"];

/// The name of a privilege that is one word; TEMP is short for TEMPORARY.
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
