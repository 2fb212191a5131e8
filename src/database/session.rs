//! An open session: statements under the invocation's deadline, and their errors told apart.

use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::fault::{self, Phase};
use crate::deadline::Deadline;
use crate::error::{DatabaseFault, Detail, Error};

/// Longer than any statement of ours takes, short enough to be told before Lambda's usual 30 s are
/// over.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// An open session. Dropping it breaks the connection off; [`close`](Self::close) ends it politely.
#[derive(Debug)]
pub(crate) struct Session {
    client: Client,
    connection: ConnectionTask,
    role: String,
    host: String,
    deadline: Deadline,
}

/// The task that drives a connection. Dropping it breaks the connection off, also while an answer
/// is awaited: the server must not keep locks for an invocation that has given up.
#[derive(Debug)]
struct ConnectionTask(JoinHandle<()>);

impl Drop for ConnectionTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Session {
    pub(super) fn new(
        client: Client,
        connection: JoinHandle<()>,
        role: &str,
        host: String,
        deadline: Deadline,
    ) -> Self {
        let connection = ConnectionTask(connection);
        Self { client, connection, role: role.to_owned(), host, deadline }
    }

    /// The role that logged in.
    pub(crate) fn role(&self) -> &str {
        &self.role
    }

    /// The server, as `host:port`.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// One row of one query, in a single round trip.
    ///
    /// # Errors
    /// [`Error::Database`] under the name of the operation.
    pub(crate) async fn query_one(
        &self,
        operation: &'static str,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Row, Error> {
        let rows = self
            .answer(operation, Phase::Statement, self.client.query_typed(sql, parameters))
            .await?;
        rows.into_iter().next().ok_or_else(|| {
            self.error(operation, DatabaseFault::Other, "the query returned no row".to_owned())
        })
    }

    /// The one JSON text that a query returns, in a single round trip.
    ///
    /// # Errors
    /// [`Error::Database`] under the name of the operation.
    pub(super) async fn query_json<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<T, Error> {
        let row = self.query_one(operation, sql, parameters).await?;
        let text: &str = row
            .try_get(0)
            .map_err(|error| self.error(operation, DatabaseFault::Other, error.to_string()))?;
        serde_json::from_str(text)
            .map_err(|error| self.error(operation, DatabaseFault::Other, error.to_string()))
    }

    /// Statements that take effect together or not at all, in a single round trip.
    ///
    /// # Errors
    /// [`Error::Database`] under the name of the operation.
    pub(crate) async fn execute(&self, operation: &'static str, sql: &str) -> Result<(), Error> {
        self.answer(operation, Phase::Statement, self.client.batch_execute(sql)).await
    }

    /// As [`execute`](Self::execute), for statements that the server's password policy may refuse.
    pub(super) async fn set_password(
        &self,
        operation: &'static str,
        sql: &str,
    ) -> Result<(), Error> {
        self.answer(operation, Phase::SettingPassword, self.client.batch_execute(sql)).await
    }

    /// The types that the server takes a statement's parameters for; the statement is parsed, and
    /// not run.
    pub(super) async fn parameter_types(
        &self,
        operation: &'static str,
        sql: &str,
    ) -> Result<Vec<Type>, Error> {
        let statement = self.answer(operation, Phase::Statement, self.client.prepare(sql)).await?;
        Ok(statement.params().to_vec())
    }

    /// One statement and no more, by the extended protocol; what it returns is of no interest.
    pub(super) async fn query_nothing(
        &self,
        operation: &'static str,
        sql: &str,
    ) -> Result<(), Error> {
        self.answer(operation, Phase::Statement, self.client.query_typed(sql, &[])).await.map(drop)
    }

    /// Ends the session, so that the server does not log a connection that broke off.
    pub(crate) async fn close(self) {
        let Self { client, mut connection, deadline, .. } = self;
        drop(client);
        let _ = deadline.limit(CLOSE_TIMEOUT, &mut connection.0).await;
    }

    async fn answer<T>(
        &self,
        operation: &'static str,
        phase: Phase,
        call: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Error> {
        match self.deadline.limit(STATEMENT_TIMEOUT, call).await {
            Ok(answer) => answer.map_err(|error| {
                let (fault, detail) = fault::classify(&error, phase);
                self.error(operation, fault, detail)
            }),
            Err(elapsed) => {
                Err(self.error(operation, DatabaseFault::TimedOut, elapsed.to_string()))
            }
        }
    }

    pub(super) fn error(
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
            detail: detail.into(),
        }
    }
}
