//! A transaction, and the advisory lock of a role: each a value that is consumed when it ends.

use postgres_protocol::escape::escape_literal;

use super::session::Session;
use crate::error::Error;

const OPERATION: &str = "setting the password";

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Commit,
    /// It was a trial.
    RollBack,
}

/// An open transaction of a session. One that is dropped ends when its session does, unchanged.
#[derive(Debug)]
#[must_use]
pub(crate) struct Transaction<'a> {
    session: &'a Session,
}

/// The advisory lock under a name, which outlives the transactions of its session. One that is
/// dropped ends with its session.
#[derive(Debug)]
#[must_use]
pub(crate) struct Lock<'a> {
    session: &'a Session,
    key: String,
}

impl Session {
    /// Begins a transaction.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(crate) async fn begin(&self) -> Result<Transaction<'_>, Error> {
        self.execute(OPERATION, "BEGIN").await?;
        Ok(Transaction { session: self })
    }

    /// Takes the lock under which one invocation at a time changes what `name` stands for, as far
    /// as the others lock in the same database.
    ///
    /// # Errors
    /// [`Error::Database`], with `LockTimedOut` when another session does not release it.
    pub(crate) async fn lock(&self, name: &str) -> Result<Lock<'_>, Error> {
        let text = escape_literal(&format!("postgres-secret-rotation {name}"));
        let key = format!("pg_catalog.hashtextextended({text}, 0)");
        self.execute(OPERATION, &format!("SELECT pg_catalog.pg_advisory_lock({key})")).await?;
        Ok(Lock { session: self, key })
    }
}

impl<'a> Transaction<'a> {
    /// The session that it is a transaction of.
    pub(crate) fn session(&self) -> &'a Session {
        self.session
    }

    /// Ends it, with everything changed or nothing.
    ///
    /// # Errors
    /// [`Error::Database`]. Whether a commit took effect is then unknown.
    pub(crate) async fn end(self, end: End) -> Result<(), Error> {
        match end {
            End::Commit => self.commit().await,
            End::RollBack => self.roll_back().await,
        }
    }

    /// Ends it with everything changed.
    ///
    /// # Errors
    /// [`Error::Database`]. Whether it took effect is then unknown.
    pub(crate) async fn commit(self) -> Result<(), Error> {
        self.session.execute(OPERATION, "COMMIT").await
    }

    /// Ends it with nothing changed.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(crate) async fn roll_back(self) -> Result<(), Error> {
        self.session.execute(OPERATION, "ROLLBACK").await
    }
}

impl Lock<'_> {
    /// Lets the next one have it.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(crate) async fn release(self) -> Result<(), Error> {
        let sql = format!("SELECT pg_catalog.pg_advisory_unlock({})", self.key);
        self.session.execute(OPERATION, &sql).await
    }
}
