//! Declared probes: statements that the application runs, which the server only plans.

use serde::Deserialize;

use crate::error::Problem;

/// One statement, without the values of parameters: `UPDATE app.orders SET total = $1 WHERE id =
/// $2`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Probe(String);

/// The statements that EXPLAIN can plan.
const STATEMENTS: [&str; 8] =
    ["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "VALUES", "TABLE"];

impl Probe {
    /// Accepts one statement that the server can plan without running it.
    ///
    /// # Errors
    /// A [`Problem`] that says what was expected and shows nothing of the text.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let code = code(text)?;
        let ends = |c: char| c == ';' || c.is_whitespace();
        let statement = code.trim_start().trim_end_matches(ends);
        if statement.is_empty() {
            return Err("it holds no statement.".into());
        }
        if statement.contains(';') {
            return Err("it holds several statements. Declare a probe for each.".into());
        }
        let words: Vec<_> = statement
            .split(|c: char| !(c.is_alphanumeric() || c == '_'))
            .filter(|word| !word.is_empty())
            .collect();
        let is = |word: &str, other: &str| word.eq_ignore_ascii_case(other);
        if words
            .windows(2)
            .any(|pair| is(pair[1], "INTO") && !is(pair[0], "INSERT") && !is(pair[0], "MERGE"))
        {
            return Err(
                "SELECT INTO creates a table. Declare the grant CREATE ON SCHEMA instead.".into()
            );
        }
        let first: String = statement
            .trim_start_matches(['(', ' ', '\n', '\t'])
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        if !STATEMENTS.contains(&first.to_uppercase().as_str()) {
            return Err(format!(
                "it does not begin with one of {}. Nothing else can be planned without being run. \
                 Declare a grant instead.",
                STATEMENTS.join(", ")
            )
            .into());
        }
        Ok(Self(text.to_owned()))
    }

    /// The statement.
    pub(crate) fn statement(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Probe {
    type Error = Problem;

    fn try_from(text: String) -> Result<Self, Problem> {
        Self::parse(&text).map_err(|problem| format!("probe {text:?}: {problem}").into())
    }
}

/// The text without literals, quoted names and comments. It only has to be right for an honest
/// statement: the server itself accepts only one statement.
fn code(text: &str) -> Result<String, Problem> {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let before = code.chars().next_back();
        let length = if rest.starts_with("--") {
            rest.find(['\n', '\r']).unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            comment(rest).ok_or("a comment is not closed.")?
        } else if c == '\'' || c == '"' {
            // After E, a backslash escapes the next character.
            let mut back = code.chars().rev();
            let escapes = c == '\''
                && matches!(back.next(), Some('e' | 'E'))
                && !back.next().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$');
            quoted(rest, c, escapes).ok_or("a quotation is not closed.")?
        } else if let Some(tag) =
            dollar_tag(rest).filter(|_| !before.is_some_and(|c| c.is_alphanumeric() || c == '_'))
        {
            let body = &rest[tag.len()..];
            body.find(tag).ok_or("a quotation is not closed.")? + 2 * tag.len()
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        code.push(' ');
        rest = &rest[length..];
    }
    Ok(code)
}

fn quoted(text: &str, quote: char, escapes: bool) -> Option<usize> {
    let mut characters = text.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        if escapes && c == '\\' {
            characters.next();
        } else if c == quote {
            return Some(at + 1);
        }
    }
    None
}

/// Comments nest.
fn comment(text: &str) -> Option<usize> {
    let (mut depth, mut at) = (0_usize, 0);
    loop {
        let rest = text.get(at..)?;
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += rest.chars().next()?.len_utf8();
        }
    }
}

/// `$$` or `$tag$`, but not the parameter `$1`.
fn dollar_tag(text: &str) -> Option<&str> {
    let after = text.strip_prefix('$')?;
    let tag = &after[..after.find('$')?];
    let name = !tag.starts_with(|c: char| c.is_ascii_digit())
        && tag.chars().all(|c| c.is_alphanumeric() || c == '_');
    name.then(|| &text[..tag.len() + 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_statement_that_can_be_planned_is_accepted() {
        for text in [
            "SELECT 1",
            "select * from app.orders where id = $1 and note <> ';'",
            "INSERT INTO app.orders (total) VALUES ($1) RETURNING id;",
            " -- the first\n WITH x AS (SELECT 1) SELECT * FROM x ;\n",
            "/* a /* nested; */ comment; */ UPDATE t SET a = E'\\';' WHERE b = $tag$;$$;$tag$ AND \
             \"semi;colon\" = $2",
            "SELECT 'it''s; fine', e'\\\\', $$;$$",
            "DELETE FROM t WHERE a$b = $1",
            "values (1)",
            "TABLE app.orders",
            "(SELECT 1) UNION (SELECT 2)",
            "SELECT 1 ; ; ",
            "SELECT 'a' LIKE $1 ESCAPE'\\'",
            "WITH new AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM new",
            "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN DELETE",
        ] {
            let probe = Probe::parse(text);
            assert!(probe.is_ok(), "{text}: {probe:?}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_to_do() {
        for (text, expected) in [
            ("", "no statement"),
            (" ; -- nothing", "no statement"),
            ("SELECT 1; SELECT 2", "several statements"),
            ("SELECT 1;; DROP TABLE t", "several statements"),
            ("SELECT '\\'; DROP TABLE t; --'", "several statements"),
            ("SELECT 'open", "not closed"),
            ("SELECT $a$ open", "not closed"),
            ("SELECT /* open", "not closed"),
            ("DROP TABLE t", "does not begin with one of"),
            ("CREATE TABLE t ()", "does not begin with one of"),
            ("BEGIN", "does not begin with one of"),
            ("COMMIT", "does not begin with one of"),
            ("DO $$ BEGIN END $$", "does not begin with one of"),
            ("CALL app.close()", "does not begin with one of"),
            ("COPY t FROM STDIN", "does not begin with one of"),
            ("EXPLAIN ANALYZE DELETE FROM t", "does not begin with one of"),
            ("ANALYZE SELECT 1", "does not begin with one of"),
            ("(ANALYZE) SELECT 1", "does not begin with one of"),
            ("--\rANALYZE SELECT 1\nSELECT 2", "does not begin with one of"),
            ("SELECT * INTO more FROM t", "SELECT INTO creates a table"),
            ("SELECTED", "does not begin with one of"),
            ("SET ROLE x", "does not begin with one of"),
        ] {
            let problem = Probe::parse(text).unwrap_err().to_string();
            assert!(problem.contains(expected), "{text}: {problem}");
        }
    }
}
