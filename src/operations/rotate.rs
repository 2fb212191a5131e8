//! `rotate`: a new version and the four steps in one invocation.

use std::time::{Instant, SystemTime};

use super::operation_result::OperationResult;
use crate::context::Context;
use crate::error::{Error, RotationFault};
use crate::event::{Step, StepRequest};
use crate::report::Details;
use crate::rotation::{Rotation, labels, overlap, timing};
use crate::secret::store::{self, VersionSelector};
use crate::steps::{self, create_secret};

/// If a step fails, AWSPENDING stays on the new version, and `recover` ends the rotation.
pub(super) async fn run(
    context: &Context<'_>,
    secret: &str,
    force: bool,
) -> Result<OperationResult, Error> {
    let description = context.store.describe(secret).await?;
    labels::may_rotate(&description)
        .and_then(|()| labels::at_rest(&description))
        .map_err(|fault| fault.of(secret))?;
    let current = context.store.read(secret, VersionSelector::Stage(store::CURRENT)).await?;
    let current = current.ok_or_else(|| RotationFault::NoCurrent.of(secret))?;
    let token = new_token();
    let rotation = Rotation::of(context.config, current, &token)?;
    timing::check(&rotation, &description, SystemTime::now())?;
    if !force {
        overlap::check(context, &rotation, &description).await?;
    }
    let mut request = StepRequest {
        step: Step::CreateSecret,
        secret_id: secret.to_owned(),
        token,
        rotation_token: None,
    };
    let started = Instant::now();
    let strategy = Some(rotation.strategy);
    let created = create_secret::run(context, &rotation, &request).await?;
    let created = created.into_report(context, &request, Some(&rotation), started.elapsed());
    let mut reports = vec![created];
    for step in [Step::SetSecret, Step::TestSecret, Step::FinishSecret] {
        request.step = step;
        reports.push(steps::run(context, &request).await?);
    }
    let message = format!(
        "Rotated: AWSCURRENT is version {}, for role {:?}.",
        request.token, rotation.next_username
    );
    Ok(OperationResult { strategy, message, details: Details::Rotation { steps: reports } })
}

/// A random version id in Secrets Manager's form: 32 hexadecimal digits in five groups.
fn new_token() -> String {
    let digits = format!("{:032x}", rand::random::<u128>());
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}
