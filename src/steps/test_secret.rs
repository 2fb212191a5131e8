//! `testSecret`: logs in as the application will, checks the declared rights, and compares the
//! rights of alternating users.

use super::step_result::StepResult;
use crate::context::Context;
use crate::database::{Login, Purpose, Session};
use crate::error::Error;
use crate::policy::Strategy;
use crate::report::{Outcome, RequirementsReport};
use crate::rotation::login::Origin;
use crate::rotation::pair::equality;
use crate::rotation::requirements::{self, RequirementsCheck};
use crate::rotation::{Rotation, rehearsal};

/// The number of missing privileges that an error names.
const EXAMPLES: u32 = 10;

pub(super) async fn run(context: &Context<'_>, rotation: &Rotation) -> Result<StepResult, Error> {
    let Subject { session, password, rehearse } = subject(context, rotation).await?;
    let (role, host) = (session.role().to_owned(), session.host().to_owned());
    let mut tested = test(context, rotation, &session, password).await;
    if rehearse && tested.is_ok() {
        let rehearsed = async {
            session.apply_admin_settings().await?;
            rehearsal::rehearse(context, rotation, &session).await
        };
        if let Err(error) = rehearsed.await {
            tested = Err(error);
        }
    }
    session.close().await;
    let LoginTest { acts_as, equal, checks, warnings } = tested?;
    let acts_as =
        if acts_as == *role { String::new() } else { format!(" and acts as {acts_as:?}") };
    let can = if equal {
        format!("it can do all that role {:?} can; ", rotation.current.credentials.username)
    } else {
        String::new()
    };
    let (which, outcome) = match password {
        Origin::Pending => ("pending", Outcome::Tested),
        _ => ("current", Outcome::CurrentTested),
    };
    let message = format!(
        "Role {role:?} logs in to {host} with the {which} password{acts_as}; {can}{}.",
        checks.text()
    );
    Ok(StepResult { warnings, checks: Some(checks), ..StepResult::new(outcome, message) })
}

/// The login to test.
struct Subject {
    session: Session,
    /// The password that opened the session: AWSCURRENT or AWSPENDING.
    password: Origin,
    /// Whether to rehearse the change too: `RotateImmediately=false` sends only this step.
    rehearse: bool,
}

/// Alternating users: tests the pending user. Single user: tests the current password, which stays
/// until `finishSecret`. If an earlier `finishSecret` was cut off, tests the pending one.
///
/// `RotateImmediately=false` sends a version that is empty or a copy of AWSCURRENT.
async fn subject(context: &Context<'_>, rotation: &Rotation) -> Result<Subject, Error> {
    let (current, purpose) = (&rotation.current, Purpose::Application);
    let single_user = rotation.strategy == Strategy::SingleUser;
    let pending = rotation.pending.as_ref().filter(|pending| !pending.same_login(current));
    let Some(pending) = pending else {
        let login = rotation.login(context, current, Origin::Current, purpose).await?;
        let session = login.accepted()?;
        return Ok(Subject { session, password: Origin::Current, rehearse: single_user });
    };
    if single_user
        && let Login::Accepted(session) =
            rotation.login(context, current, Origin::Current, purpose).await?
    {
        return Ok(Subject { session, password: Origin::Current, rehearse: false });
    }
    let login = rotation.login(context, pending, Origin::Pending, purpose).await?;
    let session = login.accepted()?;
    Ok(Subject { session, password: Origin::Pending, rehearse: false })
}

/// What a session as the application showed.
struct LoginTest {
    acts_as: String,
    /// Whether it can do all that the current user can; false if that was not compared.
    equal: bool,
    checks: RequirementsReport,
    warnings: Vec<String>,
}

async fn test(
    context: &Context<'_>,
    rotation: &Rotation,
    session: &Session,
    password: Origin,
) -> Result<LoginTest, Error> {
    let current = &rotation.current.credentials;
    let (login, host) = (session.role(), session.host());
    let standing = session.standing().await?;
    requirements::ensure_direct(session, &standing)?;
    let checked = requirements::check(rotation, session, &standing).await;
    let acts_as = standing.current_user;
    if login == current.username {
        let (checks, warnings) = match (checked, password) {
            // The database already has the pending password, so a halt would lock the application
            // out.
            (Ok(RequirementsCheck { report, problems }), Origin::Pending) => (report, problems),
            (Err(error), Origin::Pending) => {
                (RequirementsReport::default(), vec![error.full_text()])
            }
            (checked, _) => (checked?.complete(session)?, Vec::new()),
        };
        let warnings = [warnings, rotation.expiring(context, session).await].concat();
        return Ok(LoginTest { acts_as, equal: false, checks, warnings });
    }
    let checked = checked?;
    let parity = equality::of_roles(session, rotation, Some(&acts_as), EXAMPLES).await?;
    let version = rotation.pending()?;
    let compared =
        equality::in_databases(context, rotation, session, version, parity, EXAMPLES).await?;
    compared.acts_as_the_owner(rotation, host)?;
    let checks = checked.complete(session)?;
    compared.can_do_as_much(&current.username, host, EXAMPLES)?;
    let warnings = [compared.warnings(), rotation.expiring(context, session).await].concat();
    Ok(LoginTest { acts_as, equal: true, checks, warnings })
}
