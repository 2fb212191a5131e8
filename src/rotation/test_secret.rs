//! `testSecret`: logs in with the pending password as the application will.

use super::{Context, Done, Rotation};
use crate::database::{Login, Purpose, role};
use crate::error::Error;
use crate::event::Outcome;

/// A version without a value is what `RotateImmediately=false` may send: then there is only the current credential to test.
pub(super) async fn run(context: &Context<'_>, rotation: &Rotation) -> Result<Done, Error> {
    let (version, operation, outcome, which) = match &rotation.pending {
        Some(pending) => (pending, "login with AWSPENDING", Outcome::Tested, "pending"),
        None => (&rotation.current, "login with AWSCURRENT", Outcome::CurrentTested, "current"),
    };
    let database = rotation.database(context, version)?;
    let credentials = &version.credentials;
    let session = match database.login(operation, &credentials.username, &credentials.password, Purpose::Application).await? {
        Login::Accepted(session) => session,
        Login::Rejected(error) => return Err(error),
    };
    let identity = role::identity(&session).await;
    session.close().await;
    let (role, acts_as) = identity?;
    let acts_as = if acts_as == role { String::new() } else { format!(" and acts as {acts_as:?}") };
    Ok(Done::new(outcome, format!("Role {role:?} logs in to {} with the {which} password{acts_as}.", database.target.address())))
}
