//! Which of the passwords that the secret holds the database accepts now.

use std::fmt;

use super::{Rotation, SecretVersion};
use crate::context::Context;
use crate::database::{Login, Purpose, Session};
use crate::error::{Error, StoreFault};
use crate::secret::credentials::Credentials;
use crate::secret::password::Password;
use crate::secret::store::{self, Value, VersionSelector};

/// Passwords of abandoned rotations that a step tries when no label leads to one that works; each
/// costs a failed login.
const TRIED_BY_A_STEP: usize = 3;
/// The same for an operation, where a person waits for the answer.
const TRIED_BY_AN_OPERATION: usize = 10;
/// Versions without a label that are read to find those.
const UNLABELLED_READ: usize = 20;

/// Where a password comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Current,
    Pending,
    Previous,
    /// A version that has lost its label.
    Unlabelled,
}

impl Origin {
    /// What an error calls a login with it.
    fn login(self) -> &'static str {
        match self {
            Self::Current => "login with AWSCURRENT",
            Self::Pending => "login with AWSPENDING",
            Self::Previous => "login with AWSPREVIOUS",
            Self::Unlabelled => "login with a version without label",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Current => store::CURRENT,
            Self::Pending => store::PENDING,
            Self::Previous => store::PREVIOUS,
            Self::Unlabelled => "a version without label",
        })
    }
}

/// What the database accepts.
pub(crate) enum WorkingLogin {
    /// A password of the current user.
    CurrentUser { session: Session, origin: Origin },
    /// The pending one, and none of the current user: an earlier attempt has set it.
    Pending,
    /// None of those that were tried.
    None { attempts: LoginAttempts },
}

impl Rotation {
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
        let Credentials { username, password, .. } = &version.credentials;
        self.database(context, version)?.login(origin.login(), username, password, purpose).await
    }
}

/// Logs in as the current user, and if need be as the pending one. AWSCURRENT comes first: a healthy
/// rotation must not leave a failed login in the server's log. `purpose` is for that one alone.
pub(crate) async fn find_working_login(
    context: &Context<'_>,
    rotation: &Rotation,
    purpose: Purpose,
) -> Result<WorkingLogin, Error> {
    let mut attempts = LoginAttempts::by_step();
    let (current, origin) = (&rotation.current, Origin::Current);
    if let Some(session) = attempts.login(context, rotation, current, origin, purpose).await? {
        return Ok(WorkingLogin::CurrentUser { session, origin });
    }
    let (pending, purpose) = (rotation.pending()?, Purpose::Administer);
    let session = attempts.login(context, rotation, pending, Origin::Pending, purpose).await?;
    if let Some(session) = session {
        session.close().await;
        return Ok(WorkingLogin::Pending);
    }
    Ok(match find_older_login(context, rotation, &mut attempts).await? {
        Some((session, origin)) => WorkingLogin::CurrentUser { session, origin },
        None => WorkingLogin::None { attempts },
    })
}

/// A session with an older password of the current user, and what it is from.
pub(crate) async fn find_older_login(
    context: &Context<'_>,
    rotation: &Rotation,
    attempts: &mut LoginAttempts,
) -> Result<Option<(Session, Origin)>, Error> {
    let purpose = Purpose::Administer;
    if let Some(previous) = past(context, rotation, VersionSelector::Stage(store::PREVIOUS)).await?
    {
        let origin = Origin::Previous;
        let session = attempts.login(context, rotation, &previous, origin, purpose).await?;
        if let Some(session) = session {
            return Ok(Some((session, origin)));
        }
    }
    for id in unlabelled(context, rotation, attempts).await? {
        let version = past(context, rotation, VersionSelector::Id(&id)).await?;
        let Some(version) = version.filter(|version| !attempts.include(version)) else { continue };
        let origin = Origin::Unlabelled;
        let session = attempts.login(context, rotation, &version, origin, purpose).await?;
        if let Some(session) = session {
            return Ok(Some((session, origin)));
        }
        attempts.unlabelled_left -= 1;
        if attempts.unlabelled_left == 0 {
            break;
        }
    }
    Ok(None)
}

/// The versions without a label, which a function whose role may not list them does without.
async fn unlabelled(
    context: &Context<'_>,
    rotation: &Rotation,
    attempts: &mut LoginAttempts,
) -> Result<Vec<String>, Error> {
    match context.store.unlabelled_versions(&rotation.secret).await {
        Err(Error::SecretsManager { fault: StoreFault::AccessDenied { .. }, .. }) => {
            attempts.unlisted = true;
            Ok(Vec::new())
        }
        versions => versions.map(|versions| versions.into_iter().take(UNLABELLED_READ).collect()),
    }
}

/// An earlier version, if it is readable and of the same role on the same server.
async fn past(
    context: &Context<'_>,
    rotation: &Rotation,
    which: VersionSelector<'_>,
) -> Result<Option<SecretVersion>, Error> {
    let version = context.store.read(&rotation.secret, which).await?;
    let Some(version) = version.filter(|version| matches!(version.value, Value::Text(_))) else {
        return Ok(None);
    };
    let version = SecretVersion::parse(version, "an earlier version").ok();
    Ok(version.filter(|version| version.same_role(&rotation.current)))
}

/// The passwords that were refused. None is sent twice: each refusal is a line in the server's log
/// that may raise an alarm.
#[derive(Debug)]
pub(crate) struct LoginAttempts {
    refused: Vec<(Origin, String, Password)>,
    /// The function may not list the versions without a label.
    unlisted: bool,
    unlabelled_left: usize,
}

impl LoginAttempts {
    fn by_step() -> Self {
        Self { refused: Vec::new(), unlisted: false, unlabelled_left: TRIED_BY_A_STEP }
    }

    /// By an operation, when these have been refused already.
    pub(crate) fn by_operation<'a>(
        refused: impl Iterator<Item = (Origin, &'a SecretVersion)>,
    ) -> Self {
        let mut attempts = Self { unlabelled_left: TRIED_BY_AN_OPERATION, ..Self::by_step() };
        refused.for_each(|(origin, version)| attempts.note(origin, version));
        attempts
    }

    /// What could not be tried for want of a right.
    pub(crate) fn left_out(&self) -> Option<&'static str> {
        self.unlisted.then_some(
            "versions without a label were not tried, which needs \
             secretsmanager:ListSecretVersionIds.",
        )
    }

    fn include(&self, version: &SecretVersion) -> bool {
        let Credentials { username, password, .. } = &version.credentials;
        self.refused.iter().any(|(_, known, refused)| known == username && refused == password)
    }

    fn note(&mut self, origin: Origin, version: &SecretVersion) {
        let Credentials { username, password, .. } = &version.credentials;
        self.refused.push((origin, username.clone(), password.clone()));
    }

    /// A session, or `None` where this password is refused, now or before.
    async fn login(
        &mut self,
        context: &Context<'_>,
        rotation: &Rotation,
        version: &SecretVersion,
        origin: Origin,
        purpose: Purpose,
    ) -> Result<Option<Session>, Error> {
        if self.include(version) {
            return Ok(None);
        }
        Ok(match rotation.login(context, version, origin, purpose).await? {
            Login::Accepted(session) => Some(session),
            Login::Rejected(_) => {
                self.note(origin, version);
                None
            }
        })
    }
}

impl fmt::Display for LoginAttempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tried: Vec<_> =
            self.refused.iter().map(|(origin, ..)| origin.to_string()).collect();
        if self.unlisted {
            tried.push(
                "no version without label, which needs secretsmanager:ListSecretVersionIds"
                    .to_owned(),
            );
        }
        f.write_str(&tried.join(", "))
    }
}
