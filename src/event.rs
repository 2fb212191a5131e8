//! What comes in and what goes out, as types: an event of Secrets Manager, and the report on it.

use std::time::Duration;

use secrecy::SecretString;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::error::Error;
use crate::policy::Strategy;

const EXPECTED: &str = "Expected Secrets Manager's rotation event: {\"Step\": \"createSecret\" | \"setSecret\" | \"testSecret\" | \
                        \"finishSecret\", \"SecretId\": \"...\", \"ClientRequestToken\": \"...\"}.";

/// A step of a rotation, as Secrets Manager asks for it.
#[derive(Debug, Clone)]
pub struct Request {
    pub step: Step,
    /// An ARN or a name.
    pub secret_id: String,
    /// The version that is being rotated in.
    pub token: String,
    /// Proof that the caller is the rotation, which `PutSecretValue` needs across accounts. Not for any eyes.
    pub rotation_token: Option<SecretString>,
}

/// The four steps of a rotation, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    CreateSecret,
    SetSecret,
    TestSecret,
    FinishSecret,
}

/// What a step did. It holds no secret value.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Report {
    pub step: Step,
    #[serde(rename = "SecretId")]
    pub secret: String,
    #[serde(rename = "VersionId")]
    pub version: String,
    pub strategy: Option<Strategy>,
    pub outcome: Outcome,
    /// What was done, in a sentence for a person.
    pub message: String,
    /// What works and should be looked at all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Of `testSecret` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks: Option<Checks>,
    #[serde(rename = "DurationMs", serialize_with = "milliseconds")]
    pub duration: Duration,
}

/// How much of what the policy declares was checked.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Checks {
    pub grants: usize,
    pub probes: usize,
    #[serde(rename = "DurationMs", serialize_with = "milliseconds")]
    pub duration: Duration,
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Outcome {
    /// The version is AWSCURRENT already; nothing was left to do.
    AlreadyCurrent,
    /// A new pending value was stored.
    Created,
    /// The version had a value already, which stays.
    Kept,
    /// The database accepts the pending password now.
    PasswordSet,
    /// The database accepted it before.
    AlreadySet,
    /// The pending credential works.
    Tested,
    /// The version has no value; the current credential was tested and works.
    CurrentTested,
    /// AWSCURRENT is on the version now.
    Finished,
}

impl Step {
    /// The name that Secrets Manager uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CreateSecret => "createSecret",
            Self::SetSecret => "setSecret",
            Self::TestSecret => "testSecret",
            Self::FinishSecret => "finishSecret",
        }
    }

    /// One page of AWS's documentation spells the steps with underscores.
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "createSecret" | "create_secret" => Self::CreateSecret,
            "setSecret" | "set_secret" => Self::SetSecret,
            "testSecret" | "test_secret" => Self::TestSecret,
            "finishSecret" | "finish_secret" => Self::FinishSecret,
            _ => return None,
        })
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Serialize for Strategy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Outcome {
    /// The name used in logs and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AlreadyCurrent => "AlreadyCurrent",
            Self::Created => "Created",
            Self::Kept => "Kept",
            Self::PasswordSet => "PasswordSet",
            Self::AlreadySet => "AlreadySet",
            Self::Tested => "Tested",
            Self::CurrentTested => "CurrentTested",
            Self::Finished => "Finished",
        }
    }
}

impl Request {
    /// Parses an event; keys that are not known are ignored, since Secrets Manager may add some.
    ///
    /// ```
    /// use postgres_secret_rotation::event::{Request, Step};
    ///
    /// let event = serde_json::json!({"Step": "createSecret", "SecretId": "shop/app", "ClientRequestToken": "6f1c..."});
    /// assert_eq!(Request::parse(&event)?.step, Step::CreateSecret);
    /// # Ok::<(), postgres_secret_rotation::error::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Event`] that names the key and says what is accepted.
    pub fn parse(event: &Value) -> Result<Self, Error> {
        if !event.is_object() {
            return Err(Error::Event(format!("it is not a JSON object. {EXPECTED}")));
        }
        let step = field(event, "Step")?;
        let step = Step::parse(step).ok_or_else(|| Error::Event(format!("there is no Step {step:?}. {EXPECTED}")))?;
        let rotation_token = match &event["RotationToken"] {
            Value::Null => None,
            Value::String(token) => Some(SecretString::from(token.as_str())),
            _ => return Err(Error::Event(format!("\"RotationToken\" is not a string. {EXPECTED}"))),
        };
        Ok(Self {
            step,
            secret_id: field(event, "SecretId")?.to_owned(),
            token: field(event, "ClientRequestToken")?.to_owned(),
            rotation_token,
        })
    }
}

fn field<'a>(event: &'a Value, key: &str) -> Result<&'a str, Error> {
    let problem = match event.get(key) {
        None | Some(Value::Null) => "is missing",
        Some(Value::String(text)) if text.trim().is_empty() => "is empty",
        Some(Value::String(text)) => return Ok(text),
        Some(_) => "is not a string",
    };
    Err(Error::Event(format!("{key:?} {problem}. {EXPECTED}")))
}

fn milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_four_steps_are_understood_in_both_spellings() {
        for (name, step) in [
            ("createSecret", Step::CreateSecret),
            ("create_secret", Step::CreateSecret),
            ("setSecret", Step::SetSecret),
            ("set_secret", Step::SetSecret),
            ("testSecret", Step::TestSecret),
            ("test_secret", Step::TestSecret),
            ("finishSecret", Step::FinishSecret),
            ("finish_secret", Step::FinishSecret),
        ] {
            let event = json!({"Step": name, "SecretId": "s", "ClientRequestToken": "t", "Future": [1]});
            assert_eq!(Request::parse(&event).unwrap().step, step);
        }
    }

    #[test]
    fn the_rotation_token_is_taken_and_never_shown() {
        let event = json!({"Step": "setSecret", "SecretId": "s", "ClientRequestToken": "t", "RotationToken": "canary"});
        let request = Request::parse(&event).unwrap();
        assert!(request.rotation_token.is_some());
        assert!(!format!("{request:?}").contains("canary"));
    }

    #[test]
    fn a_bad_event_is_answered_with_what_is_accepted() {
        let event = |changes: Value| {
            let mut event = json!({"Step": "setSecret", "SecretId": "s", "ClientRequestToken": "t"});
            for (key, value) in changes.as_object().unwrap() {
                event[key] = value.clone();
            }
            event
        };
        for (event, expected) in [
            (json!(null), "not a JSON object"),
            (json!([]), "not a JSON object"),
            (json!("setSecret"), "not a JSON object"),
            (json!({}), "\"Step\" is missing"),
            (json!({"Operation": "rotate"}), "\"Step\" is missing"),
            (event(json!({"Step": "SetSecret"})), "there is no Step \"SetSecret\""),
            (event(json!({"Step": 1})), "\"Step\" is not a string"),
            (event(json!({"Step": ""})), "\"Step\" is empty"),
            (event(json!({"SecretId": null})), "\"SecretId\" is missing"),
            (event(json!({"SecretId": "  "})), "\"SecretId\" is empty"),
            (event(json!({"ClientRequestToken": ""})), "\"ClientRequestToken\" is empty"),
            (event(json!({"ClientRequestToken": ["t"]})), "\"ClientRequestToken\" is not a string"),
            (event(json!({"RotationToken": 1})), "\"RotationToken\" is not a string"),
        ] {
            let error = Request::parse(&event).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("createSecret") && error.contains("Nothing was changed"), "{error}");
        }
    }
}
