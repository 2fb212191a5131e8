//! The event of `monitor`: which secrets it asks about, and which part of them.

use std::time::Duration;

use serde_json::Value;

use super::fields::{EXPECTED, flag};
use crate::error::{Error, clean};

const KEYS: [&str; 8] =
    ["Operation", "SecretIds", "NamePrefix", "NextToken", "Part", "EveryHours", "Retire", "All"];
/// With so many parts, each has at most some 50 of an account's 500,000 secrets.
const MOST_PARTS: u64 = 10_000;
/// Far more than any schedule of `monitor`.
const MOST_HOURS: u64 = 1000;

/// What `monitor` looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MonitorRequest {
    pub(crate) choice: Choice,
    pub(crate) portion: Portion,
    /// The time between two runs of the schedule, if the event says it. A lease outlasts two runs.
    pub(crate) every: Option<Duration>,
    /// Whether to end previous credentials where the policy names `retire_after`.
    pub(crate) retire: bool,
    /// Whether to report the secrets that are in order, too.
    pub(crate) all: bool,
}

/// The secrets that an event names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// All that name this function, and each that `ROTATION_POLICY` names whole.
    Fleet,
    /// These ARNs or names.
    Ids(Vec<String>),
    /// All whose name begins so.
    Prefix(String),
}

/// The portion of the chosen secrets that one invocation looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Portion {
    /// From the first one on, as many as the time allows.
    Start,
    /// Those after the last invocation's.
    After(String),
    /// Those whose ARN falls into this part of `of`. Counted from 1.
    Part { number: u64, of: u64 },
}

impl MonitorRequest {
    /// The name of the operation in events, logs and reports.
    pub(crate) const NAME: &'static str = "monitor";

    /// Parses an event whose `Operation` is `monitor`.
    ///
    /// # Errors
    /// [`Error::Event`], which names the key and what is accepted.
    pub(super) fn parse(event: &Value) -> Result<Self, Error> {
        let keys = event.as_object().into_iter().flat_map(|event| event.keys());
        if let Some(key) = keys.into_iter().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(refused(&format!("monitor has no key {:?}.", clean::name(key))));
        }
        Ok(Self {
            choice: choice(event)?,
            portion: portion(event)?,
            every: every(event)?,
            retire: flag(event, "Retire")?,
            all: flag(event, "All")?,
        })
    }
}

fn choice(event: &Value) -> Result<Choice, Error> {
    match (&event["SecretIds"], &event["NamePrefix"]) {
        (Value::Null, Value::Null) => Ok(Choice::Fleet),
        (Value::Array(ids), Value::Null) if !ids.is_empty() => {
            let ids = ids.iter().map(|id| id.as_str().filter(|id| names_a_secret(id)));
            let ids: Option<Vec<_>> = ids.map(|id| id.map(str::to_owned)).collect();
            ids.map(Choice::Ids)
                .ok_or_else(|| refused("\"SecretIds\" holds what is no ARN or name of a secret."))
        }
        (Value::Null, Value::String(prefix)) if names_a_secret(prefix) => {
            Ok(Choice::Prefix(prefix.clone()))
        }
        (Value::Null, _) => Err(refused("\"NamePrefix\" is not the beginning of a secret's name.")),
        (_, Value::Null) => Err(refused("\"SecretIds\" is not a list of ARNs or names.")),
        _ => Err(refused("\"SecretIds\" and \"NamePrefix\" exclude each other.")),
    }
}

fn portion(event: &Value) -> Result<Portion, Error> {
    match (&event["NextToken"], &event["Part"]) {
        (Value::Null, Value::Null) => Ok(Portion::Start),
        (Value::String(token), Value::Null) if names_a_secret(token) => {
            Ok(Portion::After(token.clone()))
        }
        (Value::Null, Value::Array(part)) => match part.as_slice() {
            [number, of] => match (number.as_u64(), of.as_u64()) {
                (Some(number @ 1..), Some(of @ 1..=MOST_PARTS)) if number <= of => {
                    Ok(Portion::Part { number, of })
                }
                _ => Err(refused("\"Part\" is not [i, n] with 1 <= i <= n <= 10000.")),
            },
            _ => Err(refused("\"Part\" is not a list of two numbers.")),
        },
        (Value::Null, _) => Err(refused("\"Part\" is not a list of two numbers.")),
        (_, Value::Null) => Err(refused("\"NextToken\" is not one that monitor has answered.")),
        _ => Err(refused("\"NextToken\" and \"Part\" exclude each other.")),
    }
}

fn every(event: &Value) -> Result<Option<Duration>, Error> {
    match (&event["EveryHours"], event["EveryHours"].as_u64()) {
        (Value::Null, _) => Ok(None),
        (_, Some(hours @ 1..=MOST_HOURS)) => Ok(Some(Duration::from_hours(hours))),
        _ => Err(refused("\"EveryHours\" is not a number of hours, 1 to 1000.")),
    }
}

/// Whether the text has only the characters that Secrets Manager allows in an ARN or a name. They
/// mean nothing to a shell, so the text may stand in a command.
fn names_a_secret(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-:!".contains(c);
    !text.is_empty() && text.len() <= 2048 && text.chars().all(allowed)
}

fn refused(problem: &str) -> Error {
    Error::Event(format!("{problem} {EXPECTED}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(changes: &Value) -> Result<MonitorRequest, Error> {
        let mut event = json!({"Operation": "monitor"});
        for (key, value) in changes.as_object().unwrap() {
            event[key] = value.clone();
        }
        MonitorRequest::parse(&event)
    }

    #[test]
    fn each_choice_and_portion_is_understood() {
        let plain = MonitorRequest {
            choice: Choice::Fleet,
            portion: Portion::Start,
            every: None,
            retire: false,
            all: false,
        };
        let ids = Choice::Ids(vec!["shop/app".to_owned(), "arn:aws:x:secret:a-1".to_owned()]);
        for (changes, expected) in [
            (json!({}), plain.clone()),
            (json!({"SecretIds": null, "Part": null}), plain.clone()),
            (
                json!({"SecretIds": ["shop/app", "arn:aws:x:secret:a-1"]}),
                MonitorRequest { choice: ids, ..plain.clone() },
            ),
            (
                json!({"NamePrefix": "shop/", "NextToken": "shop/app", "Retire": true}),
                MonitorRequest {
                    choice: Choice::Prefix("shop/".to_owned()),
                    portion: Portion::After("shop/app".to_owned()),
                    every: None,
                    retire: true,
                    all: false,
                },
            ),
            (
                json!({"Part": [2, 3], "EveryHours": 6, "All": true}),
                MonitorRequest {
                    portion: Portion::Part { number: 2, of: 3 },
                    every: Some(Duration::from_hours(6)),
                    all: true,
                    ..plain.clone()
                },
            ),
        ] {
            assert_eq!(parse(&changes).unwrap(), expected, "{changes}");
        }
    }

    #[test]
    fn a_bad_event_is_answered_with_what_is_accepted() {
        for (changes, expected) in [
            (json!({"SecretId": "a"}), "monitor has no key \"SecretId\""),
            (json!({"SecretIds": []}), "\"SecretIds\" is not a list"),
            (json!({"SecretIds": "a"}), "\"SecretIds\" is not a list"),
            (json!({"SecretIds": ["a", 1]}), "no ARN or name"),
            (json!({"SecretIds": ["a; rm -r b"]}), "no ARN or name"),
            (json!({"SecretIds": [""]}), "no ARN or name"),
            (json!({"SecretIds": ["a"], "NamePrefix": "b"}), "exclude each other"),
            (json!({"NamePrefix": ""}), "\"NamePrefix\" is not"),
            (json!({"NamePrefix": "a\u{1b}[2J"}), "\"NamePrefix\" is not"),
            (json!({"NextToken": 1}), "\"NextToken\" is not"),
            (json!({"NextToken": "a", "Part": [1, 2]}), "exclude each other"),
            (json!({"Part": [0, 2]}), "1 <= i <= n"),
            (json!({"Part": [3, 2]}), "1 <= i <= n"),
            (json!({"Part": [1, 10_001]}), "1 <= i <= n"),
            (json!({"Part": [1.5, 2]}), "1 <= i <= n"),
            (json!({"Part": [1, 2, 3]}), "two numbers"),
            (json!({"Part": 1}), "two numbers"),
            (json!({"EveryHours": 0}), "\"EveryHours\" is not"),
            (json!({"EveryHours": "1"}), "\"EveryHours\" is not"),
            (json!({"Retire": "yes"}), "\"Retire\" is neither"),
            (json!({"All": 1}), "\"All\" is neither"),
        ] {
            let error = parse(&changes).unwrap_err().full_text();
            assert!(error.contains(expected) && error.contains("NamePrefix"), "{changes}: {error}");
        }
    }
}
