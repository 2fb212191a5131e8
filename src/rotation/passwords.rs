//! Finds the password of the secret that the database accepts.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::{Rotation, SecretVersion};
use crate::context::Context;
use crate::database::progress::Progress;
use crate::database::{Login, Purpose, Session};
use crate::error::{Error, StoreFault, clean};
use crate::secret::credentials::{Credentials, Server};
use crate::secret::password::Password;
use crate::secret::store::{self, Value, VersionSelector};

/// The number of earlier versions that are read to find a working password.
const MOST_READ: usize = 20;

/// How to have versions for another server tried.
pub(crate) const ALLOW: &str = "If this database was there before, as one restored from a \
    snapshot was, list that host in former_hosts in ROTATION_POLICY";

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

/// What the database accepts.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub(crate) enum WorkingLogin {
    /// A password of the current user.
    CurrentUser { session: Session, origin: Origin },
    /// Only the pending password: an earlier attempt set it.
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
        if matches!(login, Ok(Login::Rejected(_))) {
            context.refused_logins.count();
        }
        (login, Some(progress))
    }
}

/// Tries AWSCURRENT, then AWSPENDING, then older passwords of the current user. AWSCURRENT comes
/// first, so that a healthy rotation causes no failed login. `purpose` applies to AWSCURRENT only.
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

/// Logs in with an older password of the current user; the session and the password's origin.
///
/// The newest version comes first. A rotation that was abandoned after its change leaves a version
/// that is newer than AWSCURRENT; AWSPREVIOUS is older.
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
        let version = earlier(context, rotation, selector, attempts).await?;
        let Some(version) = version else { continue };
        let purpose = Purpose::Administer;
        let session = attempts.login(context, rotation, &version, origin, purpose).await?;
        if let Some(session) = session {
            return Ok(Some((session, origin)));
        }
    }
    Ok(None)
}

/// AWSPREVIOUS and the versions without a label, newest first. Only AWSPREVIOUS if the function may
/// not list versions.
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

/// An earlier version, if it is valid and has the same role and server. One for another server is
/// tried at the present one only if the policy names its host: whoever may write the secret could
/// name a server of their own, and wait there for older passwords.
async fn earlier(
    context: &Context<'_>,
    rotation: &Rotation,
    selector: VersionSelector<'_>,
    attempts: &mut LoginAttempts,
) -> Result<Option<SecretVersion>, Error> {
    let version = context.store.read(&rotation.secret, selector).await?;
    let version = version.filter(|version| matches!(version.value, Value::Text(_)));
    let parsed = version.map(|version| SecretVersion::parse(version, "an earlier version"));
    let Some(Ok(mut version)) = parsed else { return Ok(None) };
    let current = &rotation.current;
    if version.credentials.username != current.credentials.username {
        return Ok(None);
    }
    if !version.same_role(current) {
        let Server { host, port, .. } = &version.credentials.server;
        if !rotation.policy.former_hosts.iter().any(|known| known.eq_ignore_ascii_case(host)) {
            attempts.other_servers.insert(format!("{}:{port}", clean::name(host)));
            return Ok(None);
        }
        version.credentials.server = current.credentials.server.clone();
    }
    Ok(Some(version))
}

/// The passwords that the database refused. None is sent twice: a failed login may raise an alarm
/// or get the role banned.
#[derive(Debug)]
pub(crate) struct LoginAttempts {
    refused: Vec<(Origin, String, Password)>,
    /// The servers of versions that were not tried because they name another one.
    other_servers: BTreeSet<String>,
    /// Whether IAM forbids listing the versions without a label.
    unlisted: bool,
    /// The most refused logins that the policy allows one invocation.
    most: usize,
    /// Whether a password was left out because of that limit.
    stopped: bool,
}

impl LoginAttempts {
    pub(crate) fn new(rotation: &Rotation) -> Self {
        let most = rotation.policy.max_refused_logins;
        let (refused, other_servers) = (Vec::new(), BTreeSet::new());
        Self { refused, other_servers, unlisted: false, most, stopped: false }
    }

    /// The attempts after the database refused these passwords.
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
        let mut sentences = Vec::new();
        if self.stopped {
            sentences.push(format!(
                "Older passwords were not tried: max_refused_logins allows {} refused logins.",
                self.most
            ));
        } else if self.unlisted {
            sentences.push(
                "Unlabelled versions were not tried: that needs \
                 secretsmanager:ListSecretVersionIds."
                    .to_owned(),
            );
        }
        if !self.other_servers.is_empty() {
            sentences.push(format!("Versions for {} were not tried. {ALLOW}.", self.servers()));
        }
        Some(sentences.join(" ")).filter(|text| !text.is_empty())
    }

    /// How to have more passwords tried, if some were for another server.
    pub(crate) fn way_to_try_more(&self) -> Option<&'static str> {
        (!self.other_servers.is_empty()).then_some(ALLOW)
    }

    fn servers(&self) -> String {
        let names: Vec<_> = self.other_servers.iter().map(String::as_str).collect();
        names.join(", ")
    }

    fn exhausted(&mut self) -> bool {
        self.stopped = self.refused.len() >= self.most;
        self.stopped
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
            tried.push(format!("no more because max_refused_logins is {}", self.most));
        }
        if self.unlisted {
            tried.push(
                "no unlabelled version, which needs secretsmanager:ListSecretVersionIds".to_owned(),
            );
        }
        if !self.other_servers.is_empty() {
            tried.push(format!("no version for {}", self.servers()));
        }
        f.write_str(&tried.join(", "))
    }
}
