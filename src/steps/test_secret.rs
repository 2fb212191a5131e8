//! `testSecret`: logs in as the application will, checks the declared rights, and compares the
//! rights of alternating users.

use postgres_protocol::escape::escape_identifier;

use super::step_result::StepResult;
use crate::context::Context;
use crate::database::parity::{self, Parity};
use crate::database::{Login, Purpose, Session, role};
use crate::error::Error;
use crate::policy::Strategy;
use crate::report::{Outcome, RequirementsReport};
use crate::rotation::passwords::Origin;
use crate::rotation::requirements::{self, RequirementsCheck};
use crate::rotation::{Rotation, rehearsal, strategy};

/// The number of missing privileges that an error names.
const EXAMPLES: u32 = 10;

pub(super) async fn run(context: &Context<'_>, rotation: &Rotation) -> Result<StepResult, Error> {
    let Subject { session, password, rehearse } = subject(context, rotation).await?;
    let (role, host) = (session.role().to_owned(), session.host().to_owned());
    let mut tested = test(rotation, &session, password).await;
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
/// until `finishSecret`, or the pending one if an earlier `finishSecret` was cut off.
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
        return Ok(LoginTest { acts_as, equal: false, checks, warnings });
    }
    let checked = checked?;
    let parity = parity::parity(session, standing.version, &current.username, EXAMPLES).await?;
    acts_as_the_owner(rotation, &parity, login, host)?;
    let checks = checked.complete(session)?;
    can_do_as_much(&parity, login, &current.username, host)?;
    Ok(LoginTest { acts_as, equal: true, checks, warnings: warnings(&parity) })
}

/// The pending user has to act as the owner role, or the other user cannot use what it creates.
fn acts_as_the_owner(
    rotation: &Rotation,
    parity: &Parity,
    login: &str,
    host: &str,
) -> Result<(), Error> {
    let (current, acts_as) =
        (rotation.current.credentials.username.as_str(), parity.acts_as.as_str());
    let owner = rotation
        .policy
        .owner_role
        .as_deref()
        .or(parity.current_wanted.as_deref().filter(|wanted| *wanted != current));
    let owner = owner.unwrap_or(strategy::base(current));
    let problem = if !parity.current_exists {
        format!("role {current:?} does not exist, so it cannot become that role's equal.")
    } else if acts_as == owner {
        return Ok(());
    } else if parity.wanted.as_deref() == Some(owner) {
        format!(
            "its \"role\" setting is {owner:?}, which it may not assume. Run {}.",
            role::grant(owner, login)
        )
    } else {
        format!(
            "its sessions act as {acts_as:?}, so the other user cannot use what they create. Run \
             {}.",
            role::act_as(login, owner)
        )
    };
    Err(Error::UsersNotReady { role: login.to_owned(), host: host.to_owned(), problem })
}

fn can_do_as_much(parity: &Parity, login: &str, current: &str, host: &str) -> Result<(), Error> {
    if parity.total == 0 {
        return Ok(());
    }
    let mut missing: Vec<_> =
        parity.missing.iter().map(|missing| missing.text(&parity.acts_as, login)).collect();
    let more = parity.total.saturating_sub(missing.len() as u64);
    if more > 0 {
        missing.push(format!("and {more} more"));
    }
    Err(Error::PrivilegesMissing {
        role: login.to_owned(),
        host: host.to_owned(),
        current: current.to_owned(),
        total: parity.total,
        missing: missing.join("; "),
    })
}

fn warnings(parity: &Parity) -> Vec<String> {
    let acts_as = &parity.acts_as;
    let directly_owned = parity.directly_owned.iter().map(|owned| {
        let role = &owned.role;
        let reassign = format!(
            "REASSIGN OWNED BY {} TO {}",
            escape_identifier(role),
            escape_identifier(acts_as)
        );
        let elsewhere = if owned.elsewhere == 0 {
            String::new()
        } else {
            format!(" and {} in other databases", owned.elsewhere)
        };
        format!(
            "role {role:?} itself owns {} objects in this database{elsewhere}, and the other user \
             does not. Run {reassign} in each database.",
            owned.here
        )
    });
    let ineffective_grants = parity.ineffective_grants.iter().map(|ineffective| {
        let role = &ineffective.role;
        format!(
            "role {role:?} itself has privileges on {} objects, and its sessions cannot use them \
             because they act as another role. Grant them to {acts_as:?}.",
            ineffective.grants
        )
    });
    directly_owned.chain(ineffective_grants).collect()
}
