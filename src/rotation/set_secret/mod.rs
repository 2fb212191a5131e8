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

/// How often a change is begun that somebody else's change of the same role gets in the way of, and the pause in between.
const ATTEMPTS: usize = 5;
const PAUSE_MS: std::ops::Range<u64> = 20..120;

pub(super) async fn run(context: &Context<'_>, rotation: &Rotation) -> Result<Done, Error> {
    match rotation.strategy {
        Strategy::SingleUser => single_user::run(context, rotation).await,
        Strategy::AlternatingUsers => alternating_users::run(context, rotation).await,
    }
}

/// Carries a change out, if the version still is the pending one once nobody else of ours can be at work on the role.
///
/// The logins before may have taken long: in between a person may have written a new value, or another rotation have begun, and a change
/// that came after that would take the database away from AWSCURRENT.
async fn set_under_lock<T>(
    context: &Context<'_>,
    rotation: &Rotation,
    session: &Session,
    change: impl AsyncFn() -> Result<T, Error>,
) -> Result<T, Error> {
    under_lock(rotation, session, async || rotation.still_pending(context).await, change).await
}

/// Carries a change out while nobody else of ours can be at work on the role, if `allowed` still holds then.
pub(crate) async fn under_lock<T>(
    rotation: &Rotation,
    session: &Session,
    allowed: impl AsyncFn() -> Result<(), Error>,
    change: impl AsyncFn() -> Result<T, Error>,
) -> Result<T, Error> {
    let mut attempt = 1;
    loop {
        role::lock(session, rotation.lock_name()).await?;
        allowed().await?;
        match change().await {
            Err(error) if error.is_database(DatabaseFault::ConcurrentUpdate) && attempt < ATTEMPTS => {
                attempt += 1;
                role::roll_back(session).await?;
                let pause = rand::rng().random_range(PAUSE_MS);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            changed => return changed,
        }
    }
}

/// How the server is to store the password.
pub(crate) async fn storage(rotation: &Rotation, session: &Session) -> Result<Storage, Error> {
    match rotation.policy.password_storage {
        Some(storage) => Ok(storage),
        None => role::server_storage(session).await,
    }
}

fn done(storage: Storage, message: String) -> Done {
    let mut done = Done::new(Outcome::PasswordSet, message);
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
    done
}

/// A warning where it was not AWSCURRENT that let the rotation in.
fn not_with_current(with: &str) -> Option<String> {
    (with != CURRENT).then(|| format!("the database did not take the password of AWSCURRENT for a change; {with} was used."))
}

fn not_accepted(rotation: &Rotation, host: &str, tried: String) -> Error {
    let advice = if admin::secret(rotation).is_some() {
        "Set admin_reset in ROTATION_POLICY to let the admin secret set it anew, or write the password that the database has into the \
         secret with `aws secretsmanager put-secret-value`."
    } else {
        "Write the password that the database has into the secret with `aws secretsmanager put-secret-value`, or set the one in AWSCURRENT \
         with psql's \\password."
    };
    Error::NoCredentialAccepted {
        role: rotation.current.credentials.username.clone(),
        host: host.to_owned(),
        tried,
        advice: advice.to_owned(),
    }
}
