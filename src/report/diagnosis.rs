//! The report on the state of a secret, by `status` and `recover`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::step::StepReport;

/// What state a secret is in, and what was done about it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Diagnosis {
    /// What was found at the beginning.
    pub(crate) remedy: Remedy,
    /// What was done, in its order.
    pub(crate) done: Vec<Remedy>,
    /// The versions with a label, as they were at the beginning.
    pub(crate) versions: Vec<VersionReport>,
    /// Open sessions of the users, beside those of the function; none where nobody could log in to
    /// count them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) sessions: BTreeMap<String, u64>,
    /// How the server stores the users' passwords, where a session may see it: `scram-sha-256`,
    /// `md5` or `none`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) password_stored_as: BTreeMap<String, String>,
    pub(crate) schedule: Schedule,
    /// The steps of a rotation that were carried out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) steps: Vec<StepReport>,
}

/// What Secrets Manager says of the secret's rotation.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Schedule {
    /// Absent until the first rotation is set up.
    pub(crate) rotation_enabled: Option<bool>,
    pub(crate) last_rotated_seconds_ago: Option<u64>,
    /// Negative: it should have begun that long ago.
    pub(crate) next_rotation_in_seconds: Option<i64>,
    pub(crate) overdue: bool,
}

/// A version of the secret, and whether the database accepts its password.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct VersionReport {
    pub(crate) version_id: String,
    pub(crate) label: &'static str,
    pub(crate) age_seconds: Option<u64>,
    pub(crate) role: Option<String>,
    pub(crate) database: Option<Verdict>,
    /// Why it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// What the database makes of a password. Nothing is ever decided on what is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Accepted,
    Rejected,
    Unknown,
}

/// What mends a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Remedy {
    /// It is in order.
    Nothing,
    /// The database has the pending password: test it, and finish.
    RollForward,
    /// The pending password never reached the database, or is not wanted: take AWSPENDING off, so
    /// that the next rotation can begin.
    RemovePendingLabel,
    /// The database has another of the secret's passwords: give it AWSCURRENT's again.
    RestoreCurrent,
    /// Nothing that the secret holds works: have the admin set AWSCURRENT's.
    ResetByAdmin,
    /// Something is not known, so that nothing may be done.
    Wait,
    /// A person has to find out which password the database has.
    ManualInterventionRequired,
}

impl Remedy {
    /// What was done, for a person.
    pub(crate) fn done(self) -> &'static str {
        match self {
            Self::RollForward => "the pending version was tested and is AWSCURRENT now",
            Self::RemovePendingLabel => "AWSPENDING was taken off",
            Self::RestoreCurrent => "the database was given AWSCURRENT's password again",
            Self::ResetByAdmin => "the admin has set AWSCURRENT's password",
            Self::Nothing | Self::Wait | Self::ManualInterventionRequired => "nothing was done",
        }
    }

    /// What it is, in a sentence for a person.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Nothing => {
                "The secret is in order: the database accepts AWSCURRENT, and no rotation is stuck."
            }
            Self::RollForward => {
                "The database has the pending password: test it, and move AWSCURRENT to it."
            }
            Self::RemovePendingLabel => {
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
            Self::ManualInterventionRequired => {
                "What the database has is not in the secret, or it accepts any password: store the \
                 right one with `aws secretsmanager put-secret-value`, or allow admin_reset in \
                 ROTATION_POLICY."
            }
        }
    }
}
