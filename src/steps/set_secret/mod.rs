//! `setSecret`: makes the database accept the pending password.

pub(crate) mod alternating_users;
pub(crate) mod single_user;
mod warnings;

use super::step_result::StepResult;
use crate::context::Context;
use crate::error::Error;
use crate::policy::Strategy;
use crate::rotation::Rotation;

pub(super) async fn run(context: &Context<'_>, rotation: &Rotation) -> Result<StepResult, Error> {
    match rotation.strategy {
        Strategy::SingleUser => single_user::run(context, rotation).await,
        Strategy::AlternatingUsers => alternating_users::run(context, rotation).await,
    }
}
