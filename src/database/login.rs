//! A login: the server accepts the password, refuses it, or an error says why neither is known.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::{Config, Connection, NoTls};

use super::allowance;
use super::fault::{self, Phase};
use super::progress::{Part, Progress, Watched};
use super::session::{Opened, Session};
use super::settings::{APPLICATION_NAME, Purpose, startup_options};
use super::target::Target;
use super::tls::Tls;
use crate::deadline::Deadline;
use crate::error::{DatabaseFault, Detail, Error};
use crate::secret::password::Password;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// PostgreSQL's own number. A false server could ask for one, and guess at the proof.
const LEAST_ITERATIONS: u32 = 4096;
const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether the server accepts a password. Every other failure is an error and decides nothing.
#[derive(Debug)]
pub(crate) enum Login {
    Accepted(Session),
    /// SQLSTATE 28P01: the database has another password for the role, or none that works.
    Rejected(Error),
}

impl Login {
    /// The session of an accepted login.
    ///
    /// # Errors
    /// [`Error::Database`] with `LoginRejected` if the password was refused.
    pub(crate) fn accepted(self) -> Result<Session, Error> {
        match self {
            Self::Accepted(session) => Ok(session),
            Self::Rejected(error) => Err(error),
        }
    }
}

/// A database that an invocation can log in to.
#[derive(Debug)]
pub(crate) struct Database<'a> {
    pub(crate) tls: &'a Tls,
    pub(crate) target: Target,
    pub(crate) deadline: Deadline,
}

impl Database<'_> {
    /// Logs in. `operation` names the login in errors.
    ///
    /// # Errors
    /// [`Error::Database`] for every failure but a refused password: name, route, TLS,
    /// `pg_hba.conf`, limits, time.
    pub(crate) async fn login(
        &self,
        operation: &'static str,
        role: &str,
        password: &Password,
        purpose: Purpose,
    ) -> Result<Login, Error> {
        self.watched_login(operation, role, password, purpose).await.0
    }

    /// Logs in, and returns how far the attempt came.
    pub(crate) async fn watched_login(
        &self,
        operation: &'static str,
        role: &str,
        password: &Password,
        purpose: Purpose,
    ) -> (Result<Login, Error>, Progress) {
        let progress = Progress::start();
        let failed = |(fault, detail): Failure| Error::Database {
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
            .unwrap_or_else(|elapsed| Err((DatabaseFault::TimedOut, elapsed.to_string().into())));
        let login = match opened {
            Ok(opened) => {
                progress.reached(Part::Login);
                let host = self.target.address();
                tracing::debug!(db.role = role, db.host = host, operation, "logged in");
                let authentication = progress.authentication();
                let deadline = self.deadline;
                Ok(Login::Accepted(Session::new(opened, role, host, authentication, deadline)))
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
    ) -> Result<Opened, Failure> {
        let target = &self.target;
        let mut config = Config::new();
        let binding =
            if target.proof_required { ChannelBinding::Require } else { ChannelBinding::Prefer };
        config
            .user(role)
            .password(password.expose_secret())
            .dbname(&target.dbname)
            .application_name(APPLICATION_NAME)
            .channel_binding(binding)
            .options(startup_options(purpose, self.deadline));
        if target.proof_required {
            progress.watch.require(LEAST_ITERATIONS);
        }
        let failed = |error| match fault::classify(&error, Phase::Login) {
            _ if progress.allowance.exceeded() => {
                (DatabaseFault::Other, allowance::TOO_MUCH.to_owned().into())
            }
            failure => failure,
        };
        let Some(server_name) = &target.server_name else {
            config.ssl_mode(SslMode::Disable);
            let (stream, peer) = dial(target, progress).await?;
            let stream = progress.watched(stream);
            let (client, connection) = config.connect_raw(stream, NoTls).await.map_err(failed)?;
            let (connection, allowance) = (serve(connection), progress.allowance.clone());
            return Ok(Opened { client, connection, peer, allowance });
        };
        config.ssl_mode(SslMode::Require);
        let connector = self
            .tls
            .connector_for(server_name, &progress.certificate)
            .map_err(|reason| (DatabaseFault::TlsRootsMissing, Detail::from(reason)))?;
        let (stream, peer) = dial(target, progress).await?;
        let (client, connection) =
            config.connect_raw(stream, Watched { connector, progress }).await.map_err(failed)?;
        let (connection, allowance) = (serve(connection), progress.allowance.clone());
        Ok(Opened { client, connection, peer, allowance })
    }
}

/// A fault and the message that may be shown with it.
type Failure = (DatabaseFault, Detail);

/// Resolves the name and connects. The driver would do both, but not tell the failures apart.
async fn dial(target: &Target, progress: &Progress) -> Result<(TcpStream, SocketAddr), Failure> {
    let addresses: Vec<_> = match target.pinned_to {
        Some(address) => vec![address],
        None => tokio::net::lookup_host((target.host.as_str(), target.port))
            .await
            .map_err(|error| (DatabaseFault::NameNotResolved, error.to_string().into()))?
            .collect(),
    };
    progress.reached(Part::Dns);
    let mut failure =
        (DatabaseFault::NameNotResolved, Detail::from("the name has no address".to_owned()));
    for address in addresses {
        match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Each request is one small packet, which must not wait for more.
                let _ = stream.set_nodelay(true);
                progress.reached(Part::Tcp);
                return Ok((stream, address));
            }
            Ok(Err(error)) => {
                failure = (DatabaseFault::Unreachable, format!("{address}: {error}").into());
            }
            Err(_) => {
                let text =
                    format!("{address}: no TCP connection within {} s", CONNECT_TIMEOUT.as_secs());
                failure = (DatabaseFault::TimedOut, text.into());
            }
        }
    }
    Err(failure)
}

fn serve<S, T>(connection: Connection<S, T>) -> JoinHandle<()>
where
    Connection<S, T>: Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static,
{
    // The error also reaches the caller that waits for an answer, which reports it.
    tokio::spawn(async move { drop(connection.await) })
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// The proof of a new password must not reach another server of the same name.
    #[tokio::test]
    async fn a_pinned_target_is_dialled_without_its_name() {
        let target = Target {
            host: "no-such-name.invalid".to_owned(),
            port: 1,
            dbname: "postgres".to_owned(),
            server_name: None,
            proof_required: false,
            pinned_to: None,
        };
        let (fault, _) = dial(&target, &Progress::start()).await.unwrap_err();
        assert_eq!(fault, DatabaseFault::NameNotResolved);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_, peer) = dial(&target.pinned_to(address), &Progress::start()).await.unwrap();
        assert_eq!(peer, address);
    }
}
