//! One change of a role at a time, under a lock. If a foreign session changes the same role, the
//! change is retried.

use std::time::Duration;

use rand::RngExt;

use crate::database::{End, Lock, Session, Transaction};
use crate::error::{DatabaseFault, Error};

/// Attempts when another session changes the same role at the same time.
const ATTEMPTS: usize = 5;
const PAUSE_MS: std::ops::Range<u64> = 20..120;

/// The session that makes a change while a lock is held. An advisory lock exists in one database
/// only, and the admin may be in another one. Therefore the role's own session holds the lock, if
/// one exists.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Changer<'a> {
    lock: &'a Lock<'a>,
    /// The session that makes the change, if it is not the one that holds the lock.
    apart: Option<&'a Session>,
    by_admin: bool,
}

impl<'a> Changer<'a> {
    /// The role changes itself, and its session holds the lock.
    pub(crate) fn role(lock: &'a Lock<'a>) -> Self {
        Self { lock, apart: None, by_admin: false }
    }

    /// The previous user changes itself. The current user's session holds the lock.
    pub(crate) fn previous_user(lock: &'a Lock<'a>, session: &'a Session) -> Self {
        Self { lock, apart: Some(session), by_admin: false }
    }

    /// The admin makes the change. The role's session holds the lock.
    pub(crate) fn admin(lock: &'a Lock<'a>, session: &'a Session) -> Self {
        Self { lock, apart: Some(session), by_admin: true }
    }

    /// The admin makes the change and holds the lock.
    pub(crate) fn admin_alone(lock: &'a Lock<'a>) -> Self {
        Self { lock, apart: None, by_admin: true }
    }

    /// The session that holds the lock.
    pub(crate) fn lock_holder(self) -> &'a Session {
        self.lock.session()
    }

    /// The session that makes the change.
    pub(crate) fn session(self) -> &'a Session {
        self.apart.unwrap_or(self.lock.session())
    }

    /// Whether the admin makes the change.
    pub(crate) fn is_admin(self) -> bool {
        self.by_admin
    }

    /// Checks `allowed` and makes a change in a transaction. The change returns how it ends.
    ///
    /// # Errors
    /// Those of `allowed` and `change`, and [`Error::Database`]. Nothing is changed then.
    pub(crate) async fn change<T>(
        self,
        allowed: impl AsyncFn() -> Result<(), Error>,
        change: impl AsyncFn(&Transaction<'_>) -> Result<(T, End), Error>,
    ) -> Result<T, Error> {
        let ((changed, end), transaction) = self.attempt(allowed, change).await?;
        transaction.end(end).await?;
        Ok(changed)
    }

    /// Checks `allowed` and makes a change in a transaction that the caller ends.
    ///
    /// # Errors
    /// Those of [`change`](Self::change).
    pub(crate) async fn attempt<T>(
        self,
        allowed: impl AsyncFn() -> Result<(), Error>,
        change: impl AsyncFn(&Transaction<'_>) -> Result<T, Error>,
    ) -> Result<(T, Transaction<'a>), Error> {
        let mut attempt = 1;
        loop {
            allowed().await?;
            let transaction = match self.apart {
                Some(session) => session.begin().await?,
                None => self.lock.transaction(),
            };
            match change(&transaction).await {
                Ok(changed) => return Ok((changed, transaction)),
                Err(error) if error.sqlstate().is_some() => {
                    let ended = transaction.end(End::RollBack).await;
                    let again = error.is_database(DatabaseFault::ConcurrentUpdate);
                    if !again || attempt == ATTEMPTS || ended.is_err() {
                        return Err(error);
                    }
                }
                // The server does not answer. The transaction ends with the session.
                Err(error) => return Err(error),
            }
            attempt += 1;
            let pause = rand::rng().random_range(PAUSE_MS);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }
}
