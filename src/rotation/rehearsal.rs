//! Single user: tries the change of the password and rolls back, so that a refusal comes before any
//! change.

use super::lock::Changer;
use super::storage::storage;
use super::{Rotation, admin};
use crate::context::Context;
use crate::database::{End, Session, Transaction, role};
use crate::error::{DatabaseFault, Error};
use crate::secret::password::{Hash, Password, Storage};

/// How the change will be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RehearsalResult {
    /// The form in which the password will be stored.
    pub(crate) storage: Storage,
    /// Whether the admin makes the change, since the role may not.
    pub(crate) by_admin: bool,
}

/// Sets a throwaway password, as the role or as the admin, and rolls back.
///
/// # Errors
/// Those of the change.
pub(crate) async fn rehearse(
    context: &Context<'_>,
    rotation: &Rotation,
    session: &Session,
) -> Result<RehearsalResult, Error> {
    let throwaway = rotation.new_password(context)?;
    let storage = storage(rotation, session).await?;
    let lock = session.lock(rotation.lock_name()).await?;
    let rehearsal = Rehearsal { throwaway: &throwaway, storage, way_back: true };
    let change = async |changer: Changer<'_>| {
        rehearsal.run(rotation, changer).await.map(|()| changer.is_admin())
    };
    let by_admin = admin::as_role_or_admin(context, rotation, &lock, change).await?;
    let _ = lock.release().await;
    Ok(RehearsalResult { storage, by_admin })
}

/// A change of the password that is rolled back. It never uses the pending password: an extension
/// with a history would remember it and refuse it later.
pub(crate) struct Rehearsal<'a> {
    pub(crate) throwaway: &'a Password,
    pub(crate) storage: Storage,
    /// Whether to set AWSCURRENT's password too, if the policy sends passwords in clear. An
    /// extension that refuses it would close the way back. It cannot judge a verifier.
    pub(crate) way_back: bool,
}

impl Rehearsal<'_> {
    /// # Errors
    /// Those of the change.
    pub(crate) async fn run(&self, rotation: &Rotation, changer: Changer<'_>) -> Result<(), Error> {
        let current = &rotation.current.credentials;
        let role = &current.username;
        // No login uses it, so one iteration is enough.
        let storage = match self.storage {
            Storage { hash: Hash::ScramSha256 { .. }, cleartext: false } => {
                Storage { hash: Hash::ScramSha256 { iterations: 1 }, cleartext: false }
            }
            storage => storage,
        };
        let throwaway = self.throwaway.stored_form(role, storage);
        let way_back = self.way_back && storage.cleartext;
        let before = current.password.stored_form(role, storage);
        let change = async |transaction: &Transaction<'_>| {
            role::change_password(transaction, role, &throwaway, storage).await?;
            if way_back {
                let back = role::change_password(transaction, role, &before, storage).await;
                back.map_err(|error| {
                    error.instead_of(DatabaseFault::PasswordRefused, DatabaseFault::WayBackRefused)
                })?;
            }
            Ok(((), End::RollBack))
        };
        changer.change(async || Ok(()), change).await
    }
}
