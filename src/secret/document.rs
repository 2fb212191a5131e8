//! The JSON document of a secret. A rotation changes the login and keeps all else byte for byte.

use std::collections::{HashMap, HashSet};
use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::connection_string::ConnectionString;
use super::occurrence::holds;
use super::password::Password;
use crate::error::{Problem, clean};

/// The members of the JSON object in order, each value as it was written. It has no `Display`, and
/// its `Debug` shows only keys.
#[derive(Clone)]
pub(crate) struct Document(Vec<(String, Box<RawValue>)>);

impl Document {
    /// Parses the value of a secret.
    ///
    /// # Errors
    /// A [`Problem`] that shows nothing of the value.
    pub(crate) fn parse(text: &SecretString) -> Result<Self, Problem> {
        let text = text.expose_secret();
        serde_json::from_str(text).map_err(|error| {
            if error.classify() != serde_json::error::Category::Data {
                let (line, column) = (error.line(), error.column());
                return format!("it is not JSON (line {line}, column {column}).").into();
            }
            // serde's own data errors quote the value, ours only the key.
            match error.to_string().strip_prefix(REPEATED_KEY) {
                Some(key) => {
                    let key = clean::name(key.split(" at line").next().unwrap_or_default());
                    format!("the key{key} appears twice in the JSON object.").into()
                }
                None => "it is JSON, but not an object. Expected {\"engine\": \"postgres\", \
                         \"host\": ..., \"username\": ..., \"password\": ...}."
                    .into(),
            }
        })
    }

    /// The `rotation` object, with which a secret can choose a part of its policy.
    pub(crate) fn rotation(&self) -> Option<&RawValue> {
        self.raw("rotation")
    }

    /// The document with another login, also in the URLs under `connection_strings`, and every
    /// other member unchanged.
    ///
    /// # Errors
    /// A [`Problem`] that names the key of a URL without a login that can be found.
    pub(crate) fn with_login(
        &self,
        username: &str,
        password: &Password,
        connection_strings: &[String],
    ) -> Result<Self, Problem> {
        let raw =
            |text: &str| serde_json::value::to_raw_value(text).map_err(|error| format!("{error}."));
        let mut document = self.clone();
        for (key, value) in &mut document.0 {
            match key.as_str() {
                "username" => *value = raw(username)?,
                "password" => *value = raw(password.expose_secret())?,
                key if connection_strings.iter().any(|name| name == key) => {
                    let Some(url) = self.url(key)? else { continue };
                    let url = ConnectionString::parse(&url).map_err(of_key(key))?;
                    *value = raw(&url.with_login(username, password))?;
                }
                _ => {}
            }
        }
        Ok(document)
    }

    /// The document as JSON.
    ///
    /// # Errors
    /// A string cannot be written as JSON, which does not happen with parsed strings.
    pub(crate) fn to_json(&self) -> Result<SecretString, serde_json::Error> {
        serde_json::to_string(self).map(SecretString::from)
    }

    /// Checks the URLs under `connection_strings`: each is one, and its username is known.
    ///
    /// # Errors
    /// A [`Problem`] that names the key.
    pub(crate) fn check_urls(
        &self,
        connection_strings: &[String],
        known: impl Fn(&str) -> bool,
    ) -> Result<(), Problem> {
        for key in connection_strings {
            let Some(url) = self.url(key)? else { continue };
            if !ConnectionString::parse(&url).map_err(of_key(key))?.username_is(&known) {
                let problem = "names another user than the secret, and connection_strings would \
                               change it. Correct the URL, or remove it from connection_strings.";
                return Err(of_key(key)(problem.into()));
            }
        }
        Ok(())
    }

    /// The first key of `connection_strings` whose URL does not hold this login.
    pub(crate) fn stale_url<'a>(
        &self,
        connection_strings: &'a [String],
        username: &str,
        password: &Password,
    ) -> Option<&'a str> {
        let stale = |key: &&String| {
            let url = self.url(key).ok().flatten();
            url.is_some_and(|url| {
                ConnectionString::parse(&url).is_ok_and(|url| !url.has_login(username, password))
            })
        };
        connection_strings.iter().find(stale).map(String::as_str)
    }

    /// The first key outside `except` with the password, plain or percent-encoded, in a string
    /// anywhere in its value.
    pub(crate) fn key_with(&self, password: &Password, except: &[&str]) -> Option<&str> {
        let password = password.expose_secret();
        let others = self.0.iter().filter(|(key, _)| !except.contains(&key.as_str()));
        let mut found = others.filter(|(_, value)| {
            serde_json::from_str(value.get()).is_ok_and(|value| holds(&value, password))
        });
        found.next().map(|(key, _)| key.as_str())
    }

    /// Every key, in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| key.as_str())
    }

    /// The text of a URL. JSON's `null` counts as absent.
    fn url(&self, key: &str) -> Result<Option<String>, Problem> {
        let Some(raw) = self.raw(key) else { return Ok(None) };
        serde_json::from_str(raw.get())
            .map_err(|_| of_key(key)("is not a string, as connection_strings says.".into()))
    }

    /// The first key outside `except` whose values differ in the two documents. URLs under
    /// `connection_strings` may differ in their login.
    pub(crate) fn difference<'a>(
        &'a self,
        other: &'a Self,
        except: &[&str],
        connection_strings: &[String],
    ) -> Option<&'a str> {
        // Values that serde_json cannot hold, such as 1e400, are compared as text.
        let parsed = |raw: &RawValue| serde_json::from_str::<serde_json::Value>(raw.get()).ok();
        let same_url = |key: &str| {
            let [ours, theirs] = [self, other].map(|document| {
                let url = document.url(key).ok().flatten()?;
                ConnectionString::parse(&url).ok().map(|url| url.without_login())
            });
            ours.is_some() && ours == theirs
        };
        let same = |key: &str, a: &RawValue, b: &RawValue| {
            a.get() == b.get()
                || parsed(a).is_some_and(|a| Some(a) == parsed(b))
                || connection_strings.iter().any(|name| name == key) && same_url(key)
        };
        let index = |document: &'a Self| -> HashMap<&'a str, &'a RawValue> {
            document.0.iter().map(|(key, value)| (key.as_str(), &**value)).collect()
        };
        let (ours, theirs) = (index(self), index(other));
        let equal = |key: &str| match (ours.get(key), theirs.get(key)) {
            (Some(a), Some(b)) => same(key, a, b),
            _ => false,
        };
        self.0
            .iter()
            .chain(&other.0)
            .map(|(key, _)| key.as_str())
            .find(|key| !except.contains(key) && !equal(key))
    }

    /// The value of a key, as it was written.
    pub(super) fn raw(&self, key: &str) -> Option<&RawValue> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| &**value)
    }
}

const REPEATED_KEY: &str = "repeated key";

fn of_key(key: &str) -> impl Fn(Problem) -> Problem {
    move |problem| format!("the key {:?} {problem}", clean::name(key)).into()
}

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
                // 64 KB hold 10,000 keys, too many to compare each with all others.
                let mut known = HashSet::new();
                while let Some((key, value)) = map.next_entry::<String, _>()? {
                    if !known.insert(key.clone()) {
                        return Err(serde::de::Error::custom(format_args!(
                            "{REPEATED_KEY} {key:?}"
                        )));
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

    fn document(text: &str) -> Document {
        Document::parse(&SecretString::from(text)).unwrap()
    }

    #[test]
    fn every_other_member_survives_byte_for_byte() {
        let text = concat!(
            r#"{"z":1e400,"port":"5432","a":{"b":[1.0,  1.00,-0.0]},"username":"app","#,
            r#""n":12345678901234567890.123456789,"password":"old","e":"\u00e9\/é","#,
            r#""t":[true,null],"":""}"#
        );
        let password = Password::new("n\"e\\w".to_owned());
        let new = document(text).with_login("app", &password, &[]).unwrap();
        let new = new.to_json().unwrap();
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
            let error = Document::parse(&SecretString::from(text)).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn documents_differ_by_value_and_not_by_spelling() {
        let current =
            r#"{"username":"app","password":"old","port":5432,"n":1e400,"deep":{"a":1,"b":[]}}"#;
        for (other, expected) in [
            (current, None),
            (
                concat!(
                    r#"{ "deep": {"b": [ ], "a": 1}, "n":1e400, "port":5432, "password":"new", "#,
                    r#""username":"\u0061pp" }"#
                ),
                None,
            ),
            (&current.replace("5432", "5433"), Some("port")),
            (&current.replace("5432", "\"5432\""), Some("port")),
            (&current.replace("1e400", "2e400"), Some("n")),
            (&current.replace("\"app\"", "\"other\""), Some("username")),
            (&current.replace("\"n\":1e400,", ""), Some("n")),
            (&current.replace("\"n\"", "\"more\":1,\"n\""), Some("more")),
        ] {
            assert_eq!(
                document(current).difference(&document(other), &["password"], &[]),
                expected,
                "{other}"
            );
        }
    }
}
