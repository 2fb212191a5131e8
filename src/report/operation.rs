//! The report on an operation.

use std::time::Duration;

use serde::Serialize;

use super::diagnosis::Diagnosis;
use super::duration::in_milliseconds;
use super::step::StepReport;
use crate::policy::Strategy;

/// What an operation found and did.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct OperationReport {
    pub(crate) operation: &'static str,
    #[serde(rename = "SecretId")]
    pub(crate) secret: String,
    /// Absent if the secret could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) strategy: Option<Strategy>,
    /// The result, as a sentence for a person.
    pub(crate) message: String,
    #[serde(flatten)]
    pub(crate) details: Details,
    /// The number of failed logins that the operation caused.
    pub(crate) refused_logins: u32,
    #[serde(rename = "DurationMs", serialize_with = "in_milliseconds")]
    pub(crate) duration: Duration,
}

/// What only one kind of operation reports.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Details {
    /// Of `status` and `recover`.
    Diagnosis(Box<Diagnosis>),
    /// Of `rotate`.
    #[serde(rename_all = "PascalCase")]
    Rotation { steps: Vec<StepReport> },
    /// Of `preflight`.
    #[serde(rename_all = "PascalCase")]
    Preflight {
        /// Every check passed.
        ready: bool,
        checks: Vec<PreflightCheck>,
        /// For psql: fixes what did not pass. Only if it was asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        script: Option<String>,
    },
    /// Of `retire`.
    Retirement(Retirement),
}

/// A check of one thing that a rotation needs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PreflightCheck {
    pub(crate) check: String,
    pub(crate) passed: bool,
    #[serde(rename = "DurationMs", serialize_with = "in_milliseconds")]
    pub(crate) duration: Duration,
    /// What to do after a failure, or what to know after a success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_kind: Option<&'static str>,
}

/// What happened to the previous credential.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Retirement {
    pub(crate) role: String,
    /// Whether the previous credential is retired: it no longer logs in. Single user: whether no
    /// session opened with it is left.
    pub(crate) retired: bool,
    /// The number of sessions that were terminated.
    pub(crate) terminated: u64,
    /// The open sessions. Single user: only those opened with the old password.
    pub(crate) clients: Vec<ClientReport>,
}

/// Sessions of one application from one address.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ClientReport {
    pub(crate) application_name: Option<String>,
    /// Absent if the role may not see it.
    pub(crate) address: Option<String>,
    pub(crate) sessions: u64,
    pub(crate) oldest_seconds: Option<u64>,
}
