//! What Secrets Manager says of a secret, as types: its versions, their labels and their values.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use aws_sdk_secretsmanager::types::RotationRulesType;
use secrecy::SecretString;

pub(crate) const CURRENT: &str = "AWSCURRENT";
pub(crate) const PENDING: &str = "AWSPENDING";
pub(crate) const PREVIOUS: &str = "AWSPREVIOUS";
/// Our own label, on the version whose credential was retired last. It saves a login that would
/// fail.
pub(crate) const RETIRED: &str = "postgres-secret-rotation-retired";

/// The part of `DescribeSecret` that a rotation or a look at it needs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Description {
    pub(crate) arn: String,
    pub(crate) name: String,
    /// The ARN of the function that rotates the secret.
    pub(crate) function: Option<String>,
    /// Whether it has rules for its rotation.
    pub(crate) scheduled: bool,
    /// The time between two rotations, if the schedule says it without a calendar.
    pub(crate) interval: Option<Duration>,
    pub(crate) created: Option<SystemTime>,
    pub(crate) rotation_enabled: Option<bool>,
    pub(crate) owning_service: Option<String>,
    /// The labels of every version that has one.
    pub(crate) stages: HashMap<String, Vec<String>>,
    /// The end of the last rotation.
    pub(crate) last_rotated: Option<SystemTime>,
    /// The latest time for the next rotation.
    pub(crate) next_rotation: Option<SystemTime>,
    /// The last change of the secret, also of a label.
    pub(crate) last_changed: Option<SystemTime>,
    pub(crate) rules: Option<RotationRules>,
}

/// When Secrets Manager rotates a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RotationRules {
    pub(crate) after_days: Option<i64>,
    /// `rate(...)` or `cron(...)`.
    pub(crate) expression: Option<String>,
    /// The length of the window in which a rotation begins, such as `3h`.
    pub(crate) window: Option<String>,
}

impl Description {
    /// The version that carries a label.
    pub(crate) fn holder(&self, label: &str) -> Option<&str> {
        self.stages
            .iter()
            .find(|(_, labels)| labels.iter().any(|known| known == label))
            .map(|(id, _)| id.as_str())
    }

    /// The version of a rotation that is under way or stuck: it carries AWSPENDING and not
    /// AWSCURRENT.
    pub(crate) fn under_way(&self) -> Option<&str> {
        self.holder(PENDING).filter(|pending| self.holder(CURRENT) != Some(pending))
    }
}

impl RotationRules {
    pub(super) fn of(rules: &RotationRulesType) -> Self {
        Self {
            after_days: rules.automatically_after_days,
            expression: rules.schedule_expression.clone(),
            window: rules.duration.clone(),
        }
    }
}

/// The time between two rotations, if the rules give it as a number of days or hours.
pub(super) fn interval(rules: &RotationRulesType) -> Option<Duration> {
    let days = rules.automatically_after_days.and_then(|days| u64::try_from(days).ok());
    let rate = rules.schedule_expression().and_then(rate);
    rate.or(days.map(|days| Duration::from_hours(24 * days)))
}

/// The interval of an expression such as `rate(10 days)`. A `cron(...)` has none that is fixed.
fn rate(expression: &str) -> Option<Duration> {
    let rate = expression.trim().strip_prefix("rate(")?.strip_suffix(')')?;
    let (number, unit) = rate.trim().split_once(' ')?;
    let hours = match unit.trim() {
        "hour" | "hours" => 1,
        "day" | "days" => 24,
        _ => return None,
    };
    number.parse::<u32>().ok().map(|number| Duration::from_hours(u64::from(number) * hours))
}

/// A version of a secret with its value.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) created: Option<SystemTime>,
    pub(crate) value: Value,
}

/// The value of a version.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(SecretString),
    Binary,
}

/// A version that was current or pending earlier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EarlierVersion {
    pub(crate) id: String,
    /// Whether it carries AWSPREVIOUS; otherwise it has no label.
    pub(crate) previous: bool,
}

/// Which version to read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum VersionSelector<'a> {
    Stage(&'a str),
    /// The version with this id.
    Id(&'a str),
    /// The version with this id, only if it carries this label.
    IdAtStage(&'a str, &'a str),
}

/// The outcome of storing a value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PutOutcome {
    Stored,
    /// The version already had another value, which stays.
    HadValue,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_an_interval_and_a_calendar_is_none() {
        for (expression, hours) in [
            ("rate(4 hours)", Some(4)),
            ("rate(1 hour)", Some(1)),
            ("rate(10 days)", Some(240)),
            ("cron(0 8 1 * ? *)", None),
            ("rate(x days)", None),
            ("rate(10 weeks)", None),
            ("", None),
        ] {
            assert_eq!(rate(expression), hours.map(Duration::from_hours), "{expression}");
        }
    }
}
