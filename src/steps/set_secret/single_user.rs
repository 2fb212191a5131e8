//! `setSecret` for a single user: logs in with any password of the secret that works, and sets the
//! pending one.

use super::super::step_result::StepResult;
use super::warnings;
use crate::context::Context;
use crate::database::{End, Purpose, Session, role};
use crate::error::Error;
use crate::report::Outcome;
use crate::rotation::lock::ChangeSessions;
use crate::rotation::passwords::{Origin, WorkingLogin, find_working_login};
use crate::rotation::storage::storage;
use crate::rotation::{Rotation, admin, requirements};
use crate::secret::password::{Password, Storage};

pub(super) async fn run(context: &Context<'_>, rotation: &Rotation) -> Result<StepResult, Error> {
    let address = rotation.database(context, &rotation.current)?.target.address();
    // Declared rights are checked before the change. After it, a halt would lock the application
    // out, because the database refuses AWSCURRENT then.
    let declared = requirements::declared(rotation);
    let purpose = if declared { Purpose::Application } else { Purpose::Administer };
    match find_working_login(context, rotation, purpose).await? {
        WorkingLogin::CurrentUser { session, origin } => {
            if declared
                && origin == Origin::Current
                && let Err(error) = check(rotation, &session).await
            {
                session.close().await;
                return Err(error);
            }
            let change = async |sessions: ChangeSessions<'_>| {
                set_password(context, rotation, sessions).await
            };
            let changed = admin::as_role_or_admin(context, rotation, &session, change).await;
            session.close().await;
            changed.map(|change| result(rotation, change, origin))
        }
        WorkingLogin::Pending => {
            let role = &rotation.next_username;
            let message = format!(
                "The database at {address} already accepts the pending password of role {role:?}."
            );
            Ok(StepResult::new(Outcome::AlreadySet, message))
        }
        // The function's own policy lets the admin reset the password.
        WorkingLogin::None { .. }
            if rotation.admin_secret().is_some() && rotation.policy.admin_reset =>
        {
            let change = async |sessions: ChangeSessions<'_>| {
                set_password(context, rotation, sessions).await
            };
            let changed = admin::as_admin(context, rotation, None, change).await;
            changed.map(|change| result(rotation, change, Origin::Current))
        }
        WorkingLogin::None { attempts } => {
            Err(warnings::none_accepted(rotation, address, &attempts))
        }
    }
}

async fn check(rotation: &Rotation, session: &Session) -> Result<(), Error> {
    let standing = session.standing().await?;
    requirements::check(rotation, session, &standing).await?.complete(session)?;
    session.apply_admin_settings().await
}

async fn set_password(
    context: &Context<'_>,
    rotation: &Rotation,
    sessions: ChangeSessions<'_>,
) -> Result<(Storage, bool), Error> {
    let pending = &rotation.pending()?.credentials;
    let storage = storage(rotation, sessions.changer()).await?;
    let stored_form = pending.password.stored_form(&pending.username, storage);
    let allowed = async || rotation.still_pending(context).await;
    sessions
        .change_under_lock(rotation, allowed, async |transaction| {
            role::change_password(transaction, &pending.username, &stored_form, storage).await?;
            Ok(((), End::Commit))
        })
        .await?;
    Ok((storage, sessions.by_an_admin()))
}

/// Checks that the changer may change the password: sets a throwaway one and rolls back.
pub(crate) async fn rehearse(
    rotation: &Rotation,
    sessions: ChangeSessions<'_>,
    password: &Password,
) -> Result<(), Error> {
    let username = &rotation.current.credentials.username;
    let storage = storage(rotation, sessions.changer()).await?;
    let stored_form = password.stored_form(username, storage);
    sessions
        .change_under_lock(
            rotation,
            async || Ok(()),
            async |transaction| {
                role::change_password(transaction, username, &stored_form, storage).await?;
                Ok(((), End::RollBack))
            },
        )
        .await
}

fn result(rotation: &Rotation, (storage, by_admin): (Storage, bool), origin: Origin) -> StepResult {
    let role = &rotation.next_username;
    let with = if by_admin { "the admin secret".to_owned() } else { origin.to_string() };
    let message = format!("Role {role:?} now has the pending password (set with {with}).");
    let mut result = StepResult::new(Outcome::PasswordSet, message);
    result.warnings.extend(warnings::of_storage(storage));
    if by_admin {
        result.warnings.push(
            "the role could not change its password with AWSCURRENT, so the admin secret was used."
                .to_owned(),
        );
    } else {
        result.warnings.extend(warnings::of_origin(origin));
    }
    result
}
