//! A script for psql, made of statements and advice that would be too long for an error.

use std::fmt::Write;

use crate::error::clean;

/// Lambda's answer holds 6 MB, and JSON makes the script longer.
const MAX_BYTES: usize = 4_000_000;
/// What follows an error would run in the wrong database.
const HEADER: &str = "\\set ON_ERROR_STOP on\n";
const CUT: &str = "-- Cut here. Run this first, and ask again.\n";

/// A script that psql runs as it stands.
#[derive(Debug, Default)]
pub(crate) struct Script {
    text: String,
    /// Where its last line runs; `None` before any database was named.
    database: Option<String>,
    cut: bool,
}

impl Script {
    /// Adds a statement, in that database. `None` means the script's present one.
    pub(crate) fn statement(&mut self, database: Option<&str>, statement: &str) {
        self.enter(database);
        self.add(&format!("{statement};\n"));
    }

    /// Adds statements for any database, and comments among them.
    pub(crate) fn statements(&mut self, statements: &[String]) {
        for statement in statements {
            match statement.strip_prefix("-- ") {
                Some(advice) => self.advice(None, advice),
                None => self.statement(None, statement),
            }
        }
    }

    /// Adds what a person has to decide, as a comment.
    pub(crate) fn advice(&mut self, database: Option<&str>, advice: &str) {
        self.enter(database);
        // A name may hold the end of a line, after which the rest would be run.
        self.add(&format!("-- {}\n", clean::whole(advice.to_owned())));
    }

    /// The whole text.
    pub(crate) fn into_text(self) -> String {
        if self.text.is_empty() {
            "-- Nothing has to be run.\n".to_owned()
        } else {
            format!("{HEADER}{}", self.text)
        }
    }

    fn enter(&mut self, database: Option<&str>) {
        let Some(database) = database.filter(|name| self.database.as_deref() != Some(name)) else {
            return;
        };
        self.database = Some(database.to_owned());
        let connect = connect(database);
        self.add(&connect);
    }

    fn add(&mut self, line: &str) {
        if self.cut {
            return;
        }
        self.cut = self.text.len() + line.len() > MAX_BYTES;
        let _ = write!(self.text, "{}", if self.cut { CUT } else { line });
    }
}

/// psql reads a name that looks like a connection string as one, which could lead to another
/// server.
fn connect(database: &str) -> String {
    let plain = |name: char| name.is_ascii_alphanumeric() || name == '_';
    if !database.is_empty() && database.chars().all(plain) {
        return format!("\\connect {database}\n");
    }
    if database.contains(['\n', '\r']) {
        return "\\echo Connect by hand to the database whose name has more than one line.\n\
                \\quit\n"
            .to_owned();
    }
    let value = database.replace('\\', "\\\\").replace('\'', "\\'");
    let argument = format!("dbname='{value}'").replace('"', "\"\"");
    format!("\\connect -reuse-previous=on \"{argument}\"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_entered_once_and_a_name_is_never_a_connection_string() {
        let mut script = Script::default();
        script.statement(None, "GRANT a TO b");
        script.statement(Some("shop"), "GRANT c TO d");
        script.statement(Some("shop"), "GRANT e TO f");
        script.advice(Some("host=evil \"x'\\"), "decide\nDROP TABLE t");
        script.statement(Some("two\nlines"), "GRANT g TO h");
        assert_eq!(
            script.into_text(),
            "\\set ON_ERROR_STOP on\nGRANT a TO b;\n\\connect shop\nGRANT c TO d;\nGRANT e TO \
             f;\n\\connect -reuse-previous=on \"dbname='host=evil \"\"x\\'\\\\'\"\n-- decide DROP \
             TABLE t\n\\echo Connect by hand to the database whose name has more than one \
             line.\n\\quit\nGRANT g TO h;\n"
        );
        assert_eq!(Script::default().into_text(), "-- Nothing has to be run.\n");
    }

    #[test]
    fn a_script_fits_into_lambdas_answer() {
        let mut script = Script::default();
        for n in 0..100_000 {
            script.statement(None, &format!("GRANT SELECT ON public.{n:0>60} TO app"));
        }
        let text = script.into_text();
        assert!(text.len() < MAX_BYTES + 100 && text.ends_with(CUT), "{}", text.len());
    }
}
