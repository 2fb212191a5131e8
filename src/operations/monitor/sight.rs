//! What a login with AWSCURRENT shows of a secret: one login, and one more after a refusal.

use std::time::{Duration, SystemTime};

use super::admins::Admins;
use super::health::{LeaseFact, LoginFact};
use super::leases::{self, LeaseSight};
use crate::context::Context;
use crate::database::expiry::{self, PasswordEnd};
use crate::database::{Login, Purpose};
use crate::error::Error;
use crate::rotation::Rotation;
use crate::rotation::login::Origin;
use crate::secret::store::{CURRENT, Description};

/// Longer than the window in which a single user's rotation has changed the password and not yet
/// moved AWSCURRENT.
const PAUSE: Duration = Duration::from_secs(2);
/// A paused database wakes up within it. A silent one must not use up the time of all others.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was seen of a secret.
pub(super) struct Sight {
    pub(super) login: LoginFact,
    /// Why the login failed, or could not be tried.
    pub(super) said: String,
    pub(super) role: Option<String>,
    /// The server, as `host:port`.
    pub(super) host: Option<String>,
    /// The creation of AWSCURRENT's version.
    pub(super) current_created: Option<SystemTime>,
    pub(super) expires: Option<PasswordEnd>,
    pub(super) lease: Option<LeaseFact>,
    pub(super) certificate_expires_in: Option<i64>,
    pub(super) warnings: Vec<String>,
    /// The server and the role, or the pair's base user.
    pub(super) place: Option<(String, String)>,
    pub(super) retires: bool,
    pub(super) metrics: bool,
}

impl Sight {
    /// No login was tried, for this reason.
    pub(super) fn untried(reason: &str) -> Self {
        Self {
            login: LoginFact::Untried,
            said: reason.to_owned(),
            role: None,
            host: None,
            current_created: None,
            expires: None,
            lease: None,
            certificate_expires_in: None,
            warnings: Vec::new(),
            place: None,
            retires: false,
            metrics: false,
        }
    }

    fn add(&mut self, lease: LeaseSight) {
        self.lease = lease.fact;
        self.said = lease.said.unwrap_or_else(|| std::mem::take(&mut self.said));
        self.expires = lease.expires.or(self.expires);
        self.warnings.extend(lease.warnings);
        if lease.revived {
            self.login = LoginFact::Accepted;
        }
    }

    /// What the value says before any login.
    fn of(rotation: &Rotation) -> Self {
        let (current, policy) = (&rotation.current.credentials, &rotation.policy);
        let host = format!("{}:{}", current.server.host, current.server.port);
        Self {
            role: Some(current.username.clone()),
            place: Some((host.to_ascii_lowercase(), rotation.lock_name().to_owned())),
            host: Some(host),
            current_created: rotation.current.created,
            warnings: rotation.warnings(),
            retires: policy.retires,
            metrics: policy.metrics_per_secret,
            ..Self::untried("")
        }
    }
}

/// Reads the value and logs in with it. A rotation may have ended in between, so after a refusal
/// the labels are read again and the login is repeated. A secret costs at most two failed logins.
/// After the second, the admin is asked for the role's `VALID UNTIL`. Returns the newest
/// description.
pub(super) async fn see(
    context: &Context<'_>,
    admins: &Admins,
    described: Description,
    every: Option<Duration>,
) -> (Description, Sight) {
    let secret = described.arn.clone();
    let first = match Rotation::read(context, &secret, "").await {
        Ok(rotation) => rotation,
        Err(error) => return (described, Sight::untried(&error.full_text())),
    };
    let sight = log_in(context, &first, every).await;
    if sight.login != LoginFact::Refused {
        return (described, sight);
    }
    tokio::time::sleep(context.deadline.remaining(PAUSE)).await;
    match again(context, admins, &secret, &first, sight, every).await {
        Ok(seen) => seen,
        // The refusal is not confirmed.
        Err(error) => (described, Sight { said: error.full_text(), ..Sight::of(&first) }),
    }
}

/// The second look, after a refusal.
async fn again(
    context: &Context<'_>,
    admins: &Admins,
    secret: &str,
    first: &Rotation,
    refused: Sight,
    every: Option<Duration>,
) -> Result<(Description, Sight), Error> {
    let described = context.store.describe(secret).await?;
    let same = described.holder(CURRENT) == Some(first.current.id.as_str());
    let newer = if same { None } else { Some(Rotation::read(context, secret, "").await?) };
    let second = newer.as_ref().unwrap_or(first);
    let sight = log_in(context, second, every).await;
    if sight.login != LoginFact::Refused {
        return Ok((described, sight));
    }
    let described = context.store.describe(secret).await?;
    let still = described.holder(CURRENT) == Some(first.current.id.as_str());
    let certificate_expires_in = sight.certificate_expires_in.or(refused.certificate_expires_in);
    if !(same && still) {
        let login = LoginFact::RefusedWhileMoving;
        return Ok((described, Sight { login, certificate_expires_in, ..sight }));
    }
    let expires = admins.valid_until(context, first).await;
    let mut sight = Sight { expires, certificate_expires_in, ..sight };
    if expires.is_some() && first.policy.lease().is_some() {
        sight.add(leases::revive(context, first, every).await);
    }
    Ok((described, sight))
}

/// One login with AWSCURRENT, and a look at the role's `VALID UNTIL`.
async fn log_in(context: &Context<'_>, rotation: &Rotation, every: Option<Duration>) -> Sight {
    let mut sight = Sight::of(rotation);
    let current = &rotation.current;
    let (origin, purpose) = (Origin::Current, Purpose::Administer);
    let (login, progress) =
        rotation.watched_login(context, current, origin, purpose, PATIENCE).await;
    sight.certificate_expires_in = progress.and_then(|progress| progress.certificate_expires_in());
    match login {
        Ok(Login::Accepted(session)) => {
            sight.login = LoginFact::Accepted;
            // If this is unknown, the look continues without it.
            let role = &current.credentials.username;
            sight.expires = expiry::of(&session, role).await.unwrap_or_default();
            sight.add(leases::keep(context, rotation, &session, every).await);
            session.close().await;
        }
        Ok(Login::Rejected(_)) => sight.login = LoginFact::Refused,
        Err(error) => {
            if matches!(error, Error::Database { .. }) {
                sight.login = LoginFact::Failed;
            }
            sight.said = error.full_text();
        }
    }
    sight
}
