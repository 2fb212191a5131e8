//! `finishSecret`: moves AWSCURRENT to the pending version, once one more login has proven that the
//! database accepts it.

use super::{Context, Done, Rotation};
use crate::database::{Login, Purpose};
use crate::error::{Error, RotationFault};
use crate::report::Outcome;
use crate::secret::store::CURRENT;

/// The login is for calls that are made by hand and out of order: they must not promote a password
/// that the database does not accept.
pub(super) async fn run(context: &Context<'_>, rotation: &Rotation) -> Result<Done, Error> {
    let pending = rotation.pending()?;
    let database = rotation.database(context, pending)?;
    let credentials = &pending.credentials;
    match database
        .login(
            "login with AWSPENDING",
            &credentials.username,
            &credentials.password,
            Purpose::Application,
        )
        .await?
    {
        Login::Accepted(session) => session.close().await,
        Login::Rejected(error) => return Err(error),
    }
    let (from, to) = (&rotation.current.id, &rotation.token);
    if let Err(error) = context.store.move_current(&rotation.secret, from, to).await {
        return settle(context, rotation, error).await;
    }
    Ok(Done::new(Outcome::Finished, format!("AWSCURRENT moved from version {from} to {to}.")))
}

/// The move was refused or its answer was lost: the labels tell whether it has happened, and by
/// whom.
async fn settle(context: &Context<'_>, rotation: &Rotation, error: Error) -> Result<Done, Error> {
    let description = context.store.describe(&rotation.secret).await?;
    match description.holder(CURRENT) {
        Some(holder) if holder == rotation.token => Ok(Done::new(
            Outcome::Finished,
            format!("AWSCURRENT is on version {holder}: another call has moved it."),
        )),
        Some(holder) if holder != rotation.current.id => Err(Error::Rotation {
            secret: rotation.secret.clone(),
            fault: RotationFault::CurrentMoved {
                token: rotation.token.clone(),
                holder: holder.to_owned(),
            },
        }),
        _ => Err(error),
    }
}
