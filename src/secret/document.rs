//! The JSON document of a secret. A rotation changes the login and keeps all else byte for byte.

use std::collections::{HashMap, HashSet};
use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

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

    /// The document with another login and every other member unchanged.
    ///
    /// # Errors
    /// A string cannot be written as JSON, which does not happen with parsed strings.
    pub(crate) fn with_login(
        &self,
        username: &str,
        password: &Password,
    ) -> Result<SecretString, serde_json::Error> {
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

    /// The first key outside `except` whose values differ in the two documents.
    pub(crate) fn difference<'a>(&'a self, other: &'a Self, except: &[&str]) -> Option<&'a str> {
        // Values that serde_json cannot hold, such as 1e400, are compared as text.
        let parsed = |raw: &RawValue| serde_json::from_str::<serde_json::Value>(raw.get()).ok();
        let same = |a: &RawValue, b: &RawValue| {
            a.get() == b.get() || parsed(a).is_some_and(|a| Some(a) == parsed(b))
        };
        let index = |document: &'a Self| -> HashMap<&'a str, &'a RawValue> {
            document.0.iter().map(|(key, value)| (key.as_str(), &**value)).collect()
        };
        let (ours, theirs) = (index(self), index(other));
        let equal = |key: &str| match (ours.get(key), theirs.get(key)) {
            (Some(a), Some(b)) => same(a, b),
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
                // 64 KB hold 10,000 keys: each is not compared with all the others.
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
                document(current).difference(&document(other), &["password"]),
                expected,
                "{other}"
            );
        }
    }
}
