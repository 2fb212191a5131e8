//! Which of the passwords that the secret holds the database accepts now.

use std::fmt;

use super::{Rotation, SecretVersion};
use crate::context::Context;
use crate::database::{Login, Purpose, Session};
use crate::error::{Error, StoreFault};
use crate::secret::credentials::Credentials;
use crate::secret::password::Password;
use crate::secret::store::{self, Value, VersionSelector};

/// Earlier versions that are read to find a password that works.
const MOST_READ: usize = 20;

/// Where a password comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Current,
    Pending,
    Previous,
    /// A version that lost its label.
    Unlabelled,
}

impl Origin {
    /// What an error calls a login with this password.
    pub(super) fn login(self) -> &'static str {
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
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub(crate) enum WorkingLogin {
    /// A password of the current user.
    CurrentUser { session: Session, origin: Origin },
    /// The pending password: an earlier attempt set it.
    Pending,
    /// None of the passwords tried.
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
        let database = self.database(context, version)?;
        let login = database.login(origin.login(), username, password, purpose).await?;
        if matches!(login, Login::Rejected(_)) {
            context.refused_logins.count();
        }
        Ok(login)
    }
}

/// Logs in as the current user, else as the pending one. AWSCURRENT comes first, so that a healthy
/// rotation leaves no failed login in the server's log. `purpose` applies to AWSCURRENT only.
pub(crate) async fn find_working_login(
    context: &Context<'_>,
    rotation: &Rotation,
    purpose: Purpose,
) -> Result<WorkingLogin, Error> {
    let mut attempts = LoginAttempts::new(rotation);
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

/// A session with an older password of the current user, and where that password comes from.
///
/// The newest version comes first: the version of a rotation that was abandoned after its change is
/// newer than AWSCURRENT, and AWSPREVIOUS is older.
pub(crate) async fn find_older_login(
    context: &Context<'_>,
    rotation: &Rotation,
    attempts: &mut LoginAttempts,
) -> Result<Option<(Session, Origin)>, Error> {
    for (id, origin) in earlier_versions(context, rotation, attempts).await? {
        if attempts.exhausted() {
            break;
        }
        let selector = match &id {
            Some(id) => VersionSelector::Id(id),
            None => VersionSelector::Stage(store::PREVIOUS),
        };
        let Some(version) = earlier(context, rotation, selector).await? else { continue };
        let purpose = Purpose::Administer;
        let session = attempts.login(context, rotation, &version, origin, purpose).await?;
        if let Some(session) = session {
            return Ok(Some((session, origin)));
        }
    }
    Ok(None)
}

/// AWSPREVIOUS and the versions without a label, newest first. A function that may not list versions
/// does without the latter.
async fn earlier_versions(
    context: &Context<'_>,
    rotation: &Rotation,
    attempts: &mut LoginAttempts,
) -> Result<Vec<(Option<String>, Origin)>, Error> {
    let versions = match context.store.earlier_versions(&rotation.secret).await {
        Err(Error::SecretsManager { fault: StoreFault::AccessDenied { .. }, .. }) => {
            attempts.unlisted = true;
            return Ok(vec![(None, Origin::Previous)]);
        }
        versions => versions?,
    };
    let origin = |previous| if previous { Origin::Previous } else { Origin::Unlabelled };
    let versions = versions.into_iter().take(MOST_READ);
    Ok(versions.map(|version| (Some(version.id), origin(version.previous))).collect())
}

/// An earlier version, if it is readable and holds the same role and server.
async fn earlier(
    context: &Context<'_>,
    rotation: &Rotation,
    selector: VersionSelector<'_>,
) -> Result<Option<SecretVersion>, Error> {
    let version = context.store.read(&rotation.secret, selector).await?;
    let Some(version) = version.filter(|version| matches!(version.value, Value::Text(_))) else {
        return Ok(None);
    };
    let version = SecretVersion::parse(version, "an earlier version").ok();
    Ok(version.filter(|version| version.same_role(&rotation.current)))
}

/// The refused passwords. None is sent twice: each refusal adds a line to the server's log and can
/// raise an alarm, or have an extension ban the role.
#[derive(Debug)]
pub(crate) struct LoginAttempts {
    refused: Vec<(Origin, String, Password)>,
    /// The function may not list the versions without a label.
    unlisted: bool,
    /// Refusals that the policy allows one invocation.
    most: usize,
    /// A password was left out for that reason.
    stopped: bool,
}

impl LoginAttempts {
    pub(crate) fn new(rotation: &Rotation) -> Self {
        let most = rotation.policy.max_refused_logins;
        Self { refused: Vec::new(), unlisted: false, most, stopped: false }
    }

    /// After these passwords were refused.
    pub(crate) fn after<'a>(
        rotation: &Rotation,
        refused: impl Iterator<Item = (Origin, &'a SecretVersion)>,
    ) -> Self {
        let mut attempts = Self::new(rotation);
        refused.for_each(|(origin, version)| attempts.note(origin, version));
        attempts
    }

    /// What was left out, and why.
    pub(crate) fn left_out(&self) -> Option<String> {
        if self.stopped {
            return Some(format!(
                "Older passwords were not tried: max_refused_logins allows {} refused logins.",
                self.most
            ));
        }
        self.unlisted.then(|| {
            "Versions without a label were not tried: that needs \
             secretsmanager:ListSecretVersionIds."
                .to_owned()
        })
    }

    fn exhausted(&mut self) -> bool {
        self.stopped = self.refused.len() >= self.most;
        self.stopped
    }

    fn note(&mut self, origin: Origin, version: &SecretVersion) {
        let Credentials { username, password, .. } = &version.credentials;
        self.refused.push((origin, username.clone(), password.clone()));
    }

    /// A session, or `None` if this password is refused now or was before.
    async fn login(
        &mut self,
        context: &Context<'_>,
        rotation: &Rotation,
        version: &SecretVersion,
        origin: Origin,
        purpose: Purpose,
    ) -> Result<Option<Session>, Error> {
        let Credentials { username, password, .. } = &version.credentials;
        if self.refused.iter().any(|(_, known, refused)| known == username && refused == password) {
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
        if self.stopped {
            tried.push(format!("no more, since max_refused_logins is {}", self.most));
        }
        if self.unlisted {
            tried.push(
                "no version without label, which needs secretsmanager:ListSecretVersionIds"
                    .to_owned(),
            );
        }
        f.write_str(&tried.join(", "))
    }
}
