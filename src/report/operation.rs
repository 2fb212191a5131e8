//! The report on an operation.

use std::time::Duration;

use serde::Serialize;

use super::diagnosis::Diagnosis;
use super::duration::milliseconds;
use super::step::StepReport;
use crate::policy::Strategy;

/// What an operation found and did.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct OperationReport {
    pub(crate) operation: &'static str,
    #[serde(rename = "SecretId")]
    pub(crate) secret: String,
    /// Absent where it could not be found out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) strategy: Option<Strategy>,
    /// In a sentence for a person.
    pub(crate) message: String,
    #[serde(flatten)]
    pub(crate) details: Details,
    #[serde(rename = "DurationMs", serialize_with = "milliseconds")]
    pub(crate) duration: Duration,
}

/// What is reported of one kind of operation and of no other.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Details {
    /// Of `status` and `recover`.
    Diagnosis(Diagnosis),
    /// Of `rotate`.
    #[serde(rename_all = "PascalCase")]
    Rotation { steps: Vec<StepReport> },
    /// Of `preflight`.
    #[serde(rename_all = "PascalCase")]
    Preflight {
        /// Every check was passed.
        ready: bool,
        checks: Vec<PreflightCheck>,
    },
    /// Of `retire`.
    Retirement(Retirement),
}

/// One of the things that a rotation needs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PreflightCheck {
    pub(crate) check: String,
    pub(crate) passed: bool,
    #[serde(rename = "DurationMs", serialize_with = "milliseconds")]
    pub(crate) duration: Duration,
    /// What to do where it was not passed, or what to know where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_kind: Option<&'static str>,
}

/// What became of the credential that was current before.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Retirement {
    pub(crate) role: String,
    /// Its password is gone until its next turn.
    pub(crate) retired: bool,
    /// How many sessions were told to end.
    pub(crate) terminated: u64,
    /// The sessions that were open, of one user those from before its password was changed.
    pub(crate) clients: Vec<ClientReport>,
}

/// Sessions of one application from one address.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ClientReport {
    pub(crate) application_name: Option<String>,
    /// Absent where the sessions' role is not ours to look at.
    pub(crate) address: Option<String>,
    pub(crate) sessions: u64,
    pub(crate) oldest_seconds: Option<u64>,
}
