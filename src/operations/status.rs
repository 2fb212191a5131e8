//! `status`, and `recover` as a dry run: inspects and decides, and changes nothing.

use super::diagnosis::decide;
use super::inspection::{Depth, inspect};
use super::operation_result::OperationResult;
use crate::context::Context;
use crate::error::Error;
use crate::event::Prefer;
use crate::report::{Details, Remedy};

/// Reports the state of the secret and what `recover` would do.
pub(super) async fn run(
    context: &Context<'_>,
    secret: &str,
    prefer: Prefer,
    depth: Depth,
) -> Result<OperationResult, Error> {
    let inspection = inspect(context, secret, depth).await?;
    let remedy = match prefer {
        Prefer::Previous => Remedy::ReturnToPrevious,
        prefer => decide(inspection.findings, prefer),
    };
    let result = OperationResult {
        strategy: Some(inspection.rotation.strategy),
        message: remedy.text().to_owned(),
        details: Details::Diagnosis(inspection.diagnosis(remedy)),
    };
    inspection.sessions.close().await;
    Ok(result)
}
