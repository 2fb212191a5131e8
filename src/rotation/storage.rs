//! In which form the server is to store a password.

use super::Rotation;
use crate::database::Session;
use crate::error::Error;
use crate::secret::password::Storage;

/// As the policy says, else as the server does.
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn storage(rotation: &Rotation, session: &Session) -> Result<Storage, Error> {
    let server = session.server_storage().await?;
    Ok(rotation.policy.password_storage.unwrap_or(server))
}
