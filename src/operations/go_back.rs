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
use crate::rotation::promotion::Promotion;
use crate::rotation::timing::renewal;
use crate::rotation::{Rotation, SecretVersion};
use crate::secret::store::{self, VersionSelector};

/// Alternating users: a login proves AWSPREVIOUS, then AWSCURRENT moves back. Single user: the
/// password is changed back first, in the way of `finishSecret`.
pub(super) async fn run(context: &Context<'_>, secret: &str) -> Result<OperationResult, Error> {
    let description = context.store.describe(secret).await?;
    labels::not_managed(&description)
        .and_then(|()| labels::at_rest(&description))
        .map_err(|fault| fault.of(secret))?;
    let rotation = Rotation::read(context, secret, "").await?;
    let previous = context.store.read(secret, VersionSelector::Stage(store::PREVIOUS)).await?;
    let previous = previous.ok_or_else(|| RotationFault::NoPrevious.of(secret))?;
    let previous = rotation.admit_previous(previous)?;
    match rotation.strategy {
        Strategy::SingleUser => single_user(context, &rotation, &previous).await?,
        Strategy::AlternatingUsers => {
            let (origin, purpose) = (Origin::Previous, Purpose::Application);
            let login = rotation.login(context, &previous, origin, purpose).await?;
            login.accepted()?.close().await;
            let from = &rotation.current.id;
            context.store.move_current(&rotation.secret, from, &previous.id).await?;
        }
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

async fn single_user(
    context: &Context<'_>,
    rotation: &Rotation,
    previous: &SecretVersion,
) -> Result<(), Error> {
    let promotion = Promotion { context, rotation, to: previous, origin: Origin::Previous };
    let state = async || {
        let description = context.store.describe(&rotation.secret).await?;
        if description.holder(store::CURRENT) == Some(previous.id.as_str()) {
            return Ok(State::AlreadyCurrent);
        }
        labels::at_rest(&description).map_err(|fault| fault.of(&rotation.secret))?;
        rotation.still_current(&description).map(|()| State::Pending)
    };
    let (current, purpose) = (&rotation.current, Purpose::Administer);
    if let Login::Accepted(session) =
        rotation.login(context, current, Origin::Current, purpose).await?
    {
        let promoted = promotion.change_and_move(&session, &state).await;
        session.close().await;
        return promoted.map(drop);
    }
    let login = rotation.login(context, previous, Origin::Previous, purpose).await?;
    let session = login.accepted()?;
    let promoted = promotion.move_only(&session, &state).await;
    session.close().await;
    promoted.map(drop)
}
