//! Everything that can go wrong, told apart.
//!
//! An error names the role, the host and the operation, says what to do next, and never carries a
//! value of a secret. Its
//! [`kind`](Error::kind) is stable: the Lambda error type, a log field and a metric dimension to
//! alarm on.

mod database;
mod detail;
mod problem;
mod rotation;
mod store;

use lambda_runtime::Diagnostic;

pub(crate) use self::database::DatabaseFault;
pub(crate) use self::detail::Detail;
pub(crate) use self::problem::Problem;
pub(crate) use self::rotation::RotationFault;
pub(crate) use self::store::StoreFault;

const NOTHING_CHANGED: &str = "Nothing was changed.";

/// Why an invocation failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The function's environment cannot be used; every invocation answers with this until it is
    /// mended.
    #[error("environment variable {variable}: {problem}")]
    Configuration { variable: &'static str, problem: Problem },

    /// The event is not one that the function accepts.
    #[error("the event was not understood: {0}")]
    Event(String),

    /// The labels of the secret do not allow the step.
    #[error("secret {secret}: {fault}")]
    Rotation { secret: String, fault: RotationFault },

    /// The value of a version of the secret cannot be used.
    #[error("secret {secret}, {version}: {problem}")]
    Document { secret: String, version: String, problem: Problem },

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
        detail: Detail,
    },

    /// No password that the secret holds is the one in the database.
    #[error(
        "the database at {host} accepts no password of role {role:?} that the secret holds (tried \
         {tried}): the password was changed elsewhere, or the role does not exist, has no \
         password, or its VALID UNTIL has passed. {advice}"
    )]
    NoCredentialAccepted { role: String, host: String, tried: String, advice: String },

    /// The admin secret may not be used on this role.
    #[error("the admin secret {admin} may not be used for role {role:?}: {reason}")]
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
    #[error("role {role:?} on {host} lacks what \"grants\" and \"probes\" declare: {missing}.")]
    RightsMissing { role: String, host: String, missing: String },

    /// The state of the secret is one that the function must not, or cannot, mend by itself.
    #[error("secret {secret} was not recovered. {advice} {reasons}")]
    NotRecovered { secret: String, advice: &'static str, reasons: String },

    /// The pending user could do less than the current one.
    #[error(
        "role {role:?} on {host} could do less than role {current:?} can ({total} in all): \
         {missing}."
    )]
    PrivilegesMissing { role: String, host: String, current: String, total: u64, missing: String },
}

impl Error {
    /// The stable name to alarm on: the Lambda `errorType`, the log field `error.kind`, the metric
    /// dimension `ErrorKind`.
    pub(crate) fn kind(&self) -> &'static str {
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
            Self::Rotation { fault, .. } => fault.kind(),
            Self::SecretsManager { fault, .. } => fault.kind(),
            Self::Database { fault, .. } => fault.kind(),
        }
    }

    /// Whether the same call may succeed later with nothing mended by a person.
    pub(crate) fn retryable(&self) -> bool {
        match self {
            Self::SecretsManager { fault, .. } => fault.retryable(),
            Self::Database { fault, .. } => fault.retryable(),
            _ => false,
        }
    }

    /// What the failure has left behind, where that is known: a sentence, or nothing.
    pub(crate) fn consequence(&self) -> &'static str {
        match self {
            Self::Event(_)
            | Self::Rotation { .. }
            | Self::Document { .. }
            | Self::AdminRefused { .. }
            | Self::AdminLacksRight { .. } => NOTHING_CHANGED,
            Self::UsersNotReady { .. }
            | Self::RightsMissing { .. }
            | Self::PrivilegesMissing { .. } => {
                "AWSCURRENT was not moved. Fix this, then start the rotation again."
            }
            Self::Configuration { .. }
            | Self::SecretsManager { .. }
            | Self::Database { .. }
            | Self::NoCredentialAccepted { .. }
            | Self::NotRecovered { .. } => "",
        }
    }

    /// The whole text for a person: the error, and what it has left behind.
    pub(crate) fn full_text(&self) -> String {
        format!("{self} {}", self.consequence()).trim_end().to_owned()
    }

    /// The same with the server's SQLSTATE alone: its message may quote a value.
    pub(crate) fn without_message(self) -> Self {
        self.map_detail(Detail::without_message)
    }

    /// The same with every occurrence of a text in the server's message replaced.
    pub(crate) fn replacing(self, text: &str, by: &str) -> Self {
        self.map_detail(|detail| detail.replacing(text, by))
    }

    fn map_detail(mut self, change: impl FnOnce(Detail) -> Detail) -> Self {
        if let Self::Database { detail, .. } = &mut self {
            *detail = change(std::mem::take(detail));
        }
        self
    }

    /// The SQLSTATE with which the server answered, where it did.
    pub(crate) fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Database { detail, .. } => detail.sqlstate(),
            _ => None,
        }
    }

    /// Whether this is a failure of the database with that fault.
    pub(crate) fn is_database(&self, wanted: DatabaseFault) -> bool {
        matches!(self, Self::Database { fault, .. } if *fault == wanted)
    }
}

impl RotationFault {
    /// The error of the secret that has this fault.
    pub(crate) fn of(self, secret: &str) -> Error {
        Error::Rotation { secret: secret.to_owned(), fault: self }
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
        Self { error_type: error.kind().to_owned(), error_message: error.full_text() }
    }
}
