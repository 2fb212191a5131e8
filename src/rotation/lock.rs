//! One change of a role at a time: who makes it while the lock is held, and what happens when
//! another session changes the same role.

use std::time::Duration;

use rand::RngExt;

use crate::database::{End, Lock, Session, Transaction};
use crate::error::{DatabaseFault, Error};

/// Attempts when another session changes the same role at the same time, and the pause between.
const ATTEMPTS: usize = 5;
const PAUSE_MS: std::ops::Range<u64> = 20..120;

/// Who makes a change while a lock is held. Advisory locks are those of one database, and the
/// admin's may be another than the secret's: so the role's own session holds the lock, where there
/// is one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Changer<'a> {
    lock: &'a Lock<'a>,
    /// Another session than the one that holds the lock.
    other: Option<&'a Session>,
    by_admin: bool,
}

impl<'a> Changer<'a> {
    /// The session that holds the lock, which is the role's own.
    pub(crate) fn role(lock: &'a Lock<'a>) -> Self {
        Self { lock, other: None, by_admin: false }
    }

    /// Another role's session, while the role's own holds the lock.
    pub(crate) fn other(lock: &'a Lock<'a>, session: &'a Session) -> Self {
        Self { lock, other: Some(session), by_admin: false }
    }

    /// The admin's session, while the role's own holds the lock.
    pub(crate) fn admin(lock: &'a Lock<'a>, session: &'a Session) -> Self {
        Self { lock, other: Some(session), by_admin: true }
    }

    /// The admin's session, which holds the lock itself.
    pub(crate) fn admin_alone(lock: &'a Lock<'a>) -> Self {
        Self { lock, other: None, by_admin: true }
    }

    /// The session that holds the lock.
    pub(crate) fn lock_holder(self) -> &'a Session {
        self.lock.session()
    }

    /// The session that makes the change.
    pub(crate) fn session(self) -> &'a Session {
        self.other.unwrap_or(self.lock.session())
    }

    /// Whether the admin makes the change, and not the role itself.
    pub(crate) fn is_admin(self) -> bool {
        self.by_admin
    }

    /// Carries a change out in a transaction, if `allowed` holds then. The change says how its
    /// transaction ends.
    ///
    /// # Errors
    /// Those of `allowed` and `change`, and [`Error::Database`]. Nothing was changed then.
    pub(crate) async fn change<T>(
        self,
        allowed: impl AsyncFn() -> Result<(), Error>,
        change: impl AsyncFn(&Transaction<'_>) -> Result<(T, End), Error>,
    ) -> Result<T, Error> {
        let ((changed, end), transaction) = self.attempt(allowed, change).await?;
        transaction.end(end).await?;
        Ok(changed)
    }

    /// Carries a change out in a transaction that the caller ends.
    ///
    /// # Errors
    /// As [`change`](Self::change).
    pub(crate) async fn attempt<T>(
        self,
        allowed: impl AsyncFn() -> Result<(), Error>,
        change: impl AsyncFn(&Transaction<'_>) -> Result<T, Error>,
    ) -> Result<(T, Transaction<'a>), Error> {
        let mut attempt = 1;
        loop {
            allowed().await?;
            let transaction = match self.other {
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
                // No answer from the server: the transaction ends with the session.
                Err(error) => return Err(error),
            }
            attempt += 1;
            let pause = rand::rng().random_range(PAUSE_MS);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }
}
