//! `setSecret` for one user: sets the role's own password, with whichever password the database accepts now.

use super::super::{Context, Done, Rotation, Stored, admin, requirements};
use super::{done, not_accepted, set_under_lock, storage};
use crate::database::{Database, Login, Purpose, Session, role};
use crate::error::{DatabaseFault, Error, StoreFault};
use crate::event::Outcome;
use crate::secret::password::{Password, Storage};
use crate::secret::store::{self, Value, Which};

/// Passwords of abandoned rotations that are tried when no label leads to one that works; each costs a failed login.
const UNLABELLED_TRIED: usize = 3;
/// Versions without a label that are read to find those.
const UNLABELLED_READ: usize = 20;

/// The current password first, since a healthy rotation must not leave a failed login in the server's log.
pub(super) async fn run(context: &Context<'_>, rotation: &Rotation) -> Result<Done, Error> {
    let pending = rotation.pending()?;
    let database = rotation.database(context, &rotation.current)?;
    let mut tried = Tried::default();

    // Declared rights are checked before the change: afterwards, to halt would lock out the application that AWSCURRENT still is for.
    let purpose = if requirements::declared(rotation) { Purpose::Application } else { Purpose::Administer };
    if let Some(session) = tried.login(&database, "login with AWSCURRENT", &rotation.current, purpose).await? {
        if purpose == Purpose::Application
            && let Err(error) = check(rotation, &session, &database.target.address()).await
        {
            session.close().await;
            return Err(error);
        }
        return change(context, rotation, session, "AWSCURRENT").await;
    }
    if let Some(session) = tried.login(&database, "login with AWSPENDING", pending, Purpose::Administer).await? {
        session.close().await;
        let message =
            format!("Role {:?} on {} accepts the pending password already.", pending.credentials.username, database.target.address());
        return Ok(Done::new(Outcome::AlreadySet, message));
    }
    if let Some(previous) = past(context, rotation, Which::Stage(store::PREVIOUS)).await?
        && let Some(session) = tried.login(&database, "login with AWSPREVIOUS", &previous, Purpose::Administer).await?
    {
        return change(context, rotation, session, "AWSPREVIOUS").await;
    }
    let mut left = UNLABELLED_TRIED;
    for id in unlabelled(context, rotation, &mut tried).await? {
        let Some(version) = past(context, rotation, Which::Id(&id)).await?.filter(|version| !tried.has(version)) else { continue };
        if let Some(session) = tried.login(&database, "login with a version without label", &version, Purpose::Administer).await? {
            return change(context, rotation, session, "a version that has lost its label").await;
        }
        left -= 1;
        if left == 0 {
            break;
        }
    }
    reset(context, rotation, &database, &tried).await
}

async fn check(rotation: &Rotation, session: &Session, host: &str) -> Result<(), Error> {
    requirements::check(rotation, session).await?.into_error(session, host, "Nothing was changed.")?;
    role::administer(session).await
}

/// Changes the role's own password, or lets the admin do it where the role may not.
async fn change(context: &Context<'_>, rotation: &Rotation, session: Session, with: &str) -> Result<Done, Error> {
    let done = match set_password(context, rotation, &session).await {
        Err(error) if error.is_database(DatabaseFault::PermissionDenied) && admin::secret(rotation).is_some() => {
            role::roll_back(&session).await?;
            by_admin(context, rotation, Some(&session)).await
        }
        changed => changed.map(|storage| changed_with(rotation, storage, with)),
    };
    session.close().await;
    done
}

async fn by_admin(context: &Context<'_>, rotation: &Rotation, own: Option<&Session>) -> Result<Done, Error> {
    let admin = admin::session(context, rotation, own).await?;
    let changed = set_password(context, rotation, &admin).await;
    admin.close().await;
    changed.map(|storage| changed_with(rotation, storage, "the admin secret")).map_err(admin::lacks_right)
}

async fn set_password(context: &Context<'_>, rotation: &Rotation, session: &Session) -> Result<Storage, Error> {
    let pending = &rotation.pending()?.credentials;
    let storage = storage(rotation, session).await?;
    let stored_form = pending.password.stored_form(&pending.username, storage);
    let change = async || role::change_password(session, &pending.username, &stored_form, storage).await;
    set_under_lock(context, rotation, session, change).await?;
    Ok(storage)
}

/// Nothing that the secret holds works: the admin may mend that where the function's own policy says so.
async fn reset(context: &Context<'_>, rotation: &Rotation, database: &Database<'_>, tried: &Tried) -> Result<Done, Error> {
    if admin::secret(rotation).is_some() && rotation.policy.admin_reset {
        return by_admin(context, rotation, None).await;
    }
    Err(not_accepted(rotation, database, tried.labels.join(", ")))
}

fn changed_with(rotation: &Rotation, storage: Storage, with: &str) -> Done {
    let role = &rotation.current.credentials.username;
    let mut done = done(storage, format!("Role {role:?} has the pending password now (set with {with})."));
    if with != "AWSCURRENT" {
        done.warnings.push(format!("the database did not take the password of AWSCURRENT for a change; {with} was used."));
    }
    done
}

/// The versions without a label, which a function whose role may not list them does without.
async fn unlabelled(context: &Context<'_>, rotation: &Rotation, tried: &mut Tried) -> Result<Vec<String>, Error> {
    match context.store.unlabelled_versions(&rotation.secret).await {
        Err(Error::SecretsManager { fault: StoreFault::AccessDenied { .. }, .. }) => {
            tried.labels.push("no version without label, which needs secretsmanager:ListSecretVersionIds");
            Ok(Vec::new())
        }
        versions => versions.map(|versions| versions.into_iter().take(UNLABELLED_READ).collect()),
    }
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

/// What was tried, so that no password is sent twice: every refusal is a line that somebody may be alerted by.
#[derive(Default)]
struct Tried {
    labels: Vec<&'static str>,
    passwords: Vec<Password>,
}

impl Tried {
    fn has(&self, version: &Stored) -> bool {
        self.passwords.contains(&version.credentials.password)
    }

    async fn login(
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
        match database.login(operation, &credentials.username, &credentials.password, purpose).await? {
            Login::Accepted(session) => Ok(Some(session)),
            Login::Rejected(_) => {
                self.labels.push(operation.trim_start_matches("login with "));
                self.passwords.push(credentials.password.clone());
                Ok(None)
            }
        }
    }
}
