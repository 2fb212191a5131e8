//! The form in which the server stores the next password.

use super::Rotation;
use crate::database::Session;
use crate::error::Error;
use crate::secret::password::Storage;

/// The form that the policy names, else the server's.
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn storage(rotation: &Rotation, session: &Session) -> Result<Storage, Error> {
    let server = session.server_storage().await?;
    Ok(rotation.policy.password_storage.unwrap_or(server))
}
