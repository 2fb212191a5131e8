//! What a person or a schedule asks for, by invoking the function with an `Operation`.

pub mod diagnosis;
mod findings;
mod preflight;
mod recover;
mod retire;
mod rotate;

use std::time::Instant;

use crate::error::Error;
use crate::event::{Operation, OperationKind};
use crate::report::OperationReport;
use crate::rotation::Context;

/// Runs one operation.
///
/// # Errors
/// Any [`Error`]; the operation may be sent again, whatever the error was.
pub async fn run(context: &Context<'_>, operation: &Operation) -> Result<OperationReport, Error> {
    let started = Instant::now();
    let mut report = match operation.kind {
        OperationKind::Status => recover::plan(context, operation).await?,
        OperationKind::Preflight => preflight::run(context, operation).await,
        OperationKind::Rotate => rotate::run(context, operation).await?,
        OperationKind::Recover if operation.dry_run => recover::plan(context, operation).await?,
        OperationKind::Recover => recover::run(context, operation).await?,
        OperationKind::Retire => retire::run(context, operation).await?,
    };
    report.duration = started.elapsed();
    Ok(report)
}
