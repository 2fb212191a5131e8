//! `createSecret`: stores a new password as AWSPENDING, unless the version already has a value.

use std::time::SystemTime;

use super::step_result::StepResult;
use crate::context::Context;
use crate::error::Error;
use crate::event::StepRequest;
use crate::report::Outcome;
use crate::rotation::timing::{self, overlap};
use crate::rotation::{Admission, Rotation, SecretVersion};
use crate::secret::store::{self, Description, PutOutcome, VersionSelector};

/// Refuses a turn that would end badly for the application, before anything changes.
async fn may_begin(
    context: &Context<'_>,
    rotation: &Rotation,
    description: &Description,
) -> Result<(), Error> {
    timing::check(rotation, description, SystemTime::now())?;
    overlap::check(context, rotation, description).await
}

/// The step, unless policy and schedule refuse the turn. A refused version loses AWSPENDING, so
/// that the next rotation can begin. It has no value then: one that has a value is never refused.
pub(super) async fn begin(
    context: &Context<'_>,
    rotation: &Rotation,
    description: Option<&Description>,
    request: &StepRequest,
) -> Result<StepResult, Error> {
    if rotation.pending.is_none()
        && let Some(description) = description
        && let Err(refusal) = may_begin(context, rotation, description).await
    {
        let selector = VersionSelector::IdAtStage(&rotation.token, store::PENDING);
        if let Some(pending) = context.store.read_again(&rotation.secret, selector).await? {
            return kept(rotation, &rotation.admit(pending, Admission::NextUser)?);
        }
        if matches!(refusal, Error::Rotation { .. }) {
            context.store.remove_pending_label(&rotation.secret, &rotation.token).await?;
        }
        return Err(refusal);
    }
    run(context, rotation, request).await
}

/// The new value is stored before anything else changes. After a crash, the secret holds every
/// password that the database may have.
pub(crate) async fn run(
    context: &Context<'_>,
    rotation: &Rotation,
    request: &StepRequest,
) -> Result<StepResult, Error> {
    if let Some(pending) = &rotation.pending {
        return kept(rotation, pending);
    }
    let username = &rotation.next_username;
    let password = rotation.new_password(context)?;
    let value = rotation.next_value(&password)?;
    let rotation_token = request.rotation_token.as_ref();
    let put = context
        .store
        .put_pending(&rotation.secret, &rotation.token, rotation_token, &value)
        .await?;
    match put {
        PutOutcome::Stored => {
            let message = format!("A new password for role {username:?} is stored as AWSPENDING.");
            Ok(StepResult::new(Outcome::Created, message))
        }
        // Another invocation was faster, or an earlier answer was lost. A valid stored value stays.
        PutOutcome::HadValue => {
            let selector = VersionSelector::Id(&rotation.token);
            let pending = context.store.read_again(&rotation.secret, selector).await?;
            let pending = pending.ok_or_else(|| {
                rotation.not_stored(
                    "the version has a value that cannot be read yet; a retry will find it"
                        .to_owned(),
                )
            })?;
            kept(rotation, &rotation.admit(pending, Admission::NextUser)?)
        }
    }
}

fn kept(rotation: &Rotation, pending: &SecretVersion) -> Result<StepResult, Error> {
    rotation.ensure_one_login(pending)?;
    let username = &pending.credentials.username;
    let message = format!("The version already has a value for role {username:?}, which was kept.");
    Ok(StepResult::new(Outcome::Kept, message))
}
