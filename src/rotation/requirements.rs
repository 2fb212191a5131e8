//! Checks the declared grants and probes in a session of the application's role.

use std::time::Instant;

use super::Rotation;
use crate::database::advice::AskedBy;
use crate::database::probe::{self, ProbeRefusal};
use crate::database::remedy::LackingRole;
use crate::database::standing::Standing;
use crate::database::{Session, grants, role};
use crate::error::{Error, Statements};
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
    Err(Error::UsersNotReady { role, host, problem, statements: Statements::default() })
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
        let of_secret = rotation.policy.probes_of_secret;
        if let Some(refusal) = plan(session, probe.statement(), of_secret).await? {
            problems.push(format!("probes[{n}] cannot be run ({refusal})"));
        }
    }
    let checks: Vec<_> = grants.iter().flat_map(|grant| &grant.checks).collect();
    let (of_secret, asked_by) = if rotation.policy.grants_of_secret {
        (true, AskedBy::Secret)
    } else {
        (false, AskedBy::Policy)
    };
    let hidden = |error: Error| if of_secret { error.without_message() } else { error };
    let types = grants::types(session, &checks).await.map_err(hidden)?;
    session.pin_search_path().await?;
    let login = session.role();
    if let Some(wanted) = session.role_it_cannot_assume().await? {
        let named = rotation.policy.owner_role.as_ref() == Some(&wanted);
        let asked_by = if named { AskedBy::Policy } else { AskedBy::Setting };
        problems.push(format!(
            "its \"role\" setting is {wanted:?}, which it may not assume ({})",
            asked_by.advise(&wanted, role::grant(&wanted, login)).text()
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
            .map(|missing| {
                missing.text(LackingRole { login, acts_as: &standing.current_user, asked_by })
            })
            .collect();
        more = found.total.saturating_sub(missing.len());
        missing.dedup();
        problems.extend(missing);
        for view in &found.views {
            // No privilege helps with a view that cannot be written to.
            if let Some(refusal) = probe::plan(session, view)
                .await
                .map_err(hidden)?
                .filter(|refusal| refusal.permission)
            {
                let words = words(&refusal, of_secret);
                problems.push(format!("{view} is refused behind the view ({words})"));
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

/// Plans a probe; what the server said against it, in words that may be shown.
async fn plan(
    session: &Session,
    statement: &str,
    of_secret: bool,
) -> Result<Option<String>, Error> {
    match probe::plan(session, statement).await {
        Ok(refusal) => Ok(refusal.map(|refusal| words(&refusal, of_secret))),
        // A function that planning runs also chooses the SQLSTATE of its error, and with that what
        // we take it for.
        Err(error) if of_secret => Err(error.without_message()),
        Err(error) => Err(error),
    }
}

/// The server's words only for what the policy declares.
fn words(refusal: &ProbeRefusal, of_secret: bool) -> String {
    if of_secret { refusal.in_our_words() } else { refusal.detail.to_string() }
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
