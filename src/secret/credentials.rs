//! The JSON document of a secret: what is ours in it is parsed once, everything else is kept byte for byte.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::password::Password;

/// PostgreSQL cuts longer names off silently (NAMEDATALEN - 1), in bytes.
pub const MAX_NAME_BYTES: usize = 63;
pub const DEFAULT_PORT: u16 = 5432;
const DEFAULT_DBNAME: &str = "postgres";
const ENGINES: [&str; 2] = ["postgres", "aurora-postgresql"];

/// The members of the JSON object in their order, each value as it was written. It has no `Display`, and its `Debug` shows keys only.
#[derive(Clone)]
pub struct Document(Vec<(String, Box<RawValue>)>);

/// What a secret says about how to log in.
#[derive(Debug, Clone)]
pub struct Credentials {
    pub server: Server,
    pub username: String,
    pub password: Password,
    /// The admin secret, `masterarn` in AWS's own functions.
    pub masterarn: Option<String>,
}

/// Where the database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub host: String,
    pub port: u16,
    pub dbname: String,
    /// Whether the secret's `ssl` key asks for TLS; only an explicit `false` does not.
    pub ssl: bool,
}

/// The admin's log-in. A master secret that RDS manages holds no more than the username and the password.
#[derive(Debug, Clone)]
pub struct AdminCredentials {
    pub username: String,
    pub password: Password,
    pub host: Option<String>,
    pub port: Option<u16>,
    pub dbname: Option<String>,
    /// As [`Server::ssl`].
    pub ssl: bool,
}

impl Document {
    /// Parses the value of a secret.
    ///
    /// # Errors
    /// A sentence that says what is wrong and shows nothing of the value.
    pub fn parse(text: &SecretString) -> Result<Self, String> {
        let text = text.expose_secret();
        serde_json::from_str(text).map_err(|error| {
            if error.classify() == serde_json::error::Category::Data {
                // The only data errors are ours, and ours quote keys alone; serde's own would quote the value.
                let reason = error.to_string();
                return match reason.strip_prefix(REPEATED_KEY) {
                    Some(key) => format!("the key{} appears twice in the JSON object.", key.split(" at line").next().unwrap_or_default()),
                    None => "it is JSON, but not an object. Expected {\"engine\": \"postgres\", \"host\": ..., \"username\": ..., \"password\": ...}.".to_owned(),
                };
            }
            format!("it is not JSON (line {}, column {}).", error.line(), error.column())
        })
    }

    /// What the document says about how to log in.
    ///
    /// # Errors
    /// A sentence that names the key that is missing or wrong.
    pub fn credentials(&self) -> Result<Credentials, String> {
        let engine = self.required("engine")?;
        if !ENGINES.contains(&engine.as_str()) {
            return Err("\"engine\" is neither \"postgres\" nor \"aurora-postgresql\".".to_owned());
        }
        Ok(Credentials {
            server: Server {
                host: self.host()?.ok_or_else(|| missing("host"))?,
                port: self.port()?.unwrap_or(DEFAULT_PORT),
                dbname: self.dbname()?.unwrap_or_else(|| DEFAULT_DBNAME.to_owned()),
                ssl: self.ssl()?,
            },
            username: self.username()?,
            password: self.password()?,
            masterarn: self.text("masterarn")?,
        })
    }

    /// What the document says about how to log in as an administrator.
    ///
    /// # Errors
    /// A sentence that names the key that is missing or wrong.
    pub fn admin_credentials(&self) -> Result<AdminCredentials, String> {
        Ok(AdminCredentials {
            username: self.username()?,
            password: self.password()?,
            host: self.host()?,
            port: self.port()?,
            dbname: self.dbname()?,
            ssl: self.ssl()?,
        })
    }

    /// The object `rotation` that the secret's owner may put into it, if there is one.
    #[must_use]
    pub fn rotation(&self) -> Option<&RawValue> {
        self.raw("rotation")
    }

    /// The same document for another log-in, every other member unchanged.
    ///
    /// # Errors
    /// A string cannot be written as JSON, which does not happen with strings that were parsed.
    pub fn with_login(&self, username: &str, password: &Password) -> Result<SecretString, serde_json::Error> {
        let mut document = self.clone();
        for (key, value) in &mut document.0 {
            match key.as_str() {
                "username" => *value = serde_json::value::to_raw_value(username)?,
                "password" => *value = serde_json::value::to_raw_value(password.expose_secret())?,
                _ => {}
            }
        }
        serde_json::to_string(&document).map(SecretString::from)
    }

    /// The first key, but for `except`, under which the two documents do not hold the same value.
    #[must_use]
    pub fn difference<'a>(&'a self, other: &'a Self, except: &[&str]) -> Option<&'a str> {
        // What serde_json cannot hold, such as 1e400, is the same only letter for letter.
        let parsed = |raw: &RawValue| serde_json::from_str::<serde_json::Value>(raw.get()).ok();
        let same = |a: &RawValue, b: &RawValue| a.get() == b.get() || parsed(a).is_some_and(|a| Some(a) == parsed(b));
        let equal = |key: &str| match (self.raw(key), other.raw(key)) {
            (Some(a), Some(b)) => same(a, b),
            _ => false,
        };
        self.0.iter().chain(&other.0).map(|(key, _)| key.as_str()).find(|key| !except.contains(key) && !equal(key))
    }

    fn raw(&self, key: &str) -> Option<&RawValue> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| &**value)
    }

    /// A string that is not empty; JSON's `null` counts as absent.
    fn text(&self, key: &'static str) -> Result<Option<String>, String> {
        let Some(raw) = self.raw(key) else { return Ok(None) };
        match serde_json::from_str(raw.get()) {
            Ok(None) => Ok(None),
            Ok(Some(Scalar::Text(text))) if text.is_empty() => Err(format!("{key:?} is empty.")),
            Ok(Some(Scalar::Text(text))) if text.contains('\0') => Err(format!("{key:?} contains a NUL character.")),
            Ok(Some(Scalar::Text(text))) => Ok(Some(text)),
            _ => Err(format!("{key:?} is not a string.")),
        }
    }

    fn required(&self, key: &'static str) -> Result<String, String> {
        self.text(key)?.ok_or_else(|| missing(key))
    }

    fn username(&self) -> Result<String, String> {
        let username = self.required("username")?;
        if username.len() > MAX_NAME_BYTES {
            return Err(format!("\"username\" has {} bytes; PostgreSQL cuts names off after {MAX_NAME_BYTES}.", username.len()));
        }
        Ok(username)
    }

    fn password(&self) -> Result<Password, String> {
        match self.raw("password").map(|raw| serde_json::from_str::<Option<Scalar>>(raw.get())) {
            None | Some(Ok(None)) => Err(missing("password")),
            Some(Ok(Some(Scalar::Text(text)))) => {
                let password = Password::new(text);
                password.defect().map_or(Ok(password), |defect| Err(format!("\"password\" {defect}.")))
            }
            Some(_) => Err("\"password\" is not a string.".to_owned()),
        }
    }

    fn host(&self) -> Result<Option<String>, String> {
        let Some(host) = self.text("host")? else { return Ok(None) };
        if host.contains(|c: char| c.is_whitespace() || matches!(c, '/' | ',' | '@')) {
            // Not shown: a whole connection string may stand there, with the password in it.
            return Err("\"host\" is not one host name or address, without scheme, port or path.".to_owned());
        }
        Ok(Some(host))
    }

    fn dbname(&self) -> Result<Option<String>, String> {
        match self.text("dbname")? {
            Some(dbname) if dbname.len() > MAX_NAME_BYTES => {
                Err(format!("\"dbname\" has {} bytes; PostgreSQL cuts names off after {MAX_NAME_BYTES}.", dbname.len()))
            }
            dbname => Ok(dbname),
        }
    }

    fn port(&self) -> Result<Option<u16>, String> {
        let Some(raw) = self.raw("port") else { return Ok(None) };
        let port = match serde_json::from_str(raw.get()) {
            Ok(None) => return Ok(None),
            Ok(Some(Scalar::Number(port))) => u16::try_from(port).ok(),
            Ok(Some(Scalar::Text(text))) => text.parse().ok(),
            _ => None,
        };
        port.filter(|port| *port != 0).map(Some).ok_or_else(|| "\"port\" is not a whole number from 1 to 65535.".to_owned())
    }

    fn ssl(&self) -> Result<bool, String> {
        let Some(raw) = self.raw("ssl") else { return Ok(true) };
        match serde_json::from_str(raw.get()) {
            Ok(None) => Ok(true),
            Ok(Some(Scalar::Bool(ssl))) => Ok(ssl),
            Ok(Some(Scalar::Text(text))) if text.eq_ignore_ascii_case("true") => Ok(true),
            Ok(Some(Scalar::Text(text))) if text.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err("\"ssl\" is neither true nor false.".to_owned()),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Bool(bool),
    Number(u64),
    Text(String),
}

fn missing(key: &str) -> String {
    format!("the key {key:?} is missing.")
}

const REPEATED_KEY: &str = "repeated key";

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Document;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
                let mut members: Vec<(String, Box<RawValue>)> = Vec::new();
                while let Some((key, value)) = map.next_entry()? {
                    if members.iter().any(|(known, _)| *known == key) {
                        return Err(serde::de::Error::custom(format_args!("{REPEATED_KEY} {key:?}")));
                    }
                    members.push((key, value));
                }
                Ok(Document(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(key, _)| key)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = r#"{"engine":"postgres","host":"db","username":"app","password":"canary"}"#;

    fn document(text: &str) -> Document {
        Document::parse(&SecretString::from(text)).unwrap()
    }

    /// `FULL` with one member added or replaced.
    fn with(key: &str, value: &str) -> Document {
        let mut document = document(FULL);
        document.0.retain(|(name, _)| name != key);
        document.0.push((key.to_owned(), RawValue::from_string(value.to_owned()).unwrap()));
        document
    }

    #[test]
    fn defaults_are_those_of_aws_samples() {
        let credentials = document(FULL).credentials().unwrap();
        assert_eq!(credentials.server, Server { host: "db".to_owned(), port: 5432, dbname: "postgres".to_owned(), ssl: true });
        assert_eq!(credentials.masterarn, None);
    }

    #[test]
    fn every_other_member_survives_byte_for_byte() {
        let text = r#"{"z":1e400,"port":"5432","a":{"b":[1.0,  1.00,-0.0]},"username":"app","n":12345678901234567890.123456789,"password":"old","e":"\u00e9\/é","t":[true,null],"":""}"#;
        let new = document(text).with_login("app", &Password::new("n\"e\\w".to_owned())).unwrap();
        assert_eq!(new.expose_secret(), text.replace("\"old\"", r#""n\"e\\w""#));
    }

    #[test]
    fn a_bad_document_is_refused_and_not_shown() {
        for (text, expected) in [
            ("", "not JSON (line 1, column 0)"),
            ("canary", "not JSON"),
            (r#"{"password":"canary""#, "not JSON"),
            (r#"["canary"]"#, "not an object"),
            (r#""canary""#, "not an object"),
            ("null", "not an object"),
            ("12", "not an object"),
            (r#"{"password":"canary","host":"a","host":"b"}"#, r#"the key "host" appears twice"#),
            (r#"{"password":"canary"} x"#, "not JSON"),
        ] {
            let error = Document::parse(&SecretString::from(text)).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn each_bad_member_is_named() {
        let long = format!("\"{}\"", "é".repeat(32));
        for (key, value, expected) in [
            ("engine", "\"mysql canary\"", "\"engine\" is neither"),
            ("engine", "null", "\"engine\" is missing"),
            ("host", "\"\"", "\"host\" is empty"),
            ("host", "7", "\"host\" is not a string"),
            ("host", "\"/var/run/postgresql\"", "\"host\" is not one host name"),
            ("host", "\"postgres://app:canary@db/shop\"", "without scheme"),
            ("host", "\"a,b\"", "one host name"),
            ("username", "null", "\"username\" is missing"),
            ("username", "\"a\\u0000b\"", "NUL"),
            ("username", long.as_str(), "\"username\" has 64 bytes"),
            ("dbname", long.as_str(), "\"dbname\" has 64 bytes"),
            ("password", "\"\"", "\"password\" is empty"),
            ("password", "[\"canary\"]", "\"password\" is not a string"),
            ("password", "null", "\"password\" is missing"),
            ("password", "\"SCRAM-SHA-256$canary\"", "stored hash"),
            ("port", "0", "\"port\" is not"),
            ("port", "65536", "\"port\" is not"),
            ("port", "\"x\"", "\"port\" is not"),
            ("port", "5432.0", "\"port\" is not"),
            ("port", "-1", "\"port\" is not"),
            ("ssl", "\"maybe\"", "\"ssl\" is neither"),
            ("ssl", "1", "\"ssl\" is neither"),
            ("masterarn", "{}", "\"masterarn\" is not a string"),
        ] {
            let error = with(key, value).credentials().unwrap_err();
            assert!(error.contains(expected), "{key} {value}: {error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn port_and_ssl_may_be_strings() {
        for (key, value) in [("port", "\"6432\""), ("port", "6432")] {
            assert_eq!(with(key, value).credentials().unwrap().server.port, 6432);
        }
        for (value, ssl) in [("true", true), ("\"True\"", true), ("null", true), ("false", false), ("\"false\"", false)] {
            assert_eq!(with("ssl", value).credentials().unwrap().server.ssl, ssl, "{value}");
        }
    }

    #[test]
    fn documents_differ_by_value_and_not_by_spelling() {
        let current = r#"{"username":"app","password":"old","port":5432,"n":1e400,"deep":{"a":1,"b":[]}}"#;
        for (other, expected) in [
            (current, None),
            (r#"{ "deep": {"b": [ ], "a": 1}, "n":1e400, "port":5432, "password":"new", "username":"\u0061pp" }"#, None),
            (&current.replace("5432", "5433"), Some("port")),
            (&current.replace("5432", "\"5432\""), Some("port")),
            (&current.replace("1e400", "2e400"), Some("n")),
            (&current.replace("\"app\"", "\"other\""), Some("username")),
            (&current.replace("\"n\":1e400,", ""), Some("n")),
            (&current.replace("\"n\"", "\"more\":1,\"n\""), Some("more")),
        ] {
            assert_eq!(document(current).difference(&document(other), &["password"]), expected, "{other}");
        }
    }

    #[test]
    fn an_rds_managed_master_secret_is_enough_for_the_admin() {
        let admin = document(r#"{"username":"postgres","password":"canary"}"#).admin_credentials().unwrap();
        assert_eq!((admin.username.as_str(), admin.host, admin.port, admin.dbname), ("postgres", None, None, None));
    }

    #[test]
    fn debug_shows_keys_only() {
        let document = document(FULL);
        let shown = format!("{document:?} {:?}", document.credentials().unwrap());
        assert!(shown.contains("username") && !shown.contains("canary"), "{shown}");
    }
}
