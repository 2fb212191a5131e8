//! What comes in, as types: a step of a rotation that Secrets Manager asks for, or an operation
//! that a person or a schedule asks for.

use secrecy::SecretString;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::error::Error;

const EXPECTED: &str = "Expected Secrets Manager's rotation event: {\"Step\": \"createSecret\" | \
    \"setSecret\" | \"testSecret\" | \"finishSecret\", \"SecretId\": \"...\", \
    \"ClientRequestToken\": \"...\"}; or an operation: {\"Operation\": \"status\" | \"preflight\" \
    | \"rotate\" | \"recover\" | \"retire\", \"SecretId\": \"...\"}, for recover also \"DryRun\": \
    true and \"Prefer\": \"back\", for retire \"Terminate\": true.";

/// What an invocation asks for.
#[derive(Debug, Clone)]
pub enum Event {
    Step(Request),
    Operation(Operation),
}

/// What a person or a schedule asks for.
#[derive(Debug, Clone)]
pub struct Operation {
    pub kind: OperationKind,
    /// An ARN or a name.
    pub secret_id: String,
    /// Tell what would be done, and do nothing.
    pub dry_run: bool,
    pub prefer: Prefer,
    /// End the sessions that an old password has opened.
    pub terminate: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OperationKind {
    /// Says what state the secret is in, and changes nothing.
    Status,
    /// Tries all that a rotation will need, and changes nothing.
    Preflight,
    /// Rotates in one call.
    Rotate,
    /// Brings a rotation that got stuck to an end.
    Recover,
    /// Ends the use of the credential that was current before.
    Retire,
}

/// Which way out of a rotation that got stuck with the pending password in the database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Prefer {
    /// Finish it.
    #[default]
    Forward,
    /// Give AWSCURRENT back what it had.
    Back,
}

/// A step of a rotation, as Secrets Manager asks for it.
#[derive(Debug, Clone)]
pub struct Request {
    pub step: Step,
    /// An ARN or a name.
    pub secret_id: String,
    /// The version that is being rotated in.
    pub token: String,
    /// Proof that the caller is the rotation, which `PutSecretValue` needs across accounts. Not for
    /// any eyes.
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

impl Event {
    /// Parses an event: one with `Operation`, or else a step.
    ///
    /// # Errors
    /// [`Error::Event`] that names the key and says what is accepted.
    pub fn parse(event: &Value) -> Result<Self, Error> {
        if event.get("Operation").is_some_and(|operation| !operation.is_null()) {
            return Operation::parse(event).map(Self::Operation);
        }
        Request::parse(event).map(Self::Step)
    }

    /// The secret that it is about.
    #[must_use]
    pub fn secret_id(&self) -> &str {
        match self {
            Self::Step(request) => &request.secret_id,
            Self::Operation(operation) => &operation.secret_id,
        }
    }

    /// The step's or the operation's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Step(request) => request.step.name(),
            Self::Operation(operation) => operation.kind.name(),
        }
    }
}

impl OperationKind {
    const ALL: [Self; 5] =
        [Self::Status, Self::Preflight, Self::Rotate, Self::Recover, Self::Retire];

    /// The name in events, logs and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Preflight => "preflight",
            Self::Rotate => "rotate",
            Self::Recover => "recover",
            Self::Retire => "retire",
        }
    }
}

impl Operation {
    fn parse(event: &Value) -> Result<Self, Error> {
        let name = field(event, "Operation")?;
        let kind = OperationKind::ALL.into_iter().find(|kind| kind.name() == name);
        let kind = kind
            .ok_or_else(|| Error::Event(format!("there is no Operation {name:?}. {EXPECTED}")))?;
        let prefer = match &event["Prefer"] {
            Value::Null => Prefer::Forward,
            Value::String(prefer) if prefer == "forward" => Prefer::Forward,
            Value::String(prefer) if prefer == "back" => Prefer::Back,
            _ => {
                return Err(Error::Event(format!(
                    "\"Prefer\" is neither \"forward\" nor \"back\". {EXPECTED}"
                )));
            }
        };
        let (dry_run, terminate) = (flag(event, "DryRun")?, flag(event, "Terminate")?);
        // A mistyped option must not make of a rehearsal the real thing.
        let known = ["Operation", "SecretId", "DryRun", "Prefer", "Terminate"];
        if let Some(key) = event
            .as_object()
            .and_then(|event| event.keys().find(|key| !known.contains(&key.as_str())))
        {
            return Err(Error::Event(format!("an operation has no key {key:?}. {EXPECTED}")));
        }
        if kind != OperationKind::Recover && (dry_run || prefer == Prefer::Back) {
            return Err(Error::Event(format!(
                "\"DryRun\" and \"Prefer\" are for recover alone. {EXPECTED}"
            )));
        }
        if kind != OperationKind::Retire && terminate {
            return Err(Error::Event(format!("\"Terminate\" is for retire alone. {EXPECTED}")));
        }
        Ok(Self {
            kind,
            secret_id: field(event, "SecretId")?.to_owned(),
            dry_run,
            prefer,
            terminate,
        })
    }
}

impl Request {
    /// Parses an event; keys that are not known are ignored, since Secrets Manager may add some.
    ///
    /// ```
    /// use postgres_secret_rotation::event::{Request, Step};
    ///
    /// let event = serde_json::json!({"Step": "createSecret", "SecretId": "shop/app",
    /// "ClientRequestToken": "6f1c..."}); assert_eq!(Request::parse(&event)?.step,
    /// Step::CreateSecret);
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
        let step = Step::parse(step)
            .ok_or_else(|| Error::Event(format!("there is no Step {step:?}. {EXPECTED}")))?;
        let rotation_token = match &event["RotationToken"] {
            Value::Null => None,
            Value::String(token) => Some(SecretString::from(token.as_str())),
            _ => {
                return Err(Error::Event(format!("\"RotationToken\" is not a string. {EXPECTED}")));
            }
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

/// An option that is false unless it is given.
fn flag(event: &Value, key: &str) -> Result<bool, Error> {
    match &event[key] {
        Value::Null => Ok(false),
        Value::Bool(flag) => Ok(*flag),
        _ => Err(Error::Event(format!("{key:?} is neither true nor false. {EXPECTED}"))),
    }
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
            let event =
                json!({"Step": name, "SecretId": "s", "ClientRequestToken": "t", "Future": [1]});
            assert_eq!(Request::parse(&event).unwrap().step, step);
        }
    }

    #[test]
    fn the_rotation_token_is_taken_and_never_shown() {
        let event = json!({"Step": "setSecret", "SecretId": "s", "ClientRequestToken": "t",
            "RotationToken": "canary"});
        let request = Request::parse(&event).unwrap();
        assert!(request.rotation_token.is_some());
        assert!(!format!("{request:?}").contains("canary"));
    }

    #[test]
    fn a_bad_event_is_answered_with_what_is_accepted() {
        let event = |changes: Value| {
            let mut event =
                json!({"Step": "setSecret", "SecretId": "s", "ClientRequestToken": "t"});
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
            (json!({"Operation": "rotate"}), "\"SecretId\" is missing"),
            (json!({"Operation": "Rotate", "SecretId": "s"}), "there is no Operation \"Rotate\""),
            (json!({"Operation": 1, "SecretId": "s"}), "\"Operation\" is not a string"),
            (
                json!({"Operation": "recover", "SecretId": "s", "DryRun": "yes"}),
                "\"DryRun\" is neither",
            ),
            (json!({"Operation": "recover", "SecretId": "s", "Dryrun": true}), "no key \"Dryrun\""),
            (
                json!({"Operation": "recover", "SecretId": "s", "Prefer": "backwards"}),
                "\"Prefer\" is neither",
            ),
            (json!({"Operation": "rotate", "SecretId": "s", "DryRun": true}), "for recover alone"),
            (
                json!({"Operation": "retire", "SecretId": "s", "Terminate": 1}),
                "\"Terminate\" is neither",
            ),
            (
                json!({"Operation": "recover", "SecretId": "s", "Terminate": true}),
                "for retire alone",
            ),
            (event(json!({"Step": "SetSecret"})), "there is no Step \"SetSecret\""),
            (event(json!({"Step": 1})), "\"Step\" is not a string"),
            (event(json!({"Step": ""})), "\"Step\" is empty"),
            (event(json!({"SecretId": null})), "\"SecretId\" is missing"),
            (event(json!({"SecretId": "  "})), "\"SecretId\" is empty"),
            (event(json!({"ClientRequestToken": ""})), "\"ClientRequestToken\" is empty"),
            (event(json!({"ClientRequestToken": ["t"]})), "\"ClientRequestToken\" is not a string"),
            (event(json!({"RotationToken": 1})), "\"RotationToken\" is not a string"),
        ] {
            let error = Event::parse(&event).unwrap_err().to_string();
            assert!(
                error.contains(expected)
                    && error.contains("createSecret")
                    && error.contains("Nothing was changed"),
                "{error}"
            );
        }
    }
}
