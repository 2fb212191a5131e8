//! The warnings of both strategies: how the password is stored, and which login worked.

use crate::database::expiry::Expiry;
use crate::error::Error;
use crate::rotation::Rotation;
use crate::rotation::attempts::LoginAttempts;
use crate::rotation::login::Origin;
use crate::rotation::timing::renewal;
use crate::secret::password::{Hash, Storage};

/// What to do if another rotation changed the password.
pub(super) const OTHER_SECRET: &str = "If another secret holds the same role, rotate only one of \
    them, and let the other applications read that one.";

/// A warning if the password was stored as md5 or sent in clear.
pub(super) fn of_storage(storage: Storage) -> Option<String> {
    match storage {
        Storage { hash: Hash::ScramSha256 { .. }, cleartext: false } => None,
        Storage { hash: Hash::Md5, cleartext: false } => Some(
            "the password is stored as an md5 hash, because of the server's password_encryption or \
             the policy's password_storage. PostgreSQL 18 deprecates md5. Move to scram-sha-256 \
             once every client can use it."
                .to_owned(),
        ),
        Storage { cleartext: true, .. } => Some(
            "the password was sent in clear, because of password_storage in ROTATION_POLICY. The \
             server's log may hold it."
            .to_owned(),
        ),
    }
}

/// A warning if AWSCURRENT did not work.
pub(super) fn of_origin(origin: Origin) -> Option<String> {
    (origin != Origin::Current).then(|| {
        format!(
            "the database refused AWSCURRENT's password, so the password of {origin} was used. \
             {OTHER_SECRET}"
        )
    })
}

/// The error if the database refuses every password of the secret. `ended` is the end of the
/// current user's password, if that has passed.
pub(super) fn none_accepted(
    rotation: &Rotation,
    host: &str,
    tried: &LoginAttempts,
    ended: Option<&Expiry>,
) -> Error {
    let advice = if let Some(ended) = ended {
        &renewal::advice(rotation, ended)
    } else if rotation.admin_secret().is_some() {
        "Set admin_reset and role in ROTATION_POLICY, so that the admin sets the password. Or \
         store the database's password in the secret with `aws secretsmanager put-secret-value`."
    } else {
        "Store the database's password in the secret with `aws secretsmanager put-secret-value`. \
         Or set AWSCURRENT's password in the database with psql's \\password."
    };
    Error::NoCredentialAccepted {
        role: rotation.current.credentials.username.clone(),
        host: host.to_owned(),
        tried: tried.to_string(),
        advice: tried.way_to_try_more().map_or(advice.to_owned(), |way| format!("{way}. {advice}")),
    }
}
