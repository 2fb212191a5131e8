//! `testSecret`: logs in with the pending password as the application will, and compares what two
//! users that take turns can do.

use postgres_protocol::escape::escape_identifier;

use super::step_result::StepResult;
use crate::context::Context;
use crate::database::parity::{self, Parity};
use crate::database::{Purpose, Session, role};
use crate::error::Error;
use crate::report::{Outcome, RequirementsReport};
use crate::rotation::passwords::Origin;
use crate::rotation::requirements::{self, RequirementsCheck};
use crate::rotation::{Rotation, strategy};

/// What is missing is named up to here; a person has to read it.
const EXAMPLES: u32 = 10;

/// A version without a value is what `RotateImmediately=false` may send: then there is only the
/// current credential to test.
pub(super) async fn run(context: &Context<'_>, rotation: &Rotation) -> Result<StepResult, Error> {
    let (version, origin, outcome, which) = match &rotation.pending {
        Some(pending) => (pending, Origin::Pending, Outcome::Tested, "pending"),
        None => (&rotation.current, Origin::Current, Outcome::CurrentTested, "current"),
    };
    let login = rotation.login(context, version, origin, Purpose::Application).await?;
    let session = login.accepted()?;
    let host = session.host().to_owned();
    let tested = test(rotation, &session).await;
    session.close().await;
    let LoginTest { acts_as, equal, checks, warnings } = tested?;
    let role = &version.credentials.username;
    let acts_as =
        if acts_as == *role { String::new() } else { format!(" and acts as {acts_as:?}") };
    let can = if equal {
        format!("it can do all that role {:?} can; ", rotation.current.credentials.username)
    } else {
        String::new()
    };
    let message = format!(
        "Role {role:?} logs in to {host} with the {which} password{acts_as}; {can}{}.",
        checks.text()
    );
    Ok(StepResult { warnings, checks: Some(checks), ..StepResult::new(outcome, message) })
}

/// What a session of the application showed.
struct LoginTest {
    acts_as: String,
    /// It was compared with the current user.
    equal: bool,
    checks: RequirementsReport,
    warnings: Vec<String>,
}

async fn test(rotation: &Rotation, session: &Session) -> Result<LoginTest, Error> {
    let current = &rotation.current.credentials;
    let (login, host) = (session.role(), session.host());
    let standing = session.standing().await?;
    if standing.session_user != login {
        let problem = format!(
            "the session is one of role {:?}: something stands between that logs in itself. \
             Rotate through the database itself: set rotation_host in ROTATION_POLICY.",
            standing.session_user
        );
        let (role, host) = (login.to_owned(), host.to_owned());
        return Err(Error::UsersNotReady { role, host, problem });
    }
    let checked = requirements::check(rotation, session, &standing).await;
    let acts_as = standing.current_user;
    if login == current.username {
        let changed = rotation
            .pending
            .as_ref()
            .is_some_and(|pending| pending.credentials.password != current.password);
        let (checks, warnings) = match checked {
            // The database has the pending password by now. To halt here would lock the
            // application out and fix nothing: setSecret has checked the same role before it
            // changed anything.
            Ok(RequirementsCheck { report, problems }) if changed => (report, problems),
            Err(error) if changed => (RequirementsReport::default(), vec![error.full_text()]),
            checked => (checked?.complete(session)?, Vec::new()),
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

/// What a user creates that acts as another role than it should is lost to the other one.
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
        format!("role {current:?}, whose equal it is to be, does not exist.")
    } else if acts_as == owner {
        return Ok(());
    } else if parity.wanted.as_deref() == Some(owner) {
        format!(
            "its sessions are to act as {owner:?}, but it may not. Run {}.",
            role::grant(owner, login)
        )
    } else {
        format!(
            "its sessions act as {acts_as:?}, so that what they create is not the other user's as \
             well. Run {}.",
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
            "REASSIGN OWNED BY {} TO \
            {}",
            escape_identifier(role),
            escape_identifier(acts_as)
        );
        let elsewhere = if owned.elsewhere == 0 {
            String::new()
        } else {
            format!(
                ", and {} in \
            other databases",
                owned.elsewhere
            )
        };
        format!(
            "role {role:?} itself owns {} objects here{elsewhere}, which the other user cannot use \
             as its own. Run, in each database, {reassign}.",
            owned.here
        )
    });
    let ineffective_grants = parity.ineffective_grants.iter().map(|ineffective| {
        let role = &ineffective.role;
        format!(
            "privileges on {} objects are granted to role {role:?} itself, and its sessions do not \
             have them, since they act as another role. Grant them to {acts_as:?}.",
            ineffective.grants
        )
    });
    directly_owned.chain(ineffective_grants).collect()
}
