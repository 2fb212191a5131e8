//! How the database, or the way to it, can fail.

/// How the database, or the way to it, failed. Only [`LoginRejected`](Self::LoginRejected) says
/// anything about a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DatabaseFault {
    #[error(
        "the server refused the password: it is a wrong one, or the role does not exist, has no \
         password, or its VALID UNTIL has passed (the server does not say which). Compare the \
         secret with pg_roles."
    )]
    LoginRejected,
    #[error("the password is right but the role may not log in. Run ALTER ROLE ... LOGIN.")]
    LoginNotPermitted,
    #[error(
        "pg_hba.conf has no entry that lets this role in from here. Add a hostssl entry for it; \
         where the secret says \"ssl\": false, remove that key first."
    )]
    HostNotPermitted,
    #[error("the role may not connect to the database. GRANT CONNECT ON DATABASE to it.")]
    ConnectNotPermitted,
    #[error("the database of the secret's dbname does not exist.")]
    DatabaseMissing,
    #[error(
        "no connection is free: the role's CONNECTION LIMIT, the database's, or max_connections is \
         reached. It succeeds on a retry once there is one."
    )]
    TooManyConnections,
    #[error("the server is starting up or shutting down. It succeeds on a retry once it is up.")]
    NotAccepting,
    #[error("the host name cannot be resolved. Check the secret's host and the VPC's DNS.")]
    NameNotResolved,
    #[error(
        "the host refuses connections or there is no route. Check host, port, security groups and \
         that the server runs."
    )]
    Unreachable,
    #[error(
        "no answer in time. Check security groups and routes between the function and the \
         database, and whether the server is overloaded."
    )]
    TimedOut,
    #[error(
        "the server does not offer TLS, and a password is not sent without it. Switch ssl on in \
         the server."
    )]
    TlsNotOffered,
    #[error(
        "the server's certificate is for another name. Use the name in the certificate as the \
         secret's host, or set tls_server_name in ROTATION_POLICY."
    )]
    TlsName,
    #[error(
        "the server's certificate is not signed by a trusted root, or is not valid today. Roots \
         are Amazon RDS's own of the region; set CA_BUNDLE_FILE for any other. A proxy (RDS Proxy, \
         PgBouncer) has another certificate: rotate through the database itself with rotation_host \
         in ROTATION_POLICY."
    )]
    TlsChain,
    #[error(
        "no roots to check the server's certificate against are built in for its region. Put AWS's \
         certificate bundle of the region into a file and name it in CA_BUNDLE_FILE."
    )]
    TlsRootsMissing,
    #[error("the TLS handshake failed. Check that the server speaks TLS 1.2 or newer.")]
    TlsFailed,
    #[error(
        "the server is a read-only standby, or is failing over. Point the secret's host (or \
         rotation_host in ROTATION_POLICY) at the writer."
    )]
    ReadOnly,
    #[error(
        "the server does not prove that it knows the admin's password (SCRAM with channel \
         binding), as it has to where the admin secret does not name its host. Store the admin's \
         password as scram-sha-256, or set rotation_host in ROTATION_POLICY."
    )]
    ServerNotProven,
    #[error(
        "the role lacks the right to do this. If passwords may only be changed by members of \
         rds_password, set admin_secret, and strategy to single-user, in ROTATION_POLICY."
    )]
    PermissionDenied,
    #[error(
        "the admin lacks the right to change this role. From PostgreSQL 16 on run GRANT <role> TO \
         <admin> WITH ADMIN OPTION; before, the admin needs CREATEROLE."
    )]
    AdminLacksRight,
    #[error(
        "the admin may not set this parameter for another role. From PostgreSQL 15 on run GRANT \
         SET ON PARAMETER <parameter> TO <admin>; before, have a superuser give both users the \
         same setting."
    )]
    SettingNotPermitted,
    #[error(
        "the host takes no start-up options, or keeps them to itself, as a pooler or proxy does. \
         Rotate through the database itself: set rotation_host in ROTATION_POLICY."
    )]
    ProxyInTheWay,
    #[error(
        "another session holds a lock on the role. It succeeds on a retry once that session ends: \
         look for it in pg_locks."
    )]
    LockTimedOut,
    #[error("the statement took too long and was cancelled by the server.")]
    StatementTimedOut,
    #[error(
        "the server's password policy refuses the new password. Adapt PASSWORD_LENGTH and the \
         EXCLUDE_ variables to it, or set password_storage to cleartext in ROTATION_POLICY where \
         an extension (credcheck) insists on seeing it."
    )]
    PasswordRefused,
    #[error("another session is changing the role at this moment. It succeeds on a retry.")]
    ConcurrentUpdate,
    #[error("the role does not exist.")]
    RoleMissing,
    #[error(
        "the connection broke off. What had been sent may or may not have taken effect; a retry \
         finds out."
    )]
    ConnectionLost,
    #[error("the server reported an error that has no special handling.")]
    Other,
}

impl DatabaseFault {
    pub(super) fn kind(self) -> &'static str {
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
            Self::TlsRootsMissing => "TlsRootsMissing",
            Self::TlsFailed => "TlsFailed",
            Self::AdminLacksRight | Self::SettingNotPermitted => "AdminLacksRight",
            Self::ProxyInTheWay => "ProxyInTheWay",
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

    pub(super) fn retryable(self) -> bool {
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
