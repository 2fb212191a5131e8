//! Restores AWSCURRENT's password in the database.

use super::Rotation;
use super::lock::Changer;
use crate::database::{End, Transaction, role};
use crate::error::Error;
use crate::secret::password::Storage;

/// Checks `allowed` and sets AWSCURRENT's password.
///
/// # Errors
/// Those of `allowed`, and [`Error::Database`].
pub(crate) async fn restore(
    rotation: &Rotation,
    changer: Changer<'_>,
    storage: Storage,
    allowed: impl AsyncFn() -> Result<(), Error>,
) -> Result<(), Error> {
    let current = &rotation.current.credentials;
    let stored_form = current.password.stored_form(&current.username, storage);
    let change = async |transaction: &Transaction<'_>| {
        role::change_password(transaction, &current.username, &stored_form, storage).await?;
        Ok(((), End::Commit))
    };
    changer.change(allowed, change).await
}
