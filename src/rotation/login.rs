//! Which of the passwords that the secret holds the database accepts now.

use super::{Context, Rotation, Stored};
use crate::database::{Database, Login, Purpose, Session};
use crate::error::{Error, StoreFault};
use crate::secret::credentials::Credentials;
use crate::secret::password::Password;
use crate::secret::store::{self, Value, Which};

/// Passwords of abandoned rotations that a step tries when no label leads to one that works; each
/// costs a failed login.
const TRIED_BY_A_STEP: usize = 3;
/// A person who asks what can be done would rather have more of those.
const TRIED_BY_AN_OPERATION: usize = 10;
/// Versions without a label that are read to find those.
const UNLABELLED_READ: usize = 20;

const UNLISTED: &str = "no version without label, which needs secretsmanager:ListSecretVersionIds";

/// What the database accepts.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub(super) enum Found {
    /// A password of the current user, which is from that version.
    Session { session: Session, with: &'static str },
    /// The pending one, and none of the current user: an earlier attempt has set it.
    Pending,
    /// None of those that were tried.
    Nothing { tried: String },
}

/// Logs in as the current user, and if need be as the pending one: with AWSCURRENT first, since a
/// healthy rotation must not leave a failed login in the server's log. `purpose` is for that one
/// alone.
pub(super) async fn find(
    context: &Context<'_>,
    rotation: &Rotation,
    database: &Database<'_>,
    purpose: Purpose,
) -> Result<Found, Error> {
    let mut tried = Tried::by_a_step();
    if let Some(session) =
        tried.login(database, "login with AWSCURRENT", &rotation.current, purpose).await?
    {
        return Ok(Found::Session { session, with: "AWSCURRENT" });
    }
    if let Some(session) = tried
        .login(database, "login with AWSPENDING", rotation.pending()?, Purpose::Administer)
        .await?
    {
        session.close().await;
        return Ok(Found::Pending);
    }
    match older(context, rotation, database, &mut tried).await? {
        Some((session, with)) => Ok(Found::Session { session, with }),
        None => Ok(Found::Nothing { tried: tried.labels.join(", ") }),
    }
}

/// A session with an older password of the current user, and what it is from.
pub(crate) async fn older(
    context: &Context<'_>,
    rotation: &Rotation,
    database: &Database<'_>,
    tried: &mut Tried,
) -> Result<Option<(Session, &'static str)>, Error> {
    if let Some(previous) = past(context, rotation, Which::Stage(store::PREVIOUS)).await?
        && let Some(session) =
            tried.login(database, "login with AWSPREVIOUS", &previous, Purpose::Administer).await?
    {
        return Ok(Some((session, "AWSPREVIOUS")));
    }
    for id in unlabelled(context, rotation, tried).await? {
        let Some(version) =
            past(context, rotation, Which::Id(&id)).await?.filter(|version| !tried.has(version))
        else {
            continue;
        };
        if let Some(session) = tried
            .login(database, "login with a version without label", &version, Purpose::Administer)
            .await?
        {
            return Ok(Some((session, "a version that has lost its label")));
        }
        tried.unlabelled_left -= 1;
        if tried.unlabelled_left == 0 {
            break;
        }
    }
    Ok(None)
}

/// The versions without a label, which a function whose role may not list them does without.
async fn unlabelled(
    context: &Context<'_>,
    rotation: &Rotation,
    tried: &mut Tried,
) -> Result<Vec<String>, Error> {
    match context.store.unlabelled_versions(&rotation.secret).await {
        Err(Error::SecretsManager { fault: StoreFault::AccessDenied { .. }, .. }) => {
            tried.labels.push(UNLISTED);
            Ok(Vec::new())
        }
        versions => versions.map(|versions| versions.into_iter().take(UNLABELLED_READ).collect()),
    }
}

/// An earlier version, if it is readable and of the same role on the same server: an older one may
/// be of another.
async fn past(
    context: &Context<'_>,
    rotation: &Rotation,
    which: Which<'_>,
) -> Result<Option<Stored>, Error> {
    let Some(version) = context.store.read(&rotation.secret, which).await? else { return Ok(None) };
    if matches!(version.value, Value::Binary) {
        return Ok(None);
    }
    Ok(Stored::parse(version, "an earlier version").ok().filter(|version| {
        let (current, version) = (&rotation.current.credentials, &version.credentials);
        version.username == current.username
            && version.server.host == current.server.host
            && version.server.port == current.server.port
    }))
}

/// What was tried, so that no password is sent twice: every refusal is a line that somebody may be
/// alerted by.
#[derive(Debug)]
pub(crate) struct Tried {
    labels: Vec<&'static str>,
    logins: Vec<(String, Password)>,
    unlabelled_left: usize,
}

impl Tried {
    fn by_a_step() -> Self {
        Self { labels: Vec::new(), logins: Vec::new(), unlabelled_left: TRIED_BY_A_STEP }
    }

    /// By an operation, when these have been refused already.
    pub(crate) fn rejected<'a>(versions: impl Iterator<Item = &'a Stored>) -> Self {
        let logins = versions
            .map(|version| {
                (version.credentials.username.clone(), version.credentials.password.clone())
            })
            .collect();
        Self { labels: Vec::new(), logins, unlabelled_left: TRIED_BY_AN_OPERATION }
    }

    /// What could not be tried for want of a right.
    pub(crate) fn left_out(&self) -> Option<&'static str> {
        self.labels.contains(&UNLISTED).then_some(
            "versions without a label were not tried, which needs \
                secretsmanager:ListSecretVersionIds.",
        )
    }

    fn has(&self, version: &Stored) -> bool {
        let Credentials { username, password, .. } = &version.credentials;
        self.logins.iter().any(|(known, tried)| known == username && tried == password)
    }

    pub(crate) async fn login(
        &mut self,
        database: &Database<'_>,
        operation: &'static str,
        version: &Stored,
        purpose: Purpose,
    ) -> Result<Option<Session>, Error> {
        let credentials = &version.credentials;
        if self.has(version) {
            return Ok(None);
        }
        match database
            .login(operation, &credentials.username, &credentials.password, purpose)
            .await?
        {
            Login::Accepted(session) => Ok(Some(session)),
            Login::Rejected(_) => {
                self.labels.push(operation.trim_start_matches("login with "));
                self.logins.push((credentials.username.clone(), credentials.password.clone()));
                Ok(None)
            }
        }
    }
}
