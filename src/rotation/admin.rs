//! The admin secret: when it may set the password of a role, and how the right server is proven.
//!
//! The rotated secret is not trusted here. Its writer could name a host of their own and wait there
//! for the admin's password. They could also name a role of another team.

use postgres_protocol::escape::escape_identifier;

use super::lock::Changer;
use super::{Rotation, admin_server, labels};
use crate::context::Context;
use crate::database::authentication::Method;
use crate::database::role::{self, Power};
use crate::database::{Lock, Purpose, Session};
use crate::error::{DatabaseFault, Error, StoreFault};
use crate::secret::credentials::AdminCredentials;
use crate::secret::document::Document;
use crate::secret::store::{self, Value, VersionSelector};

/// Makes a change as the role, or as the admin if the role may not and an admin exists. The role's
/// own session holds the lock in both cases.
///
/// # Errors
/// Those of the change and of [`session`].
pub(crate) async fn as_role_or_admin<T>(
    context: &Context<'_>,
    rotation: &Rotation,
    lock: &Lock<'_>,
    change: impl AsyncFn(Changer<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    match change(Changer::role(lock)).await {
        Err(error)
            if error.is_database(DatabaseFault::PermissionDenied)
                && rotation.admin_secret().is_some() =>
        {
            as_admin(context, rotation, lock, change).await
        }
        changed => changed,
    }
}

/// Makes a change as the admin, while a session of the role holds the lock.
///
/// # Errors
/// Those of the change and of [`session`]. A missing right is the admin's.
pub(crate) async fn as_admin<T>(
    context: &Context<'_>,
    rotation: &Rotation,
    lock: &Lock<'_>,
    change: impl AsyncFn(Changer<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let admin = session(context, rotation, Some(lock.session())).await?;
    let changed = change(Changer::admin(lock, &admin)).await;
    admin.close().await;
    changed.map_err(|error| lacks_right(rotation, error))
}

/// Makes a change as the admin if no password of the role works.
///
/// # Errors
/// Those of the change and of [`session`]. A missing right is the admin's.
pub(crate) async fn as_admin_alone<T>(
    context: &Context<'_>,
    rotation: &Rotation,
    change: impl AsyncFn(Changer<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let admin = session(context, rotation, None).await?;
    let changed = async {
        let lock = admin.lock(rotation.lock_name()).await?;
        let changed = change(Changer::admin_alone(&lock)).await?;
        // The change is made. If the release fails, the lock ends with the session.
        let _ = lock.release().await;
        Ok(changed)
    };
    let changed = changed.await;
    admin.close().await;
    changed.map_err(|error| lacks_right(rotation, error))
}

/// Logs in as the admin and checks that it may change the secret's role.
///
/// `secret_session` is a session of that role. A lock proves that it is on the admin's server and
/// belongs to that role. Without such a session, both secrets have to name the same server, and the
/// role must not be powerful.
///
/// # Errors
/// [`Error::AdminRefused`] if the admin must not change this role, and those of the login.
pub(crate) async fn session(
    context: &Context<'_>,
    rotation: &Rotation,
    secret_session: Option<&Session>,
) -> Result<Session, Error> {
    let id = rotation.admin_secret().unwrap_or_default();
    let (admin, version) = read(context, id).await?;
    let current = &rotation.current.credentials;
    let refused = |reason: String| Error::AdminRefused {
        admin: id.to_owned(),
        role: current.username.clone(),
        reason,
    };
    if admin.username == current.username {
        return Err(refused(
            "it is the admin itself. A role that rotates its own password needs no admin secret."
                .to_owned(),
        ));
    }
    let (server, policy) = (&current.server, &rotation.policy);
    let target = admin_server::target(server, policy, &admin)
        .map_err(|problem| Error::Document { secret: id.to_owned(), version, problem })?;
    if secret_session.is_none() && !admin_server::is_the_same(server, policy, &admin) {
        return Err(refused(format!(
            "its server is {}, and the secret's is {}:{}. The secret holds no working password to \
             prove that the two are one.",
            target.address(),
            server.host,
            server.port
        )));
    }
    let database = context.database(target);
    let operation = "login with the admin secret";
    let session = database
        .login(operation, &admin.username, &admin.password, Purpose::Administer)
        .await?
        .accepted()?;
    if let Some(how) = unproven(session.authentication().method) {
        tracing::warn!(
            secret.arn = rotation.secret,
            db.host = session.host(),
            "the admin's password was sent {how}, because the server asked for that. Store it as \
             scram-sha-256: then the server must prove that it knows it."
        );
    }
    match refusal(&session, secret_session, &current.username).await {
        Ok(None) => Ok(session),
        Ok(Some(reason)) => {
            session.close().await;
            Err(refused(reason.to_owned()))
        }
        Err(error) => {
            session.close().await;
            Err(error)
        }
    }
}

/// How the password was sent, if the server did not have to prove that it knows it. Only a server
/// that the admin secret or the policy names gets here.
fn unproven(method: Method) -> Option<&'static str> {
    match method {
        Method::Cleartext => Some("in clear"),
        Method::Md5 => Some("as an md5 hash"),
        Method::Scram { .. } | Method::NoPassword => None,
    }
}

/// Turns a missing right into the admin's.
pub(crate) fn lacks_right(rotation: &Rotation, mut error: Error) -> Error {
    if let Error::Database { role, fault, run, .. } = &mut error
        && *fault == DatabaseFault::PermissionDenied
        && *role != rotation.current.credentials.username
    {
        let (changed, admin) = (&rotation.next_username, escape_identifier(role));
        *fault = DatabaseFault::AdminLacksRight;
        let statements = format!(
            "ALTER ROLE {admin} CREATEROLE. On PostgreSQL 16 or newer, also run GRANT {} TO \
             {admin} WITH ADMIN OPTION",
            escape_identifier(changed)
        );
        *run = Some(statements.into());
    }
    error
}

/// The reason why the admin must not set this role's password, if any.
async fn refusal(
    admin: &Session,
    secret_session: Option<&Session>,
    role: &str,
) -> Result<Option<&'static str>, Error> {
    if let Some(secret_session) = secret_session
        && !role::same_server(admin, secret_session).await?
    {
        return Ok(Some("the admin's server is not the one that the secret's role logs in to."));
    }
    Ok(match role::power(admin, role).await? {
        None => Some("it does not exist."),
        Some(power) => too_powerful(power, secret_session.is_some()),
    })
}

/// The reason not to touch a powerful role. After a proof by login, only a superuser is refused:
/// others gain nothing from a new password.
fn too_powerful(power: Power, proven: bool) -> Option<&'static str> {
    if power.superuser {
        Some("it is a superuser, whose password an admin secret never sets.")
    } else if power.more_than_its_own && !proven {
        Some(
            "it is powerful, and no password in the secret proves that it is the secret's own. It \
             has CREATEROLE, REPLICATION or BYPASSRLS, directly or by membership. Or it is a \
             member of the admin, of a service's role such as rds_superuser, or of one of \
             PostgreSQL's own such as pg_read_all_data. Or it reads password hashes or reaches the \
             server's files.",
        )
    } else {
        None
    }
}

async fn read(context: &Context<'_>, id: &str) -> Result<(AdminCredentials, String), Error> {
    let Some(version) = context.store.read(id, VersionSelector::Stage(store::CURRENT)).await?
    else {
        let fault = StoreFault::NotFound(
            "the admin secret does not exist or has no AWSCURRENT value".to_owned(),
        );
        return Err(Error::SecretsManager {
            operation: "GetSecretValue",
            secret: id.to_owned(),
            fault,
        });
    };
    let label = labels::version(store::CURRENT, &version.id);
    let parsed = match &version.value {
        Value::Text(text) => {
            Document::parse(text).and_then(|document| AdminCredentials::read(&document))
        }
        Value::Binary => Err("it holds binary data. Store a JSON object in SecretString.".into()),
    };
    match parsed {
        Ok(admin) => Ok((admin, label)),
        Err(problem) => Err(Error::Document { secret: version.arn, version: label, problem }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_takes_over_a_powerful_role() {
        for (superuser, more_than_its_own, proven, allowed) in [
            (false, false, true, true),
            (false, false, false, true),
            (false, true, true, true),
            (false, true, false, false),
            (true, true, true, false),
            (true, true, false, false),
        ] {
            let power = Power { superuser, more_than_its_own };
            assert_eq!(
                too_powerful(power, proven).is_none(),
                allowed,
                "{power:?} proven: {proven}"
            );
        }
    }
}
