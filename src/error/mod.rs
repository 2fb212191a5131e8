//! Every way in which an invocation can fail.
//!
//! An error names the role, the host and the operation, and says what to do next. It never holds a
//! value of a secret. Its [`kind`](Error::kind) is stable: it is Lambda's error type, a log field
//! and a metric dimension for alarms.

pub(crate) mod clean;
mod database;
mod detail;
mod problem;
mod promotion;
mod rotation;
mod statements;
mod store;

use lambda_runtime::Diagnostic;

pub(crate) use self::database::DatabaseFault;
pub(crate) use self::detail::Detail;
pub(crate) use self::problem::Problem;
pub(crate) use self::promotion::Restoration;
pub(crate) use self::rotation::RotationFault;
pub(crate) use self::statements::{Statements, shown};
pub(crate) use self::store::StoreFault;

const NOTHING_CHANGED: &str = "Nothing was changed.";

/// Why an invocation failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The function's environment is invalid. Every invocation fails with this until it is fixed.
    #[error("environment variable {variable}: {problem}")]
    Configuration { variable: &'static str, problem: Problem },

    /// The function does not accept the event.
    #[error("the event was not understood: {0}")]
    Event(String),

    /// The state of the secret does not allow the step.
    #[error("secret {secret}: {fault}")]
    Rotation { secret: String, fault: RotationFault },

    /// A version of the secret has an invalid value.
    #[error("secret {secret}, {version}: {problem}")]
    Document { secret: String, version: String, problem: Problem },

    /// A call of Secrets Manager failed.
    #[error("{operation} on secret {secret} failed: {fault}")]
    SecretsManager { operation: &'static str, secret: String, fault: StoreFault },

    /// PostgreSQL or the connection to it failed. `detail` is the server's or the library's text;
    /// `run` is what a person can run, if a statement helps.
    #[error(
        "{operation} as role {role:?} on {host} failed: {fault}{} [{detail}]",
        .run.as_ref().map(|run| format!(" Run {run}.")).unwrap_or_default()
    )]
    Database {
        operation: &'static str,
        role: String,
        host: String,
        fault: DatabaseFault,
        run: Option<Box<str>>,
        detail: Detail,
    },

    /// The database refuses every password that the secret holds.
    #[error(
        "the database at {host} refuses every password that the secret holds for role {role:?} \
         (tried {tried}). The password was changed elsewhere, such as by a rotation of another \
         secret for this role. Or the role does not exist, has no password or is past its VALID \
         UNTIL. {advice}"
    )]
    NoCredentialAccepted { role: String, host: String, tried: String, advice: String },

    /// The admin secret may not be used for this role.
    #[error("the admin secret {admin} may not be used for role {role:?}: {reason}")]
    AdminRefused { admin: String, role: String, reason: String },

    /// The admin lacks rights that the change of a role needs. `statements` grant them.
    #[error(
        "admin role {admin:?} on {host} lacks rights that the change of role {role:?} needs. As a \
         role that may grant them, run: {statements}."
    )]
    AdminLacksRight { admin: String, host: String, role: String, statements: Statements },

    /// The next user of a pair is not the current one's equal and cannot be made its equal.
    /// `statements` follow a problem that ends with a colon.
    #[error("role {role:?} on {host} cannot take its turn: {problem}{}", .statements.appended())]
    UsersNotReady { role: String, host: String, problem: String, statements: Statements },

    /// Whether the pending user can do as much in another database is unknown.
    #[error(
        "role {role:?} on {host} was not compared with role {current:?} in database {database:?}, \
         where the two differ: {cause} If the application does not use that database, list those \
         that it uses as databases in ROTATION_POLICY."
    )]
    DatabaseNotCompared {
        role: String,
        host: String,
        current: String,
        database: String,
        cause: Box<Error>,
    },

    /// The role lacks rights that the policy or the secret declares.
    #[error("role {role:?} on {host} lacks what \"grants\" and \"probes\" declare: {missing}.")]
    RightsMissing { role: String, host: String, missing: String },

    /// The function cannot or must not repair the secret.
    #[error("secret {secret} was not recovered. {advice} {reasons}")]
    NotRecovered { secret: String, advice: &'static str, reasons: String },

    /// The pending user can do less than the current one.
    #[error(
        "role {role:?} on {host} can do less than role {current:?} ({total} differences): \
         {missing}."
    )]
    PrivilegesMissing { role: String, host: String, current: String, total: u64, missing: String },

    /// AWSCURRENT was not moved after a single user's password changed or may have changed.
    #[error("{cause} {restoration}")]
    NotPromoted { cause: Box<Error>, restoration: Restoration, retryable: bool },
}

impl Error {
    /// The stable name for alarms: Lambda's `errorType`, the log field `error.kind` and the metric
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
            Self::DatabaseNotCompared { .. } => "DatabaseNotCompared",
            Self::RightsMissing { .. } => "DeclaredRightsMissing",
            Self::PrivilegesMissing { .. } => "PrivilegesMissing",
            Self::NotPromoted { cause, .. } => cause.kind(),
            Self::Rotation { fault, .. } => fault.kind(),
            Self::SecretsManager { fault, .. } => fault.kind(),
            Self::Database { fault, .. } => fault.kind(),
        }
    }

    /// Whether the same call may succeed later without a repair by a person.
    pub(crate) fn retryable(&self) -> bool {
        match self {
            Self::SecretsManager { fault, .. } => fault.retryable(),
            Self::Database { fault, .. } => fault.retryable(),
            Self::NotPromoted { retryable, .. } => *retryable,
            Self::DatabaseNotCompared { cause, .. } => cause.retryable(),
            _ => false,
        }
    }

    /// The statements that a person has to run, one by one. Empty if none help.
    pub(crate) fn statements(&self) -> &[String] {
        match self {
            Self::AdminLacksRight { statements, .. } | Self::UsersNotReady { statements, .. } => {
                statements.all()
            }
            _ => &[],
        }
    }

    /// A sentence about what the failure left behind; empty if that is unknown.
    pub(crate) fn consequence(&self) -> &'static str {
        match self {
            Self::Event(_)
            | Self::Rotation { .. }
            | Self::Document { .. }
            | Self::AdminRefused { .. }
            | Self::AdminLacksRight { .. } => NOTHING_CHANGED,
            Self::UsersNotReady { .. }
            | Self::DatabaseNotCompared { .. }
            | Self::RightsMissing { .. }
            | Self::PrivilegesMissing { .. } => {
                "AWSCURRENT was not moved. Fix this, then start the rotation again."
            }
            Self::Configuration { .. }
            | Self::SecretsManager { .. }
            | Self::Database { .. }
            | Self::NoCredentialAccepted { .. }
            | Self::NotPromoted { .. }
            | Self::NotRecovered { .. } => "",
        }
    }

    /// The whole text for a person: the error and its consequence.
    pub(crate) fn full_text(&self) -> String {
        clean::whole(format!("{self} {}", self.consequence()).trim_end().to_owned())
    }

    /// Drops the server's message, which may quote a value, and keeps its SQLSTATE.
    pub(crate) fn without_message(self) -> Self {
        self.map_detail(Detail::without_message)
    }

    /// Adds to the server's message.
    pub(crate) fn with_addition(self, text: &str) -> Self {
        self.map_detail(|detail| detail.with_addition(text))
    }

    /// Replaces every occurrence of a text in the server's message.
    pub(crate) fn replacing(self, text: &str, by: &str) -> Self {
        self.map_detail(|detail| detail.replacing(text, by))
    }

    fn map_detail(mut self, change: impl FnOnce(Detail) -> Detail) -> Self {
        if let Self::Database { detail, .. } = &mut self {
            *detail = change(std::mem::take(detail));
        }
        self
    }

    /// A short reason for reports that already name the operation and the role: the server's or
    /// library's message if there is one.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Database { detail, .. } => detail.to_string(),
            error => error.to_string(),
        }
    }

    /// Replaces one fault of the database with another.
    pub(crate) fn instead_of(mut self, fault: DatabaseFault, by: DatabaseFault) -> Self {
        if let Self::Database { fault: known, .. } = &mut self
            && *known == fault
        {
            *known = by;
        }
        self
    }

    /// The SQLSTATE, if the server answered.
    pub(crate) fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Database { detail, .. } => detail.sqlstate(),
            _ => None,
        }
    }

    /// Whether the database failed with this fault.
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

/// A library's error with all its causes in one line. Most libraries name the cause only in
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
