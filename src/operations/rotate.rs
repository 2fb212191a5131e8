//! `rotate`: a new version and the four steps in one invocation.

use std::time::{Instant, SystemTime};

use super::operation_result::OperationResult;
use crate::context::Context;
use crate::database::expiry::{self, Expiry};
use crate::database::{Login, Purpose};
use crate::error::Error;
use crate::event::{Step, StepRequest};
use crate::report::Details;
use crate::rotation::login::Origin;
use crate::rotation::timing::{self, overlap, renewal};
use crate::rotation::{Rotation, labels};
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
    let token = new_token();
    let rotation = Rotation::read(context, secret, &token).await?;
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
        match steps::run(context, &request).await {
            Ok(report) => reports.push(report),
            Err(error) => {
                renew_if_due(context, &rotation).await;
                return Err(error);
            }
        }
    }
    let message = format!(
        "Rotated: AWSCURRENT is version {}, for role {:?}.",
        request.token, rotation.next_username
    );
    Ok(OperationResult { strategy, message, details: Details::Rotation { steps: reports } })
}

/// After a failed rotation the application keeps AWSCURRENT, so its lease must not end soon. A
/// failure here is not reported: the rotation's own error is, and `monitor` tries again.
async fn renew_if_due(context: &Context<'_>, rotation: &Rotation) {
    if rotation.policy.lease().is_none() {
        return;
    }
    let (current, purpose) = (&rotation.current, Purpose::Administer);
    let login = rotation.login(context, current, Origin::Current, purpose).await;
    let Ok(session) = login.and_then(Login::accepted) else { return };
    let role = rotation.current.credentials.username.as_str();
    if let Ok(expiry) = expiry::read(&session, &[role]).await
        && let Some(facts) = renewal::facts(rotation, Expiry::of(&expiry, role), None)
        && let Some(period) = facts.decide_for_a_person().renewal()
    {
        let _ = renewal::renew(context, rotation, &session, period).await;
    }
    session.close().await;
}

/// A random version id in Secrets Manager's form: 32 hexadecimal digits in five groups.
fn new_token() -> String {
    let digits = format!("{:032x}", rand::random::<u128>());
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}
