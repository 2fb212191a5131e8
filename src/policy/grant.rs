//! Declared grants: rights that the application needs, written as after GRANT, such as `SELECT,
//! INSERT ON TABLE app.orders`.

use serde::Deserialize;

use super::check::{Check, MOST_CHECKS};
use super::grammar;
use super::lexer::Mistake;
use crate::error::Problem;

/// One declaration and its checks.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Grant {
    pub(crate) checks: Vec<Check>,
}

impl Grant {
    /// Parses what follows GRANT, without TO. Its checks may weigh at most `left`, and are
    /// subtracted from it.
    ///
    /// # Errors
    /// A [`Mistake`] that points at the wrong word.
    pub(super) fn parse(text: &str, left: &mut usize) -> Result<Self, Mistake> {
        let checks = grammar::checks(text, *left)?;
        *left = left.saturating_sub(checks.iter().map(Check::weight).sum());
        Ok(Self { checks })
    }
}

impl TryFrom<String> for Grant {
    type Error = Problem;

    fn try_from(text: String) -> Result<Self, Problem> {
        Self::parse(&text, &mut MOST_CHECKS.clone())
            .map_err(|mistake| format!("grant {text:?}: {mistake}").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each check in one line, as GRANT would put it.
    fn checks(text: &str) -> Vec<String> {
        let grant =
            Grant::parse(text, &mut 1000).unwrap_or_else(|mistake| panic!("{text}: {mistake}"));
        grant
            .checks
            .iter()
            .map(|check| {
                let column =
                    check.column.as_ref().map_or(String::new(), |column| format!("({column})"));
                let name = check.name.as_deref().unwrap_or("*");
                let name = check
                    .schema
                    .as_ref()
                    .map_or(name.to_owned(), |schema| format!("{schema}.{name}"));
                let arguments = check
                    .arguments
                    .as_ref()
                    .map_or(String::new(), |arguments| format!("({})", arguments.join(",")));
                let option = if check.grantable { " +" } else { "" };
                format!(
                    "{}{column} {:?} {name}{arguments}{option}",
                    check.privilege.unwrap_or("MEMBER"),
                    check.kind
                )
            })
            .collect()
    }

    #[test]
    fn what_follows_grant_is_understood() {
        for (text, expected) in [
            ("SELECT ON app.orders", vec!["SELECT Table app.orders"]),
            (
                "select, Insert on table App.Orders, \"App\".\"Or\"\"ders\"",
                vec![
                    "SELECT Table app.orders",
                    "SELECT Table App.Or\"ders",
                    "INSERT Table app.orders",
                    "INSERT Table App.Or\"ders",
                ],
            ),
            (
                "SELECT (id, \"Total\"), DELETE ON orders",
                vec![
                    "SELECT(id) Table orders",
                    "SELECT(Total) Table orders",
                    "DELETE Table orders",
                ],
            ),
            ("USAGE ON SEQUENCE app.s", vec!["USAGE Sequence app.s"]),
            ("EXECUTE ON FUNCTION app.f", vec!["EXECUTE Function app.f"]),
            ("EXECUTE ON FUNCTION app.f()", vec!["EXECUTE Function app.f()"]),
            (
                "EXECUTE ON PROCEDURE app.f(INT, double  precision, app.mood[], \"My\".\"Type\")",
                vec!["EXECUTE Procedure app.f(int,double precision,app.mood[],\"My\".\"Type\")"],
            ),
            (
                "EXECUTE ON FUNCTION f(order_id integer, VARIADIC text[])",
                vec!["EXECUTE Function f(order_id integer,text[])"],
            ),
            ("SELECT ON Été.🍕", vec!["SELECT Table Été.🍕"]),
            ("USAGE, CREATE ON SCHEMA app", vec!["USAGE Schema app", "CREATE Schema app"]),
            (
                "CONNECT, TEMP ON DATABASE shop",
                vec!["CONNECT Database shop", "TEMPORARY Database shop"],
            ),
            ("USAGE ON TYPE app.mood", vec!["USAGE Type app.mood"]),
            ("USAGE ON DOMAIN app.email", vec!["USAGE Type app.email"]),
            ("USAGE ON LANGUAGE plpgsql", vec!["USAGE Language plpgsql"]),
            ("USAGE ON FOREIGN SERVER s", vec!["USAGE Server s"]),
            ("USAGE ON FOREIGN DATA WRAPPER w", vec!["USAGE Wrapper w"]),
            ("CREATE ON TABLESPACE fast", vec!["CREATE Tablespace fast"]),
            (
                "SET, ALTER SYSTEM ON PARAMETER my.setting",
                vec!["SET Parameter my.setting", "ALTER SYSTEM Parameter my.setting"],
            ),
            ("SELECT ON LARGE OBJECT 4711", vec!["SELECT LargeObject 4711"]),
            (
                "SELECT ON ALL TABLES IN SCHEMA app, more",
                vec!["SELECT Table app.*", "SELECT Table more.*"],
            ),
            (
                "ALL ON ALL SEQUENCES IN SCHEMA app",
                vec!["USAGE Sequence app.*", "SELECT Sequence app.*", "UPDATE Sequence app.*"],
            ),
            ("EXECUTE ON ALL FUNCTIONS IN SCHEMA app", vec!["EXECUTE Function app.*"]),
            (
                "ALL PRIVILEGES (id) ON t",
                vec![
                    "SELECT(id) Table t",
                    "INSERT(id) Table t",
                    "UPDATE(id) Table t",
                    "REFERENCES(id) Table t",
                ],
            ),
            ("MAINTAIN ON t WITH GRANT OPTION", vec!["MAINTAIN Table t +"]),
            ("readers, \"Writers\"", vec!["MEMBER Role readers", "MEMBER Role Writers"]),
            ("readers WITH ADMIN OPTION", vec!["MEMBER Role readers +"]),
        ] {
            assert_eq!(checks(text), expected, "{text}");
        }
        assert_eq!(checks("ALL ON t").len(), 8);
    }

    #[test]
    fn a_mistake_is_pointed_at() {
        let long = format!("SELECT ON {}", "x".repeat(64));
        for (text, expected) in [
            ("", "at its end (character 1): expected a name"),
            ("SELCT ON TABLE app.orders", "at \"SELCT\" (character 1): expected a privilege"),
            ("SELECT, , INSERT ON t", "at \",\" (character 9): expected a privilege"),
            ("SELECT app.orders", "at \"app\" (character 8): expected ON and an object"),
            ("SELECT", "at its end (character 7): expected ON and an object"),
            ("SELECT ON", "at its end (character 10): expected a name"),
            ("SELECT ON TABLE", "at its end (character 16): expected a name"),
            ("USAGE ON TABLE t", "at \"USAGE\" (character 1): expected one of SELECT, INSERT"),
            ("SELECT ON SCHEMA app", "at \"SELECT\" (character 1): expected one of CREATE, USAGE"),
            ("SELECT (id ON t", "at \"ON\" (character 12): expected )"),
            ("DELETE (id) ON t", "at \"(\" (character 8): expected ON; only SELECT"),
            (
                "SELECT (id) ON ALL TABLES IN SCHEMA app",
                "at \"(\" (character 8): expected ON; only SELECT",
            ),
            ("SELECT ON a.b.c", "at \".\" (character 14): expected schema.name"),
            ("SELECT ON t TO app", "at \"TO\" (character 13): expected the end: leave TO out"),
            ("GRANT SELECT ON t", "at \"GRANT\" (character 1): expected what follows GRANT"),
            ("SELECT ON t; DROP TABLE t", "at \";\" (character 12): expected the end"),
            ("SELECT ON ALL VIEWS IN SCHEMA app", "at \"VIEWS\" (character 15): expected TABLES"),
            ("SELECT ON ALL TABLES SCHEMA app", "at \"SCHEMA\" (character 22): expected IN"),
            (
                "EXECUTE ON FUNCTION f(numeric(10))",
                "at \"(\" (character 30): expected only the type",
            ),
            ("EXECUTE ON FUNCTION f(int,)", "at \")\" (character 27): expected a type"),
            ("SELECT ON LARGE OBJECT big", "at \"big\" (character 24): expected the number"),
            ("SELECT ON \"a\0b\"", "(character 13): expected no NUL character"),
            ("SELECT ON a\0", "(character 12): expected no NUL character"),
            ("SELECT ON \"open", "expected a closing quotation mark"),
            ("SELECT ON été.ta-ble", "at \"-\" (character 17): expected the end"),
            (&long, "(character 11): expected a name of 1 to 63 bytes"),
        ] {
            let mistake = Grant::parse(text, &mut 1000).unwrap_err();
            assert!(mistake.to_string().contains(expected), "{text}: {mistake}");
            assert!(mistake.place().starts_with("character "), "{text}");
        }
    }

    #[test]
    fn checks_are_counted_before_they_are_made() {
        let columns = vec!["c"; 100].join(", ");
        let tables = vec!["t"; 100].join(", ");
        let types = vec!["int"; 2000].join(", ");
        let names = vec!["r"; 2000].join(", ");
        for text in [
            format!("ALL ({columns}) ON {tables}"),
            format!("{} ON {tables}", vec!["ALL"; 100].join(", ")),
            format!("EXECUTE ON FUNCTION f({types})"),
            names,
        ] {
            let mistake = Grant::parse(&text, &mut 1000).unwrap_err();
            assert!(mistake.place().contains("no more than 1000"), "{mistake}");
        }
        let mut left = 20;
        Grant::parse("ALL ON a, b", &mut left).unwrap();
        assert_eq!(left, 4);
        Grant::parse("EXECUTE ON FUNCTION f(int, int)", &mut left).unwrap();
        assert_eq!(left, 1);
        assert!(Grant::parse("r, s", &mut left).is_err());
        assert!(Grant::parse("r", &mut left).is_ok() && left == 0);
    }
}
