//! Finds the password of the secret that the database accepts.

use std::fmt;

use super::{Rotation, SecretVersion};
use crate::context::Context;
use crate::database::{Login, Purpose, Session};
use crate::error::{Error, StoreFault};
use crate::secret::credentials::Credentials;
use crate::secret::password::Password;
use crate::secret::store::{self, Value, VersionSelector};

/// The number of passwords from versions without a label that a step tries. Each may cost a failed
/// login.
const TRIED_BY_A_STEP: usize = 3;
/// The same for an operation, which a person waits for.
const TRIED_BY_AN_OPERATION: usize = 10;
/// The number of versions without a label that are read to find those passwords.
const UNLABELLED_READ: usize = 20;

/// The version that a password comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Current,
    Pending,
    Previous,
    /// A version that has lost its label.
    Unlabelled,
}

impl Origin {
    /// The name of a login with it in errors.
    fn login(self) -> &'static str {
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

/// The password that the database accepts.
pub(crate) enum WorkingLogin {
    /// A password of the current user.
    CurrentUser { session: Session, origin: Origin },
    /// Only the pending one: an earlier attempt set it.
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

/// Tries AWSCURRENT, then AWSPENDING, then older passwords of the current user. AWSCURRENT comes
/// first, so that a healthy rotation causes no failed login. `purpose` applies to AWSCURRENT only.
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

/// Logs in with an older password of the current user; the session and the password's origin.
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

/// The versions without a label; none if the function may not list them.
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

/// An earlier version, if it is valid and has the same role on the same server.
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

/// The passwords that the database refused. None is sent twice: a failed login may raise an alarm.
#[derive(Debug)]
pub(crate) struct LoginAttempts {
    refused: Vec<(Origin, String, Password)>,
    /// Whether IAM forbids listing the versions without a label.
    unlisted: bool,
    unlabelled_left: usize,
}

impl LoginAttempts {
    fn by_step() -> Self {
        Self { refused: Vec::new(), unlisted: false, unlabelled_left: TRIED_BY_A_STEP }
    }

    /// The attempts of an operation, after the database refused these.
    pub(crate) fn by_operation<'a>(
        refused: impl Iterator<Item = (Origin, &'a SecretVersion)>,
    ) -> Self {
        let mut attempts = Self { unlabelled_left: TRIED_BY_AN_OPERATION, ..Self::by_step() };
        refused.for_each(|(origin, version)| attempts.note(origin, version));
        attempts
    }

    /// What could not be tried because of a missing right.
    pub(crate) fn left_out(&self) -> Option<&'static str> {
        self.unlisted.then_some(
            "unlabelled versions were not tried: that needs secretsmanager:ListSecretVersionIds.",
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

    /// A session, or `None` if this password is or was refused.
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
                "no unlabelled version, which needs secretsmanager:ListSecretVersionIds".to_owned(),
            );
        }
        f.write_str(&tried.join(", "))
    }
}
