//! `rotate`: a new version and the four steps in one call.

use std::time::Instant;

use crate::error::{Error, RotationFault};
use crate::event::{Operation, Request, Step};
use crate::report::{Details, OperationReport, Report};
use crate::rotation::{self, Context, Rotation, create_secret, labels};
use crate::secret::store::{self, Which};

/// A step that fails leaves the version with AWSPENDING; `recover` brings it to an end.
pub(super) async fn run(
    context: &Context<'_>,
    operation: &Operation,
) -> Result<OperationReport, Error> {
    let secret = operation.secret_id.as_str();
    let fault = |fault| Error::Rotation { secret: secret.to_owned(), fault };
    let description = context.store.describe(secret).await?;
    labels::may_rotate(&description).and_then(|()| labels::at_rest(&description)).map_err(fault)?;
    let current = context
        .store
        .read(secret, Which::Stage(store::CURRENT))
        .await?
        .ok_or_else(|| fault(RotationFault::NoCurrent))?;
    let token = new_token();
    let rotation = Rotation::of(context.config, current, &token)?;
    let mut request = Request {
        step: Step::CreateSecret,
        secret_id: secret.to_owned(),
        token,
        rotation_token: None,
    };
    let started = Instant::now();
    let created = create_secret::run(context, &rotation, &request).await?;
    let mut steps = vec![Report {
        duration: started.elapsed(),
        ..created.into_report(&request, rotation.strategy)
    }];
    for step in [Step::SetSecret, Step::TestSecret, Step::FinishSecret] {
        request.step = step;
        steps.push(rotation::run(context, &request).await?);
    }
    let message = format!(
        "Rotated: AWSCURRENT is version {}, for role {:?}.",
        request.token, rotation.next_username
    );
    Ok(operation.report(rotation.strategy, message, Details::Rotation { steps }))
}

/// A random version id in the form that Secrets Manager itself gives: 32 hexadecimal digits in five
/// groups.
fn new_token() -> String {
    let digits = format!("{:032x}", rand::random::<u128>());
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}
