//! How the state of a secret can forbid a step.

use super::problem::Problem;

/// What forbids the step: a label, the pending value, or a setting of the secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RotationFault {
    #[error(
        "rotation is switched off (RotationEnabled is false). Switch it on with `aws \
         secretsmanager rotate-secret`."
    )]
    Disabled,
    #[error(
        "the service {0:?} manages and rotates it. Remove it from this function's rotation. It can \
         still serve as an admin secret."
    )]
    Managed(String),
    #[error(
        "no version {0} carries a label: its rotation was abandoned or never began. Start a \
         rotation with `aws secretsmanager rotate-secret`, which registers its version first."
    )]
    UnknownVersion(String),
    #[error(
        "version {0} does not carry AWSPENDING, and no other does: its rotation was abandoned. \
         Start another one with `aws secretsmanager rotate-secret`."
    )]
    Abandoned(String),
    #[error(
        "version {token} does not carry AWSPENDING, version {holder} does: this event belongs to \
         an earlier rotation. Let the present rotation end."
    )]
    NotPending { token: String, holder: String },
    #[error(
        "no version carries AWSCURRENT. Restore the label with `aws secretsmanager \
         update-secret-version-stage`."
    )]
    NoCurrent,
    #[error("no version carries AWSPREVIOUS, so there is none to go back to.")]
    NoPrevious,
    #[error("version {0} has no value yet: createSecret has to run before this step.")]
    NoPendingValue(String),
    #[error(
        "AWSCURRENT moved to version {holder}, and this step needs it on version {token}. A person \
         wrote a new value, or another rotation was faster."
    )]
    CurrentMoved { token: String, holder: String },
    #[error(
        "{label} differs from AWSCURRENT in {key:?}, and a rotation changes only the login. Write \
         AWSPENDING as a copy of AWSCURRENT with another password, or remove AWSPENDING from that \
         version."
    )]
    PendingMismatch { label: String, key: String },
    #[error(
        "{label} does not have the \"username\" {expected:?}, which comes next with the strategy \
         {strategy}. Write AWSPENDING with that username, or run the operation \"recover\"."
    )]
    PendingUsername { label: String, strategy: &'static str, expected: String },
    #[error(
        "a rotation is under way or stuck, with AWSPENDING on version {0}. Let it end, or end it \
         with the operation \"recover\"; \"status\" says what that would do."
    )]
    UnderWay(String),
    #[error("ROTATION_POLICY does not fit it: {0}")]
    Policy(Problem),
    #[error(
        "the last turn was {age} ago. Applications may still hold the password of role {role:?}, \
         which this turn would replace. overlap is {overlap}: rotate again in {left}. To rotate at \
         once, for example after a leak, run \"rotate\" with \"Force\": true."
    )]
    TooSoon { role: String, age: String, overlap: String, left: String },
}

impl RotationFault {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Disabled => "RotationDisabled",
            Self::Managed(_) => "SecretManagedByService",
            Self::UnknownVersion(_) => "UnknownVersion",
            Self::Abandoned(_) | Self::NotPending { .. } => "VersionNotPending",
            Self::NoCurrent => "NoCurrentVersion",
            Self::NoPrevious => "NoPreviousVersion",
            Self::NoPendingValue(_) => "NoPendingValue",
            Self::CurrentMoved { .. } => "CurrentVersionMoved",
            Self::UnderWay(_) => "RotationUnderWay",
            Self::Policy(_) => "InvalidConfiguration",
            Self::TooSoon { .. } => "RotationTooSoon",
            Self::PendingMismatch { .. } | Self::PendingUsername { .. } => "PendingMismatch",
        }
    }
}
