//! `setSecret`: makes the database accept the pending password, with whichever password it accepts now.

use super::{Context, Done, Rotation, Stored, admin};
use crate::database::{Database, Login, Purpose, Session, role};
use crate::error::{DatabaseFault, Error};
use crate::event::Outcome;
use crate::secret::password::{Password, Storage};
use crate::secret::store::{self, Value, Which};

/// Passwords of abandoned rotations that are tried when no label leads to one that works; each costs a failed login.
const UNLABELLED_VERSIONS: usize = 4;

/// The current password first, since a healthy rotation must not leave a failed login in the server's log.
pub(super) async fn run(context: &Context<'_>, rotation: &Rotation) -> Result<Done, Error> {
    let pending = rotation.pending()?;
    let database = rotation.database(context, &rotation.current)?;
    let mut tried = Tried::default();

    if let Some(session) = tried.login(&database, "login with AWSCURRENT", &rotation.current).await? {
        return change(context, rotation, session, "AWSCURRENT").await;
    }
    if let Some(session) = tried.login(&database, "login with AWSPENDING", pending).await? {
        session.close().await;
        let message =
            format!("Role {:?} on {} accepts the pending password already.", pending.credentials.username, database.target.address());
        return Ok(Done::new(Outcome::AlreadySet, message));
    }
    if let Some(previous) = past(context, rotation, Which::Stage(store::PREVIOUS)).await?
        && let Some(session) = tried.login(&database, "login with AWSPREVIOUS", &previous).await?
    {
        return change(context, rotation, session, "AWSPREVIOUS").await;
    }
    for id in context.store.unlabelled_versions(&rotation.secret).await?.into_iter().take(UNLABELLED_VERSIONS) {
        if let Some(version) = past(context, rotation, Which::Id(&id)).await?
            && let Some(session) = tried.login(&database, "login with a version without label", &version).await?
        {
            return change(context, rotation, session, "a version that has lost its label").await;
        }
    }
    reset(context, rotation, &database, &tried).await
}

/// Changes the role's own password, or lets the admin do it where the role may not.
async fn change(context: &Context<'_>, rotation: &Rotation, session: Session, with: &str) -> Result<Done, Error> {
    let (pending, policy) = (rotation.pending()?, &rotation.policy);
    let (role, password) = (&pending.credentials.username, &pending.credentials.password);
    let changed = role::set_password(&session, role, password, policy.password_storage).await;
    let done = match changed {
        Err(error) if error.is_database(DatabaseFault::PermissionDenied) && admin::secret(rotation).is_some() => {
            let admin = admin::session(context, rotation, Some(&session)).await?;
            let storage = admin::set_password(&admin, rotation, pending, admin::Proof::LoggedIn).await;
            admin.close().await;
            storage.map(|storage| done(rotation, storage, "the admin secret"))
        }
        changed => changed.map(|storage| done(rotation, storage, with)),
    };
    session.close().await;
    done
}

/// Nothing that the secret holds works: the admin may mend that where the function's own policy says so.
async fn reset(context: &Context<'_>, rotation: &Rotation, database: &Database<'_>, tried: &Tried) -> Result<Done, Error> {
    let pending = rotation.pending()?;
    let advice = match (admin::secret(rotation), rotation.policy.admin_reset) {
        (Some(_), true) => {
            let admin = admin::session(context, rotation, None).await?;
            let storage = admin::set_password(&admin, rotation, pending, admin::Proof::None).await;
            admin.close().await;
            return storage.map(|storage| done(rotation, storage, "the admin secret"));
        }
        (Some(_), false) => {
            "Set admin_reset in ROTATION_POLICY to let the admin secret set it anew, or write the password that the database has into the \
             secret with `aws secretsmanager put-secret-value`."
        }
        (None, _) => {
            "Write the password that the database has into the secret with `aws secretsmanager put-secret-value`, or set the one in \
             AWSCURRENT with psql's \\password."
        }
    };
    Err(Error::NoCredentialAccepted {
        role: pending.credentials.username.clone(),
        host: database.target.address(),
        tried: tried.labels.join(", "),
        advice: advice.to_owned(),
    })
}

/// An earlier version, if it is readable and of the same role on the same server: an older one may be of another.
async fn past(context: &Context<'_>, rotation: &Rotation, which: Which<'_>) -> Result<Option<Stored>, Error> {
    let Some(version) = context.store.read(&rotation.secret, which).await? else { return Ok(None) };
    if matches!(version.value, Value::Binary) {
        return Ok(None);
    }
    Ok(Stored::parse(version, "an earlier version").ok().filter(|version| {
        let (current, version) = (&rotation.current.credentials, &version.credentials);
        version.username == current.username && version.server.host == current.server.host && version.server.port == current.server.port
    }))
}

fn done(rotation: &Rotation, storage: Storage, with: &str) -> Done {
    let role = &rotation.current.credentials.username;
    let mut done = Done::new(Outcome::PasswordSet, format!("Role {role:?} has the pending password now (set with {with})."));
    match storage {
        Storage::ScramSha256 => {}
        Storage::Md5 => done.warnings.push(
            "the password is stored as an md5 hash, as the server's password_encryption or the policy's password_storage says: PostgreSQL 18 \
             deprecates it; move to scram-sha-256 once every client can."
                .to_owned(),
        ),
        Storage::Cleartext => done.warnings.push(
            "the password was sent in clear, as password_storage says: the server's log may hold it.".to_owned(),
        ),
    }
    if with != "AWSCURRENT" {
        done.warnings.push(format!("the database did not take the password of AWSCURRENT for a change; {with} was used."));
    }
    done
}

/// What was tried, so that no password is sent twice: every refusal is a line that somebody may be alerted by.
#[derive(Default)]
struct Tried {
    labels: Vec<&'static str>,
    passwords: Vec<Password>,
}

impl Tried {
    async fn login(&mut self, database: &Database<'_>, operation: &'static str, version: &Stored) -> Result<Option<Session>, Error> {
        let credentials = &version.credentials;
        if self.passwords.contains(&credentials.password) {
            return Ok(None);
        }
        match database.login(operation, &credentials.username, &credentials.password, Purpose::Administer).await? {
            Login::Accepted(session) => Ok(Some(session)),
            Login::Rejected(_) => {
                self.labels.push(operation.trim_start_matches("login with "));
                self.passwords.push(credentials.password.clone());
                Ok(None)
            }
        }
    }
}
