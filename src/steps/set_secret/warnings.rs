//! What both strategies say of a change: how the password is stored, and which one let us in.

use crate::error::Error;
use crate::rotation::Rotation;
use crate::rotation::passwords::{LoginAttempts, Origin};
use crate::secret::password::Storage;

/// What a person should know of the form in which the password was sent.
pub(super) fn of_storage(storage: Storage) -> Option<String> {
    match storage {
        Storage::ScramSha256 => None,
        Storage::Md5 => Some(
            "the password is stored as an md5 hash, as the server's password_encryption or the \
             policy's password_storage says: PostgreSQL 18 deprecates it; move to scram-sha-256 \
             once every client can."
                .to_owned(),
        ),
        Storage::Cleartext => Some(
            "the password was sent in clear, as password_storage says: the server's log may hold \
             it."
            .to_owned(),
        ),
    }
}

/// A warning where it was not AWSCURRENT that let the rotation in.
pub(super) fn of_origin(origin: Origin) -> Option<String> {
    (origin != Origin::Current).then(|| {
        format!(
            "the database did not take the password of AWSCURRENT for a change; {origin} was used."
        )
    })
}

/// The error when no password that the secret holds is accepted.
pub(super) fn none_accepted(rotation: &Rotation, host: String, tried: &LoginAttempts) -> Error {
    let advice = if rotation.admin_secret().is_some() {
        "Set admin_reset in ROTATION_POLICY to let the admin secret set it anew, or write the \
         password that the database has into the secret with `aws secretsmanager put-secret-value`."
    } else {
        "Write the password that the database has into the secret with `aws secretsmanager \
         put-secret-value`, or set the one in AWSCURRENT with psql's \\password."
    };
    Error::NoCredentialAccepted {
        role: rotation.current.credentials.username.clone(),
        host,
        tried: tried.to_string(),
        advice: advice.to_owned(),
    }
}
