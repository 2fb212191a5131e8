//! The report of `monitor`: the health of each secret of a fleet.

use std::time::Duration;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::duration::in_milliseconds;
use super::name::secret_name;
use super::operation::Retirement;
use super::time::Timestamp;

/// The state of a secret, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Health {
    Ok,
    /// The look failed.
    Unknown,
    /// Rotation is on, and no rotation has ended yet.
    NeverRotated,
    /// Rotation is off, or names another function.
    Disabled,
    /// The role's `VALID UNTIL` comes too soon.
    Expiring,
    /// The login failed, and not because of the password.
    Unreachable,
    /// The next rotation is late.
    Overdue,
    /// A rotation began and does not end.
    Stuck,
    /// The role is past its `VALID UNTIL`.
    Expired,
    /// The database refuses AWSCURRENT.
    Mismatch,
}

impl Health {
    /// All of them, the worst first.
    pub(crate) const WORST_FIRST: [Self; 10] = [
        Self::Mismatch,
        Self::Expired,
        Self::Stuck,
        Self::Overdue,
        Self::Unreachable,
        Self::Expiring,
        Self::Disabled,
        Self::NeverRotated,
        Self::Unknown,
        Self::Ok,
    ];

    /// The name in answers and logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::NeverRotated => "never_rotated",
            Self::Disabled => "disabled",
            Self::Expiring => "expiring",
            Self::Unreachable => "unreachable",
            Self::Overdue => "overdue",
            Self::Stuck => "stuck",
            Self::Expired => "expired",
            Self::Mismatch => "mismatch",
        }
    }

    /// The name of the metric that counts the secrets in this state.
    pub(crate) fn metric(self) -> &'static str {
        match self {
            Self::Ok => "Ok",
            Self::Unknown => "Unknown",
            Self::NeverRotated => "NeverRotated",
            Self::Disabled => "Disabled",
            Self::Expiring => "Expiring",
            Self::Unreachable => "Unreachable",
            Self::Overdue => "Overdue",
            Self::Stuck => "Stuck",
            Self::Expired => "Expired",
            Self::Mismatch => "Mismatch",
        }
    }
}

impl Serialize for Health {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// The health of one secret. What is absent is not known.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SecretHealth {
    /// The ARN, or what the event or the policy calls a secret that could not be described.
    pub(crate) secret_id: String,
    #[serde(skip)]
    pub(crate) name: String,
    pub(crate) state: Health,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<Timestamp>,
    /// The cause, in sentences for a person.
    pub(crate) reason: String,
    /// What puts it right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) command: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<String>,
    /// The server, as `host:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
    /// The time since the last rotation, or since the secret's creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) age_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_rotation_in_seconds: Option<i64>,
    /// Until the role's `VALID UNTIL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_in_seconds: Option<i64>,
    /// Until the end of the server's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate_expires_in_seconds: Option<i64>,
    pub(crate) warnings: Vec<String>,
    /// What `"Retire": true` did. Absent if it was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retirement: Option<Retirement>,
    /// Whether the policy wants metrics of this secret.
    #[serde(skip)]
    pub(crate) metrics: bool,
}

impl SecretHealth {
    /// A secret of which only the ARN or the name is known.
    pub(crate) fn unknown(id: String) -> Self {
        Self {
            name: secret_name(&id).to_owned(),
            secret_id: id,
            state: Health::Unknown,
            since: None,
            reason: String::new(),
            command: None,
            role: None,
            host: None,
            age_seconds: None,
            next_rotation_in_seconds: None,
            expires_in_seconds: None,
            certificate_expires_in_seconds: None,
            warnings: Vec::new(),
            retirement: None,
            metrics: false,
        }
    }
}

/// What `monitor` found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct FleetReport {
    pub(crate) operation: &'static str,
    /// The result, as sentences for a person.
    pub(crate) message: String,
    pub(crate) counts: Counts,
    /// The worst first.
    pub(crate) secrets: Vec<SecretHealth>,
    /// Those that were looked at and are not shown.
    #[serde(skip)]
    pub(crate) not_shown: Vec<SecretHealth>,
    /// Absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_token: Option<String>,
    /// The number of failed logins that the look caused.
    pub(crate) refused_logins: u32,
    #[serde(rename = "DurationMs", serialize_with = "in_milliseconds")]
    pub(crate) duration: Duration,
    /// Whether the event named no secrets, so that the numbers are those of the fleet.
    #[serde(skip)]
    pub(crate) whole_fleet: bool,
    /// The number of secrets in a schedule's part that no time was left for.
    #[serde(skip)]
    pub(crate) left_out: usize,
}

impl FleetReport {
    /// All secrets that were looked at.
    pub(crate) fn all(&self) -> impl Iterator<Item = &SecretHealth> {
        self.secrets.iter().chain(&self.not_shown)
    }
}

/// The number of secrets in each state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts([usize; Health::WORST_FIRST.len()]);

impl Counts {
    /// Counts the states of these secrets.
    pub(crate) fn of<'a>(secrets: impl Iterator<Item = &'a SecretHealth>) -> Self {
        let mut counts = Self::default();
        secrets.for_each(|secret| counts.0[secret.state as usize] += 1);
        counts
    }

    /// The number of secrets in this state.
    pub(crate) fn number(&self, state: Health) -> usize {
        self.0[state as usize]
    }

    /// The number of secrets in any state.
    pub(crate) fn total(&self) -> usize {
        self.0.iter().sum()
    }
}

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for state in Health::WORST_FIRST {
            map.serialize_entry(state.name(), &self.number(state))?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_states_are_ordered_and_all_there() {
        for (number, state) in Health::WORST_FIRST.into_iter().rev().enumerate() {
            assert_eq!(state as usize, number, "the metric State: 0 is ok, 9 is mismatch");
        }
        assert!(Health::WORST_FIRST.is_sorted_by(|a, b| a > b));
    }
}
