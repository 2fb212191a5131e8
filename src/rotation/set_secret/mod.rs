//! `setSecret`: makes the database accept the pending password.

pub(crate) mod alternating_users;
mod plan;
pub(crate) mod single_user;

use std::time::Duration;

use rand::RngExt;

use super::{Context, Done, Rotation, admin};
use crate::database::{Session, role};
use crate::error::{DatabaseFault, Error};
use crate::policy::Strategy;
use crate::report::Outcome;
use crate::secret::password::Storage;
use crate::secret::store::CURRENT;

/// How often a change is begun that somebody else's change of the same role gets in the way of, and
/// the pause in between.
const ATTEMPTS: usize = 5;
const PAUSE_MS: std::ops::Range<u64> = 20..120;

pub(super) async fn run(context: &Context<'_>, rotation: &Rotation) -> Result<Done, Error> {
    match rotation.strategy {
        Strategy::SingleUser => single_user::run(context, rotation).await,
        Strategy::AlternatingUsers => alternating_users::run(context, rotation).await,
    }
}

/// Carries a change out, if the version still is the pending one once nobody else of ours can be at
/// work on the role.
///
/// The logins before may have taken long: in between a person may have written a new value, or
/// another rotation have begun, and a change that came after that would take the database away from
/// AWSCURRENT.
async fn set_under_lock<T>(
    context: &Context<'_>,
    rotation: &Rotation,
    sessions: Locked<'_>,
    change: impl AsyncFn() -> Result<T, Error>,
) -> Result<T, Error> {
    under_lock(rotation, sessions, async || rotation.still_pending(context).await, change).await
}

/// Two sessions of one change. Advisory locks are those of one database, and the admin's may be
/// another than the secret's.
#[derive(Clone, Copy)]
pub(crate) struct Locked<'a> {
    /// Holds the lock: a session of the secret's own database, where there is one.
    by: &'a Session,
    /// Makes the change.
    acting: &'a Session,
}

impl<'a> Locked<'a> {
    pub(crate) fn alone(session: &'a Session) -> Self {
        Self { by: session, acting: session }
    }

    pub(crate) fn by(own: Option<&'a Session>, acting: &'a Session) -> Self {
        Self { by: own.unwrap_or(acting), acting }
    }

    pub(crate) fn acting(self) -> &'a Session {
        self.acting
    }

    async fn begin(self, rotation: &Rotation) -> Result<(), Error> {
        role::lock(self.by, rotation.lock_name()).await?;
        if std::ptr::eq(self.by, self.acting) { Ok(()) } else { role::begin(self.acting).await }
    }

    /// What still holds a lock; the change itself has been committed or rolled back.
    async fn release(self) -> Result<(), Error> {
        if std::ptr::eq(self.by, self.acting) { Ok(()) } else { role::roll_back(self.by).await }
    }

    async fn roll_back(self) -> Result<(), Error> {
        role::roll_back(self.acting).await?;
        self.release().await
    }
}

/// Carries a change out while nobody else of ours can be at work on the role, if `allowed` still
/// holds then. The change ends its transaction.
pub(crate) async fn under_lock<T>(
    rotation: &Rotation,
    sessions: Locked<'_>,
    allowed: impl AsyncFn() -> Result<(), Error>,
    change: impl AsyncFn() -> Result<T, Error>,
) -> Result<T, Error> {
    let mut attempt = 1;
    loop {
        sessions.begin(rotation).await?;
        allowed().await?;
        match change().await {
            Err(error)
                if error.is_database(DatabaseFault::ConcurrentUpdate) && attempt < ATTEMPTS =>
            {
                attempt += 1;
                sessions.roll_back().await?;
                let pause = rand::rng().random_range(PAUSE_MS);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            // It is done; that the lock goes with the session is good enough.
            Ok(changed) => {
                let _ = sessions.release().await;
                return Ok(changed);
            }
            Err(error) => return Err(error),
        }
    }
}

/// How the server is to store the password.
pub(crate) async fn storage(rotation: &Rotation, session: &Session) -> Result<Storage, Error> {
    let server = role::server_storage(session).await?;
    Ok(rotation.policy.password_storage.unwrap_or(server))
}

fn done(storage: Storage, message: String) -> Done {
    let mut done = Done::new(Outcome::PasswordSet, message);
    match storage {
        Storage::ScramSha256 => {}
        Storage::Md5 => done.warnings.push(
            "the password is stored as an md5 hash, as the server's password_encryption or the \
             policy's password_storage says: PostgreSQL 18 deprecates it; move to scram-sha-256 \
             once every client can."
                .to_owned(),
        ),
        Storage::Cleartext => {
            done.warnings.push(
                "the password was sent in clear, as password_storage says: the \
                server's log may hold it."
                    .to_owned(),
            );
        }
    }
    done
}

/// A warning where it was not AWSCURRENT that let the rotation in.
fn not_with_current(with: &str) -> Option<String> {
    (with != CURRENT).then(|| {
        format!(
            "the database did not take the password of AWSCURRENT for a change; {with} was used."
        )
    })
}

fn not_accepted(rotation: &Rotation, host: &str, tried: String) -> Error {
    let advice = if admin::secret(rotation).is_some() {
        "Set admin_reset in ROTATION_POLICY to let the admin secret set it anew, or write the \
         password that the database has into the secret with `aws secretsmanager put-secret-value`."
    } else {
        "Write the password that the database has into the secret with `aws secretsmanager \
         put-secret-value`, or set the one in AWSCURRENT with psql's \\password."
    };
    Error::NoCredentialAccepted {
        role: rotation.current.credentials.username.clone(),
        host: host.to_owned(),
        tried,
        advice: advice.to_owned(),
    }
}
