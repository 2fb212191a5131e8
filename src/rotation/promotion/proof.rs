//! A login that shows whether the role has a password.

use std::time::Duration;

use super::decision::Proof;
use super::pauses::Pauses;
use super::{Attempt, ONE_LOGIN, Promotion, TIME_TO_TRY};
use crate::database::{self, Database, Purpose, Session};
use crate::error::{DatabaseFault, Error};
use crate::rotation::SecretVersion;
use crate::rotation::login::Origin;
use crate::secret::credentials::Credentials;

/// Applications wait for a proof. A server that is silent for longer is asked again.
const LONGEST_PROOF: Duration = Duration::from_secs(10);

/// The proof needs the rest of the time.
const LONGEST_CANCEL: Duration = Duration::from_secs(1);

/// The result of a login.
pub(super) struct Login {
    pub(super) proof: Proof,
    /// Also absent if the server accepted the password and then refused the session.
    pub(super) session: Option<Session>,
    pub(super) error: Option<Error>,
}

impl Login {
    /// Why there is no session.
    pub(super) fn reason(&self) -> String {
        self.error.as_ref().map(Error::full_text).unwrap_or_default()
    }

    pub(super) async fn close(self) {
        if let Some(session) = self.session {
            session.close().await;
        }
    }
}

impl Attempt<'_> {
    /// Logs in again and again while a login says nothing of the password.
    pub(super) async fn log_in_until_known(
        &self,
        version: &SecretVersion,
        origin: Origin,
    ) -> Login {
        let until = self.promotion.context.deadline.at_most(TIME_TO_TRY);
        let mut pauses = Pauses::begin();
        loop {
            let login = self.log_in(version, origin, Duration::ZERO).await;
            if login.proof != Proof::Unknown || !until.leaves(ONE_LOGIN) {
                return login;
            }
            pauses.pause().await;
        }
    }

    /// Ends the wait of a COMMIT for a standby. It takes effect at once then. Otherwise it would
    /// when the standby is back, and no one would move AWSCURRENT.
    pub(super) async fn cancel_commit(&self) {
        let Promotion { context, rotation, to, .. } = *self.promotion;
        let session = self.changer.session();
        let Ok(database) = rotation.database(context, to) else { return };
        let target = database.target.pinned_to(session.peer());
        let login_until = context.deadline.at_most(LONGEST_CANCEL);
        Database { target, login_until, ..database }.cancel(session).await;
        tokio::time::sleep(Pauses::FIRST).await;
    }

    /// Logs in at the address of the session that holds the lock. Another address of the same name
    /// may be a standby that lags and refuses. Leaves `reserve` of the time.
    pub(super) async fn log_in(
        &self,
        version: &SecretVersion,
        origin: Origin,
        reserve: Duration,
    ) -> Login {
        let (context, rotation) = (self.promotion.context, self.promotion.rotation);
        let failed = |error| Login { proof: Proof::Unknown, session: None, error: Some(error) };
        let database = match rotation.database(context, version) {
            Ok(database) => database,
            Err(error) => return failed(error),
        };
        let deadline = context.deadline.earlier_by(reserve);
        let database = Database {
            target: database.target.pinned_to(self.changer.lock_holder().peer()),
            deadline,
            login_until: deadline.at_most(LONGEST_PROOF),
            ..database
        };
        let Credentials { username, password, .. } = &version.credentials;
        let purpose = Purpose::Application;
        let (login, progress) =
            database.watched_login(origin.login(), username, password, purpose).await;
        match login {
            Ok(database::Login::Accepted(session)) => {
                Login { proof: Proof::Accepted, session: Some(session), error: None }
            }
            Ok(database::Login::Rejected(error)) => {
                Login { proof: Proof::Refused, session: None, error: Some(error) }
            }
            Err(error) if progress.authentication().accepted => {
                Login { proof: Proof::Accepted, session: None, error: Some(error) }
            }
            Err(error) if error.is_database(DatabaseFault::HostNotPermitted) => {
                Login { proof: Proof::Refused, session: None, error: Some(error) }
            }
            Err(error) => failed(error),
        }
    }
}
