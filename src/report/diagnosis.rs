//! The report of `status` and `recover` on a secret.

use std::collections::BTreeMap;

use serde::Serialize;

use super::step::StepReport;

/// The state of a secret and what was done about it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Diagnosis {
    /// What the secret needed at the start.
    pub(crate) remedy: Remedy,
    /// What was done, in order.
    pub(crate) done: Vec<Remedy>,
    /// What a person should know: wishes of the secret that the policy overrules, unread keys, and
    /// passwords that end soon.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<String>,
    /// The versions with a label at the start.
    pub(crate) versions: Vec<VersionReport>,
    /// Open sessions by user, without the function's own. Empty if no login succeeded.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) sessions: BTreeMap<String, u64>,
    /// The form in which the server stores each user's password: `scram-sha-256`, `md5` or `none`.
    /// Empty if the role may not see it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) password_stored_as: BTreeMap<String, String>,
    /// When each user's password ends, in UTC by the server's clock. Users whose password does not
    /// end are left out.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) valid_until: BTreeMap<String, String>,
    /// The same in seconds from now, negative if it has ended.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) expires_in_seconds: BTreeMap<String, i64>,
    /// What could not be read, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) not_visible: BTreeMap<&'static str, String>,
    pub(crate) schedule: ScheduleReport,
    /// For psql: gives the next user what it lacks. Only if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) script: Option<String>,
    /// The rotation steps that ran.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) steps: Vec<StepReport>,
}

/// What Secrets Manager says about the secret's rotation.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ScheduleReport {
    /// Absent until rotation is first configured.
    pub(crate) rotation_enabled: Option<bool>,
    pub(crate) last_rotated_seconds_ago: Option<u64>,
    /// Negative if the rotation is late.
    pub(crate) next_rotation_in_seconds: Option<i64>,
    pub(crate) overdue: bool,
}

/// A version of the secret and whether the database accepts its password.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct VersionReport {
    pub(crate) version_id: String,
    pub(crate) label: &'static str,
    pub(crate) age_seconds: Option<u64>,
    pub(crate) role: Option<String>,
    pub(crate) database: Option<Verdict>,
    /// Why the role or the verdict is unknown, or what is special about the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// Whether the database accepts a password. `Unknown` never leads to a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Accepted,
    Rejected,
    Unknown,
}

/// What repairs a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Remedy {
    /// The secret is in order.
    Nothing,
    /// The database has the pending password: test it, then move AWSCURRENT.
    RollForward,
    /// The pending password never reached the database, or is not wanted: remove AWSPENDING, so
    /// that the next rotation can begin.
    RemovePendingLabel,
    /// The database has another password of the secret: set AWSCURRENT's again.
    RestoreCurrent,
    /// No password of the secret works: have the admin set AWSCURRENT's.
    ResetByAdmin,
    /// A login could not be tried, so nothing may be done.
    Wait,
    /// A person has to find the password that the database has.
    ManualInterventionRequired,
    /// The database refuses the passwords that `status` tried. `recover` also tries older ones.
    TryOlderPasswords,
    /// Little is left of AWSCURRENT's lease, or it has ended: have the admin renew it.
    RenewLease,
    /// A person wants the previous version back.
    ReturnToPrevious,
}

impl Remedy {
    /// What was done, as a clause for a person.
    pub(crate) fn done(self) -> &'static str {
        match self {
            Self::RollForward => "the pending version was tested and is now AWSCURRENT",
            Self::RemovePendingLabel => "AWSPENDING was removed",
            Self::RestoreCurrent => "AWSCURRENT's password was set again",
            Self::ResetByAdmin => "the admin set AWSCURRENT's password",
            Self::RenewLease => "the admin renewed AWSCURRENT's lease",
            Self::ReturnToPrevious => "AWSCURRENT was moved back to the previous version",
            Self::Nothing
            | Self::Wait
            | Self::TryOlderPasswords
            | Self::ManualInterventionRequired => "nothing was done",
        }
    }

    /// What is wrong and what to do, as a sentence for a person.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Nothing => {
                "The secret is in order: the database accepts AWSCURRENT, and no rotation is stuck."
            }
            Self::RollForward => {
                "The database has the pending password. Test it and move AWSCURRENT to it."
            }
            Self::RemovePendingLabel => {
                "The database accepts AWSCURRENT, and AWSPENDING is on a version that is not \
                 needed. Remove the label, so that a rotation can begin."
            }
            Self::RestoreCurrent => {
                "The database has an older password or the pending one. Set AWSCURRENT's again."
            }
            Self::ResetByAdmin => {
                "The database accepts no password of the secret. Have the admin set AWSCURRENT's."
            }
            Self::Wait => {
                "A login could not be tried. Nothing may be done until it can; the reason is \
                 beside the version."
            }
            Self::TryOlderPasswords => {
                "The database refuses the passwords that were tried. \"recover\" tries older ones \
                 and sets AWSCURRENT's again. \"status\" with \"Deep\": true only tries them."
            }
            Self::RenewLease => {
                "AWSCURRENT's lease has ended or ends soon, and no rotation came in time. Have the \
                 admin renew it, or rotate: the next turn brings a new lease."
            }
            Self::ReturnToPrevious => "Move AWSCURRENT back to AWSPREVIOUS.",
            Self::ManualInterventionRequired => {
                "The secret does not hold the database's password, or the database accepts any \
                 password. Store the right one with `aws secretsmanager put-secret-value`, or \
                 allow admin_reset in ROTATION_POLICY."
            }
        }
    }
}
