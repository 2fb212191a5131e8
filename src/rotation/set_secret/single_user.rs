//! `setSecret` for one user: sets the role's own password, with whichever password the database
//! accepts now.

use super::super::login::{self, Found};
use super::super::{Context, Done, Rotation, admin, requirements};
use super::{Locked, done, not_accepted, not_with_current, set_under_lock, storage, under_lock};
use crate::database::role::{self, End};
use crate::database::{Purpose, Session};
use crate::error::{DatabaseFault, Error};
use crate::report::Outcome;
use crate::secret::password::{Password, Storage};
use crate::secret::store::CURRENT;

pub(super) async fn run(context: &Context<'_>, rotation: &Rotation) -> Result<Done, Error> {
    let database = rotation.database(context, &rotation.current)?;
    let address = database.target.address();
    // Declared rights are checked before the change: afterwards, to halt would lock out the
    // application that AWSCURRENT still is for.
    let purpose =
        if requirements::declared(rotation) { Purpose::Application } else { Purpose::Administer };
    match login::find(context, rotation, &database, purpose).await? {
        Found::Session { session, with } => {
            if with == CURRENT
                && purpose == Purpose::Application
                && let Err(error) = check(rotation, &session, &address).await
            {
                session.close().await;
                return Err(error);
            }
            change(context, rotation, session, with).await
        }
        Found::Pending => {
            let message = format!(
                "Role {:?} on {address} accepts the pending password already.",
                rotation.next_username
            );
            Ok(Done::new(Outcome::AlreadySet, message))
        }
        // The admin may mend that where the function's own policy says so.
        Found::Nothing { .. }
            if admin::secret(rotation).is_some() && rotation.policy.admin_reset =>
        {
            by_admin(context, rotation, None).await
        }
        Found::Nothing { tried } => Err(not_accepted(rotation, &address, tried)),
    }
}

async fn check(rotation: &Rotation, session: &Session, host: &str) -> Result<(), Error> {
    let standing = role::standing(session).await?;
    requirements::check(rotation, session, &standing).await?.into_error(
        session,
        host,
        "Nothing was changed.",
    )?;
    role::administer(session).await
}

/// Changes the role's own password, or lets the admin do it where the role may not.
async fn change(
    context: &Context<'_>,
    rotation: &Rotation,
    session: Session,
    with: &str,
) -> Result<Done, Error> {
    let done = match set_password(context, rotation, Locked::alone(&session)).await {
        Err(error)
            if error.is_database(DatabaseFault::PermissionDenied)
                && admin::secret(rotation).is_some() =>
        {
            role::roll_back(&session).await?;
            by_admin(context, rotation, Some(&session)).await
        }
        changed => changed.map(|storage| changed_with(rotation, storage, with)),
    };
    session.close().await;
    done
}

async fn by_admin(
    context: &Context<'_>,
    rotation: &Rotation,
    own: Option<&Session>,
) -> Result<Done, Error> {
    let admin = admin::session(context, rotation, own).await?;
    let changed = set_password(context, rotation, Locked::by(own, &admin)).await;
    admin.close().await;
    changed
        .map(|storage| changed_with(rotation, storage, "the admin secret"))
        .map_err(admin::lacks_right)
}

async fn set_password(
    context: &Context<'_>,
    rotation: &Rotation,
    sessions: Locked<'_>,
) -> Result<Storage, Error> {
    let pending = &rotation.pending()?.credentials;
    let storage = storage(rotation, sessions.acting).await?;
    let stored_form = pending.password.stored_form(&pending.username, storage);
    let change = async || {
        role::change_password(
            sessions.acting,
            &pending.username,
            &stored_form,
            storage,
            End::Commit,
        )
        .await
    };
    set_under_lock(context, rotation, sessions, change).await?;
    Ok(storage)
}

/// Sets a password that nobody is to have, and takes that back: whether the session may.
pub(crate) async fn rehearse(
    rotation: &Rotation,
    own: &Session,
    acting: &Session,
    password: &Password,
) -> Result<(), Error> {
    let username = &rotation.current.credentials.username;
    let storage = storage(rotation, acting).await?;
    let stored_form = password.stored_form(username, storage);
    let change = async || {
        role::change_password(acting, username, &stored_form, storage, End::RollBack).await
    };
    under_lock(rotation, Locked::by(Some(own), acting), async || Ok(()), change).await
}

fn changed_with(rotation: &Rotation, storage: Storage, with: &str) -> Done {
    let role = &rotation.next_username;
    let mut done =
        done(storage, format!("Role {role:?} has the pending password now (set with {with})."));
    done.warnings.extend(not_with_current(with));
    done
}
