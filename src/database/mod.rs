//! The database: a login that either proves a password, disproves it, or says why it could do
//! neither; and the session it opens.

mod fault;
pub mod grants;
pub mod missing;
pub mod pair;
pub mod parity;
pub mod probe;
pub mod progress;
pub mod role;
mod session;
pub mod sessions;
mod sql;
pub mod tls;

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::{Client, Config, Connection, NoTls};

use self::fault::Phase;
use self::progress::{Part, Progress, Watched};
pub use self::session::Session;
use self::tls::Tls;
use crate::deadline::Deadline;
use crate::error::{DatabaseFault, Error};
use crate::policy::Policy;
use crate::secret::credentials::Server;
use crate::secret::password::Password;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Longer than any statement of ours takes, short enough to be told before Lambda's usual 30 s are
/// over.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than a transaction waits for whatever is not the server, such as a login or a call to
/// Secrets Manager.
const TRANSACTION_TIMEOUT: Duration = Duration::from_mins(1);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// What the role's own settings must not change in a session of ours.
const OURS: [(&str, &str); 4] = [
    ("search_path", "pg_catalog"),
    ("role", "none"),
    ("default_transaction_read_only", "off"),
    ("datestyle", "ISO"),
];
const APPLICATION_NAME: &str = "postgres-secret-rotation";

/// Where to log in, and how the server has to prove that it is the one.
#[derive(Debug, Clone)]
pub struct Target {
    host: String,
    port: u16,
    dbname: String,
    /// The name that the certificate has to carry; `None` where the policy allows plaintext and the
    /// secret asks for it.
    server_name: Option<String>,
    /// Whether the server has to prove, before it is sent anything, that it knows the password, and
    /// that nobody stands between.
    proof_required: bool,
}

/// What the server makes of a password. Whatever else happens is an error, on which nothing may be
/// decided.
#[derive(Debug)]
pub enum Login {
    Accepted(Session),
    /// SQLSTATE 28P01: this password is not the one in the database (or the role has none that
    /// works).
    Rejected(Error),
}

/// Under whose settings a session runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Ours: neither the role's `search_path`, nor its `role`, nor its read-only default may reach
    /// what we send.
    Administer,
    /// The application's own, as it will find them.
    Application,
}

impl Target {
    /// The secret's server, seen through the policy.
    ///
    /// # Errors
    /// A sentence, when the secret asks for plaintext that the policy does not allow.
    pub fn new(server: &Server, policy: &Policy) -> Result<Self, String> {
        if !server.ssl && !policy.allow_plaintext {
            return Err(
                "\"ssl\" is false, but passwords are sent over TLS only. Remove the key, or set \
                 allow_plaintext in ROTATION_POLICY for this secret."
                    .to_owned(),
            );
        }
        let host = policy.rotation_host.clone().unwrap_or_else(|| server.host.clone());
        let server_name =
            server.ssl.then(|| policy.tls_server_name.clone().unwrap_or_else(|| host.clone()));
        Ok(Self {
            host,
            port: server.port,
            dbname: server.dbname.clone(),
            server_name,
            proof_required: false,
        })
    }

    /// The same server, which has to authenticate by SCRAM with channel binding: any other method
    /// would hand the password, or what it can be found from, to whoever answers.
    #[must_use]
    pub fn requiring_proof(self) -> Self {
        Self { proof_required: true, ..self }
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn encrypted(&self) -> bool {
        self.server_name.is_some()
    }

    /// `host:port`, for messages.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// The way to one database, for one invocation.
#[derive(Debug)]
pub struct Database<'a> {
    pub tls: &'a Tls,
    pub target: Target,
    pub deadline: Deadline,
}

impl Database<'_> {
    /// Logs in; `operation` says in errors whose password it was.
    ///
    /// # Errors
    /// [`Error::Database`] for everything but a refused password: name, route, TLS, `pg_hba.conf`,
    /// limits, time.
    pub async fn login(
        &self,
        operation: &'static str,
        role: &str,
        password: &Password,
        purpose: Purpose,
    ) -> Result<Login, Error> {
        self.watched_login(operation, role, password, purpose).await.0
    }

    /// The same, and how far it has come.
    pub async fn watched_login(
        &self,
        operation: &'static str,
        role: &str,
        password: &Password,
        purpose: Purpose,
    ) -> (Result<Login, Error>, Progress) {
        let progress = Progress::start();
        let failed = |(fault, detail): (DatabaseFault, String)| Error::Database {
            operation,
            role: role.to_owned(),
            host: self.target.address(),
            fault,
            detail,
        };
        let opened = self
            .deadline
            .limit(LOGIN_TIMEOUT, Box::pin(self.open(role, password, purpose, &progress)))
            .await
            .unwrap_or_else(|elapsed| Err((DatabaseFault::TimedOut, elapsed.to_string())));
        let login = match opened {
            Ok((client, connection)) => {
                progress.reached(Part::Login);
                let host = self.target.address();
                tracing::debug!(db.role = role, db.host = host, operation, "logged in");
                Ok(Login::Accepted(Session {
                    client,
                    connection,
                    role: role.to_owned(),
                    host: self.target.address(),
                    deadline: self.deadline,
                }))
            }
            Err(refusal @ (DatabaseFault::LoginRejected, _)) => {
                Ok(Login::Rejected(failed(refusal)))
            }
            Err(failure) => Err(failed(failure)),
        };
        (login, progress)
    }

    async fn open(
        &self,
        role: &str,
        password: &Password,
        purpose: Purpose,
        progress: &Progress,
    ) -> Result<(Client, JoinHandle<()>), Failure> {
        let target = &self.target;
        let mut config = Config::new();
        config
            .user(role)
            .password(password.expose_secret())
            .dbname(&target.dbname)
            .application_name(APPLICATION_NAME)
            .channel_binding(if target.proof_required {
                ChannelBinding::Require
            } else {
                ChannelBinding::Prefer
            })
            .options(options(purpose, self.deadline));
        let failed = |error| fault::of(&error, Phase::Login);
        let Some(server_name) = &target.server_name else {
            config.ssl_mode(SslMode::Disable);
            let (client, connection) =
                config.connect_raw(dial(target, progress).await?, NoTls).await.map_err(failed)?;
            return Ok((client, serve(connection)));
        };
        config.ssl_mode(SslMode::Require);
        let connector = self
            .tls
            .connector_for(server_name)
            .map_err(|reason| (DatabaseFault::TlsRootsMissing, reason))?;
        let connector = postgres_native_tls::TlsConnector::new(connector, server_name);
        let stream = dial(target, progress).await?;
        let (client, connection) =
            config.connect_raw(stream, Watched { connector, progress }).await.map_err(failed)?;
        Ok((client, serve(connection)))
    }
}

/// A fault, and the text that may be shown with it.
type Failure = (DatabaseFault, String);

/// Resolves and connects here and not in the driver, so that a name, a route and a login that fail
/// can be told apart.
async fn dial(target: &Target, progress: &Progress) -> Result<TcpStream, Failure> {
    let addresses = tokio::net::lookup_host((target.host.as_str(), target.port))
        .await
        .map_err(|error| (DatabaseFault::NameNotResolved, error.to_string()))?;
    progress.reached(Part::Dns);
    let mut failure = (DatabaseFault::NameNotResolved, "the name has no address".to_owned());
    for address in addresses {
        match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // A request is a packet of its own; waiting to fill it would only delay each.
                let _ = stream.set_nodelay(true);
                progress.reached(Part::Tcp);
                return Ok(stream);
            }
            Ok(Err(error)) => failure = (DatabaseFault::Unreachable, format!("{address}: {error}")),
            Err(_) => {
                failure = (
                    DatabaseFault::TimedOut,
                    format!("{address}: no TCP connection within {} s", CONNECT_TIMEOUT.as_secs()),
                )
            }
        }
    }
    Err(failure)
}

fn options(purpose: Purpose, deadline: Deadline) -> String {
    let timeouts = format!(
        "-c statement_timeout={} -c lock_timeout={} -c idle_in_transaction_session_timeout={} -c \
         default_transaction_deferrable=off",
        deadline.remaining(STATEMENT_TIMEOUT).as_millis().max(1),
        deadline.remaining(LOCK_TIMEOUT).as_millis().max(1),
        // A session that is cut off keeps its locks: once the invocation is over nobody goes on
        // with it.
        deadline.remaining(TRANSACTION_TIMEOUT).as_millis().max(1),
    );
    match purpose {
        Purpose::Administer => OURS
            .iter()
            .fold(timeouts, |options, (name, value)| format!("{options} -c {name}={value}")),
        Purpose::Application => timeouts,
    }
}

fn serve<S, T>(connection: Connection<S, T>) -> JoinHandle<()>
where
    Connection<S, T>: Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static,
{
    // Its error also reaches whoever waits for an answer of the session, and is told there.
    tokio::spawn(async move { drop(connection.await) })
}
