//! Finds the password of the secret that the database accepts.

use super::attempts::LoginAttempts;
use super::login::Origin;
use super::{Rotation, SecretVersion};
use crate::context::Context;
use crate::database::{Purpose, Session};
use crate::error::{Error, StoreFault, clean};
use crate::secret::credentials::Server;
use crate::secret::store::{self, Value, VersionSelector};

/// The number of earlier versions that are read to find a working password.
const MOST_READ: usize = 20;

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

/// An earlier version, if it is valid and has the same role and server. A version for another
/// server is tried at the present one only if the policy names its host, and the present server has
/// to prove that it knows the password. Otherwise the secret's writer could name a server of their
/// own and wait there for older passwords.
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
        version.moved = true;
    }
    Ok(Some(version))
}
