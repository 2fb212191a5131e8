//! Transactions and advisory locks, as values that are consumed when they end.

use postgres_protocol::escape::escape_literal;

use super::session::Session;
use crate::deadline::Deadline;
use crate::error::{DatabaseFault, Error};

const OPERATION: &str = "setting the password";

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Commit,
    /// For a trial.
    RollBack,
}

/// An open transaction of a session. If it is dropped, it is rolled back at the session's end.
#[derive(Debug)]
#[must_use]
pub(crate) struct Transaction<'a> {
    session: &'a Session,
    /// Follows COMMIT and ROLLBACK. " AND CHAIN" begins the next transaction at once.
    chain: &'static str,
}

/// An advisory lock with a name. It outlives its session's transactions, and ends with the session
/// at the latest.
///
/// The session is always in a transaction. If the connection is cut, the server therefore ends the
/// session by `idle_in_transaction_session_timeout`, on every version of PostgreSQL.
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
        Ok(Transaction { session: self, chain: "" })
    }

    /// Takes the lock with this name. It excludes only sessions of the same database.
    ///
    /// # Errors
    /// [`Error::Database`], with `LockTimedOut` if another session keeps the lock.
    pub(crate) async fn lock(&self, name: &str) -> Result<Lock<'_>, Error> {
        let text = escape_literal(&format!("postgres-secret-rotation {name}"));
        let key = format!("pg_catalog.hashtextextended({text}, 0)");
        let sql = format!("BEGIN; SELECT pg_catalog.pg_advisory_lock({key})");
        match self.execute(OPERATION, &sql).await {
            Ok(()) => Ok(Lock { session: self, key }),
            Err(error) if error.is_database(DatabaseFault::LockTimedOut) => {
                let holder = self.lock_holder(&key).await;
                Err(error.with_addition(&holder.unwrap_or_default()))
            }
            Err(error) => Err(error),
        }
    }

    /// The session that holds an advisory lock, in words. `None` if that cannot be found out. Any
    /// role can take the lock, also by mistake.
    async fn lock_holder(&self, key: &str) -> Option<String> {
        self.execute(OPERATION, "ROLLBACK").await.ok()?;
        let sql = format!(
            "SELECT pg_catalog.format('. The advisory lock is held by pid %s, role %I, application \
             %s', a.pid, a.usename, a.application_name) FROM pg_catalog.pg_locks AS l JOIN \
             pg_catalog.pg_stat_activity AS a ON a.pid = l.pid JOIN pg_catalog.pg_database AS d ON \
             d.oid = l.database WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND \
             d.datname = pg_catalog.current_database() AND (l.classid::pg_catalog.int8 << 32) | \
             l.objid::pg_catalog.int8 = {key} LIMIT 1"
        );
        self.query_text(OPERATION, &sql, &[]).await.ok()?
    }
}

impl<'a> Transaction<'a> {
    /// The transaction's session.
    pub(crate) fn session(&self) -> &'a Session {
        self.session
    }

    /// Commits or rolls back.
    ///
    /// # Errors
    /// [`Error::Database`]. Whether a commit took effect is then unknown.
    pub(crate) async fn end(self, end: End) -> Result<(), Error> {
        let verb = match end {
            End::Commit => "COMMIT",
            End::RollBack => "ROLLBACK",
        };
        self.session.execute(OPERATION, &format!("{verb}{}", self.chain)).await
    }
}

impl Transaction<'_> {
    /// Commits, with an earlier deadline for the answer.
    ///
    /// # Errors
    /// [`Error::Database`]. Whether the commit took effect is then unknown.
    pub(crate) async fn commit_before(self, deadline: Deadline) -> Result<(), Error> {
        let sql = format!("COMMIT{}", self.chain);
        self.session.execute_before(deadline, OPERATION, &sql).await
    }
}

impl<'a> Lock<'a> {
    /// The session that holds the lock.
    pub(crate) fn session(&self) -> &'a Session {
        self.session
    }

    /// The transaction that the session is in.
    pub(crate) fn transaction(&self) -> Transaction<'a> {
        Transaction { session: self.session, chain: " AND CHAIN" }
    }

    /// Releases the lock.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(crate) async fn release(self) -> Result<(), Error> {
        let sql = format!("ROLLBACK; SELECT pg_catalog.pg_advisory_unlock({})", self.key);
        self.session.execute(OPERATION, &sql).await
    }
}
