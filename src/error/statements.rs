//! SQL statements that a person has to run: an error names a few, a script holds all of them.

use std::fmt;

use super::clean;

/// The most that an error names: a person has to read it.
const NAMED: usize = 10;

/// What stands for a statement that an error cannot show.
const HIDDEN: &str = "a statement with a name that does not print, which preflight writes with \
    \"Fix\": \"sql\"";

/// Complete SQL statements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Statements(Vec<String>);

impl Statements {
    /// All of them, in the order to run them.
    pub(crate) fn all(&self) -> &[String] {
        &self.0
    }

    /// What follows a problem that ends with a colon; nothing where there are none.
    pub(super) fn appended(&self) -> String {
        if self.0.is_empty() { String::new() } else { format!(" {self}.") }
    }
}

/// A statement as an error shows it. One with a name that an error cannot show is in the script.
pub(crate) fn shown(statement: &str) -> &str {
    if clean::changes(statement) { HIDDEN } else { statement }
}

impl From<Vec<String>> for Statements {
    fn from(statements: Vec<String>) -> Self {
        Self(statements)
    }
}

impl fmt::Display for Statements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (named, more) = self.0.split_at(self.0.len().min(NAMED));
        let shown = named.iter().map(|statement| shown(statement));
        f.write_str(&shown.collect::<Vec<_>>().join("; "))?;
        if more.is_empty() {
            return Ok(());
        }
        write!(f, "; and {} more, which preflight lists with \"Fix\": \"sql\"", more.len())
    }
}
