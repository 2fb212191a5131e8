//! Everything that can go wrong, told apart.
//!
//! An error names the role, the host and the operation, says what to do next, and never carries a value of a secret. Its
//! [`kind`](Error::kind) is stable: the Lambda error type, a log field and a metric dimension to alarm on.

use std::time::Duration;

use lambda_runtime::Diagnostic;

/// Why an invocation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The function's environment cannot be used; every invocation answers with this until it is mended.
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

    /// PostgreSQL, or the way to it, did not do what was asked. `detail` is the server's or the library's own text.
    #[error("{operation} as role {role:?} on {host} failed: {fault} [{detail}]")]
    Database { operation: &'static str, role: String, host: String, fault: DatabaseFault, detail: String },

    /// No password that the secret holds is the one in the database.
    #[error(
        "the database at {host} accepts no password of role {role:?} that the secret holds (tried {tried}): the password \
         was changed elsewhere, or the role does not exist, has no password, or its VALID UNTIL has passed. {advice}"
    )]
    NoCredentialAccepted { role: String, host: String, tried: String, advice: String },

    /// The admin secret may not be used on this role.
    #[error("the admin secret {admin} may not be used for role {role:?}: {reason} Nothing was changed.")]
    AdminRefused { admin: String, role: String, reason: String },
}

/// What about the labels forbids the step.
#[derive(Debug, thiserror::Error)]
pub enum RotationFault {
    #[error("rotation is switched off (RotationEnabled is false). Switch it on with `aws secretsmanager rotate-secret`.")]
    Disabled,
    #[error(
        "it is managed by the service {0:?}, which rotates it itself. Take it out of this function's rotation; it may \
         still serve as an admin secret."
    )]
    Managed(String),
    #[error(
        "there is no version {0}. Secrets Manager registers the ClientRequestToken before it calls the function: send the \
         token of a rotation that is under way, or start one with `aws secretsmanager rotate-secret`."
    )]
    UnknownVersion(String),
    #[error(
        "version {token} does not carry AWSPENDING ({holder}): its rotation was abandoned. Start a new one with `aws secretsmanager rotate-secret`."
    )]
    NotPending { token: String, holder: String },
    #[error("no version carries AWSCURRENT. Put the label back with `aws secretsmanager update-secret-version-stage`.")]
    NoCurrent,
    #[error("version {0} has no value yet: createSecret has to run before this step.")]
    NoPendingValue(String),
    #[error(
        "AWSCURRENT moved to version {holder} while version {token} was being finished: somebody wrote a new value, or another rotation was faster."
    )]
    CurrentMoved { token: String, holder: String },
    #[error(
        "version {label} names {key} {pending:?} where AWSCURRENT has {current:?}. A rotation changes the password alone: write a pending value with the same {key}, or take AWSPENDING off that version."
    )]
    PendingMismatch { label: String, key: &'static str, pending: String, current: String },
}

/// How Secrets Manager failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    #[error(
        "IAM does not allow it. Allow {action} on this secret to the function's role; with a customer managed key also kms:Decrypt and kms:GenerateDataKey on that key. [{detail}]"
    )]
    AccessDenied { action: String, detail: String },
    #[error("there is no such secret or version. Check the SecretId, the region and the account. [{0}]")]
    NotFound(String),
    #[error("Secrets Manager throttled every attempt. It succeeds on a retry once there are fewer calls. [{0}]")]
    Throttled(String),
    #[error(
        "Secrets Manager could not be reached or had an internal error on every attempt: check the function's route to the endpoint (VPC endpoint or NAT, security group, DNS). [{0}]"
    )]
    Unavailable(String),
    #[error("no answer from Secrets Manager within {:.1} s: check the function's route to the endpoint (VPC endpoint or NAT, security group, DNS).", .0.as_secs_f32())]
    TimedOut(Duration),
    #[error("the value cannot be decrypted: check the KMS key and the function's right to kms:Decrypt on it. [{0}]")]
    Decryption(String),
    #[error("it was refused. [{0}]")]
    Refused(String),
}

/// How the database, or the way to it, failed. Only [`LoginRejected`](Self::LoginRejected) says anything about a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseFault {
    #[error(
        "the server refused the password: it is a wrong one, or the role does not exist, has no password, or its VALID UNTIL has passed (the server does not say which). Compare the secret with pg_roles."
    )]
    LoginRejected,
    #[error("the password is right but the role may not log in. Run ALTER ROLE ... LOGIN.")]
    LoginNotPermitted,
    #[error("pg_hba.conf has no entry that lets this role in from here. Add a hostssl entry for it.")]
    HostNotPermitted,
    #[error("the role may not connect to the database. GRANT CONNECT ON DATABASE to it.")]
    ConnectNotPermitted,
    #[error("the database of the secret's dbname does not exist.")]
    DatabaseMissing,
    #[error(
        "no connection is free: the role's CONNECTION LIMIT, the database's, or max_connections is reached. It succeeds on a retry once there is one."
    )]
    TooManyConnections,
    #[error("the server is starting up or shutting down. It succeeds on a retry once it is up.")]
    NotAccepting,
    #[error("the host name cannot be resolved. Check the secret's host and the VPC's DNS.")]
    NameNotResolved,
    #[error("the host refuses connections or there is no route. Check host, port, security groups and that the server runs.")]
    Unreachable,
    #[error(
        "no answer in time. Check security groups and routes between the function and the database, and whether the server is overloaded."
    )]
    TimedOut,
    #[error("the server does not offer TLS, and a password is not sent without it. Switch ssl on in the server.")]
    TlsNotOffered,
    #[error(
        "the server's certificate is for another name. Use the name in the certificate as the secret's host, or set tls_server_name in ROTATION_POLICY."
    )]
    TlsName,
    #[error(
        "the server's certificate is not signed by a trusted root, or is not valid today. Roots are Amazon RDS's own of the region; set CA_BUNDLE_FILE for any other."
    )]
    TlsChain,
    #[error("the TLS handshake failed. Check that the server speaks TLS 1.2 or newer.")]
    TlsFailed,
    #[error(
        "the server is a read-only standby, or is failing over. Point the secret's host (or rotation_host in ROTATION_POLICY) at the writer."
    )]
    ReadOnly,
    #[error(
        "the server does not prove that it knows the admin's password (SCRAM with channel binding), as it has to where the admin secret does not name its host. Store the admin's password as scram-sha-256, or set rotation_host in ROTATION_POLICY."
    )]
    ServerNotProven,
    #[error(
        "the role lacks the right to do this. If passwords may only be changed by members of rds_password, name an admin_secret in ROTATION_POLICY."
    )]
    PermissionDenied,
    #[error("another session holds a lock on the role. It succeeds on a retry once that session ends: look for it in pg_locks.")]
    LockTimedOut,
    #[error("the statement took too long and was cancelled by the server.")]
    StatementTimedOut,
    #[error(
        "the server's password policy refuses the new password. Adapt PASSWORD_LENGTH and the EXCLUDE_ variables to it, or set password_storage to cleartext in ROTATION_POLICY where an extension (credcheck) insists on seeing it."
    )]
    PasswordRefused,
    #[error("another session is changing the role at this moment. It succeeds on a retry.")]
    ConcurrentUpdate,
    #[error("the role does not exist.")]
    RoleMissing,
    #[error("the connection broke off. What had been sent may or may not have taken effect; a retry finds out.")]
    ConnectionLost,
    #[error("the server reported an error that has no special handling.")]
    Other,
}

impl Error {
    /// The stable name to alarm on: the Lambda `errorType`, the log field `error.kind`, the metric dimension `ErrorKind`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Configuration { .. } => "InvalidConfiguration",
            Self::Event(_) => "InvalidEvent",
            Self::Document { .. } => "InvalidSecret",
            Self::NoCredentialAccepted { .. } => "NoCredentialAccepted",
            Self::AdminRefused { .. } => "AdminRefused",
            Self::Rotation { fault, .. } => match fault {
                RotationFault::Disabled => "RotationDisabled",
                RotationFault::Managed(_) => "SecretManagedByService",
                RotationFault::UnknownVersion(_) => "UnknownVersion",
                RotationFault::NotPending { .. } => "VersionNotPending",
                RotationFault::NoCurrent => "NoCurrentVersion",
                RotationFault::NoPendingValue(_) => "NoPendingValue",
                RotationFault::CurrentMoved { .. } => "CurrentVersionMoved",
                RotationFault::PendingMismatch { .. } => "PendingMismatch",
            },
            Self::SecretsManager { fault, .. } => match fault {
                StoreFault::AccessDenied { .. } => "SecretsManagerAccessDenied",
                StoreFault::NotFound(_) => "SecretNotFound",
                StoreFault::Throttled(_) => "SecretsManagerThrottled",
                StoreFault::Unavailable(_) => "SecretsManagerUnavailable",
                StoreFault::TimedOut(_) => "SecretsManagerTimedOut",
                StoreFault::Decryption(_) => "DecryptionFailed",
                StoreFault::Refused(_) => "SecretsManagerRefused",
            },
            Self::Database { fault, .. } => fault.kind(),
        }
    }

    /// Whether the same call may succeed later with nothing mended by a person.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::SecretsManager { fault, .. } => {
                matches!(fault, StoreFault::Throttled(_) | StoreFault::Unavailable(_) | StoreFault::TimedOut(_))
            }
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

impl DatabaseFault {
    fn kind(self) -> &'static str {
        match self {
            Self::LoginRejected => "LoginRejected",
            Self::LoginNotPermitted => "LoginNotPermitted",
            Self::HostNotPermitted => "HostNotPermitted",
            Self::ConnectNotPermitted => "ConnectNotPermitted",
            Self::DatabaseMissing => "DatabaseMissing",
            Self::TooManyConnections => "TooManyConnections",
            Self::NotAccepting => "DatabaseNotAccepting",
            Self::NameNotResolved => "NameNotResolved",
            Self::Unreachable => "DatabaseUnreachable",
            Self::TimedOut => "DatabaseTimedOut",
            Self::TlsNotOffered => "TlsNotOffered",
            Self::TlsName => "TlsNameMismatch",
            Self::TlsChain => "TlsUntrusted",
            Self::TlsFailed => "TlsFailed",
            Self::ReadOnly => "DatabaseReadOnly",
            Self::ServerNotProven => "ServerNotProven",
            Self::PermissionDenied => "PermissionDenied",
            Self::LockTimedOut => "LockTimedOut",
            Self::StatementTimedOut => "StatementTimedOut",
            Self::PasswordRefused => "PasswordRefused",
            Self::ConcurrentUpdate => "ConcurrentUpdate",
            Self::RoleMissing => "RoleMissing",
            Self::ConnectionLost => "ConnectionLost",
            Self::Other => "DatabaseError",
        }
    }

    fn retryable(self) -> bool {
        matches!(
            self,
            Self::TooManyConnections
                | Self::NotAccepting
                | Self::NameNotResolved
                | Self::Unreachable
                | Self::TimedOut
                | Self::ReadOnly
                | Self::LockTimedOut
                | Self::StatementTimedOut
                | Self::ConcurrentUpdate
                | Self::ConnectionLost
        )
    }
}

/// An error of a library with all its causes in one line: most of them name the cause only in their `source`.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl From<&Error> for Diagnostic {
    fn from(error: &Error) -> Self {
        Self { error_type: error.kind().to_owned(), error_message: error.to_string() }
    }
}
