//! A login with a version of the secret.

use std::fmt;
use std::time::Duration;

use super::{Rotation, SecretVersion, labels};
use crate::context::Context;
use crate::database::progress::Progress;
use crate::database::{Database, Login, Purpose, Target};
use crate::error::Error;
use crate::secret::credentials::Credentials;
use crate::secret::store;

/// The version that a password comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Current,
    Pending,
    Previous,
    /// A version that lost its label.
    Unlabelled,
}

impl Origin {
    /// The name of a login with it in errors.
    pub(super) fn login(self) -> &'static str {
        match self {
            Self::Current => "login with AWSCURRENT",
            Self::Pending => "login with AWSPENDING",
            Self::Previous => "login with AWSPREVIOUS",
            Self::Unlabelled => "login with an unlabelled version",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Current => store::CURRENT,
            Self::Pending => store::PENDING,
            Self::Previous => store::PREVIOUS,
            Self::Unlabelled => "an unlabelled version",
        })
    }
}

impl Rotation {
    /// The database that a version of the secret names.
    ///
    /// # Errors
    /// [`Error::Document`] if the policy forbids what the value asks for.
    pub(crate) fn database<'a>(
        &self,
        context: &Context<'a>,
        version: &SecretVersion,
    ) -> Result<Database<'a>, Error> {
        let target = Target::new(&version.credentials.server, &self.policy);
        let target = target.map_err(|problem| Error::Document {
            secret: self.secret.clone(),
            version: labels::version("version", &version.id),
            problem,
        })?;
        let named = self.policy.rotation_host.is_some() && self.policy.rotation_port.is_some();
        let proof = version.moved && !named;
        Ok(context.database(if proof { target.requiring_proof() } else { target }))
    }

    /// Logs in with a version of the secret.
    ///
    /// # Errors
    /// As [`Database::login`](crate::database::Database::login).
    pub(crate) async fn login(
        &self,
        context: &Context<'_>,
        version: &SecretVersion,
        origin: Origin,
        purpose: Purpose,
    ) -> Result<Login, Error> {
        self.watched_login(context, version, origin, purpose, Duration::MAX).await.0
    }

    /// Like [`login`](Self::login), and how far the attempt came. It waits `patience` at most.
    /// Without a progress there was no attempt.
    pub(crate) async fn watched_login(
        &self,
        context: &Context<'_>,
        version: &SecretVersion,
        origin: Origin,
        purpose: Purpose,
        patience: Duration,
    ) -> (Result<Login, Error>, Option<Progress>) {
        let Credentials { username, password, .. } = &version.credentials;
        let mut database = match self.database(context, version) {
            Ok(database) => database,
            Err(error) => return (Err(error), None),
        };
        database.login_until = database.login_until.at_most(patience);
        let attempt = database.watched_login(origin.login(), username, password, purpose);
        let (login, progress) = attempt.await;
        (login, Some(progress))
    }
}
