//! `setSecret`: makes the database accept the pending password.

pub(crate) mod alternating_users;
pub(crate) mod single_user;
mod warnings;

use super::step_result::StepResult;
use crate::context::Context;
use crate::error::{Error, RotationFault};
use crate::policy::Strategy;
use crate::rotation::Rotation;

pub(super) async fn run(context: &Context<'_>, rotation: &Rotation) -> Result<StepResult, Error> {
    let set = match rotation.strategy {
        Strategy::SingleUser => single_user::run(context, rotation).await,
        Strategy::AlternatingUsers => alternating_users::run(context, rotation).await,
    };
    match set {
        // Another invocation of the same rotation was faster.
        Err(Error::Rotation { fault: RotationFault::CurrentMoved { holder, .. }, .. })
            if holder == rotation.token =>
        {
            Ok(StepResult::already_current())
        }
        set => set,
    }
}
