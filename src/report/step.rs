//! The report on a step of a rotation.

use std::time::Duration;

use serde::Serialize;

use super::duration::milliseconds;
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
    /// What was done, in a sentence for a person.
    pub(crate) message: String,
    /// What works and should be looked at all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<String>,
    /// Of `testSecret` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) checks: Option<RequirementsReport>,
    #[serde(rename = "DurationMs", serialize_with = "milliseconds")]
    pub(crate) duration: Duration,
}

/// How much of what the policy declares was checked.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RequirementsReport {
    pub(crate) grants: usize,
    pub(crate) probes: usize,
    #[serde(rename = "DurationMs", serialize_with = "milliseconds")]
    pub(crate) duration: Duration,
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Outcome {
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

impl Outcome {
    /// The name used in logs and reports.
    pub(crate) fn name(self) -> &'static str {
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
