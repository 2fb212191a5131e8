//! Secrets Manager's door: one file per step. The secret's labels and values become a valid
//! `Rotation`, and the step acts on it.

pub(crate) mod create_secret;
mod evidence;
mod finish_secret;
pub(crate) mod set_secret;
mod step_result;
mod test_secret;

use std::time::{Instant, SystemTime};

use self::step_result::StepResult;
use crate::context::Context;
use crate::error::{Error, RotationFault};
use crate::event::{Step, StepRequest};
use crate::report::StepReport;
use crate::rotation::labels::{self, State};
use crate::rotation::{Admission, Rotation, timing};
use crate::secret::store::{self, Description, VersionSelector};

/// Runs one step.
///
/// # Errors
/// Any [`Error`]. The step may be sent again after each.
pub(crate) async fn run(context: &Context<'_>, request: &StepRequest) -> Result<StepReport, Error> {
    let started = Instant::now();
    let Some((rotation, description)) = load(context, request).await? else {
        let result = StepResult::already_current();
        return Ok(result.into_report(context, request, None, started.elapsed()));
    };
    let result = match request.step {
        Step::CreateSecret => {
            create_secret::begin(context, &rotation, description.as_ref(), request).await
        }
        Step::SetSecret => set_secret::run(context, &rotation).await,
        Step::TestSecret => {
            // Without a value, this step came alone: a rotation is being set up.
            if let Some(description) = description.filter(|_| rotation.pending.is_none()) {
                timing::check(&rotation, &description, SystemTime::now())?;
            }
            test_secret::run(context, &rotation).await
        }
        Step::FinishSecret => finish_secret::run(context, &rotation).await,
    }?;
    Ok(result.into_report(context, request, Some(&rotation), started.elapsed()))
}

/// Reads what the step needs, at the same time. `None` if the version is already AWSCURRENT.
///
/// `createSecret` always reads the labels. The other steps read the two values, which show where
/// AWSCURRENT and AWSPENDING are. They read the labels only if a value is missing; `setSecret`
/// reads them again under the lock, right before the change.
///
/// Therefore `finishSecret` also runs after rotation was switched off. The database may have the
/// pending password by then, and without the label every login with AWSCURRENT would fail.
async fn load(
    context: &Context<'_>,
    request: &StepRequest,
) -> Result<Option<(Rotation, Option<Description>)>, Error> {
    let (store, secret) = (&context.store, request.secret_id.as_str());
    let token = request.token.as_str();
    let labels_first = request.step == Step::CreateSecret;
    let describe =
        async { if labels_first { store.describe(secret).await.map(Some) } else { Ok(None) } };
    let pending_selector = VersionSelector::IdAtStage(token, store::PENDING);
    let (mut description, current, mut pending) = tokio::try_join!(
        describe,
        store.read(secret, VersionSelector::Stage(store::CURRENT)),
        store.read(secret, pending_selector),
    )?;

    if description.is_none() && current.as_ref().is_some_and(|current| current.id == token) {
        return Ok(None);
    }
    if description.is_none() && (current.is_none() || pending.is_none()) {
        description = Some(store.describe(secret).await?);
    }
    if let Some(description) = &description {
        let state = labels::state(description, token).map_err(|fault| fault.of(secret))?;
        if state == State::AlreadyCurrent {
            return Ok(None);
        }
    }
    // createSecret rarely finds a value. If it misses one, PutSecretValue says so.
    if pending.is_none() && request.step != Step::CreateSecret {
        pending = store.read_again(secret, pending_selector).await?;
    }
    let current = current.ok_or_else(|| RotationFault::NoCurrent.of(secret))?;
    let rotation = Rotation::of(context.config, current, token)?;
    let admission = match request.step {
        Step::TestSecret => Admission::NextUserOrCopy,
        _ => Admission::NextUser,
    };
    let pending = pending.map(|pending| rotation.admit(pending, admission)).transpose()?;
    Ok(Some((Rotation { pending, ..rotation }, description)))
}
