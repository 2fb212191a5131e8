//! Moves AWSCURRENT. Single user: changes the password right before, and keeps the way back until
//! the move.
//!
//! A role has one password. From the COMMIT of its change until AWSCURRENT moves, the database
//! refuses AWSCURRENT. Therefore only the proof is between the two. `decision.rs` decides after the
//! proof and after the move, and `restoration.rs` is the way back.

pub(crate) mod alternating_users;
mod decision;
mod pauses;
mod proof;
mod restoration;

use std::time::Duration;

use self::decision::{AfterMove, AfterProof, Move, Proof, after_move, after_proof};
use self::pauses::Pauses;
use super::labels::State;
use super::lock::Changer;
use super::login::Origin;
use super::storage::storage;
use super::{Rotation, SecretVersion, admin};
use crate::context::{Context, TIME_TO_CHANGE};
use crate::database::{End, Lock, Session, Transaction, role};
use crate::deadline::Deadline;
use crate::error::{DatabaseFault, Error, Restoration, StoreFault};
use crate::secret::password::Storage;
use crate::secret::store::CURRENT;

const OPERATION: &str = "setting the password";
/// The time that the COMMIT and the proof leave for the way back.
const TIME_TO_RESTORE: Duration = Duration::from_secs(5);
/// How long the proof and the move are tried again: applications wait meanwhile, and the server
/// ends a session that is idle in a transaction for a minute, and with it the way back.
const TIME_TO_TRY: Duration = Duration::from_secs(20);
/// With less time left, a login would say nothing.
const ONE_LOGIN: Duration = Duration::from_secs(1);

/// The promotion of a version of a single user's secret to AWSCURRENT.
pub(crate) struct Promotion<'a> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) rotation: &'a Rotation,
    /// The version that AWSCURRENT moves to.
    pub(crate) to: &'a SecretVersion,
    pub(crate) origin: Origin,
}

/// The result of a promotion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promoted {
    Moved,
    /// Another invocation moved it first.
    MovedByAnother,
}

impl Promotion<'_> {
    /// Changes the password, proves it and moves AWSCURRENT. `session` was opened with AWSCURRENT.
    /// `state` reads the labels under the lock.
    ///
    /// # Errors
    /// Any error before the change, when nothing is changed. Afterwards [`Error::NotPromoted`],
    /// which names the password that the role has.
    pub(crate) async fn change_and_move(
        &self,
        session: &Session,
        state: &impl AsyncFn() -> Result<State, Error>,
    ) -> Result<Promoted, Error> {
        let storage = storage(self.rotation, session).await?;
        let lock = session.lock(self.rotation.lock_name()).await?;
        if state().await? == State::AlreadyCurrent {
            return Ok(Promoted::MovedByAnother);
        }
        let change = async |changer: Changer<'_>| {
            let attempt = self.attempt(changer, storage);
            // Boxed: with the way back, it is a large future.
            Box::pin(attempt.run(&lock, state)).await
        };
        admin::as_role_or_admin(self.context, self.rotation, &lock, change).await
    }

    /// Moves AWSCURRENT to a version whose password the database already has. `session` was opened
    /// with that password.
    ///
    /// # Errors
    /// Those of [`change_and_move`](Self::change_and_move).
    pub(crate) async fn move_only(
        &self,
        session: &Session,
        state: &impl AsyncFn() -> Result<State, Error>,
    ) -> Result<Promoted, Error> {
        let storage = storage(self.rotation, session).await?;
        let lock = session.lock(self.rotation.lock_name()).await?;
        if state().await? == State::AlreadyCurrent {
            return Ok(Promoted::MovedByAnother);
        }
        let changer = Changer::role(&lock);
        self.attempt(changer, storage).move_current().await
    }

    fn attempt<'a>(&'a self, changer: Changer<'a>, storage: Storage) -> Attempt<'a> {
        let until = self.context.deadline.earlier_by(TIME_TO_RESTORE).at_most(TIME_TO_TRY);
        Attempt { promotion: self, changer, storage, until }
    }
}

/// A promotion with the session that makes it.
struct Attempt<'a> {
    promotion: &'a Promotion<'a>,
    /// Changed the password, and would change it back.
    changer: Changer<'a>,
    storage: Storage,
    /// The end of trying again.
    until: Deadline,
}

impl Attempt<'_> {
    async fn run(
        &self,
        lock: &Lock<'_>,
        state: &impl AsyncFn() -> Result<State, Error>,
    ) -> Result<Promoted, Error> {
        let Promotion { context, to, .. } = *self.promotion;
        // The admin's login may have taken some of it.
        self.ensure_time()?;
        let (username, storage) = (&to.credentials.username, self.storage);
        let stored_form = to.credentials.password.stored_form(username, storage);
        let allowed = async || Ok(());
        let change = async |transaction: &Transaction<'_>| {
            role::change_password(transaction, username, &stored_form, storage).await
        };
        let ((), transaction) = self.changer.attempt(allowed, change).await?;
        // The change may have waited for another session that changes the role.
        if let Err(error) = self.ensure_time() {
            transaction.end(End::RollBack).await?;
            return Err(error);
        }
        match transaction.commit_before(context.deadline.earlier_by(TIME_TO_RESTORE)).await {
            Ok(()) => self.prove_and_move().await,
            Err(error) => self.find_out(lock, error, state).await,
        }
    }

    /// Checks that the proof and the way back have their time.
    fn ensure_time(&self) -> Result<(), Error> {
        if self.promotion.context.deadline.leaves(TIME_TO_CHANGE) {
            return Ok(());
        }
        let detail = format!("less than {} s", TIME_TO_CHANGE.as_secs());
        Err(self.changer.session().error(OPERATION, DatabaseFault::TooLittleTime, detail))
    }

    /// After a lost answer to COMMIT: a login shows which password the role has.
    async fn find_out(
        &self,
        lock: &Lock<'_>,
        lost: Error,
        state: &impl AsyncFn() -> Result<State, Error>,
    ) -> Result<Promoted, Error> {
        let Promotion { rotation, to, origin, .. } = *self.promotion;
        self.cancel_commit().await;
        // It may only be silent, and would keep the lock.
        self.changer.session().break_off();
        let pending = self.log_in_until_known(to, origin).await;
        let reason = match pending.proof {
            Proof::Accepted => {
                let Some(session) = pending.session else {
                    return Err(not_promoted(lost, self.new_stays(), true));
                };
                return self.move_with_new_session(lock, &session, lost, state).await;
            }
            Proof::Refused => {
                let current = self.log_in_until_known(&rotation.current, Origin::Current).await;
                if current.proof == Proof::Accepted {
                    return Err(not_promoted(lost, Restoration::NothingToRestore, true));
                }
                current.reason()
            }
            Proof::Unknown => pending.reason(),
        };
        Err(not_promoted(lost, Restoration::Unknown(reason), true))
    }

    /// Moves AWSCURRENT after a lost session. The lock was lost with it, unless the admin made the
    /// change.
    async fn move_with_new_session(
        &self,
        lock: &Lock<'_>,
        session: &Session,
        lost: Error,
        state: &impl AsyncFn() -> Result<State, Error>,
    ) -> Result<Promoted, Error> {
        if self.changer.is_admin() {
            let changer = Changer::role(lock);
            return Attempt { changer, ..*self }.move_current().await;
        }
        let lock = async {
            // It logged in as the application does, which may act as a role that cannot go back.
            session.apply_admin_settings().await?;
            session.lock(self.promotion.rotation.lock_name()).await
        };
        let Ok(lock) = lock.await else {
            return Err(not_promoted(lost, self.new_stays(), true));
        };
        match state().await {
            Ok(State::AlreadyCurrent) => Ok(Promoted::MovedByAnother),
            Ok(State::Pending) => {
                let changer = Changer::role(&lock);
                Attempt { changer, ..*self }.move_current().await
            }
            Err(error) => Err(not_promoted(error, self.new_stays(), true)),
        }
    }

    async fn prove_and_move(&self) -> Result<Promoted, Error> {
        let Promotion { to, origin, .. } = *self.promotion;
        let mut pauses = Pauses::begin();
        let proven = loop {
            let login = self.log_in(to, origin, TIME_TO_RESTORE).await;
            match after_proof(login.proof, self.may_try_again()) {
                AfterProof::Move => break login,
                AfterProof::TryAgain => pauses.pause().await,
                AfterProof::Restore => return Err(self.restore(login.error, false).await),
                AfterProof::RestoreAndRetry => {
                    return Err(self.restore(login.error, true).await);
                }
            }
        };
        let moved = self.move_current().await;
        proven.close().await;
        moved
    }

    async fn move_current(&self) -> Result<Promoted, Error> {
        let Promotion { context, rotation, to, .. } = *self.promotion;
        let (mut unanswered_before, mut pauses) = (false, Pauses::begin());
        loop {
            let answer =
                context.store.move_current(&rotation.secret, &rotation.current.id, &to.id).await;
            let Err(error) = answer else { return Ok(Promoted::Moved) };
            let (moved, holder) = self.moved(&error).await;
            match after_move(moved, unanswered_before, self.may_try_again()) {
                AfterMove::Done => return Ok(Promoted::MovedByAnother),
                AfterMove::Repeat => pauses.pause().await,
                AfterMove::Restore => return Err(self.restore(Some(error), false).await),
                AfterMove::LeaveToRetry => {
                    return Err(not_promoted(error, self.new_stays(), true));
                }
                AfterMove::FollowThirdVersion => {
                    return Err(self.follow(holder.unwrap_or_default()).await);
                }
            }
            unanswered_before |= moved == Move::Unanswered;
        }
    }

    /// The result of a failed move, and the third version that AWSCURRENT may be on.
    async fn moved(&self, error: &Error) -> (Move, Option<String>) {
        let Promotion { context, rotation, to, .. } = *self.promotion;
        if error.retryable() {
            return (Move::Unanswered, None);
        }
        let denied =
            matches!(error, Error::SecretsManager { fault: StoreFault::AccessDenied { .. }, .. });
        let Ok(description) = context.store.describe(&rotation.secret).await else {
            return (if denied { Move::Refused } else { Move::Unanswered }, None);
        };
        match description.holder(CURRENT) {
            Some(holder) if holder == to.id => (Move::Moved, None),
            Some(holder) if holder == rotation.current.id => (Move::Refused, None),
            Some(holder) => (Move::OnThirdVersion, Some(holder.to_owned())),
            None => (Move::Unanswered, None),
        }
    }

    fn may_try_again(&self) -> bool {
        self.until.leaves(ONE_LOGIN)
    }

    /// The role keeps the new password, and AWSCURRENT has not moved to it.
    fn new_stays(&self) -> Restoration {
        match self.promotion.origin {
            Origin::Previous => Restoration::PreviousStays,
            _ => Restoration::PendingStays,
        }
    }
}

fn not_promoted(cause: Error, restoration: Restoration, retryable: bool) -> Error {
    Error::NotPromoted { cause: Box::new(cause), restoration, retryable }
}
