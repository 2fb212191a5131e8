//! Classifies the errors of the server, by the table in `fault_rules`, and those of the driver.

use tokio_postgres::error::{DbError, SqlState};

use super::authentication::FEW_ITERATIONS;
pub(super) use super::fault_rules::Phase;
use super::fault_rules::{self, ServerRefusal};
use crate::error::{DatabaseFault, Detail, chain};

/// A fault, and the message that may be shown with it.
#[derive(Debug)]
pub(super) struct DatabaseFailure {
    pub(super) fault: DatabaseFault,
    pub(super) detail: Detail,
}

impl DatabaseFailure {
    pub(super) fn new(fault: DatabaseFault, detail: impl Into<Detail>) -> Self {
        Self { fault, detail: detail.into() }
    }
}

/// Tells what an error of the driver means. The phase decides about some codes.
pub(super) fn classify(error: &tokio_postgres::Error, phase: Phase) -> DatabaseFailure {
    if let Some(error) = error.as_db_error() {
        let refusal = ServerRefusal {
            code: error.code().code(),
            routine: error.routine().unwrap_or_default(),
            message: error.message(),
        };
        return DatabaseFailure::new(fault_rules::fault(phase, refusal), server_detail(error));
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
    } else if text.contains("SCRAM iteration count exceeds") {
        DatabaseFault::TooManyIterations
    } else if error.is_closed() || text.starts_with("error communicating with the server") {
        DatabaseFault::ConnectionLost
    } else {
        DatabaseFault::Other
    };
    DatabaseFailure::new(fault, text)
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
