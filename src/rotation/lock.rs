//! One change of a role at a time: one session holds the lock, and one makes the change. If a
//! foreign session changes the same role, the change is retried.

use std::time::Duration;

use rand::RngExt;

use super::Rotation;
use crate::database::{End, Lock, Session, Transaction};
use crate::error::{DatabaseFault, Error};

/// Attempts when another session changes the same role at the same time, and the pause between.
const ATTEMPTS: usize = 5;
const PAUSE_MS: std::ops::Range<u64> = 20..120;

/// The two sessions of one change. An advisory lock exists in one database only, and the admin may
/// be in another one than the secret's role.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChangeSessions<'a> {
    /// A session in the secret's database, if one exists.
    lock_holder: &'a Session,
    /// Makes the change.
    changer: &'a Session,
    by_admin: bool,
}

impl<'a> ChangeSessions<'a> {
    /// The role changes itself.
    pub(crate) fn own(session: &'a Session) -> Self {
        Self { lock_holder: session, changer: session, by_admin: false }
    }

    /// The other role of the pair makes the change. The current role's session holds the lock.
    pub(crate) fn by_role(lock_holder: &'a Session, changer: &'a Session) -> Self {
        Self { lock_holder, changer, by_admin: false }
    }

    /// The admin makes the change. The role's session holds the lock, if one exists.
    pub(crate) fn by_admin(secret_session: Option<&'a Session>, admin: &'a Session) -> Self {
        Self { lock_holder: secret_session.unwrap_or(admin), changer: admin, by_admin: true }
    }

    /// The session that makes the change.
    pub(crate) fn changer(self) -> &'a Session {
        self.changer
    }

    /// Whether the admin makes the change.
    pub(crate) fn by_an_admin(self) -> bool {
        self.by_admin
    }

    /// Takes the lock of the rotation's role or pair.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(crate) async fn lock(self, rotation: &Rotation) -> Result<Lock<'a>, Error> {
        self.lock_holder.lock(rotation.lock_name()).await
    }

    /// Takes the lock, checks `allowed`, and makes a change in a transaction. The change returns how
    /// the transaction ends.
    ///
    /// # Errors
    /// Those of `allowed` and `change`, and [`Error::Database`]. Nothing is changed then, unless the
    /// answer to COMMIT was lost.
    pub(crate) async fn change_under_lock<T>(
        self,
        rotation: &Rotation,
        allowed: impl AsyncFn() -> Result<(), Error>,
        change: impl AsyncFn(&Transaction<'_>) -> Result<(T, End), Error>,
    ) -> Result<T, Error> {
        let lock = self.lock(rotation).await?;
        let changed = self.change(allowed, change).await?;
        // The change is made. If the release fails, the lock ends with the session.
        let _ = lock.release().await;
        Ok(changed)
    }

    /// Checks `allowed` and makes a change in a transaction. The caller holds the lock.
    ///
    /// # Errors
    /// As [`change_under_lock`](Self::change_under_lock).
    pub(crate) async fn change<T>(
        self,
        allowed: impl AsyncFn() -> Result<(), Error>,
        change: impl AsyncFn(&Transaction<'_>) -> Result<(T, End), Error>,
    ) -> Result<T, Error> {
        let mut attempt = 1;
        loop {
            allowed().await?;
            let transaction = self.changer.begin().await?;
            match change(&transaction).await {
                Ok((changed, end)) => {
                    transaction.end(end).await?;
                    return Ok(changed);
                }
                Err(error) if error.sqlstate().is_some() => {
                    let ended = transaction.roll_back().await;
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
