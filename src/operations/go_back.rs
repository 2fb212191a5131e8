//! `recover` with `"Prefer": "previous"`: makes the previous version current again after a
//! rotation.

use super::inspection::{Depth, inspect};
use super::operation_result::OperationResult;
use crate::context::Context;
use crate::database::{Login, Purpose};
use crate::error::{Error, RotationFault};
use crate::policy::Strategy;
use crate::report::{Details, Remedy};
use crate::rotation::labels::{self, State};
use crate::rotation::login::Origin;
use crate::rotation::promotion::{self, Promotion};
use crate::rotation::timing::renewal;
use crate::rotation::{Rotation, SecretVersion};
use crate::secret::store::{self, VersionSelector};

/// Alternating users: a login proves AWSPREVIOUS, then AWSCURRENT moves back. Single user: the
/// password is changed back first, in the way of `finishSecret`.
pub(super) async fn run(context: &Context<'_>, secret: &str) -> Result<OperationResult, Error> {
    let (rotation, previous) = prepare(context, secret).await?;
    match rotation.strategy {
        Strategy::SingleUser => single_user(context, &rotation, &previous).await?,
        Strategy::AlternatingUsers => alternating_users(context, &rotation, &previous).await?,
    }
    let inspection = inspect(context, secret, Depth::Shallow).await?;
    let mut diagnosis = inspection.diagnosis(Remedy::ReturnToPrevious);
    // The previous user has what is left of its own lease.
    if let (Some(session), Some(period)) = (&inspection.sessions.current, inspection.renewal) {
        let renewed = renewal::renew(context, &inspection.rotation, session, period).await;
        diagnosis.warnings.extend(renewed.err().map(|error| error.full_text()));
    }
    diagnosis.done.push(Remedy::ReturnToPrevious);
    inspection.sessions.close().await;
    let (role, id) = (&previous.credentials.username, &previous.id);
    Ok(OperationResult {
        strategy: Some(rotation.strategy),
        message: format!("AWSCURRENT is version {id} again, for role {role:?}."),
        details: Details::Diagnosis(Box::new(diagnosis)),
    })
}

/// Reads what the return needs.
///
/// # Errors
/// [`Error::Rotation`] if there is no way back, and those of the calls.
pub(super) async fn prepare(
    context: &Context<'_>,
    secret: &str,
) -> Result<(Rotation, SecretVersion), Error> {
    let description = context.store.describe(secret).await?;
    labels::not_managed(&description)
        .and_then(|()| labels::at_rest(&description))
        .map_err(|fault| fault.of(secret))?;
    let rotation = Rotation::read(context, secret, "").await?;
    let previous = context.store.read(secret, VersionSelector::Stage(store::PREVIOUS)).await?;
    let previous = previous.ok_or_else(|| RotationFault::NoPrevious.of(secret))?;
    let previous = rotation.admit_previous(previous)?;
    Ok((rotation, previous))
}

/// Looks at the labels under the lock, since the return takes place at rest.
///
/// A rotation leaves AWSPENDING on its version. That has to go first: once AWSCURRENT is elsewhere,
/// it looks like a rotation that is stuck.
async fn look(
    context: &Context<'_>,
    rotation: &Rotation,
    previous: &SecretVersion,
) -> Result<State, Error> {
    let description = context.store.describe(&rotation.secret).await?;
    if description.holder(store::CURRENT) == Some(previous.id.as_str()) {
        return Ok(State::AlreadyCurrent);
    }
    labels::at_rest(&description).map_err(|fault| fault.of(&rotation.secret))?;
    rotation.still_current(&description)?;
    let (current, pending) = (&rotation.current.id, description.holder(store::PENDING));
    if pending == Some(current.as_str()) {
        context.store.remove_pending_label(&rotation.secret, current).await?;
    }
    Ok(State::Pending)
}

async fn single_user(
    context: &Context<'_>,
    rotation: &Rotation,
    previous: &SecretVersion,
) -> Result<(), Error> {
    let promotion = Promotion { context, rotation, to: previous, origin: Origin::Previous };
    let look = async || look(context, rotation, previous).await;
    let (current, purpose) = (&rotation.current, Purpose::Administer);
    if let Login::Accepted(session) =
        rotation.login(context, current, Origin::Current, purpose).await?
    {
        let promoted = promotion.change_and_move(&session, &look).await;
        session.close().await;
        return promoted.map(drop);
    }
    let login = rotation.login(context, previous, Origin::Previous, purpose).await?;
    let session = login.accepted()?;
    let promoted = promotion.move_only(&session, &look).await;
    session.close().await;
    promoted.map(drop)
}

/// The lock keeps out a rotation that begins now: its `setSecret` would give the previous user
/// another password.
async fn alternating_users(
    context: &Context<'_>,
    rotation: &Rotation,
    previous: &SecretVersion,
) -> Result<(), Error> {
    let (origin, purpose) = (Origin::Previous, Purpose::Administer);
    let session = rotation.login(context, previous, origin, purpose).await?.accepted()?;
    let moved = async {
        let _lock = session.lock(rotation.lock_name()).await?;
        if look(context, rotation, previous).await? == State::AlreadyCurrent {
            return Ok(());
        }
        promotion::alternating_users::move_current(context, rotation, &previous.id).await.map(drop)
    };
    let moved = moved.await;
    session.close().await;
    moved
}
