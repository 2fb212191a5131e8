//! What goes out, as types: the report on a step or on an operation. None holds a secret value.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::event::{Operation, OperationKind, Step};
use crate::policy::Strategy;

/// What came of an invocation.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    Step(Report),
    Operation(OperationReport),
}

/// What a step did. It holds no secret value.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Report {
    pub step: Step,
    #[serde(rename = "SecretId")]
    pub secret: String,
    #[serde(rename = "VersionId")]
    pub version: String,
    pub strategy: Option<Strategy>,
    pub outcome: Outcome,
    /// What was done, in a sentence for a person.
    pub message: String,
    /// What works and should be looked at all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Of `testSecret` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks: Option<Checks>,
    #[serde(rename = "DurationMs", serialize_with = "milliseconds")]
    pub duration: Duration,
}

/// How much of what the policy declares was checked.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Checks {
    pub grants: usize,
    pub probes: usize,
    #[serde(rename = "DurationMs", serialize_with = "milliseconds")]
    pub duration: Duration,
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Outcome {
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

/// What an operation found and did.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct OperationReport {
    pub operation: OperationKind,
    #[serde(rename = "SecretId")]
    pub secret: String,
    /// Absent where it could not be found out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// In a sentence for a person.
    pub message: String,
    #[serde(flatten)]
    pub details: Details,
    #[serde(rename = "DurationMs", serialize_with = "milliseconds")]
    pub duration: Duration,
}

/// What is reported of one kind of operation and of no other.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Details {
    /// Of `status` and `recover`.
    Diagnosis(Diagnosis),
    /// Of `rotate`.
    #[serde(rename_all = "PascalCase")]
    Rotation { steps: Vec<Report> },
    /// Of `preflight`.
    #[serde(rename_all = "PascalCase")]
    Preflight {
        /// Every hop was passed.
        ready: bool,
        hops: Vec<Hop>,
    },
    /// Of `retire`.
    Retirement(Retirement),
}

/// What state a secret is in, and what was done about it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Diagnosis {
    /// What was found at the beginning.
    pub remedy: Remedy,
    /// What was done, in its order.
    pub done: Vec<Remedy>,
    /// The versions with a label, as they were at the beginning.
    pub versions: Vec<VersionReport>,
    /// Open sessions of the users, beside those of the function; none where nobody could log in to
    /// count them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sessions: BTreeMap<String, u64>,
    /// How the server stores the users' passwords, where a session may see it: `scram-sha-256`,
    /// `md5` or `none`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub password_stored_as: BTreeMap<String, String>,
    pub schedule: Schedule,
    /// The steps of a rotation that were carried out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Report>,
}

/// One of the things that a rotation needs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Hop {
    pub hop: String,
    pub passed: bool,
    #[serde(rename = "DurationMs", serialize_with = "milliseconds")]
    pub duration: Duration,
    /// What to do where it was not passed, or what to know where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_kind: Option<&'static str>,
}

/// What became of the credential that was current before.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Retirement {
    pub role: String,
    /// Its password is gone until its next turn.
    pub retired: bool,
    /// How many sessions were told to end.
    pub terminated: u64,
    /// The sessions that were open, of one user those from before its password was changed.
    pub clients: Vec<ClientReport>,
}

/// Sessions of one application from one address.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ClientReport {
    pub application_name: Option<String>,
    /// Absent where the sessions' role is not ours to look at.
    pub address: Option<String>,
    pub sessions: u64,
    pub oldest_seconds: Option<u64>,
}

/// What Secrets Manager says of the secret's rotation.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Schedule {
    /// Absent until the first rotation is set up.
    pub rotation_enabled: Option<bool>,
    pub last_rotated_seconds_ago: Option<u64>,
    /// Negative: it should have begun that long ago.
    pub next_rotation_in_seconds: Option<i64>,
    pub overdue: bool,
}

/// A version of the secret, and whether the database accepts its password.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct VersionReport {
    pub version_id: String,
    pub label: &'static str,
    pub age_seconds: Option<u64>,
    pub role: Option<String>,
    pub database: Option<Verdict>,
    /// Why it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What the database makes of a password. Nothing is ever decided on what is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Accepted,
    Rejected,
    Unknown,
}

/// What mends a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Remedy {
    /// It is in order.
    Nothing,
    /// The database has the pending password: test it, and finish.
    RollForward,
    /// The pending password never reached the database, or is not wanted: take AWSPENDING off, so
    /// that the next rotation can begin.
    TakeOffPending,
    /// The database has another of the secret's passwords: give it AWSCURRENT's again.
    RestoreCurrent,
    /// Nothing that the secret holds works: have the admin set AWSCURRENT's.
    ResetByAdmin,
    /// Something is not known, so that nothing may be done.
    Wait,
    /// A person has to find out which password the database has.
    AskForHelp,
}

impl Serialize for Strategy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Operation {
    /// What is to be told of it; how long it took is known later.
    pub(crate) fn report(
        &self,
        strategy: impl Into<Option<Strategy>>,
        message: String,
        details: Details,
    ) -> OperationReport {
        let (operation, secret) = (self.kind, self.secret_id.clone());
        OperationReport {
            operation,
            secret,
            strategy: strategy.into(),
            message,
            details,
            duration: Duration::ZERO,
        }
    }
}

impl Outcome {
    /// The name used in logs and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
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

fn milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

impl Remedy {
    /// What was done, for a person.
    #[must_use]
    pub fn done(self) -> &'static str {
        match self {
            Self::RollForward => "the pending version was tested and is AWSCURRENT now",
            Self::TakeOffPending => "AWSPENDING was taken off",
            Self::RestoreCurrent => "the database was given AWSCURRENT's password again",
            Self::ResetByAdmin => "the admin has set AWSCURRENT's password",
            Self::Nothing | Self::Wait | Self::AskForHelp => "nothing was done",
        }
    }

    /// What it is, in a sentence for a person.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Nothing => {
                "The secret is in order: the database accepts AWSCURRENT, and no rotation is stuck."
            }
            Self::RollForward => {
                "The database has the pending password: test it, and move AWSCURRENT to it."
            }
            Self::TakeOffPending => {
                "The database accepts AWSCURRENT; AWSPENDING is on a version that is not needed: \
                 take it off, so that a rotation can begin."
            }
            Self::RestoreCurrent => {
                "The database has an older or the pending password: set AWSCURRENT's again."
            }
            Self::ResetByAdmin => {
                "The database accepts nothing that the secret holds: have the admin secret set \
                 AWSCURRENT's password."
            }
            Self::Wait => {
                "Whether the database accepts a password could not be found out: nothing may be \
                 done until it can."
            }
            Self::AskForHelp => {
                "What the database has is not in the secret, or it accepts any password: store the \
                 right one with `aws secretsmanager put-secret-value`, or allow admin_reset in \
                 ROTATION_POLICY."
            }
        }
    }
}
