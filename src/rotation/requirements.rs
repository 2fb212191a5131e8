//! What the policy declares that the application needs: checked as the role that it will log in
//! with.

use std::time::Instant;

use super::Rotation;
use crate::database::role::{self, Standing};
use crate::database::{Session, grants, probe};
use crate::error::Error;
use crate::report::Checks;

/// What is missing is named up to here; more than that has one cause.
const EXAMPLES: usize = 100;

/// What came of the checks.
pub(crate) struct Checked {
    pub checks: Checks,
    /// What the role lacks, with the statement that mends it.
    pub problems: Vec<String>,
}

/// Whether anything is declared.
pub(crate) fn declared(rotation: &Rotation) -> bool {
    !rotation.policy.grants.is_empty() || !rotation.policy.probes.is_empty()
}

/// Checks a session of the application. Its `search_path` is `pg_catalog` from then on.
pub(crate) async fn check(
    rotation: &Rotation,
    session: &Session,
    standing: &Standing,
) -> Result<Checked, Error> {
    let started = Instant::now();
    let (grants, probes) = (&rotation.policy.grants, &rotation.policy.probes);
    let mut problems = Vec::new();
    for (n, probe) in probes.iter().enumerate() {
        if let Some(refusal) = probe::plan(session, probe.statement()).await? {
            // What stands in the secret may be a value of it.
            let text = if rotation.policy.probes_of_secret {
                refusal.without_values()
            } else {
                &refusal.text
            };
            problems.push(format!("probes[{n}] cannot be run ({text})"));
        }
    }
    let checks: Vec<_> = grants.iter().flat_map(|grant| &grant.checks).collect();
    let types = grants::types(session, &checks).await?;
    role::use_catalog(session).await?;
    let login = session.role();
    if let Some(wanted) = role::not_acting_as(session).await? {
        problems.push(format!(
            "its sessions are to act as {wanted:?} and may not ({})",
            role::grant(&wanted, login)
        ));
    }
    let mut more = 0;
    if !checks.is_empty() {
        let found =
            grants::check(session, standing.version, &checks, &types, &standing.path, EXAMPLES)
                .await?;
        let mut missing: Vec<_> = found
            .missing
            .iter()
            .map(|missing| missing.text(&standing.current_user, login))
            .collect();
        more = found.total - missing.len();
        missing.dedup();
        problems.extend(missing);
        for view in &found.views {
            // A view that cannot be written to at all is none that a privilege would mend.
            if let Some(refusal) =
                probe::plan(session, view).await?.filter(|refusal| refusal.permission)
            {
                problems.push(format!("{view} is refused behind the view ({})", refusal.text));
            }
        }
    }
    if more > 0 {
        problems.push(format!("and {more} more"));
    }
    let checks = Checks { grants: grants.len(), probes: probes.len(), duration: started.elapsed() };
    Ok(Checked { checks, problems })
}

impl Checked {
    /// The error that says what is missing, if anything is.
    pub(crate) fn into_error(
        self,
        session: &Session,
        host: &str,
        consequence: &'static str,
    ) -> Result<Self, Error> {
        if self.problems.is_empty() {
            return Ok(self);
        }
        Err(Error::RightsMissing {
            role: session.role().to_owned(),
            host: host.to_owned(),
            missing: self.problems.join("; "),
            consequence,
        })
    }
}

impl Checks {
    /// What was checked, for a person.
    pub(crate) fn text(&self) -> String {
        match (self.grants, self.probes) {
            (0, 0) => "no grants and no probes are declared".to_owned(),
            (grants, probes) => format!(
                "{grants} grants and {probes} probes were checked in {} ms",
                self.duration.as_millis()
            ),
        }
    }
}
