//! Reports on a step or an operation, in JSON. None holds a secret value.

mod diagnosis;
mod duration;
mod health;
mod operation;
mod step;
mod time;

use serde::{Serialize, Serializer};

pub(crate) use self::diagnosis::{Diagnosis, Remedy, Schedule, Verdict, VersionReport};
pub(crate) use self::duration::period;
pub(crate) use self::health::{Counts, FleetReport, Health, SecretHealth};
pub(crate) use self::operation::{
    ClientReport, Details, OperationReport, PreflightCheck, Retirement,
};
pub(crate) use self::step::{Evidence, OldCredential, Outcome, RequirementsReport, StepReport};
pub(crate) use self::time::Timestamp;
use crate::policy::Strategy;

/// The name of a secret that an event calls by its ARN or its name. An ARN ends with `-` and six
/// random characters behind the name.
pub(crate) fn secret_name(id: &str) -> &str {
    const RANDOM: usize = 6;
    let Some((_, name)) = id.split_once(":secret:") else { return id };
    match name.rsplit_once('-') {
        Some((name, random)) if random.len() == RANDOM => name,
        _ => name,
    }
}

/// The answer of an invocation.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    Step(StepReport),
    Operation(OperationReport),
    Fleet(FleetReport),
}

impl Serialize for Strategy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_one_name_whatever_an_event_calls_it() {
        let arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/my-app";
        for (id, name) in [
            (format!("{arn}-AbCdEf").as_str(), "shop/my-app"),
            (arn, "shop/my-app"),
            ("shop/my-app", "shop/my-app"),
            ("shop/my-secret", "shop/my-secret"),
            ("", ""),
        ] {
            assert_eq!(secret_name(id), name, "{id}");
        }
    }
}
