//! Classifies the errors of the server and the driver. The SQLSTATE decides, because messages may
//! be in any language.

use tokio_postgres::error::{DbError, SqlState};

use super::authentication::FEW_ITERATIONS;
use crate::error::{DatabaseFault, Detail, chain};

/// What the server was doing when it failed. Some codes mean something else at a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Login,
    SettingPassword,
    Statement,
}

/// A fault and the message that may be shown with it.
pub(super) type Failure = (DatabaseFault, Detail);

/// The fault, and the message that may be shown with it.
pub(super) fn classify(error: &tokio_postgres::Error, phase: Phase) -> Failure {
    if let Some(error) = error.as_db_error() {
        let fault = match phase {
            Phase::Login => at_login(error),
            Phase::SettingPassword => at_setting_password(error),
            Phase::Statement => None,
        };
        return (fault.unwrap_or_else(|| of_server(error)), server_detail(error));
    }
    let text = chain(error);
    let fault = if text.contains("server does not support TLS") {
        DatabaseFault::TlsNotOffered
    } else if text.contains("certificate verify failed") {
        // Only OpenSSL's texts tell X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH
        // from other failures.
        let name = ["hostname mismatch", "Hostname mismatch", "IP address mismatch"]
            .iter()
            .any(|reason| text.contains(reason));
        if name { DatabaseFault::TlsName } else { DatabaseFault::TlsChain }
    } else if text.starts_with("error performing TLS handshake") {
        DatabaseFault::TlsFailed
    } else if text.contains("channel binding") || text.contains(FEW_ITERATIONS) {
        DatabaseFault::ServerNotProven
    } else if error.is_closed() || text.starts_with("error communicating with the server") {
        DatabaseFault::ConnectionLost
    } else {
        DatabaseFault::Other
    };
    (fault, text.into())
}

fn at_login(error: &DbError) -> Option<DatabaseFault> {
    // The server's C function tells NOLOGIN from pg_hba.conf, which share a SQLSTATE.
    let routine = error.routine().unwrap_or_default();
    let code = error.code();
    if *code == SqlState::INVALID_PASSWORD {
        Some(DatabaseFault::LoginRejected)
    } else if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION
        && routine == "InitializeSessionUserId"
    {
        Some(DatabaseFault::LoginNotPermitted)
    } else if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION
        && routine == "ClientAuthentication"
    {
        Some(DatabaseFault::HostNotPermitted)
    } else if *code == SqlState::INSUFFICIENT_PRIVILEGE && routine == "CheckMyDatabase" {
        Some(DatabaseFault::ConnectNotPermitted)
    } else if *code == SqlState::FEATURE_NOT_SUPPORTED || *code == SqlState::PROTOCOL_VIOLATION {
        // RDS Proxy and PgBouncer answer so to options in the start-up packet.
        Some(DatabaseFault::ProxyInTheWay)
    } else {
        None
    }
}

fn at_setting_password(error: &DbError) -> Option<DatabaseFault> {
    // passwordcheck raises the first, credcheck the next two, and a PL/pgSQL hook the last.
    let refused = [
        SqlState::INVALID_PARAMETER_VALUE,
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        SqlState::INVALID_PASSWORD,
        SqlState::RAISE_EXCEPTION,
    ];
    let made_meanwhile = [SqlState::DUPLICATE_OBJECT, SqlState::UNIQUE_VIOLATION];
    if refused.contains(error.code()) {
        Some(DatabaseFault::PasswordRefused)
    } else {
        made_meanwhile.contains(error.code()).then_some(DatabaseFault::ConcurrentUpdate)
    }
}

fn of_server(error: &DbError) -> DatabaseFault {
    let routine = error.routine().unwrap_or_default();
    match error.code() {
        c if *c == SqlState::TOO_MANY_CONNECTIONS => DatabaseFault::TooManyConnections,
        c if *c == SqlState::CANNOT_CONNECT_NOW
            || *c == SqlState::ADMIN_SHUTDOWN
            || *c == SqlState::CRASH_SHUTDOWN =>
        {
            DatabaseFault::NotAccepting
        }
        c if *c == SqlState::UNDEFINED_DATABASE || *c == SqlState::INVALID_CATALOG_NAME => {
            DatabaseFault::DatabaseMissing
        }
        c if *c == SqlState::READ_ONLY_SQL_TRANSACTION => DatabaseFault::ReadOnly,
        c if *c == SqlState::INSUFFICIENT_PRIVILEGE => DatabaseFault::PermissionDenied,
        c if *c == SqlState::LOCK_NOT_AVAILABLE => DatabaseFault::LockTimedOut,
        c if *c == SqlState::QUERY_CANCELED => DatabaseFault::StatementTimedOut,
        c if *c == SqlState::UNDEFINED_OBJECT => DatabaseFault::RoleMissing,
        // "tuple concurrently updated" has no code of its own.
        c if *c == SqlState::INTERNAL_ERROR && routine == "simple_heap_update" => {
            DatabaseFault::ConcurrentUpdate
        }
        _ => DatabaseFault::Other,
    }
}

/// Code and message, and for a missing right also the detail, which names it. Other details may
/// quote values.
fn server_detail(error: &DbError) -> Detail {
    let mut message = error.message().to_owned();
    if let (true, Some(detail)) =
        (*error.code() == SqlState::INSUFFICIENT_PRIVILEGE, error.detail())
    {
        message.push_str(". ");
        message.push_str(detail);
    }
    Detail::of_server(error.code().code(), &message)
}
