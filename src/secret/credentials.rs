//! The login in a secret, parsed from its document. Errors name keys and show no value.

use serde::Deserialize;

use super::document::Document;
use super::password::Password;
use crate::error::{Problem, clean};

/// The longest name in bytes. PostgreSQL silently cuts longer ones off (NAMEDATALEN - 1).
pub(crate) const MAX_NAME_BYTES: usize = 63;
/// The longest name in DNS.
const MAX_HOST_BYTES: usize = 253;
/// The longest ARN of a secret that Secrets Manager takes.
const MAX_ARN_BYTES: usize = 2048;
pub(crate) const DEFAULT_PORT: u16 = 5432;
const DEFAULT_DBNAME: &str = "postgres";
/// The keys of a document that this function reads.
pub(crate) const KEYS: [&str; 9] =
    ["engine", "host", "port", "dbname", "username", "password", "masterarn", "ssl", "rotation"];
const ENGINES: [&str; 2] = ["postgres", "aurora-postgresql"];

/// The login of an application.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    pub(crate) server: Server,
    pub(crate) username: String,
    pub(crate) password: Password,
    /// The ARN of the admin secret, under the key that AWS's functions use.
    pub(crate) masterarn: Option<String>,
}

/// The database's server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) dbname: String,
    /// Whether to use TLS. Only `false` in the secret's `ssl` key asks for plaintext.
    pub(crate) ssl: bool,
}

/// The login of an admin. A master secret that RDS manages holds only the username and the
/// password.
#[derive(Debug, Clone)]
pub(crate) struct AdminCredentials {
    pub(crate) username: String,
    pub(crate) password: Password,
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) dbname: Option<String>,
    /// Like [`Server::ssl`].
    pub(crate) ssl: bool,
}

impl Credentials {
    /// Reads the login of an application.
    ///
    /// # Errors
    /// A [`Problem`] that names the missing or wrong key.
    pub(crate) fn read(document: &Document) -> Result<Self, Problem> {
        let engine = required(document, "engine")?;
        if !ENGINES.contains(&engine.as_str()) {
            return Err("\"engine\" is neither \"postgres\" nor \"aurora-postgresql\".".into());
        }
        Ok(Self {
            server: Server {
                host: host(document)?.ok_or_else(|| missing(document, "host"))?,
                port: port(document)?.unwrap_or(DEFAULT_PORT),
                dbname: dbname(document)?.unwrap_or_else(|| DEFAULT_DBNAME.to_owned()),
                ssl: ssl(document)?,
            },
            username: username(document)?,
            password: password(document)?,
            masterarn: masterarn(document)?,
        })
    }
}

impl AdminCredentials {
    /// Reads the login of an admin.
    ///
    /// # Errors
    /// A [`Problem`] that names the missing or wrong key.
    pub(crate) fn read(document: &Document) -> Result<Self, Problem> {
        Ok(Self {
            username: username(document)?,
            password: password(document)?,
            host: host(document)?,
            port: port(document)?,
            dbname: dbname(document)?,
            ssl: ssl(document)?,
        })
    }
}

/// Our key that this one resembles, as other tools spell it.
pub(crate) fn lookalike(key: &str) -> Option<&'static str> {
    if KEYS.contains(&key) {
        return None;
    }
    let plain: String = key.chars().filter(|c| !"-_ ".contains(*c)).collect();
    match plain.to_ascii_lowercase().as_str() {
        "user" => Some("username"),
        "pass" | "passwd" | "pwd" => Some("password"),
        "database" | "databasename" | "db" => Some("dbname"),
        "hostname" => Some("host"),
        "masterarn" | "mastersecretarn" => Some("masterarn"),
        plain => KEYS.into_iter().find(|ours| *ours == plain),
    }
}

/// A non-empty string. JSON's `null` counts as absent.
fn text(document: &Document, key: &'static str) -> Result<Option<String>, Problem> {
    let Some(raw) = document.raw(key) else { return Ok(None) };
    match serde_json::from_str(raw.get()) {
        Ok(None) => Ok(None),
        Ok(Some(Scalar::Text(text))) if text.is_empty() => Err(format!("{key:?} is empty.").into()),
        Ok(Some(Scalar::Text(text))) if text.contains('\0') => {
            Err(format!("{key:?} contains a NUL character.").into())
        }
        Ok(Some(Scalar::Text(text))) => Ok(Some(text)),
        _ => Err(format!("{key:?} is not a string.").into()),
    }
}

fn required(document: &Document, key: &'static str) -> Result<String, Problem> {
    text(document, key)?.ok_or_else(|| missing(document, key))
}

fn username(document: &Document) -> Result<String, Problem> {
    let username = required(document, "username")?;
    if username.len() > MAX_NAME_BYTES {
        return Err(format!(
            "\"username\" has {} bytes; PostgreSQL cuts names off after {MAX_NAME_BYTES}.",
            username.len()
        )
        .into());
    }
    Ok(username)
}

fn password(document: &Document) -> Result<Password, Problem> {
    match document.raw("password").map(|raw| serde_json::from_str::<Option<Scalar>>(raw.get())) {
        None | Some(Ok(None)) => Err(missing(document, "password")),
        Some(Ok(Some(Scalar::Text(text)))) => {
            let password = Password::new(text);
            password
                .defect()
                .map_or(Ok(password), |defect| Err(format!("\"password\" {defect}.").into()))
        }
        Some(_) => Err("\"password\" is not a string.".into()),
    }
}

fn host(document: &Document) -> Result<Option<String>, Problem> {
    let Some(host) = text(document, "host")? else { return Ok(None) };
    let of_a_host = |c: char| c.is_ascii_alphanumeric() || "-._:%[]".contains(c);
    if host.len() > MAX_HOST_BYTES || !host.chars().all(of_a_host) {
        // Not shown: it may be a whole connection string with the password.
        return Err(
            "\"host\" is not one host name or address without scheme, port and path.".into()
        );
    }
    Ok(Some(host))
}

/// What names a secret: an ARN or a name, in the characters that Secrets Manager allows.
fn masterarn(document: &Document) -> Result<Option<String>, Problem> {
    let of_an_arn = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-:!".contains(c);
    match text(document, "masterarn")? {
        Some(arn) if arn.len() > MAX_ARN_BYTES || !arn.chars().all(of_an_arn) => {
            Err("\"masterarn\" is neither the ARN nor the name of a secret.".into())
        }
        arn => Ok(arn),
    }
}

fn dbname(document: &Document) -> Result<Option<String>, Problem> {
    match text(document, "dbname")? {
        Some(dbname) if dbname.len() > MAX_NAME_BYTES => Err(format!(
            "\"dbname\" has {} bytes; PostgreSQL cuts names off after {MAX_NAME_BYTES}.",
            dbname.len()
        )
        .into()),
        dbname => Ok(dbname),
    }
}

fn port(document: &Document) -> Result<Option<u16>, Problem> {
    let Some(raw) = document.raw("port") else { return Ok(None) };
    let port = match serde_json::from_str(raw.get()) {
        Ok(None) => return Ok(None),
        Ok(Some(Scalar::Number(port))) => u16::try_from(port).ok(),
        Ok(Some(Scalar::Text(text))) => text.parse().ok(),
        _ => None,
    };
    port.filter(|port| *port != 0)
        .map(Some)
        .ok_or_else(|| "\"port\" is not a whole number from 1 to 65535.".into())
}

fn ssl(document: &Document) -> Result<bool, Problem> {
    let Some(raw) = document.raw("ssl") else { return Ok(true) };
    match serde_json::from_str(raw.get()) {
        Ok(None) => Ok(true),
        Ok(Some(Scalar::Bool(ssl))) => Ok(ssl),
        Ok(Some(Scalar::Text(text))) if text.eq_ignore_ascii_case("true") => Ok(true),
        Ok(Some(Scalar::Text(text))) if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err("\"ssl\" is neither true nor false.".into()),
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Bool(bool),
    Number(u64),
    Text(String),
}

fn missing(document: &Document, key: &str) -> Problem {
    let mut keys = document.keys();
    match keys.find(|other| lookalike(other) == Some(key)) {
        Some(other) => {
            format!("the key {key:?} is missing. Rename {:?} to {key:?}.", clean::name(other))
        }
        None => format!("the key {key:?} is missing."),
    }
    .into()
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use serde_json::json;

    use super::*;

    const FULL: &str = r#"{"engine":"postgres","host":"db","username":"app","password":"canary"}"#;

    fn document(text: &str) -> Document {
        Document::parse(&SecretString::from(text)).unwrap()
    }

    /// `FULL` with one member added or replaced.
    fn with(key: &str, value: &str) -> Document {
        let mut members: serde_json::Value = serde_json::from_str(FULL).unwrap();
        members[key] = json!(serde_json::from_str::<serde_json::Value>(value).unwrap());
        document(&members.to_string())
    }

    #[test]
    fn defaults_are_those_of_aws_samples() {
        let credentials = Credentials::read(&document(FULL)).unwrap();
        assert_eq!(
            credentials.server,
            Server { host: "db".to_owned(), port: 5432, dbname: "postgres".to_owned(), ssl: true }
        );
        assert_eq!(credentials.masterarn, None);
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
            ("host", "\"a\\u001b[2J\"", "one host name"),
            ("masterarn", "\"arn:\\n canary\"", "\"masterarn\" is neither"),
            ("username", "null", "\"username\" is missing"),
            ("username", "\"a\\u0000b\"", "NUL"),
            ("username", long.as_str(), "\"username\" has 64 bytes"),
            ("dbname", long.as_str(), "\"dbname\" has 64 bytes"),
            ("password", "\"\"", "\"password\" is empty"),
            ("password", "[\"canary\"]", "\"password\" is not a string"),
            ("password", "null", "\"password\" is missing"),
            ("password", "\"md50123456789abcdef0123456789abcdef\"", "stored hash"),
            ("port", "0", "\"port\" is not"),
            ("port", "65536", "\"port\" is not"),
            ("port", "\"x\"", "\"port\" is not"),
            ("port", "5432.0", "\"port\" is not"),
            ("port", "-1", "\"port\" is not"),
            ("ssl", "\"maybe\"", "\"ssl\" is neither"),
            ("ssl", "1", "\"ssl\" is neither"),
            ("masterarn", "{}", "\"masterarn\" is not a string"),
        ] {
            let error = Credentials::read(&with(key, value)).unwrap_err().to_string();
            assert!(error.contains(expected), "{key} {value}: {error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn a_key_that_is_almost_ours_is_recognised() {
        for (key, ours) in [
            ("masterArn", Some("masterarn")),
            ("master_secret_arn", Some("masterarn")),
            ("database", Some("dbname")),
            ("dbName", Some("dbname")),
            ("user", Some("username")),
            ("Password", Some("password")),
            ("HOST", Some("host")),
            ("host", None),
            ("hosts", None),
            ("dbInstanceIdentifier", None),
            ("readHost", None),
        ] {
            assert_eq!(lookalike(key), ours, "{key}");
        }
        let error = Credentials::read(&document(&FULL.replace("username", "user"))).unwrap_err();
        assert!(error.to_string().contains("missing. Rename \"user\" to \"username\""), "{error}");
    }

    #[test]
    fn port_and_ssl_may_be_strings() {
        for (key, value) in [("port", "\"6432\""), ("port", "6432")] {
            assert_eq!(Credentials::read(&with(key, value)).unwrap().server.port, 6432);
        }
        for (value, ssl) in [
            ("true", true),
            ("\"True\"", true),
            ("null", true),
            ("false", false),
            ("\"false\"", false),
        ] {
            assert_eq!(Credentials::read(&with("ssl", value)).unwrap().server.ssl, ssl, "{value}");
        }
    }

    #[test]
    fn an_rds_managed_master_secret_is_enough_for_the_admin() {
        let admin =
            AdminCredentials::read(&document(r#"{"username":"postgres","password":"canary"}"#))
                .unwrap();
        assert_eq!(
            (admin.username.as_str(), admin.host, admin.port, admin.dbname),
            ("postgres", None, None, None)
        );
    }

    #[test]
    fn debug_shows_keys_only() {
        let document = document(FULL);
        let shown = format!("{document:?} {:?}", Credentials::read(&document).unwrap());
        assert!(shown.contains("username") && !shown.contains("canary"), "{shown}");
    }
}
