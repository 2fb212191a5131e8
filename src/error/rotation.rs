//! How the labels of a secret can forbid a step.

/// What about the labels forbids the step.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RotationFault {
    #[error(
        "rotation is switched off (RotationEnabled is false). Switch it on with `aws \
         secretsmanager rotate-secret`."
    )]
    Disabled,
    #[error(
        "it is managed by the service {0:?}, which rotates it itself. Take it out of this \
         function's rotation; it may still serve as an admin secret."
    )]
    Managed(String),
    #[error(
        "no version {0} carries a label: its rotation was abandoned, or never begun. Secrets \
         Manager registers the ClientRequestToken before it calls the function; start a rotation \
         with `aws secretsmanager rotate-secret`."
    )]
    UnknownVersion(String),
    #[error(
        "version {0} does not carry AWSPENDING, nor does any other: its rotation was abandoned. \
         Start a new one with `aws secretsmanager rotate-secret`."
    )]
    Abandoned(String),
    #[error(
        "version {token} does not carry AWSPENDING, version {holder} does: this event is of an \
         earlier rotation than the one under way."
    )]
    NotPending { token: String, holder: String },
    #[error(
        "no version carries AWSCURRENT. Put the label back with `aws secretsmanager \
         update-secret-version-stage`."
    )]
    NoCurrent,
    #[error("version {0} has no value yet: createSecret has to run before this step.")]
    NoPendingValue(String),
    #[error(
        "AWSCURRENT moved to version {holder} while version {token} was to be or to stay the \
         current one: somebody wrote a new value, or another rotation was faster."
    )]
    CurrentMoved { token: String, holder: String },
    #[error(
        "{label} differs from AWSCURRENT in {key:?}, and a rotation changes the log-in alone. \
         Write AWSPENDING as a copy of AWSCURRENT with another password, or take AWSPENDING off \
         that version."
    )]
    PendingMismatch { label: String, key: String },
    #[error(
        "{label} has another \"username\" than {expected:?}, whose turn it is with the strategy \
         {strategy}. Write AWSPENDING with that one, or take AWSPENDING off that version."
    )]
    PendingUsername { label: String, strategy: &'static str, expected: String },
    #[error(
        "a rotation is under way, or got stuck, with AWSPENDING on version {0}. Let it end, or \
         bring it to an end with the operation \"recover\"; \"status\" says what that would do."
    )]
    UnderWay(String),
}

impl RotationFault {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Disabled => "RotationDisabled",
            Self::Managed(_) => "SecretManagedByService",
            Self::UnknownVersion(_) => "UnknownVersion",
            Self::Abandoned(_) | Self::NotPending { .. } => "VersionNotPending",
            Self::NoCurrent => "NoCurrentVersion",
            Self::NoPendingValue(_) => "NoPendingValue",
            Self::CurrentMoved { .. } => "CurrentVersionMoved",
            Self::UnderWay(_) => "RotationUnderWay",
            Self::PendingMismatch { .. } | Self::PendingUsername { .. } => "PendingMismatch",
        }
    }
}
