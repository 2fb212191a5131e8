//! The members of an event, and what an event may hold.

use serde_json::Value;

use crate::error::Error;

/// What is accepted, for the errors of events that are not.
pub(super) const EXPECTED: &str = "Expected Secrets Manager's rotation event: {\"Step\": \
    \"createSecret\" | \"setSecret\" | \"testSecret\" | \"finishSecret\", \"SecretId\": \"...\", \
    \"ClientRequestToken\": \"...\"}; or an operation: {\"Operation\": \"status\" | \"preflight\" \
    | \"rotate\" | \"recover\" | \"retire\", \"SecretId\": \"...\"}. status and preflight also \
    take \"Fix\": \"sql\"; status takes \"Deep\": true; recover takes \"DryRun\": true and \
    \"Prefer\": \"back\" | \"previous\"; retire takes \"Terminate\": true; rotate takes \"Force\": \
    true. {\"Operation\": \"monitor\"} takes \"SecretIds\": [...] or \"NamePrefix\": \"...\", \
    \"NextToken\": \"...\" or \"Part\": [i, n], \"EveryHours\": n, \"Retire\": true and \"All\": \
    true.";

/// A string that must be there.
pub(super) fn field<'a>(event: &'a Value, key: &str) -> Result<&'a str, Error> {
    let problem = match event.get(key) {
        None | Some(Value::Null) => "is missing",
        Some(Value::String(text)) if text.trim().is_empty() => "is empty",
        Some(Value::String(text)) => return Ok(text),
        Some(_) => "is not a string",
    };
    Err(Error::Event(format!("{key:?} {problem}. {EXPECTED}")))
}

/// Whether a script is asked for.
pub(super) fn fix(event: &Value) -> Result<bool, Error> {
    match &event["Fix"] {
        Value::Null => Ok(false),
        Value::String(language) if language == "sql" => Ok(true),
        _ => Err(Error::Event(format!("\"Fix\" is not \"sql\". {EXPECTED}"))),
    }
}

/// An option, false if it is absent.
pub(super) fn flag(event: &Value, key: &str) -> Result<bool, Error> {
    match &event[key] {
        Value::Null => Ok(false),
        Value::Bool(flag) => Ok(*flag),
        _ => Err(Error::Event(format!("{key:?} is neither true nor false. {EXPECTED}"))),
    }
}
