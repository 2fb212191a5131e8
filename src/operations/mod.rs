//! A person's or a schedule's door: one file per operation.

mod checks;
mod diagnosis;
mod go_back;
mod inspected_sessions;
mod inspection;
pub(crate) mod monitor;
mod operation_result;
mod preflight;
mod recover;
mod retire;
mod rotate;
mod status;
mod surroundings;
mod tried_login;

use std::time::Instant;

use self::inspection::Depth;
use crate::context::Context;
use crate::error::{Error, clean};
use crate::event::{Operation, OperationRequest, Prefer};
use crate::report::{Details, OperationReport};

/// Runs one operation.
///
/// # Errors
/// Any [`Error`]. The operation may be sent again after each.
pub(crate) async fn run(
    context: &Context<'_>,
    request: &OperationRequest,
) -> Result<OperationReport, Error> {
    let started = Instant::now();
    let secret = request.secret_id.as_str();
    let mut result = match request.operation {
        Operation::Status { deep, fix } => {
            let depth = if deep { Depth::Deep } else { Depth::Shallow };
            status::run(context, secret, Prefer::default(), depth, fix).await?
        }
        Operation::Preflight { fix } => Box::pin(preflight::run(context, secret, fix)).await,
        Operation::Rotate { force } => rotate::run(context, secret, force).await?,
        Operation::Recover { dry_run: true, prefer } => {
            if prefer == Prefer::Previous {
                go_back::prepare(context, secret).await?;
            }
            status::run(context, secret, prefer, Depth::Deep, false).await?
        }
        Operation::Recover { dry_run: false, prefer: Prefer::Previous } => {
            go_back::run(context, secret).await?
        }
        Operation::Recover { dry_run: false, prefer } => {
            recover::run(context, secret, prefer).await?
        }
        Operation::Retire { terminate } => retire::run(context, secret, terminate).await?,
    };
    if let Details::Diagnosis(diagnosis) = &mut result.details {
        diagnosis.warnings.extend(context.slow_logins.take());
    }
    Ok(OperationReport {
        operation: request.operation.name(),
        secret: secret.to_owned(),
        strategy: result.strategy,
        message: clean::whole(result.message),
        details: result.details,
        refused_logins: context.refused_logins.so_far(),
        duration: started.elapsed(),
    })
}
