//! `setSecret` for a single user: rehearses the change that `finishSecret` makes. A refusal comes
//! here, where the application does not notice it.

use super::super::step_result::StepResult;
use super::warnings;
use crate::context::Context;
use crate::database::{Purpose, Session};
use crate::error::Error;
use crate::report::Outcome;
use crate::rotation::lock::Changer;
use crate::rotation::login::Origin;
use crate::rotation::passwords::{WorkingLogin, find_working_login};
use crate::rotation::rehearsal::{RehearsalResult, rehearse};
use crate::rotation::storage::storage;
use crate::rotation::timing::renewal;
use crate::rotation::{Rotation, admin, requirements, restoration};
use crate::secret::password::Storage;

pub(super) async fn run(context: &Context<'_>, rotation: &Rotation) -> Result<StepResult, Error> {
    let role = &rotation.next_username;
    rotation.pending()?;
    match find_working_login(context, rotation, Purpose::Application).await? {
        WorkingLogin::CurrentUser { session, origin: Origin::Current } => {
            let result = check_and_rehearse(context, rotation, &session).await;
            session.close().await;
            result
        }
        WorkingLogin::CurrentUser { session, origin } => {
            let restored = restore_as_role(context, rotation, &session).await;
            session.close().await;
            restored?;
            after_restoration(context, rotation, &origin.to_string()).await
        }
        WorkingLogin::Pending => {
            let address = rotation.database(context, &rotation.current)?.target.address();
            let message = format!(
                "The database at {address} already accepts the pending password of role {role:?}."
            );
            Ok(StepResult::new(Outcome::AlreadySet, message))
        }
        // The function's own policy lets the admin reset the password.
        WorkingLogin::None { .. }
            if rotation.admin_secret().is_some() && rotation.policy.admin_reset =>
        {
            let restore = async |changer: Changer<'_>| {
                let storage = storage(rotation, changer.session()).await?;
                restore(context, rotation, changer, storage).await
            };
            admin::as_admin_alone(context, rotation, restore).await?;
            after_restoration(context, rotation, "the admin secret").await
        }
        WorkingLogin::None { attempts } => {
            let address = rotation.database(context, &rotation.current)?.target.address();
            let ended = renewal::ended(context, rotation).await;
            Err(warnings::none_accepted(rotation, &address, &attempts, ended.as_ref()))
        }
    }
}

/// After AWSCURRENT's password was restored: the rotation continues as usual.
async fn after_restoration(
    context: &Context<'_>,
    rotation: &Rotation,
    with: &str,
) -> Result<StepResult, Error> {
    let (current, purpose) = (&rotation.current, Purpose::Application);
    let session = rotation.login(context, current, Origin::Current, purpose).await?.accepted()?;
    let result = check_and_rehearse(context, rotation, &session).await;
    session.close().await;
    let mut result = result?;
    let role = &rotation.current.credentials.username;
    result.warnings.push(format!(
        "the database refused AWSCURRENT's password, so it was set again for role {role:?}, with \
         {with}. {}",
        warnings::OTHER_SECRET
    ));
    Ok(result)
}

/// Tries all that the later steps need: the declared rights and the change.
async fn check_and_rehearse(
    context: &Context<'_>,
    rotation: &Rotation,
    session: &Session,
) -> Result<StepResult, Error> {
    let standing = session.standing().await?;
    requirements::ensure_direct(session, &standing)?;
    requirements::check(rotation, session, &standing).await?.complete(session)?;
    session.apply_admin_settings().await?;
    let copies = rotation.copies(session).await;
    let RehearsalResult { storage, by_admin } = rehearse(context, rotation, session).await?;
    let role = &rotation.next_username;
    let by = if by_admin { " by the role of the admin secret" } else { "" };
    let message = format!(
        "Role {role:?} has what it needs, and its password can be changed{by} (tried and rolled \
         back). finishSecret changes it."
    );
    let mut result = StepResult::new(Outcome::Rehearsed, message);
    result.warnings.extend(warnings::of_storage(storage));
    result.warnings.extend(copies);
    Ok(result)
}

async fn restore_as_role(
    context: &Context<'_>,
    rotation: &Rotation,
    session: &Session,
) -> Result<(), Error> {
    let storage = storage(rotation, session).await?;
    let lock = session.lock(rotation.lock_name()).await?;
    let restore = async |changer: Changer<'_>| restore(context, rotation, changer, storage).await;
    admin::as_role_or_admin(context, rotation, &lock, restore).await?;
    let _ = lock.release().await;
    Ok(())
}

/// Sets AWSCURRENT's password, if the labels have not moved.
async fn restore(
    context: &Context<'_>,
    rotation: &Rotation,
    changer: Changer<'_>,
    storage: Storage,
) -> Result<(), Error> {
    let allowed = async || rotation.still_pending(context).await;
    restoration::restore(rotation, changer, storage, allowed).await
}
