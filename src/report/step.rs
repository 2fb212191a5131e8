//! The report on a step of a rotation.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::duration::in_milliseconds;
use crate::event::Step;
use crate::policy::Strategy;

/// What a step did. It holds no secret value.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StepReport {
    pub(crate) step: Step,
    #[serde(rename = "SecretId")]
    pub(crate) secret: String,
    #[serde(rename = "VersionId")]
    pub(crate) version: String,
    pub(crate) strategy: Option<Strategy>,
    pub(crate) outcome: Outcome,
    /// What was done, as a sentence for a person.
    pub(crate) message: String,
    /// What worked and still needs a look.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<String>,
    /// Only for `testSecret`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) checks: Option<RequirementsReport>,
    /// When the new password ends, under a lease. Only for `setSecret`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) valid_until: Option<String>,
    /// The number of failed logins that the invocation caused so far.
    pub(crate) refused_logins: u32,
    #[serde(rename = "DurationMs", serialize_with = "in_milliseconds")]
    pub(crate) duration: Duration,
    /// For the log. Only for a `finishSecret` that moved AWSCURRENT.
    #[serde(skip)]
    pub(crate) evidence: Option<Evidence>,
}

/// What an auditor asks about a finished rotation.
#[derive(Debug)]
pub(crate) struct Evidence {
    /// The secret's ARN.
    pub(crate) secret: String,
    pub(crate) name: String,
    pub(crate) old_version: String,
    pub(crate) old: OldCredential,
    /// The open sessions of the role that had the old password. `None` if they are not known.
    pub(crate) old_sessions: Option<u64>,
}

/// What became of the credential that was current before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OldCredential {
    /// The role has the new password in its place.
    Replaced,
    /// It works until the next turn, or until it is retired.
    Valid,
    /// It works until its role's `VALID UNTIL`.
    ValidUntil(SystemTime),
}

/// How many declared grants and probes were checked.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RequirementsReport {
    pub(crate) grants: usize,
    pub(crate) probes: usize,
    #[serde(rename = "DurationMs", serialize_with = "in_milliseconds")]
    pub(crate) duration: Duration,
}

/// The outcome of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Outcome {
    /// The version is already AWSCURRENT. Nothing was left to do.
    AlreadyCurrent,
    /// A new pending value was stored.
    Created,
    /// The version already had a value, which stays.
    Kept,
    /// Single user: the change was tried and rolled back. `finishSecret` makes it.
    Rehearsed,
    /// Alternating users: the database now accepts the pending password.
    PasswordSet,
    /// The database already accepted the pending password.
    AlreadySet,
    /// The pending credential works.
    Tested,
    /// The current credential works. The version has no value, or a single user's password changes
    /// only in `finishSecret`.
    CurrentTested,
    /// AWSCURRENT is now on the version.
    Finished,
}

impl Outcome {
    /// The name used in logs and reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AlreadyCurrent => "AlreadyCurrent",
            Self::Created => "Created",
            Self::Kept => "Kept",
            Self::Rehearsed => "Rehearsed",
            Self::PasswordSet => "PasswordSet",
            Self::AlreadySet => "AlreadySet",
            Self::Tested => "Tested",
            Self::CurrentTested => "CurrentTested",
            Self::Finished => "Finished",
        }
    }
}
