//! The grammar of a declared grant: the words that follow GRANT, without TO.

use super::check::{Check, Kind, OF_COLUMNS, PRIVILEGES, privilege_name, too_many};
use super::lexer::Mistake;
use super::parser::Parser;

/// A privilege as it was written, with its columns. The name `None` means ALL.
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

/// The checks that a text stands for, at most `most`. They are counted before they are made, since
/// some words stand for many checks.
pub(super) fn checks(text: &str, most: usize) -> Result<Vec<Check>, Mistake> {
    let mut parser = Parser::new(text)?;
    if parser.peek_word("GRANT") {
        return Err(parser.mistake("expected what follows GRANT, without that word"));
    }
    let checks =
        if parser.has_word("ON") { parser.privileges_on(most)? } else { parser.roles(most)? };
    if parser.peek_word("TO") {
        return Err(parser
            .mistake("expected the end: leave TO out, the grant is always to the rotated user"));
    }
    match parser.peek() {
        Some(_) => Err(parser.mistake("expected the end, or a comma before another name")),
        None => Ok(checks),
    }
}

impl Parser<'_> {
    fn roles(&mut self, most: usize) -> Result<Vec<Check>, Mistake> {
        let privilege =
            self.peek().is_some_and(|token| privilege_name(token).is_some() || token.is("ALL"));
        let roles = self.list(Self::name)?;
        if privilege {
            return Err(self.mistake("expected ON and an object"));
        }
        if roles.len() > most {
            return Err(too_many(1));
        }
        let grantable = self.take(&["WITH", "ADMIN", "OPTION"]);
        Ok(roles
            .into_iter()
            .map(|name| Check::new(Kind::Role, Object::named(name), None, grantable))
            .collect())
    }

    fn privileges_on(&mut self, most: usize) -> Result<Vec<Check>, Mistake> {
        let privileges = self.list(Self::privilege)?;
        self.expect("ON")?;
        let (kind, objects) = self.objects()?;
        let grantable = self.take(&["WITH", "GRANT", "OPTION"]);
        let allowed = PRIVILEGES
            .iter()
            .find(|(known, _)| *known == kind)
            .map_or(&[][..], |(_, privileges)| privileges);
        let weight: usize = objects.iter().map(Object::weight).sum();
        let mut left = most;
        let mut checks = Vec::new();
        for privilege in &privileges {
            let names = match privilege.name {
                Some(name) if allowed.contains(&name) => vec![name],
                Some(name) => {
                    return Err(Mistake::new(
                        name,
                        privilege.at,
                        &format!("expected one of {}", allowed.join(", ")),
                    ));
                }
                None if privilege.columns.is_empty() => allowed.to_vec(),
                None => OF_COLUMNS.to_vec(),
            };
            let on_columns = !privilege.columns.is_empty();
            if on_columns
                && (kind != Kind::Table
                    || names.iter().any(|name| !OF_COLUMNS.contains(name))
                    || objects.iter().any(|o| o.name.is_none()))
            {
                let expected = format!(
                    "expected ON; only {} on a table can have columns",
                    OF_COLUMNS.join(", ")
                );
                return Err(Mistake::new("(", privilege.columns_at, &expected));
            }
            let columns = privilege.columns.len().max(1);
            let weight = weight.saturating_mul(names.len()).saturating_mul(columns);
            left = left.checked_sub(weight).ok_or_else(|| too_many(privilege.at))?;
            for object in &objects {
                for name in &names {
                    let check = Check {
                        implied: privilege.name.is_none(),
                        ..Check::new(kind, object.clone(), Some(name), grantable)
                    };
                    if on_columns {
                        checks.extend(
                            privilege.columns.iter().map(|column| Check {
                                column: Some(column.clone()),
                                ..check.clone()
                            }),
                        );
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
            let name = self
                .peek()
                .and_then(privilege_name)
                .ok_or_else(|| self.mistake("expected a privilege such as SELECT or USAGE"))?;
            self.skip();
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
                Some(token) if token.is("FUNCTIONS") => Kind::Function,
                Some(token) if token.is("PROCEDURES") => Kind::Procedure,
                Some(token) if token.is("ROUTINES") => Kind::Routine,
                _ => return Err(self.mistake("expected TABLES, SEQUENCES or FUNCTIONS")),
            };
            self.skip();
            self.expect("IN")?;
            self.expect("SCHEMA")?;
            let schemas = self.list(Self::name)?;
            return Ok((
                kind,
                schemas
                    .into_iter()
                    .map(|schema| Object { schema: Some(schema), name: None, arguments: None })
                    .collect(),
            ));
        }
        let words: [(&[&str], Kind); 15] = [
            (&["TABLE"], Kind::Table),
            (&["SEQUENCE"], Kind::Sequence),
            (&["FUNCTION"], Kind::Function),
            (&["PROCEDURE"], Kind::Procedure),
            (&["ROUTINE"], Kind::Routine),
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
        let kind = words
            .into_iter()
            .find(|(words, _)| self.take(words))
            .map_or(Kind::Table, |(_, kind)| kind);
        let objects = match kind {
            Kind::Table | Kind::Sequence | Kind::Type => self.list(Self::qualified)?,
            Kind::Function | Kind::Procedure | Kind::Routine => self.list(Self::function)?,
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
            return Err(
                self.mistake("expected schema.name; columns go in parentheses after the privilege")
            );
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

    /// An argument's type, which its name may precede, up to the next comma or the closing
    /// parenthesis. The result has one spelling.
    fn data_type(&mut self) -> Result<String, Mistake> {
        for mode in ["IN", "INOUT", "VARIADIC"] {
            self.take(&[mode]);
        }
        let mut name = String::new();
        while let Some(token) = self.peek().copied() {
            match token.name() {
                _ if token.is(",") || token.is(")") => break,
                None if token.is("(") => {
                    return Err(self.mistake("expected only the type, without its length"));
                }
                Some(_) => {
                    if !name.is_empty() && !name.ends_with('.') {
                        name.push(' ');
                    }
                    // An unquoted word is folded to lower case, a quoted one keeps its quotes.
                    name.push_str(&if token.quoted {
                        token.text.to_owned()
                    } else {
                        token.text.to_ascii_lowercase()
                    });
                }
                None if token.is(".") || token.is("[") || token.is("]") => {
                    name.push_str(token.text);
                }
                None => return Err(self.mistake("expected a type")),
            }
            self.skip();
        }
        if name.is_empty() { Err(self.mistake("expected a type")) } else { Ok(name) }
    }

    fn parameter(&mut self) -> Result<Object, Mistake> {
        let mut name = self.name()?;
        while self.take(&["."]) {
            name = format!("{name}.{}", self.name()?);
        }
        Ok(Object::named(name))
    }

    fn number(&mut self) -> Result<Object, Mistake> {
        let number = self
            .peek()
            .map(|token| token.text)
            .filter(|text| text.parse::<u32>().is_ok())
            .map(str::to_owned);
        let number = number.ok_or_else(|| self.mistake("expected the number of a large object"))?;
        self.skip();
        Ok(Object::named(number))
    }
}

impl Object {
    /// How many checks it counts for: each type of an argument is looked up, too.
    fn weight(&self) -> usize {
        1 + self.arguments.as_ref().map_or(0, Vec::len)
    }

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
