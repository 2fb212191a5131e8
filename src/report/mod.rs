//! Reports on a step or an operation, in JSON. None holds a secret value.

mod diagnosis;
mod duration;
mod health;
mod name;
mod operation;
mod step;
mod time;

use serde::{Serialize, Serializer};

pub(crate) use self::diagnosis::{Diagnosis, Remedy, ScheduleReport, Verdict, VersionReport};
pub(crate) use self::duration::{milliseconds, period};
pub(crate) use self::health::{Counts, FleetReport, Health, SecretHealth};
pub(crate) use self::name::secret_name;
pub(crate) use self::operation::{
    ClientReport, Details, OperationReport, PreflightCheck, Retirement,
};
pub(crate) use self::step::{Evidence, OldCredential, Outcome, RequirementsReport, StepReport};
pub(crate) use self::time::{Timestamp, seconds_until};
use crate::policy::Strategy;

/// The answer of an invocation.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    Step(StepReport),
    Operation(OperationReport),
    Fleet(FleetReport),
}

impl Answer {
    /// The steps of a rotation that ran.
    pub(crate) fn steps(&self) -> &[StepReport] {
        match self {
            Self::Step(step) => std::slice::from_ref(step),
            Self::Operation(operation) => match &operation.details {
                Details::Diagnosis(diagnosis) => &diagnosis.steps,
                Details::Rotation { steps } => steps,
                Details::Preflight { .. } | Details::Retirement(_) => &[],
            },
            Self::Fleet(_) => &[],
        }
    }
}

impl Serialize for Strategy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
