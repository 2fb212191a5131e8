//! Checks the declared grants and probes in a session of the application's role.

use std::time::Instant;

use super::Rotation;
use crate::database::missing::Lacking;
use crate::database::standing::Standing;
use crate::database::{Session, grants, probe, role};
use crate::error::Error;
use crate::report::RequirementsReport;

/// The number of missing rights that an error names. More have one cause.
const EXAMPLES: usize = 100;

/// The result of a check of the declared grants and probes.
pub(crate) struct RequirementsCheck {
    pub(crate) report: RequirementsReport,
    /// What the role lacks, each with the statement that grants it.
    pub(crate) problems: Vec<String>,
}

/// Whether grants or probes are declared.
pub(crate) fn declared(rotation: &Rotation) -> bool {
    !rotation.policy.grants.is_empty() || !rotation.policy.probes.is_empty()
}

/// Checks that the session belongs to the role that logged in, and not to a proxy.
///
/// # Errors
/// [`Error::UsersNotReady`].
pub(crate) fn ensure_direct(session: &Session, standing: &Standing) -> Result<(), Error> {
    if standing.session_user == session.role() {
        return Ok(());
    }
    let problem = format!(
        "the session belongs to role {:?}, so a proxy logs in to the database. Set rotation_host \
         in ROTATION_POLICY to the database itself.",
        standing.session_user
    );
    let (role, host) = (session.role().to_owned(), session.host().to_owned());
    Err(Error::UsersNotReady { role, host, problem })
}

/// Checks a session of the application. Afterwards its `search_path` is `pg_catalog`.
pub(crate) async fn check(
    rotation: &Rotation,
    session: &Session,
    standing: &Standing,
) -> Result<RequirementsCheck, Error> {
    let started = Instant::now();
    let (grants, probes) = (&rotation.policy.grants, &rotation.policy.probes);
    let mut problems = Vec::new();
    for (n, probe) in probes.iter().enumerate() {
        if let Some(refusal) = probe::plan(session, probe.statement()).await? {
            // The server may quote a probe, and a probe in the secret may hold a value.
            let detail = if rotation.policy.probes_of_secret {
                refusal.without_values()
            } else {
                refusal.detail
            };
            problems.push(format!("probes[{n}] cannot be run ({detail})"));
        }
    }
    let checks: Vec<_> = grants.iter().flat_map(|grant| &grant.checks).collect();
    let types = grants::types(session, &checks).await?;
    session.pin_search_path().await?;
    let login = session.role();
    if let Some(wanted) = session.role_it_cannot_assume().await? {
        problems.push(format!(
            "its \"role\" setting is {wanted:?}, which it may not assume ({})",
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
            .map(|missing| missing.text(Lacking { login, acts_as: &standing.current_user }))
            .collect();
        more = found.total - missing.len();
        missing.dedup();
        problems.extend(missing);
        for view in &found.views {
            // No privilege helps with a view that cannot be written to.
            if let Some(refusal) =
                probe::plan(session, view).await?.filter(|refusal| refusal.permission)
            {
                problems.push(format!("{view} is refused behind the view ({})", refusal.detail));
            }
        }
    }
    if more > 0 {
        problems.push(format!("and {more} more"));
    }
    let report = RequirementsReport {
        grants: grants.len(),
        probes: probes.len(),
        duration: started.elapsed(),
    };
    Ok(RequirementsCheck { report, problems })
}

impl RequirementsCheck {
    /// The report, if nothing is missing.
    ///
    /// # Errors
    /// [`Error::RightsMissing`].
    pub(crate) fn complete(self, session: &Session) -> Result<RequirementsReport, Error> {
        if self.problems.is_empty() {
            return Ok(self.report);
        }
        Err(Error::RightsMissing {
            role: session.role().to_owned(),
            host: session.host().to_owned(),
            missing: self.problems.join("; "),
        })
    }
}

impl RequirementsReport {
    /// What was checked, as a clause for a person.
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
