//! The login in a `postgres://` URL of a document. All else in the URL stays byte for byte.

use super::password::Password;
use crate::error::Problem;

const SCHEMES: [&str; 2] = ["postgres", "postgresql"];
/// The keys of a URL's query that hold a login, as JDBC, libpq and node-postgres read them.
const USER: &str = "user";
const PASSWORD: &str = "password";
const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// A URL, cut at the places of its login.
pub(super) struct ConnectionString<'a>(Vec<Part<'a>>);

enum Part<'a> {
    Text(&'a str),
    Username(&'a str),
    Password(&'a str),
}

impl<'a> ConnectionString<'a> {
    /// Finds the login: before the host, and in the query.
    ///
    /// # Errors
    /// A [`Problem`] that shows nothing of the URL.
    pub(super) fn parse(url: &'a str) -> Result<Self, Problem> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or("is not a postgres:// URL. Correct it, or remove it from connection_strings.")?;
        // `jdbc:postgresql` and SQLAlchemy's `postgresql+psycopg` too.
        let name = scheme.strip_prefix("jdbc:").unwrap_or(scheme).split('+').next();
        if !name.is_some_and(|name| SCHEMES.contains(&name)) {
            return Err("does not begin with postgres:// or postgresql://.".into());
        }
        let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let mut parts = vec![Part::Text(scheme), Part::Text("://")];
        match authority.split_once('@') {
            None => parts.push(Part::Text(authority)),
            Some((_, host)) if host.contains('@') => {
                return Err("has two @ before its path. Write %40 for the one in the login.".into());
            }
            Some((login, host)) => {
                let (username, password) =
                    login.split_once(':').map_or((login, None), |(a, b)| (a, Some(b)));
                parts.push(Part::Username(username));
                if let Some(password) = password {
                    parts.extend([Part::Text(":"), Part::Password(password)]);
                }
                parts.extend([Part::Text("@"), Part::Text(host)]);
            }
        }
        let (path, query) = tail.split_at(tail.find(['?', '#']).unwrap_or(tail.len()));
        parts.push(Part::Text(path));
        let (query, fragment) = query.split_at(query.find('#').unwrap_or(query.len()));
        for pair in query.split_inclusive(['?', '&']) {
            let (pair, end) = pair.split_at(pair.trim_end_matches(['?', '&']).len());
            match pair.split_once('=') {
                Some((USER, value)) => {
                    parts.extend([Part::Text("user="), Part::Username(value)]);
                }
                Some((PASSWORD, value)) => {
                    parts.extend([Part::Text("password="), Part::Password(value)]);
                }
                _ => parts.push(Part::Text(pair)),
            }
            parts.push(Part::Text(end));
        }
        parts.push(Part::Text(fragment));
        if parts.iter().all(|part| matches!(part, Part::Text(_))) {
            return Err("has no username and no password before its host. Write their special \
                        characters percent-encoded, or remove it from connection_strings."
                .into());
        }
        Ok(Self(parts))
    }

    /// The URL with another login, percent-encoded.
    pub(super) fn with_login(&self, username: &str, password: &Password) -> String {
        self.filled(&encoded(username), &encoded(password.expose_secret()))
    }

    /// The URL without its login, for comparisons.
    pub(super) fn without_login(&self) -> String {
        self.filled("", "")
    }

    /// Whether every username in it satisfies `known`.
    pub(super) fn username_is(&self, known: impl Fn(&str) -> bool) -> bool {
        self.0.iter().all(|part| match part {
            Part::Username(name) => decoded(name).is_some_and(|name| known(&name)),
            _ => true,
        })
    }

    /// Whether it holds this login, as far as it holds one.
    pub(super) fn has_login(&self, username: &str, password: &Password) -> bool {
        let password = password.expose_secret();
        self.username_is(|known| known == username)
            && self.0.iter().all(|part| match part {
                Part::Password(known) => decoded(known).is_some_and(|known| known == password),
                _ => true,
            })
    }

    fn filled(&self, username: &str, password: &str) -> String {
        let texts = self.0.iter().map(|part| match part {
            Part::Text(text) => text,
            Part::Username(_) => username,
            Part::Password(_) => password,
        });
        texts.collect()
    }
}

/// Percent-encodes all but the characters that no part of a URL gives a meaning.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let digit = |value: u8| char::from(HEX[usize::from(value)]);
            encoded.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    encoded
}

/// The text behind percent-encoding; `None` if that is not UTF-8.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|two| two.bytes().all(|c| c.is_ascii_hexdigit()));
        if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            bytes.extend(&part.as_bytes()[2..]);
        } else {
            bytes.push(b'%');
            bytes.extend(part.as_bytes());
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::new(text.to_owned())
    }

    #[test]
    fn only_the_login_changes() {
        let new = password("n/e@w:%é&#?");
        let (user, pass) = ("a%20b%40", "n%2Fe%40w%3A%25%C3%A9%26%23%3F");
        for (before, after) in [
            ("postgres://app:old@db/shop", "postgres://U:P@db/shop"),
            (
                "postgresql://app:old@db:5432/shop?sslmode=require",
                "postgresql://U:P@db:5432/shop?sslmode=require",
            ),
            ("postgresql+psycopg://app:old@[::1]:1/", "postgresql+psycopg://U:P@[::1]:1/"),
            ("postgres://app@db", "postgres://U@db"),
            ("postgres://:@db", "postgres://U:P@db"),
            ("postgres://app:o:l:d@a:1,b:2/shop#x?user=y", "postgres://U:P@a:1,b:2/shop#x?user=y"),
            ("postgres://app:old@db?a=@/b&c", "postgres://U:P@db?a=@/b&c"),
            (
                "jdbc:postgresql://db/shop?user=app&ssl=true&password=old",
                "jdbc:postgresql://db/shop?user=U&ssl=true&password=P",
            ),
            (
                "postgresql:///shop?host=db&user=app&password=old&&x",
                "postgresql:///shop?host=db&user=U&password=P&&x",
            ),
            ("postgres://app:old@db/?password=old", "postgres://U:P@db/?password=P"),
        ] {
            let parsed =
                ConnectionString::parse(before).unwrap_or_else(|p| panic!("{before}: {p}"));
            let expected = after.replace('U', user).replace('P', pass);
            let written = parsed.with_login("a b@", &new);
            assert_eq!(written, expected);
            let again = ConnectionString::parse(&written).unwrap();
            assert!(again.has_login("a b@", &new), "{written}");
            assert!(!parsed.has_login("a b@", &new), "{before}");
            assert_eq!(again.without_login(), parsed.without_login());
        }
    }

    #[test]
    fn a_text_whose_login_cannot_be_told_is_refused_and_not_shown() {
        for (url, expected) in [
            ("canary", "not a postgres:// URL"),
            ("host=db password=canary", "not a postgres:// URL"),
            ("mysql://app:canary@db/shop", "does not begin with postgres://"),
            ("postgres://app:can@ary@db/shop", "two @"),
            ("postgres://app:can/ary@db/shop", "no username and no password"),
            ("postgres://db/shop", "no username and no password"),
        ] {
            let problem = ConnectionString::parse(url).err().unwrap().to_string();
            assert!(problem.contains(expected) && !problem.contains("canary"), "{url}: {problem}");
        }
    }

    #[test]
    fn what_is_encoded_can_be_decoded() {
        for text in ["", "plain", "a b", "%", "%zz", "%+f", "100%", "é🍕", "\u{7f}\t", "%é"] {
            assert_eq!(decoded(&encoded(text)).as_deref(), Some(text));
        }
        assert_eq!(decoded("%2f%2F%").as_deref(), Some("//%"));
        assert_eq!(decoded("%ff"), None);
    }
}
