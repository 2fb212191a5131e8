//! `setSecret`: makes the database accept the pending password, with whichever password it accepts now.

use std::time::Duration;

use rand::RngExt;

use super::{Context, Done, Rotation, Stored, admin};
use crate::database::{Database, Login, Purpose, Session, role};
use crate::error::{DatabaseFault, Error, StoreFault};
use crate::event::Outcome;
use crate::secret::password::{Password, Storage};
use crate::secret::store::{self, Value, Which};

/// Passwords of abandoned rotations that are tried when no label leads to one that works; each costs a failed login.
const UNLABELLED_TRIED: usize = 3;
/// Versions without a label that are read to find those.
const UNLABELLED_READ: usize = 20;
/// How often a change is begun that somebody else's change of the same role gets in the way of, and the pause in between.
const ATTEMPTS: usize = 5;
const PAUSE_MS: std::ops::Range<u64> = 20..120;

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
    let mut left = UNLABELLED_TRIED;
    for id in unlabelled(context, rotation, &mut tried).await? {
        let Some(version) = past(context, rotation, Which::Id(&id)).await?.filter(|version| !tried.has(version)) else { continue };
        if let Some(session) = tried.login(&database, "login with a version without label", &version).await? {
            return change(context, rotation, session, "a version that has lost its label").await;
        }
        left -= 1;
        if left == 0 {
            break;
        }
    }
    reset(context, rotation, &database, &tried).await
}

/// Changes the role's own password, or lets the admin do it where the role may not.
async fn change(context: &Context<'_>, rotation: &Rotation, session: Session, with: &str) -> Result<Done, Error> {
    let done = match set_password(context, rotation, &session).await {
        Err(error) if error.is_database(DatabaseFault::PermissionDenied) && admin::secret(rotation).is_some() => {
            role::roll_back(&session).await?;
            by_admin(context, rotation, Some(&session)).await
        }
        changed => changed.map(|storage| done(rotation, storage, with)),
    };
    session.close().await;
    done
}

async fn by_admin(context: &Context<'_>, rotation: &Rotation, own: Option<&Session>) -> Result<Done, Error> {
    let admin = admin::session(context, rotation, own).await?;
    let changed = set_password(context, rotation, &admin).await;
    admin.close().await;
    changed.map(|storage| done(rotation, storage, "the admin secret")).map_err(admin::lacks_right)
}

/// Sets the pending password, if it still is the pending one once nobody else of ours can be at work on the role.
///
/// The logins before may have taken long: in between a person may have written a new value, or another rotation have begun, and a change
/// that came after that would take the database away from AWSCURRENT.
async fn set_password(context: &Context<'_>, rotation: &Rotation, session: &Session) -> Result<Storage, Error> {
    let pending = &rotation.pending()?.credentials;
    let storage = match rotation.policy.password_storage {
        Some(storage) => storage,
        None => role::server_storage(session).await?,
    };
    let stored_form = pending.password.stored_form(&pending.username, storage);
    let mut attempt = 1;
    loop {
        role::lock(session, &pending.username).await?;
        rotation.still_pending(context).await?;
        match role::change_password(session, &pending.username, &stored_form, storage).await {
            Err(error) if error.is_database(DatabaseFault::ConcurrentUpdate) && attempt < ATTEMPTS => {
                attempt += 1;
                role::roll_back(session).await?;
                let pause = rand::rng().random_range(PAUSE_MS);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            changed => return changed.map(|()| storage),
        }
    }
}

/// Nothing that the secret holds works: the admin may mend that where the function's own policy says so.
async fn reset(context: &Context<'_>, rotation: &Rotation, database: &Database<'_>, tried: &Tried) -> Result<Done, Error> {
    let advice = match (admin::secret(rotation), rotation.policy.admin_reset) {
        (Some(_), true) => return by_admin(context, rotation, None).await,
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
        role: rotation.current.credentials.username.clone(),
        host: database.target.address(),
        tried: tried.labels.join(", "),
        advice: advice.to_owned(),
    })
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
        Storage::Cleartext => {
            done.warnings.push("the password was sent in clear, as password_storage says: the server's log may hold it.".to_owned());
        }
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
    fn has(&self, version: &Stored) -> bool {
        self.passwords.contains(&version.credentials.password)
    }

    async fn login(&mut self, database: &Database<'_>, operation: &'static str, version: &Stored) -> Result<Option<Session>, Error> {
        let credentials = &version.credentials;
        if self.has(version) {
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
