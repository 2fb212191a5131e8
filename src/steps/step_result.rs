//! The result of a step, before it becomes a report.

use std::time::Duration;

use crate::context::Context;
use crate::error::clean;
use crate::event::StepRequest;
use crate::report::{Evidence, Outcome, RequirementsReport, StepReport};
use crate::rotation::Rotation;

/// What a step did, and what a person should know about it.
#[derive(Debug)]
pub(crate) struct StepResult {
    pub(super) outcome: Outcome,
    pub(super) message: String,
    pub(super) warnings: Vec<String>,
    pub(super) checks: Option<RequirementsReport>,
    pub(super) evidence: Option<Evidence>,
    /// When the new password ends, under a lease.
    pub(super) valid_until: Option<String>,
}

impl StepResult {
    pub(super) fn new(outcome: Outcome, message: String) -> Self {
        Self {
            outcome,
            message,
            warnings: Vec::new(),
            checks: None,
            evidence: None,
            valid_until: None,
        }
    }

    /// The rotation is over.
    pub(super) fn already_current() -> Self {
        let message = "The version is already AWSCURRENT: nothing to do.".to_owned();
        Self::new(Outcome::AlreadyCurrent, message)
    }

    /// The report on the requested step.
    pub(crate) fn into_report(
        self,
        context: &Context<'_>,
        request: &StepRequest,
        rotation: Option<&Rotation>,
        duration: Duration,
    ) -> StepReport {
        let mut warnings = rotation.map(Rotation::warnings).unwrap_or_default();
        warnings.extend(self.warnings);
        warnings.extend(context.slow_logins.take());
        StepReport {
            step: request.step,
            secret: request.secret_id.clone(),
            version: request.token.clone(),
            strategy: rotation.map(|rotation| rotation.strategy),
            outcome: self.outcome,
            message: clean::whole(self.message),
            warnings: warnings.into_iter().map(clean::whole).collect(),
            checks: self.checks,
            valid_until: self.valid_until,
            refused_logins: context.refused_logins.so_far(),
            duration,
            evidence: self.evidence,
        }
    }
}
