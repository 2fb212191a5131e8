//! An open session: runs statements under the invocation's deadline and classifies their errors.

use std::net::SocketAddr;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{CancelToken, Client, Row};

use super::allowance::{Allowance, OF_AN_ANSWER, TOO_MUCH};
use super::authentication::Authentication;
use super::fault::{self, DatabaseFailure, Phase};
use super::text::{self, ServerText};
use crate::deadline::Deadline;
use crate::error::{DatabaseFault, Detail, Error};

/// Longer than our statements take, and short enough to report within Lambda's usual 30 s.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// An open session. A drop cuts the connection; [`close`](Self::close) ends it properly.
#[derive(Debug)]
pub(crate) struct Session {
    client: Client,
    connection: ConnectionTask,
    peer: SocketAddr,
    role: String,
    host: String,
    authentication: Authentication,
    allowance: Allowance,
    /// The value that our start-up packet set. No other session has it.
    marker: String,
    deadline: Deadline,
}

/// The connection of a successful login.
pub(super) struct OpenConnection {
    pub(super) client: Client,
    pub(super) connection: JoinHandle<()>,
    pub(super) peer: SocketAddr,
    pub(super) allowance: Allowance,
    pub(super) marker: String,
}

/// The task that drives a connection. Dropping it breaks the connection off, even during a wait.
/// The server must not keep locks for an invocation that has given up.
#[derive(Debug)]
struct ConnectionTask(JoinHandle<()>);

impl Drop for ConnectionTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Session {
    pub(super) fn new(
        opened: OpenConnection,
        role: &str,
        host: String,
        authentication: Authentication,
        deadline: Deadline,
    ) -> Self {
        let OpenConnection { client, connection, peer, allowance, marker } = opened;
        allowance.renew(OF_AN_ANSWER);
        let (connection, role) = (ConnectionTask(connection), role.to_owned());
        Self { client, connection, peer, role, host, authentication, allowance, marker, deadline }
    }

    /// The value that our start-up packet gave to the session's marker.
    pub(super) fn marker(&self) -> &str {
        &self.marker
    }

    /// The address that the session is connected to.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// How the server authenticated the login.
    pub(crate) fn authentication(&self) -> &Authentication {
        &self.authentication
    }

    /// The role that logged in.
    pub(crate) fn role(&self) -> &str {
        &self.role
    }

    /// The server, as `host:port`.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Runs a query and returns its first row, in one round trip.
    ///
    /// # Errors
    /// [`Error::Database`] with the name of the operation.
    pub(crate) async fn query_one(
        &self,
        operation: &'static str,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Row, Error> {
        // The first row, without waiting for the last: a server may send rows without end.
        let row = self.client.query_typed_opt(sql, parameters);
        self.answer(operation, Phase::Reading, row).await?.ok_or_else(|| {
            self.error(operation, DatabaseFault::Other, "the query returned no row".to_owned())
        })
    }

    /// A column of an answer. The server may send a wrong type.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(super) fn column<T>(&self, row: &Row, index: usize) -> Result<T, Error>
    where
        T: for<'a> FromSql<'a>,
    {
        row.try_get(index).map_err(|error| {
            self.error("reading an answer", DatabaseFault::Other, error.to_string())
        })
    }

    /// The one JSON text that a query returns, in a single round trip. The session's `search_path`
    /// has to be `pg_catalog`.
    ///
    /// # Errors
    /// [`Error::Database`] with the name of the operation.
    pub(super) async fn query_json<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<T, Error> {
        let text = self.query_text(operation, sql, parameters).await?.unwrap_or_default();
        serde_json::from_str(&text)
            .map_err(|error| self.error(operation, DatabaseFault::Other, error.to_string()))
    }

    /// The one text that a query returns, in a single round trip. Its bytes need not be UTF-8. The
    /// session's `search_path` has to be `pg_catalog`.
    ///
    /// # Errors
    /// [`Error::Database`] with the name of the operation.
    pub(super) async fn query_text(
        &self,
        operation: &'static str,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Option<String>, Error> {
        let sql = text::as_bytes(&format!("(\n{sql}\n)"));
        let row = self.query_one(operation, &format!("SELECT {sql}"), parameters).await?;
        Ok(self.column::<Option<ServerText>>(&row, 0)?.map(|text| text.0))
    }

    /// Runs statements in one round trip. They take effect together or not at all.
    ///
    /// # Errors
    /// [`Error::Database`] with the name of the operation.
    pub(crate) async fn execute(&self, operation: &'static str, sql: &str) -> Result<(), Error> {
        self.answer(operation, Phase::Statement, self.client.batch_execute(sql)).await
    }

    /// Like [`execute`](Self::execute), with an earlier deadline.
    ///
    /// # Errors
    /// [`Error::Database`] with the name of the operation.
    pub(super) async fn execute_before(
        &self,
        deadline: Deadline,
        operation: &'static str,
        sql: &str,
    ) -> Result<(), Error> {
        let wait = deadline.limit(STATEMENT_TIMEOUT, self.execute(operation, sql)).await;
        wait.map_err(|elapsed| self.error(operation, DatabaseFault::TimedOut, elapsed.to_string()))?
    }

    /// As [`execute`](Self::execute), for statements that the server's password policy may refuse.
    pub(super) async fn set_password(
        &self,
        operation: &'static str,
        sql: &str,
    ) -> Result<(), Error> {
        self.answer(operation, Phase::SettingPassword, self.client.batch_execute(sql)).await
    }

    /// The types that the server infers for a statement's parameters. Parses and does not run it.
    pub(super) async fn parameter_types(
        &self,
        operation: &'static str,
        sql: &str,
    ) -> Result<Vec<Type>, Error> {
        let prepared = self.client.prepare(sql);
        let statement = self.answer(operation, Phase::Statement, prepared).await?;
        Ok(statement.params().to_vec())
    }

    /// Runs exactly one statement, by the extended protocol. Ignores what it returns.
    pub(super) async fn query_nothing(
        &self,
        operation: &'static str,
        sql: &str,
    ) -> Result<(), Error> {
        let row = self.client.query_typed_opt(sql, &[]);
        self.answer(operation, Phase::Statement, row).await.map(drop)
    }

    /// Ends the session, so that the server does not log a lost connection.
    pub(crate) async fn close(self) {
        let Self { client, mut connection, deadline, .. } = self;
        drop(client);
        let _ = deadline.limit(CLOSE_TIMEOUT, &mut connection.0).await;
    }

    /// What has the server end the present statement.
    pub(super) fn cancel_token(&self) -> CancelToken {
        self.client.cancel_token()
    }

    /// Breaks the connection off, so that the server ends the session and its locks. All later
    /// statements fail.
    pub(crate) fn break_off(&self) {
        self.connection.0.abort();
    }

    async fn answer<T>(
        &self,
        operation: &'static str,
        phase: Phase,
        call: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Error> {
        self.allowance.renew(OF_AN_ANSWER);
        match self.deadline.limit(STATEMENT_TIMEOUT, call).await {
            Ok(Err(_)) if self.allowance.exceeded() => {
                Err(self.error(operation, DatabaseFault::Other, TOO_MUCH.to_owned()))
            }
            Ok(answer) => answer.map_err(|error| {
                let DatabaseFailure { fault, detail } = fault::classify(&error, phase);
                self.error(operation, fault, detail)
            }),
            Err(elapsed) => {
                Err(self.error(operation, DatabaseFault::TimedOut, elapsed.to_string()))
            }
        }
    }

    /// An error of this session with the name of an operation.
    pub(crate) fn error(
        &self,
        operation: &'static str,
        fault: DatabaseFault,
        detail: impl Into<Detail>,
    ) -> Error {
        Error::Database {
            operation,
            role: self.role.clone(),
            host: self.host.clone(),
            fault,
            run: None,
            detail: detail.into(),
        }
    }
}
