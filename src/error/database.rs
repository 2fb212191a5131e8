//! How the database or the connection to it can fail.

use postgres_protocol::escape::{escape_identifier, escape_literal};

/// How the database or the connection to it failed. Only [`LoginRejected`](Self::LoginRejected)
/// says anything about a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DatabaseFault {
    #[error(
        "the server refused the password. It is wrong, or the role does not exist, has no password \
         or is past its VALID UNTIL. The server does not say which. Compare the secret with \
         pg_roles."
    )]
    LoginRejected,
    #[error("the password is right, but the role may not log in.")]
    LoginNotPermitted,
    #[error(
        "pg_hba.conf does not let this role in from the function's address. Add a hostssl entry. \
         If the secret says \"ssl\": false, remove that key first."
    )]
    HostNotPermitted,
    #[error(
        "the server checks this role by PAM, so its own password does not count. Amazon RDS does \
         that for members of rds_iam. Remove the role from rds_iam, or rotate another role."
    )]
    IamLogin,
    #[error(
        "the server checks this role by another method than its password, such as trust, LDAP or \
         a certificate. No rotation can change that. Let pg_hba.conf use scram-sha-256 for the \
         role, or rotate another role."
    )]
    OtherLogin,
    #[error(
        "the server wants a client certificate, and this function has none. Add a hostssl entry \
         with scram-sha-256 and without clientcert for the role to pg_hba.conf."
    )]
    ClientCertificateWanted,
    #[error(
        "an extension (credcheck) has banned the role after refused logins, whatever its password \
         is. Set max_refused_logins in ROTATION_POLICY below its limit, and lift the ban."
    )]
    RoleBanned,
    #[error(
        "an event trigger on login, an extension or a proxy refused the session after its start. \
         Let it accept the application_name \"postgres-secret-rotation\", or the role from the \
         function's address."
    )]
    SessionRefused,
    #[error(
        "the database accepts no connections. If it is the wrong one, correct the secret's dbname."
    )]
    DatabaseClosed,
    #[error("the role may not connect to the database.")]
    ConnectNotPermitted,
    #[error("the database that the secret's dbname names does not exist. Correct dbname.")]
    DatabaseMissing,
    #[error(
        "no connection is free: the role's CONNECTION LIMIT, the database's or max_connections is \
         reached. A retry succeeds once a connection is free."
    )]
    TooManyConnections,
    #[error(
        "the server has run out of memory, disk or another resource. Free some. A retry succeeds \
         then."
    )]
    OutOfResources,
    #[error("the server is starting up or shutting down. A retry succeeds once it is up.")]
    NotAccepting,
    #[error("the host name cannot be resolved. Check the secret's host and the VPC's DNS.")]
    NameNotResolved,
    #[error(
        "the host refuses connections, or no route leads to it. Check the host, the port and the \
         security groups, and that the server runs."
    )]
    Unreachable,
    #[error(
        "no answer in time. Check the security groups and routes between the function and the \
         database, and the server's load."
    )]
    TimedOut,
    #[error(
        "the server does not offer TLS, and no password is sent without it. Switch ssl on in the \
         server."
    )]
    TlsNotOffered,
    #[error(
        "the server's certificate names another host. Use that name as the secret's host, or set \
         tls_server_name in ROTATION_POLICY."
    )]
    TlsName,
    #[error(
        "the server's certificate is not signed by a trusted root, or is not valid today. The \
         trusted roots are those of Amazon RDS in the region; for others, set CA_BUNDLE_FILE. A \
         proxy (RDS Proxy, PgBouncer) has another certificate: set rotation_host in \
         ROTATION_POLICY to the database itself."
    )]
    TlsChain,
    #[error(
        "the function has no root certificates for the server's region. Store AWS's certificate \
         bundle of the region in a file, and name the file in CA_BUNDLE_FILE."
    )]
    TlsRootsMissing,
    #[error("the TLS handshake failed. Check that the server speaks TLS 1.2 or newer.")]
    TlsFailed,
    #[error(
        "the server is a read-only standby, or is failing over. Set the secret's host, or \
         rotation_host in ROTATION_POLICY, to the writer."
    )]
    ReadOnly,
    #[error(
        "the server did not prove that it knows the password (SCRAM with channel binding). It \
         must, because the host or port comes from the rotated secret. Store the password as \
         scram-sha-256. Or set rotation_host and rotation_port in ROTATION_POLICY, or for an admin \
         name host and port in the admin secret."
    )]
    ServerNotProven,
    #[error(
        "the server wants more SCRAM iterations than this function can log in with. Lower \
         scram_iterations on the server."
    )]
    TooManyIterations,
    #[error(
        "the server's password policy refuses to set AWSCURRENT's password again, so a failed \
         rotation could not go back. Allow the reuse of the last password."
    )]
    WayBackRefused,
    #[error(
        "too little time is left to change the password and prove it. Set the function's time-out \
         to at least 30 s, and retry."
    )]
    TooLittleTime,
    #[error(
        "the role lacks the right to do this. If only members of rds_password may change \
         passwords, set admin_secret, and strategy to single-user, in ROTATION_POLICY."
    )]
    PermissionDenied,
    #[error(
        "the role may not read a catalog or a function that PostgreSQL lets PUBLIC read. Grant it \
         to the role again; the server's words name it."
    )]
    CatalogHidden,
    #[error(
        "a name or a role's setting on the server is not UTF-8, so this function cannot use it. \
         Change it in psql with client_encoding set to SQL_ASCII. If it is a database, you can \
         also leave it out: list the others as databases in ROTATION_POLICY."
    )]
    NameNotUtf8,
    #[error(
        "the server does not know a part of SQL that this function needs. Check that it is \
         PostgreSQL 13 or newer, and not another product that speaks its protocol."
    )]
    NotSupported,
    #[error("the admin lacks the right to change this role.")]
    AdminLacksRight,
    #[error(
        "the admin may not set this parameter for another role. On PostgreSQL 15 or newer, run \
         GRANT SET ON PARAMETER <parameter> TO <admin>. Before 15, a superuser has to set it for \
         both users."
    )]
    SettingNotPermitted,
    #[error(
        "the host refuses or drops start-up options, as a pooler or proxy does. Set rotation_host \
         and rotation_port in ROTATION_POLICY to those of the database itself."
    )]
    ProxyInTheWay,
    #[error(
        "another session holds a lock that this needs. Look for it in pg_locks. A retry succeeds \
         once that session ends."
    )]
    LockTimedOut,
    #[error("the statement took too long, and the server cancelled it. A retry may succeed.")]
    StatementTimedOut,
    #[error(
        "the server's password policy refuses the new password. Adapt PASSWORD_LENGTH and the \
         EXCLUDE_ variables. If an extension (credcheck) has to see the password, set \
         password_storage to cleartext in ROTATION_POLICY."
    )]
    PasswordRefused,
    #[error("another session is changing the role at this moment. A retry succeeds.")]
    ConcurrentUpdate,
    #[error("the role does not exist. Correct the secret, or create the role.")]
    RoleMissing,
    #[error(
        "the connection was lost. The last statement may or may not have taken effect; a retry \
         finds out."
    )]
    ConnectionLost,
    #[error(
        "the server or the connection reported a problem of its own, in the words in brackets. \
         Look at the server's log of this moment, correct the cause, and retry."
    )]
    Other,
}

impl DatabaseFault {
    /// What a person can run against the refusal of a login, in SQL.
    pub(crate) fn statement(self, role: &str, database: &str) -> Option<String> {
        let name = escape_identifier(role);
        let database = escape_identifier(database);
        Some(match self {
            Self::LoginNotPermitted => format!("ALTER ROLE {name} LOGIN"),
            Self::ConnectNotPermitted => format!("GRANT CONNECT ON DATABASE {database} TO {name}"),
            Self::DatabaseClosed => format!("ALTER DATABASE {database} ALLOW_CONNECTIONS true"),
            Self::IamLogin => format!("REVOKE rds_iam FROM {name}"),
            Self::RoleBanned => {
                format!("SELECT pg_banned_role_reset({})", escape_literal(role).trim_start())
            }
            _ => return None,
        })
    }

    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::LoginRejected => "LoginRejected",
            Self::LoginNotPermitted => "LoginNotPermitted",
            Self::HostNotPermitted => "HostNotPermitted",
            Self::IamLogin => "IamLoginRequired",
            Self::OtherLogin => "PasswordNotUsed",
            Self::ClientCertificateWanted => "ClientCertificateRequired",
            Self::RoleBanned => "RoleBanned",
            Self::SessionRefused => "SessionRefused",
            Self::DatabaseClosed => "DatabaseClosed",
            Self::OutOfResources => "DatabaseOutOfResources",
            Self::CatalogHidden => "CatalogNotReadable",
            Self::NameNotUtf8 => "NameNotUtf8",
            Self::NotSupported => "DatabaseNotSupported",
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
            Self::TooManyIterations => "TooManyIterations",
            Self::WayBackRefused => "WayBackRefused",
            Self::TooLittleTime => "TooLittleTime",
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
                | Self::OutOfResources
                | Self::NotAccepting
                | Self::NameNotResolved
                | Self::Unreachable
                | Self::TimedOut
                | Self::ReadOnly
                | Self::LockTimedOut
                | Self::StatementTimedOut
                | Self::ConcurrentUpdate
                | Self::ConnectionLost
                | Self::TooLittleTime
        )
    }
}
