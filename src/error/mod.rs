//! Everything that can go wrong, told apart.
//!
//! An error names the role, the host and the operation, says what to do next, and never carries a
//! value of a secret. Its
//! [`kind`](Error::kind) is stable: the Lambda error type, a log field and a metric dimension to
//! alarm on.

mod database;
mod store;

use lambda_runtime::Diagnostic;

pub use self::database::DatabaseFault;
pub use self::store::StoreFault;

/// Why an invocation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The function's environment cannot be used; every invocation answers with this until it is
    /// mended.
    #[error("environment variable {variable}: {problem}")]
    Configuration { variable: &'static str, problem: String },

    /// The event is not one that the function accepts.
    #[error("the event was not understood: {0} Nothing was changed.")]
    Event(String),

    /// The labels of the secret do not allow the step.
    #[error("secret {secret}: {fault} Nothing was changed.")]
    Rotation { secret: String, fault: RotationFault },

    /// The value of a version of the secret cannot be used.
    #[error("secret {secret}, {version}: {problem} Nothing was changed.")]
    Document { secret: String, version: String, problem: String },

    /// Secrets Manager did not do what was asked.
    #[error("{operation} on secret {secret} failed: {fault}")]
    SecretsManager { operation: &'static str, secret: String, fault: StoreFault },

    /// PostgreSQL, or the way to it, did not do what was asked. `detail` is the server's or the
    /// library's own text.
    #[error("{operation} as role {role:?} on {host} failed: {fault} [{detail}]")]
    Database {
        operation: &'static str,
        role: String,
        host: String,
        fault: DatabaseFault,
        detail: String,
    },

    /// No password that the secret holds is the one in the database.
    #[error(
        "the database at {host} accepts no password of role {role:?} that the secret holds (tried \
         {tried}): the password was changed elsewhere, or the role does not exist, has no \
         password, or its VALID UNTIL has passed. {advice}"
    )]
    NoCredentialAccepted { role: String, host: String, tried: String, advice: String },

    /// The admin secret may not be used on this role.
    #[error(
        "the admin secret {admin} may not be used for role {role:?}: {reason} Nothing was changed."
    )]
    AdminRefused { admin: String, role: String, reason: String },

    /// The admin may not do what the change of a role asks for. `statements` give it the rights.
    #[error(
        "role {admin:?} of the admin secret on {host} lacks rights that role {role:?} needs it to \
         have. As somebody who may, run: {statements}. Nothing was changed."
    )]
    AdminLacksRight { admin: String, host: String, role: String, statements: String },

    /// The two users that take turns are not, or cannot be made, each other's equals.
    #[error("role {role:?} on {host} cannot take its turn: {problem}")]
    UsersNotReady { role: String, host: String, problem: String },

    /// The role cannot do what the policy declares that the application does.
    #[error(
        "role {role:?} on {host} lacks what \"grants\" and \"probes\" declare: {missing}. \
         {consequence}"
    )]
    RightsMissing { role: String, host: String, missing: String, consequence: &'static str },

    /// The state of the secret is one that the function must not, or cannot, mend by itself.
    #[error("secret {secret} was not recovered. {advice} {reasons}")]
    NotRecovered { secret: String, advice: &'static str, reasons: String },

    /// The pending user could do less than the current one.
    #[error(
        "role {role:?} on {host} could do less than role {current:?} can ({total} in all): \
         {missing}. AWSCURRENT stays as it is; once this is mended, start the rotation anew."
    )]
    PrivilegesMissing { role: String, host: String, current: String, total: u64, missing: String },
}

/// What about the labels forbids the step.
#[derive(Debug, thiserror::Error)]
pub enum RotationFault {
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

impl Error {
    /// The stable name to alarm on: the Lambda `errorType`, the log field `error.kind`, the metric
    /// dimension `ErrorKind`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Configuration { .. } => "InvalidConfiguration",
            Self::Event(_) => "InvalidEvent",
            Self::Document { .. } => "InvalidSecret",
            Self::NoCredentialAccepted { .. } => "NoCredentialAccepted",
            Self::AdminRefused { .. } => "AdminRefused",
            Self::AdminLacksRight { .. } => "AdminLacksRight",
            Self::UsersNotReady { .. } => "UsersNotReady",
            Self::NotRecovered { .. } => "NotRecovered",
            Self::RightsMissing { .. } => "DeclaredRightsMissing",
            Self::PrivilegesMissing { .. } => "PrivilegesMissing",
            Self::Rotation { fault, .. } => match fault {
                RotationFault::Disabled => "RotationDisabled",
                RotationFault::Managed(_) => "SecretManagedByService",
                RotationFault::UnknownVersion(_) => "UnknownVersion",
                RotationFault::Abandoned(_) | RotationFault::NotPending { .. } => {
                    "VersionNotPending"
                }
                RotationFault::NoCurrent => "NoCurrentVersion",
                RotationFault::NoPendingValue(_) => "NoPendingValue",
                RotationFault::CurrentMoved { .. } => "CurrentVersionMoved",
                RotationFault::UnderWay(_) => "RotationUnderWay",
                RotationFault::PendingMismatch { .. } | RotationFault::PendingUsername { .. } => {
                    "PendingMismatch"
                }
            },
            Self::SecretsManager { fault, .. } => fault.kind(),
            Self::Database { fault, .. } => fault.kind(),
        }
    }

    /// Whether the same call may succeed later with nothing mended by a person.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::SecretsManager { fault, .. } => fault.retryable(),
            Self::Database { fault, .. } => fault.retryable(),
            _ => false,
        }
    }

    /// Whether this is a failure of the database with that fault.
    #[must_use]
    pub fn is_database(&self, wanted: DatabaseFault) -> bool {
        matches!(self, Self::Database { fault, .. } if *fault == wanted)
    }
}

/// An error of a library with all its causes in one line: most of them name the cause only in their
/// `source`.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

impl From<&Error> for Diagnostic {
    fn from(error: &Error) -> Self {
        Self { error_type: error.kind().to_owned(), error_message: error.to_string() }
    }
}
