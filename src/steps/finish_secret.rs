//! `finishSecret`: moves AWSCURRENT to the pending version after one more login has proven it.

use super::step_result::StepResult;
use crate::context::Context;
use crate::database::Purpose;
use crate::error::{Error, RotationFault};
use crate::report::Outcome;
use crate::rotation::Rotation;
use crate::rotation::passwords::Origin;
use crate::secret::store::CURRENT;

/// The login protects against a call out of order, which must not promote a password that the
/// database refuses.
pub(super) async fn run(context: &Context<'_>, rotation: &Rotation) -> Result<StepResult, Error> {
    let (pending, purpose) = (rotation.pending()?, Purpose::Application);
    let login = rotation.login(context, pending, Origin::Pending, purpose).await?;
    login.accepted()?.close().await;
    let (from, to) = (&rotation.current.id, &rotation.token);
    if let Err(error) = context.store.move_current(&rotation.secret, from, to).await {
        return settle(context, rotation, error).await;
    }
    let message = format!("AWSCURRENT moved from version {from} to {to}.");
    Ok(StepResult::new(Outcome::Finished, message))
}

/// After a refused move or a lost answer: the labels show whether AWSCURRENT moved, and where to.
async fn settle(
    context: &Context<'_>,
    rotation: &Rotation,
    error: Error,
) -> Result<StepResult, Error> {
    let description = context.store.describe(&rotation.secret).await?;
    match description.holder(CURRENT) {
        Some(holder) if holder == rotation.token => {
            let message = format!("AWSCURRENT is on version {holder}: another call moved it.");
            Ok(StepResult::new(Outcome::Finished, message))
        }
        Some(holder) if holder != rotation.current.id => {
            let (token, holder) = (rotation.token.clone(), holder.to_owned());
            Err(RotationFault::CurrentMoved { token, holder }.of(&rotation.secret))
        }
        _ => Err(error),
    }
}
