//! Events: a rotation step that Secrets Manager asks for, or an operation that a person or a
//! schedule asks for.

mod fields;
mod monitor;

use secrecy::SecretString;
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use self::fields::{EXPECTED, field, fix, flag};
pub(crate) use self::monitor::{Choice, MonitorRequest, Portion};
use crate::error::{Error, clean};

/// The largest event that is read; those of Secrets Manager have some 500 bytes.
const MOST_BYTES: usize = 16 * 1024;

/// What an invocation asks for.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    Step(StepRequest),
    Operation(OperationRequest),
    Monitor(MonitorRequest),
}

/// An operation on a secret.
#[derive(Debug, Clone)]
pub(crate) struct OperationRequest {
    /// An ARN or a name.
    pub(crate) secret_id: String,
    pub(crate) operation: Operation,
}

/// What a person or a schedule asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Reports the state of the secret. Changes nothing. `deep` also tries older passwords, and
    /// each may cause a failed login. `fix` adds the script that gives the next user what it lacks.
    Status { deep: bool, fix: bool },
    /// Tries everything that a rotation needs. Changes nothing. `fix` adds the script that gives
    /// the next user and the admin what they lack.
    Preflight { fix: bool },
    /// Rotates in one invocation. `force` also within the overlap of two turns.
    Rotate { force: bool },
    /// Repairs the secret, for example after a stuck rotation. `dry_run` only reports the remedy.
    Recover { dry_run: bool, prefer: Prefer },
    /// Ends the use of the previous credential. `terminate` ends its sessions too.
    Retire { terminate: bool },
}

/// The way out of a stuck rotation whose pending password the database already has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Prefer {
    /// Finish the rotation.
    #[default]
    Forward,
    /// Restore AWSCURRENT's password.
    Back,
    /// After a rotation: make AWSPREVIOUS current again.
    Previous,
}

/// A step of a rotation of a secret.
#[derive(Debug, Clone)]
pub(crate) struct StepRequest {
    pub(crate) step: Step,
    /// An ARN or a name.
    pub(crate) secret_id: String,
    /// The `ClientRequestToken`: the id of the version that becomes current.
    pub(crate) token: String,
    /// The `RotationToken`, which `PutSecretValue` needs across accounts. Secret: never logged.
    pub(crate) rotation_token: Option<SecretString>,
}

/// The four steps of a rotation, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "the names are Secrets Manager's")]
pub(crate) enum Step {
    CreateSecret,
    SetSecret,
    TestSecret,
    FinishSecret,
}

impl Step {
    /// The name that Secrets Manager uses.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CreateSecret => "createSecret",
            Self::SetSecret => "setSecret",
            Self::TestSecret => "testSecret",
            Self::FinishSecret => "finishSecret",
        }
    }

    /// Accepts underscores too: one page of AWS's documentation spells the steps so.
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
    /// Reads an event as it came in.
    ///
    /// # Errors
    /// [`Error::Event`], which names the key and what is accepted.
    pub(crate) fn read(event: &RawValue) -> Result<Self, Error> {
        let text = event.get();
        if text.len() > MOST_BYTES {
            return Err(Error::Event(format!(
                "it has {} bytes, more than any event. {EXPECTED}",
                text.len()
            )));
        }
        let event = serde_json::from_str(text)
            .map_err(|_| Error::Event(format!("it is nested too deeply. {EXPECTED}")))?;
        Self::parse(&event)
    }

    /// Parses an event: one with `Operation`, or else a step. Only `monitor` is about many secrets.
    ///
    /// # Errors
    /// [`Error::Event`], which names the key and what is accepted.
    pub(crate) fn parse(event: &Value) -> Result<Self, Error> {
        if event["Operation"] == MonitorRequest::NAME {
            return MonitorRequest::parse(event).map(Self::Monitor);
        }
        if event.get("Operation").is_some_and(|operation| !operation.is_null()) {
            return OperationRequest::parse(event).map(Self::Operation);
        }
        StepRequest::parse(event).map(Self::Step)
    }

    /// The secret's ARN or name; empty for `monitor`.
    pub(crate) fn secret_id(&self) -> &str {
        match self {
            Self::Step(request) => &request.secret_id,
            Self::Operation(request) => &request.secret_id,
            Self::Monitor(_) => "",
        }
    }

    /// The step's or the operation's name.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Step(request) => request.step.name(),
            Self::Operation(request) => request.operation.name(),
            Self::Monitor(_) => MonitorRequest::NAME,
        }
    }
}

impl Operation {
    /// The name in events, logs and reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Preflight { .. } => "preflight",
            Self::Rotate { .. } => "rotate",
            Self::Recover { .. } => "recover",
            Self::Retire { .. } => "retire",
        }
    }
}

impl OperationRequest {
    fn parse(event: &Value) -> Result<Self, Error> {
        let (dry_run, terminate) = (flag(event, "DryRun")?, flag(event, "Terminate")?);
        let prefer = match &event["Prefer"] {
            Value::Null => Prefer::Forward,
            Value::String(prefer) if prefer == "forward" => Prefer::Forward,
            Value::String(prefer) if prefer == "back" => Prefer::Back,
            Value::String(prefer) if prefer == "previous" => Prefer::Previous,
            _ => {
                let problem = "\"Prefer\" is neither \"forward\", \"back\" nor \"previous\".";
                return Err(Error::Event(format!("{problem} {EXPECTED}")));
            }
        };
        let (operation, options): (_, &[&str]) = match field(event, "Operation")? {
            "status" => {
                let (deep, fix) = (flag(event, "Deep")?, fix(event)?);
                (Operation::Status { deep, fix }, &["Deep", "Fix"])
            }
            "preflight" => (Operation::Preflight { fix: fix(event)? }, &["Fix"]),
            "rotate" => (Operation::Rotate { force: flag(event, "Force")? }, &["Force"]),
            "recover" => (Operation::Recover { dry_run, prefer }, &["DryRun", "Prefer"]),
            "retire" => (Operation::Retire { terminate }, &["Terminate"]),
            name => {
                return Err(Error::Event(format!(
                    "there is no Operation {:?}. {EXPECTED}",
                    clean::name(name)
                )));
            }
        };
        // A mistyped "DryRun" must not start the real operation.
        let known = |key: &str| ["Operation", "SecretId"].contains(&key) || options.contains(&key);
        let keys = event.as_object().into_iter().flat_map(|event| event.keys());
        if let Some(key) = keys.into_iter().find(|key| !known(key)) {
            let name = operation.name();
            return Err(Error::Event(format!(
                "{name} has no key {:?}. {EXPECTED}",
                clean::name(key)
            )));
        }
        Ok(Self { secret_id: field(event, "SecretId")?.to_owned(), operation })
    }
}

impl StepRequest {
    /// Parses an event. Unknown keys are ignored: Secrets Manager may add some.
    ///
    /// # Errors
    /// [`Error::Event`], which names the key and what is accepted.
    pub(crate) fn parse(event: &Value) -> Result<Self, Error> {
        if !event.is_object() {
            return Err(Error::Event(format!("it is not a JSON object. {EXPECTED}")));
        }
        let step = field(event, "Step")?;
        let step = Step::parse(step).ok_or_else(|| {
            Error::Event(format!("there is no Step {:?}. {EXPECTED}", clean::name(step)))
        })?;
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
            assert_eq!(StepRequest::parse(&event).unwrap().step, step);
        }
    }

    #[test]
    fn the_rotation_token_is_taken_and_never_shown() {
        let event = json!({"Step": "setSecret", "SecretId": "s", "ClientRequestToken": "t",
            "RotationToken": "canary"});
        let request = StepRequest::parse(&event).unwrap();
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
            (
                json!({"Operation": "recover", "SecretId": "s", "Dryrun": true}),
                "recover has no key \"Dryrun\"",
            ),
            (
                json!({"Operation": "recover", "SecretId": "s", "Prefer": "backwards"}),
                "\"Prefer\" is neither",
            ),
            (
                json!({"Operation": "rotate", "SecretId": "s", "DryRun": true}),
                "rotate has no key \"DryRun\"",
            ),
            (
                json!({"Operation": "retire", "SecretId": "s", "Terminate": 1}),
                "\"Terminate\" is neither",
            ),
            (json!({"Operation": "preflight", "SecretId": "s", "Fix": true}), "\"Fix\" is not"),
            (
                json!({"Operation": "rotate", "SecretId": "s", "Fix": "sql"}),
                "rotate has no key \"Fix\"",
            ),
            (
                json!({"Operation": "recover", "SecretId": "s", "Terminate": true}),
                "recover has no key \"Terminate\"",
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
            let error = Event::parse(&event).unwrap_err().full_text();
            assert!(
                error.contains(expected)
                    && error.contains("createSecret")
                    && error.contains("Nothing was changed"),
                "{error}"
            );
        }
    }
}
