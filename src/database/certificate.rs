//! How long a server's certificate is valid, read during the handshake.

use std::sync::{Arc, OnceLock};

use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::ssl::{ConnectConfiguration, SslVerifyMode};

const SECONDS_OF_A_DAY: i64 = 24 * 60 * 60;

/// The time that a certificate has left. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct CertificateLifetime(Arc<OnceLock<i64>>);

impl CertificateLifetime {
    /// Notes the end of the server's own certificate while OpenSSL verifies it. OpenSSL alone
    /// decides.
    pub(super) fn watch(&self, session: &mut ConnectConfiguration) {
        let lifetime = self.clone();
        session.set_verify_callback(SslVerifyMode::PEER, move |verdict, chain| {
            if chain.error_depth() == 0
                && let Some(certificate) = chain.current_cert()
                && let Some(seconds) = seconds_until(certificate.not_after())
            {
                let _ = lifetime.0.set(seconds);
            }
            verdict
        });
    }

    /// The seconds left; negative after the end. `None` before the handshake.
    pub(super) fn seconds(&self) -> Option<i64> {
        self.0.get().copied()
    }
}

fn seconds_until(end: &Asn1TimeRef) -> Option<i64> {
    let left = Asn1Time::days_from_now(0).ok()?.diff(end).ok()?;
    Some(i64::from(left.days) * SECONDS_OF_A_DAY + i64::from(left.secs))
}
