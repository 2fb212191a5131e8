//! Where to log in, and how the server has to prove that it is the right one.

use std::net::SocketAddr;

use crate::error::Problem;
use crate::policy::Policy;
use crate::secret::credentials::Server;

/// A database on a server, and the proof that is asked of the server.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) dbname: String,
    /// The name that the certificate must carry; `None` where the policy allows plaintext and the
    /// secret asks for it.
    pub(super) server_name: Option<String>,
    /// Whether the server must prove, before it is sent anything, that it knows the password, and
    /// that nothing stands between.
    pub(super) proof_required: bool,
    /// The one address to dial, in place of those that the name resolves to.
    pub(super) pinned_to: Option<SocketAddr>,
}

impl Target {
    /// The secret's server, seen through the policy.
    ///
    /// # Errors
    /// A sentence, when the secret asks for plaintext and the policy does not allow it.
    pub(crate) fn new(server: &Server, policy: &Policy) -> Result<Self, Problem> {
        if !server.ssl && !policy.allow_plaintext {
            return Err("\"ssl\" is false, but passwords are sent over TLS only. Remove the key, \
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

    /// The same server, which must authenticate by SCRAM with channel binding: any other method
    /// would hand the password, or what it can be found from, to whatever answers.
    pub(crate) fn requiring_proof(self) -> Self {
        Self { proof_required: true, ..self }
    }

    /// The same server at this address, whatever its name resolves to by now.
    pub(crate) fn pinned_to(self, address: SocketAddr) -> Self {
        Self { pinned_to: Some(address), ..self }
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
