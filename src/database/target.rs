//! The server to log in to, and how it has to prove its identity.

use std::net::SocketAddr;

use crate::error::Problem;
use crate::policy::Policy;
use crate::secret::credentials::Server;

/// A database on a server, and the proof that the server has to give.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) dbname: String,
    /// The name that the certificate must carry. `None` means plaintext: the secret asks for it,
    /// and the policy allows it.
    pub(crate) server_name: Option<String>,
    /// Whether the server must prove that it knows the password, and that nothing is between.
    pub(crate) proof_required: bool,
    /// The address to connect to instead of those that the name resolves to.
    pub(super) pinned_to: Option<SocketAddr>,
}

impl Target {
    /// The secret's server with the policy's changes.
    ///
    /// # Errors
    /// A [`Problem`] if the secret asks for plaintext and the policy forbids it.
    pub(crate) fn new(server: &Server, policy: &Policy) -> Result<Self, Problem> {
        if !server.ssl && !policy.allow_plaintext {
            return Err("\"ssl\" is false, but passwords are sent only over TLS. Remove the key, \
                 or set allow_plaintext in ROTATION_POLICY for this secret."
                .into());
        }
        let host = policy.rotation_host.clone().unwrap_or_else(|| server.host.clone());
        let server_name =
            server.ssl.then(|| policy.tls_server_name.clone().unwrap_or_else(|| host.clone()));
        Ok(Self {
            host,
            port: policy.rotation_port.unwrap_or(server.port),
            dbname: server.dbname.clone(),
            server_name,
            proof_required: false,
            pinned_to: None,
        })
    }

    /// Requires SCRAM with channel binding. Any other method would show the password, or a hash to
    /// guess it from, to a wrong server.
    pub(crate) fn requiring_proof(self) -> Self {
        Self { proof_required: true, ..self }
    }

    /// The same server at this address, whatever its name resolves to.
    pub(crate) fn pinned_to(self, address: SocketAddr) -> Self {
        Self { pinned_to: Some(address), ..self }
    }

    /// Another database of the same server.
    pub(crate) fn in_database(&self, dbname: &str) -> Self {
        Self { dbname: dbname.to_owned(), ..self.clone() }
    }

    /// Whether the connection is encrypted.
    pub(crate) fn encrypted(&self) -> bool {
        self.server_name.is_some()
    }

    /// `host:port`, for messages.
    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}
