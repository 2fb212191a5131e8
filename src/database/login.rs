//! A login: the server accepts the password, refuses it, or an error says why neither is known.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::{Config, Connection, NoTls};

use super::allowance;
use super::dial::{dial, within};
use super::fault::{self, DatabaseFailure, Phase};
use super::progress::{Part, Progress, WatchedHandshake};
use super::refused_logins::RefusedLogins;
use super::session::{OpenConnection, Session};
use super::settings::{APPLICATION_NAME, Purpose, startup_options};
use super::slow_logins::SlowLogins;
use super::target::Target;
use super::tls::Tls;
use crate::deadline::{Deadline, Elapsed};
use crate::error::{DatabaseFault, Error};
use crate::secret::password::Password;

/// PostgreSQL's own number. A false server could ask for a single iteration and guess at the proof.
const LEAST_ITERATIONS: u32 = 4096;
const NO_PASSWORD: &str = "the server asked for no password (trust, peer or a certificate)";
/// The pause before a server that is starting up is asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// Whether the server accepts a password. Every other failure is an error and decides nothing.
#[derive(Debug)]
pub(crate) enum Login {
    /// The server asked for the password, and accepts it.
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
    pub(crate) slow_logins: &'a SlowLogins,
    pub(crate) refused_logins: &'a RefusedLogins,
    pub(crate) target: Target,
    /// The end of every wait in its sessions.
    pub(crate) deadline: Deadline,
    /// The end of the wait for a login. A database may be asleep, or failing over.
    pub(crate) login_until: Deadline,
}

impl Database<'_> {
    /// Another database of the same server.
    pub(crate) fn sibling(&self, dbname: &str) -> Self {
        Self { target: self.target.in_database(dbname), ..*self }
    }

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
        let started = Instant::now();
        let failed = |DatabaseFailure { fault, detail }: DatabaseFailure| Error::Database {
            operation,
            role: role.to_owned(),
            host: self.target.address(),
            fault,
            run: fault.statement(role, &self.target.dbname).map(String::into_boxed_str),
            detail,
        };
        let mut refusal = None;
        let (opened, progress) = loop {
            let progress = Progress::start();
            let opened = Box::pin(self.open(role, password, &progress)).await;
            match opened {
                Err(failure) if self.comes_up(&failure, refusal.is_some()) => {
                    refusal = Some(failure);
                    tokio::time::sleep(PAUSE).await;
                }
                Err(DatabaseFailure { fault, detail }) if refusal.is_some() => {
                    let waited = format!(
                        ". The server was starting up or shutting down, and was asked for {:.1} s",
                        started.elapsed().as_secs_f32()
                    );
                    let detail = detail.with_addition(&waited);
                    break (Err(DatabaseFailure { fault, detail }), progress);
                }
                opened => break (opened, progress),
            }
        };
        let login = match opened {
            Ok(opened) => {
                progress.reached(Part::Login);
                let host = self.target.address();
                self.slow_logins.note(operation, &host, started.elapsed(), refusal.as_ref());
                tracing::debug!(db.role = role, db.host = host, operation, "logged in");
                let authentication = progress.authentication();
                let deadline = self.deadline;
                let session = Session::new(opened, role, host, authentication, deadline);
                let usable = match purpose {
                    // Such a login proves neither the password nor that the role is the secret's.
                    _ if !session.authentication().accepted => {
                        let detail = NO_PASSWORD.to_owned();
                        Err(session.error(operation, DatabaseFault::OtherLogin, detail))
                    }
                    // Before any other statement.
                    Purpose::Administer => session.apply_admin_settings().await,
                    Purpose::Application => Ok(()),
                };
                match usable {
                    Ok(()) => Ok(Login::Accepted(session)),
                    Err(error) => {
                        session.close().await;
                        Err(error)
                    }
                }
            }
            Err(failure) => {
                let fault = failure.fault;
                if matches!(fault, DatabaseFault::LoginRejected | DatabaseFault::HostNotPermitted) {
                    self.refused_logins.count();
                }
                let error = failed(failure);
                if fault == DatabaseFault::LoginRejected {
                    Ok(Login::Rejected(error))
                } else {
                    Err(error)
                }
            }
        };
        (login, progress)
    }

    /// Asks the server to end the present statement of a session that does not answer. What fails
    /// here leaves everything as it was.
    pub(crate) async fn cancel(&self, session: &Session) {
        let (token, progress) = (session.cancel_token(), Progress::start());
        let cancelled = async {
            let (stream, _) = dial(&self.target, self.login_until, &progress).await.ok()?;
            let Some(server_name) = &self.target.server_name else {
                return token.cancel_query_raw(stream, NoTls).await.ok();
            };
            let connector = self.tls.connector_for(server_name, &progress.certificate).ok()?;
            let handshake = WatchedHandshake { connector, progress: &progress };
            token.cancel_query_raw(stream, handshake).await.ok()
        };
        let _ = self.login_until.limit(Duration::MAX, Box::pin(cancelled)).await;
    }

    /// Whether to ask again. The function waits for a server that says it is starting or stopping.
    /// A refused connection counts as that only afterwards. Before, it means a wrong port or a
    /// server that is switched off.
    fn comes_up(&self, failure: &DatabaseFailure, was_seen: bool) -> bool {
        let fault = failure.fault;
        let comes_up = fault == DatabaseFault::NotAccepting
            || was_seen
                && matches!(fault, DatabaseFault::Unreachable | DatabaseFault::ConnectionLost);
        comes_up && self.login_until.leaves(PAUSE)
    }

    /// Dials and logs in once.
    async fn open(
        &self,
        role: &str,
        password: &Password,
        progress: &Progress,
    ) -> Result<OpenConnection, DatabaseFailure> {
        let (target, until) = (&self.target, self.login_until);
        let marker = format!("{:016x}", rand::random::<u64>());
        let mut config = Config::new();
        let binding =
            if target.proof_required { ChannelBinding::Require } else { ChannelBinding::Prefer };
        config
            .user(role)
            .password(password.expose_secret())
            .dbname(&target.dbname)
            .application_name(APPLICATION_NAME)
            .channel_binding(binding)
            .options(startup_options(&marker, self.deadline));
        if target.proof_required {
            progress.watch.require(LEAST_ITERATIONS);
        }
        let failed = |error| match fault::classify(&error, Phase::Login) {
            _ if progress.allowance.exceeded() => {
                DatabaseFailure::new(DatabaseFault::Other, allowance::TOO_MUCH.to_owned())
            }
            failure => failure,
        };
        let Some(server_name) = &target.server_name else {
            config.ssl_mode(SslMode::Disable);
            let (stream, peer) = dial(target, until, progress).await?;
            let stream = progress.watched(stream);
            let login = Box::pin(config.connect_raw(stream, NoTls));
            let (client, connection) = self.in_time(peer, login).await?.map_err(failed)?;
            let (connection, allowance) = (serve(connection), progress.allowance.clone());
            return Ok(OpenConnection { client, connection, peer, allowance, marker });
        };
        config.ssl_mode(SslMode::Require);
        let connector = self
            .tls
            .connector_for(server_name, &progress.certificate)
            .map_err(|reason| DatabaseFailure::new(DatabaseFault::TlsRootsMissing, reason))?;
        let (stream, peer) = dial(target, until, progress).await?;
        let login = Box::pin(config.connect_raw(stream, WatchedHandshake { connector, progress }));
        let (client, connection) = self.in_time(peer, login).await?.map_err(failed)?;
        let (connection, allowance) = (serve(connection), progress.allowance.clone());
        Ok(OpenConnection { client, connection, peer, allowance, marker })
    }

    /// Waits for the server to log in, as long as the invocation allows.
    async fn in_time<T>(
        &self,
        peer: SocketAddr,
        login: impl Future<Output = T>,
    ) -> Result<T, DatabaseFailure> {
        let answer = self.login_until.limit(Duration::MAX, login).await;
        answer.map_err(|Elapsed { waited, .. }| {
            let text =
                format!("{peer} accepted the connection, and then no answer {}", within(waited));
            DatabaseFailure::new(DatabaseFault::TimedOut, text)
        })
    }
}

fn serve<S, T>(connection: Connection<S, T>) -> JoinHandle<()>
where
    Connection<S, T>: Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static,
{
    // The error also reaches the caller that waits for an answer, which reports it.
    tokio::spawn(async move { drop(connection.await) })
}
