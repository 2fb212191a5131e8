//! What a policy declares that the application needs, in the words that follow GRANT: `SELECT, INSERT ON TABLE app.orders`.

use serde::{Deserialize, Serialize};

use super::lexer::{Mistake, Token, tokens};
use crate::secret::credentials::MAX_NAME_BYTES;

/// One declaration, and what has to be checked for it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Grant {
    pub checks: Vec<Check>,
}

/// One privilege on one object, or on all of a schema.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    pub kind: Kind,
    /// `None`: where the application's `search_path` leads, or what has no schema.
    pub schema: Option<String>,
    /// Absent where all objects of the schema are meant.
    pub name: Option<String>,
    /// Types of a function's arguments; `None`: the function has but one form.
    pub arguments: Option<Vec<String>>,
    pub column: Option<String>,
    /// `None`: membership in the role `name`.
    pub privilege: Option<&'static str>,
    pub grantable: bool,
    /// It is a part of ALL, which does not have it on servers that do not know it.
    pub implied: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Table,
    Sequence,
    Function,
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
const PRIVILEGES: [(Kind, &[&str]); 12] = [
    (Kind::Table, &["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"]),
    (Kind::Sequence, &["USAGE", "SELECT", "UPDATE"]),
    (Kind::Function, &["EXECUTE"]),
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
const OF_COLUMNS: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "REFERENCES"];

/// A privilege as it was written, with its columns; `None`: ALL.
struct Privilege {
    name: Option<&'static str>,
    columns: Vec<String>,
    at: usize,
    columns_at: usize,
}

#[derive(Clone)]
struct Object {
    schema: Option<String>,
    name: Option<String>,
    arguments: Option<Vec<String>>,
}

impl Grant {
    /// Parses what follows GRANT, without TO.
    ///
    /// ```
    /// use postgres_secret_rotation::policy::grant::Grant;
    ///
    /// assert_eq!(Grant::parse("SELECT, INSERT ON TABLE app.orders").unwrap().checks.len(), 2);
    /// assert!(Grant::parse("SELCT ON TABLE app.orders").unwrap_err().to_string().contains("\"SELCT\" (character 1)"));
    /// ```
    ///
    /// # Errors
    /// What points at the word that is wrong.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let mut parser = Parser { tokens: tokens(text)?, next: 0, end: text.chars().count() + 1 };
        if parser.peek_word("GRANT") {
            return Err(parser.mistake("expected what follows GRANT, without the word itself"));
        }
        let checks = if parser.has_word("ON") { parser.privileges_on()? } else { parser.roles()? };
        if parser.peek_word("TO") {
            return Err(parser.mistake("expected the end: leave TO out, it is always the rotated user that is meant"));
        }
        match parser.peek() {
            Some(_) => Err(parser.mistake("expected the end, or a comma before another name")),
            None => Ok(Self { checks }),
        }
    }
}

impl TryFrom<String> for Grant {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).map_err(|mistake| format!("grant {text:?}: {mistake}"))
    }
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    next: usize,
    /// Where the text ends, counted as [`Token::at`].
    end: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&Token<'a>> {
        self.tokens.get(self.next)
    }

    fn peek_word(&self, word: &str) -> bool {
        self.peek().is_some_and(|token| token.is(word))
    }

    fn has_word(&self, word: &str) -> bool {
        self.tokens[self.next..].iter().any(|token| token.is(word))
    }

    /// Takes these words, if they come next.
    fn take(&mut self, words: &[&str]) -> bool {
        let come = words.iter().enumerate().all(|(n, word)| self.tokens.get(self.next + n).is_some_and(|token| token.is(word)));
        self.next += if come { words.len() } else { 0 };
        come
    }

    fn expect(&mut self, word: &str) -> Result<(), Mistake> {
        if self.take(&[word]) { Ok(()) } else { Err(self.mistake(&format!("expected {word}"))) }
    }

    fn mistake(&self, expected: &str) -> Mistake {
        match self.peek() {
            Some(token) => Mistake::new(token.text, token.at, expected),
            None => Mistake::new("", self.end, expected),
        }
    }

    fn at(&self) -> usize {
        self.peek().map_or(self.end, |token| token.at)
    }

    fn name(&mut self) -> Result<String, Mistake> {
        let Some(name) = self.peek().and_then(Token::name) else { return Err(self.mistake("expected a name")) };
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return Err(self.mistake(&format!("expected a name of 1 to {MAX_NAME_BYTES} bytes")));
        }
        self.next += 1;
        Ok(name)
    }

    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Result<T, Mistake>) -> Result<Vec<T>, Mistake> {
        let mut list = vec![one(self)?];
        while self.take(&[","]) {
            list.push(one(self)?);
        }
        Ok(list)
    }

    fn roles(&mut self) -> Result<Vec<Check>, Mistake> {
        let privilege = self.peek().is_some_and(|token| privilege_name(token).is_some() || token.is("ALL"));
        let roles = self.list(Self::name)?;
        if privilege {
            return Err(self.mistake("expected ON and an object"));
        }
        let grantable = self.take(&["WITH", "ADMIN", "OPTION"]);
        Ok(roles.into_iter().map(|name| Check::new(Kind::Role, Object::named(name), None, grantable)).collect())
    }

    fn privileges_on(&mut self) -> Result<Vec<Check>, Mistake> {
        let privileges = self.list(Self::privilege)?;
        self.expect("ON")?;
        let (kind, objects) = self.objects()?;
        let grantable = self.take(&["WITH", "GRANT", "OPTION"]);
        let allowed = PRIVILEGES.iter().find(|(known, _)| *known == kind).map_or(&[][..], |(_, privileges)| privileges);
        let mut checks = Vec::new();
        for privilege in &privileges {
            let names = match privilege.name {
                Some(name) if allowed.contains(&name) => vec![name],
                Some(name) => return Err(Mistake::new(name, privilege.at, &format!("expected one of {}", allowed.join(", ")))),
                None if privilege.columns.is_empty() => allowed.to_vec(),
                None => OF_COLUMNS.to_vec(),
            };
            let on_columns = !privilege.columns.is_empty();
            if on_columns
                && (kind != Kind::Table || names.iter().any(|name| !OF_COLUMNS.contains(name)) || objects.iter().any(|o| o.name.is_none()))
            {
                let expected = format!("expected ON; columns go with {} on a table", OF_COLUMNS.join(", "));
                return Err(Mistake::new("(", privilege.columns_at, &expected));
            }
            for object in &objects {
                for name in &names {
                    let check = Check { implied: privilege.name.is_none(), ..Check::new(kind, object.clone(), Some(name), grantable) };
                    if on_columns {
                        checks.extend(privilege.columns.iter().map(|column| Check { column: Some(column.clone()), ..check.clone() }));
                    } else {
                        checks.push(check);
                    }
                }
            }
        }
        Ok(checks)
    }

    fn privilege(&mut self) -> Result<Privilege, Mistake> {
        let at = self.at();
        let name = if self.take(&["ALL"]) {
            self.take(&["PRIVILEGES"]);
            None
        } else if self.take(&["ALTER", "SYSTEM"]) {
            Some("ALTER SYSTEM")
        } else {
            let name = self.peek().and_then(privilege_name).ok_or_else(|| self.mistake("expected a privilege such as SELECT or USAGE"))?;
            self.next += 1;
            Some(name)
        };
        let columns_at = self.at();
        let columns = if self.take(&["("]) {
            let columns = self.list(Self::name)?;
            self.expect(")")?;
            columns
        } else {
            Vec::new()
        };
        Ok(Privilege { name, columns, at, columns_at })
    }

    fn objects(&mut self) -> Result<(Kind, Vec<Object>), Mistake> {
        if self.take(&["ALL"]) {
            let kind = match self.peek() {
                Some(token) if token.is("TABLES") => Kind::Table,
                Some(token) if token.is("SEQUENCES") => Kind::Sequence,
                Some(token) if ["FUNCTIONS", "PROCEDURES", "ROUTINES"].iter().any(|word| token.is(word)) => Kind::Function,
                _ => return Err(self.mistake("expected TABLES, SEQUENCES or FUNCTIONS")),
            };
            self.next += 1;
            self.expect("IN")?;
            self.expect("SCHEMA")?;
            let schemas = self.list(Self::name)?;
            return Ok((kind, schemas.into_iter().map(|schema| Object { schema: Some(schema), name: None, arguments: None }).collect()));
        }
        let words: [(&[&str], Kind); 15] = [
            (&["TABLE"], Kind::Table),
            (&["SEQUENCE"], Kind::Sequence),
            (&["FUNCTION"], Kind::Function),
            (&["PROCEDURE"], Kind::Function),
            (&["ROUTINE"], Kind::Function),
            (&["TYPE"], Kind::Type),
            (&["DOMAIN"], Kind::Type),
            (&["SCHEMA"], Kind::Schema),
            (&["DATABASE"], Kind::Database),
            (&["LANGUAGE"], Kind::Language),
            (&["FOREIGN", "SERVER"], Kind::Server),
            (&["FOREIGN", "DATA", "WRAPPER"], Kind::Wrapper),
            (&["TABLESPACE"], Kind::Tablespace),
            (&["PARAMETER"], Kind::Parameter),
            (&["LARGE", "OBJECT"], Kind::LargeObject),
        ];
        let kind = words.into_iter().find(|(words, _)| self.take(words)).map_or(Kind::Table, |(_, kind)| kind);
        let objects = match kind {
            Kind::Table | Kind::Sequence | Kind::Type => self.list(Self::qualified)?,
            Kind::Function => self.list(Self::function)?,
            Kind::Parameter => self.list(Self::parameter)?,
            Kind::LargeObject => self.list(Self::number)?,
            _ => self.list(|parser| parser.name().map(Object::named))?,
        };
        Ok((kind, objects))
    }

    fn qualified(&mut self) -> Result<Object, Mistake> {
        let first = self.name()?;
        if !self.take(&["."]) {
            return Ok(Object::named(first));
        }
        let object = Object { schema: Some(first), name: Some(self.name()?), arguments: None };
        if self.peek_word(".") {
            return Err(self.mistake("expected schema.name; columns stand in parentheses after the privilege"));
        }
        Ok(object)
    }

    fn function(&mut self) -> Result<Object, Mistake> {
        let mut function = self.qualified()?;
        if self.take(&["("]) {
            let mut arguments = Vec::new();
            if !self.take(&[")"]) {
                arguments = self.list(Self::data_type)?;
                self.expect(")")?;
            }
            function.arguments = Some(arguments);
        }
        Ok(function)
    }

    /// A type's name up to the next comma or the end of the arguments, in one spelling.
    fn data_type(&mut self) -> Result<String, Mistake> {
        let mut name = String::new();
        while let Some(token) = self.peek().copied() {
            match token.name() {
                _ if token.is(",") || token.is(")") => break,
                None if token.is("(") => return Err(self.mistake("expected the type alone, without its length")),
                Some(_) => {
                    if !name.is_empty() && !name.ends_with('.') {
                        name.push(' ');
                    }
                    // An unquoted word reads the same in any case; a quoted one keeps its quotes.
                    name.push_str(&if token.quoted { token.text.to_owned() } else { token.text.to_lowercase() });
                }
                None if token.is(".") || token.is("[") || token.is("]") => name.push_str(token.text),
                None => return Err(self.mistake("expected a type")),
            }
            self.next += 1;
        }
        if name.is_empty() { Err(self.mistake("expected a type")) } else { Ok(canonical(&name)) }
    }

    fn parameter(&mut self) -> Result<Object, Mistake> {
        let mut name = self.name()?;
        while self.take(&["."]) {
            name = format!("{name}.{}", self.name()?);
        }
        Ok(Object::named(name))
    }

    fn number(&mut self) -> Result<Object, Mistake> {
        let number = self.peek().map(|token| token.text).filter(|text| text.parse::<u32>().is_ok()).map(str::to_owned);
        let number = number.ok_or_else(|| self.mistake("expected the number of a large object"))?;
        self.next += 1;
        Ok(Object::named(number))
    }
}

impl Object {
    fn named(name: String) -> Self {
        Self { schema: None, name: Some(name), arguments: None }
    }
}

impl Check {
    fn new(kind: Kind, object: Object, privilege: Option<&'static str>, grantable: bool) -> Self {
        let Object { schema, name, arguments } = object;
        Self { kind, schema, name, arguments, column: None, privilege, grantable, implied: false }
    }
}

/// The name by which the server shows a type of its own.
fn canonical(name: &str) -> String {
    let (element, array) = name.split_once('[').map_or((name, ""), |(element, _)| (element, "[]"));
    let element = match element {
        "int" | "int4" => "integer",
        "int2" => "smallint",
        "int8" => "bigint",
        "bool" => "boolean",
        "float" | "float8" => "double precision",
        "float4" => "real",
        "decimal" => "numeric",
        "varchar" => "character varying",
        "char" => "character",
        "varbit" => "bit varying",
        "timestamp" => "timestamp without time zone",
        "timestamptz" => "timestamp with time zone",
        "time" => "time without time zone",
        "timetz" => "time with time zone",
        other => other,
    };
    format!("{element}{array}")
}

/// The name of a privilege that is one word; TEMP is short for TEMPORARY.
fn privilege_name(token: &Token<'_>) -> Option<&'static str> {
    if token.is("TEMP") {
        return Some("TEMPORARY");
    }
    PRIVILEGES.iter().flat_map(|(_, privileges)| privileges.iter()).copied().find(|privilege| token.is(privilege))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each check in one line, as GRANT would put it.
    fn checks(text: &str) -> Vec<String> {
        let grant = Grant::parse(text).unwrap_or_else(|mistake| panic!("{text}: {mistake}"));
        grant
            .checks
            .iter()
            .map(|check| {
                let column = check.column.as_ref().map_or(String::new(), |column| format!("({column})"));
                let name = check.name.as_deref().unwrap_or("*");
                let name = check.schema.as_ref().map_or(name.to_owned(), |schema| format!("{schema}.{name}"));
                let arguments = check.arguments.as_ref().map_or(String::new(), |arguments| format!("({})", arguments.join(",")));
                let option = if check.grantable { " +" } else { "" };
                format!("{}{column} {:?} {name}{arguments}{option}", check.privilege.unwrap_or("MEMBER"), check.kind)
            })
            .collect()
    }

    #[test]
    fn what_follows_grant_is_understood() {
        for (text, expected) in [
            ("SELECT ON app.orders", vec!["SELECT Table app.orders"]),
            (
                "select, Insert on table App.Orders, \"App\".\"Or\"\"ders\"",
                vec!["SELECT Table app.orders", "SELECT Table App.Or\"ders", "INSERT Table app.orders", "INSERT Table App.Or\"ders"],
            ),
            (
                "SELECT (id, \"Total\"), DELETE ON orders",
                vec!["SELECT(id) Table orders", "SELECT(Total) Table orders", "DELETE Table orders"],
            ),
            ("USAGE ON SEQUENCE app.s", vec!["USAGE Sequence app.s"]),
            ("EXECUTE ON FUNCTION app.f", vec!["EXECUTE Function app.f"]),
            ("EXECUTE ON FUNCTION app.f()", vec!["EXECUTE Function app.f()"]),
            (
                "EXECUTE ON PROCEDURE app.f(INT, double  precision, app.mood[], \"My\".\"Type\")",
                vec!["EXECUTE Function app.f(integer,double precision,app.mood[],\"My\".\"Type\")"],
            ),
            ("USAGE, CREATE ON SCHEMA app", vec!["USAGE Schema app", "CREATE Schema app"]),
            ("CONNECT, TEMP ON DATABASE shop", vec!["CONNECT Database shop", "TEMPORARY Database shop"]),
            ("USAGE ON TYPE app.mood", vec!["USAGE Type app.mood"]),
            ("USAGE ON DOMAIN app.email", vec!["USAGE Type app.email"]),
            ("USAGE ON LANGUAGE plpgsql", vec!["USAGE Language plpgsql"]),
            ("USAGE ON FOREIGN SERVER s", vec!["USAGE Server s"]),
            ("USAGE ON FOREIGN DATA WRAPPER w", vec!["USAGE Wrapper w"]),
            ("CREATE ON TABLESPACE fast", vec!["CREATE Tablespace fast"]),
            ("SET, ALTER SYSTEM ON PARAMETER my.setting", vec!["SET Parameter my.setting", "ALTER SYSTEM Parameter my.setting"]),
            ("SELECT ON LARGE OBJECT 4711", vec!["SELECT LargeObject 4711"]),
            ("SELECT ON ALL TABLES IN SCHEMA app, more", vec!["SELECT Table app.*", "SELECT Table more.*"]),
            ("ALL ON ALL SEQUENCES IN SCHEMA app", vec!["USAGE Sequence app.*", "SELECT Sequence app.*", "UPDATE Sequence app.*"]),
            ("EXECUTE ON ALL FUNCTIONS IN SCHEMA app", vec!["EXECUTE Function app.*"]),
            ("ALL PRIVILEGES (id) ON t", vec!["SELECT(id) Table t", "INSERT(id) Table t", "UPDATE(id) Table t", "REFERENCES(id) Table t"]),
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
            ("DELETE (id) ON t", "at \"(\" (character 8): expected ON; columns go with"),
            ("SELECT (id) ON ALL TABLES IN SCHEMA app", "at \"(\" (character 8): expected ON; columns go with"),
            ("SELECT ON a.b.c", "at \".\" (character 14): expected schema.name"),
            ("SELECT ON t TO app", "at \"TO\" (character 13): expected the end: leave TO out"),
            ("GRANT SELECT ON t", "at \"GRANT\" (character 1): expected what follows GRANT"),
            ("SELECT ON t; DROP TABLE t", "at \";\" (character 12): expected the end"),
            ("SELECT ON ALL VIEWS IN SCHEMA app", "at \"VIEWS\" (character 15): expected TABLES"),
            ("SELECT ON ALL TABLES SCHEMA app", "at \"SCHEMA\" (character 22): expected IN"),
            ("EXECUTE ON FUNCTION f(numeric(10))", "at \"(\" (character 30): expected the type alone"),
            ("EXECUTE ON FUNCTION f(int,)", "at \")\" (character 27): expected a type"),
            ("SELECT ON LARGE OBJECT big", "at \"big\" (character 24): expected the number"),
            ("SELECT ON \"open", "expected a closing quotation mark"),
            ("SELECT ON été.ta-ble", "at \"-\" (character 17): expected the end"),
            (&long, "(character 11): expected a name of 1 to 63 bytes"),
        ] {
            let mistake = Grant::parse(text).unwrap_err();
            assert!(mistake.to_string().contains(expected), "{text}: {mistake}");
            assert!(mistake.place().starts_with("character "), "{text}");
        }
    }
}
