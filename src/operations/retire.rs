//! `retire`: ends the use of the credential that was current before, once nobody uses it.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use crate::database::sessions::{self, Client};
use crate::database::{Login, Purpose, Session, role};
use crate::error::{DatabaseFault, Error, RotationFault};
use crate::event::Operation;
use crate::policy::Strategy;
use crate::report::{ClientReport, Details, OperationReport, Retirement};
use crate::rotation::set_secret::{alternating_users, under_lock};
use crate::rotation::{Context, Rotation, admin, labels};
use crate::secret::store::{self, Description, Which};

pub(super) async fn run(context: &Context<'_>, operation: &Operation) -> Result<OperationReport, Error> {
    let secret = operation.secret_id.as_str();
    let fault = |fault| Error::Rotation { secret: secret.to_owned(), fault };
    let description = settled(context, secret).await?;
    let current = context.store.read(secret, Which::Stage(store::CURRENT)).await?.ok_or_else(|| fault(RotationFault::NoCurrent))?;
    let rotation = Rotation::of(context.config, current, "")?;
    let credentials = &rotation.current.credentials;
    let database = rotation.database(context, &rotation.current)?;
    // Nothing is taken away while it is not certain that AWSCURRENT works.
    let own = database.login("login with AWSCURRENT", &credentials.username, &credentials.password, Purpose::Administer).await?;
    let own = match own {
        Login::Accepted(session) => session,
        Login::Rejected(error) => return Err(error),
    };
    let retired = match rotation.strategy {
        Strategy::SingleUser => of_one_user(&rotation, &description, &own, operation.terminate).await,
        Strategy::AlternatingUsers => {
            of_two_users(context, &rotation, &description, &own, &database.target.address(), operation.terminate).await
        }
    };
    own.close().await;
    let (message, retirement) = retired?;
    Ok(operation.report(rotation.strategy, message, Details::Retirement(retirement)))
}

/// The labels, if no rotation is under way: it may be about to give the user another password.
async fn settled(context: &Context<'_>, secret: &str) -> Result<Description, Error> {
    let fault = |fault| Error::Rotation { secret: secret.to_owned(), fault };
    let description = context.store.describe(secret).await?;
    labels::not_managed(&description).map_err(fault)?;
    match description.under_way() {
        Some(version) => Err(fault(RotationFault::UnderWay(version.to_owned()))),
        None => Ok(description),
    }
}

/// Of one user the old password is refused already; what it has opened before goes on.
async fn of_one_user(
    rotation: &Rotation,
    description: &Description,
    own: &Session,
    terminate: bool,
) -> Result<(String, Retirement), Error> {
    let user = rotation.current.credentials.username.as_str();
    // Until AWSCURRENT has moved nobody else knows the new password, so a session from before was opened with an older one.
    let age = since(rotation.current.created.max(description.last_rotated));
    let clients = sessions::clients(own, user, Some(age)).await?;
    let open = total(&clients);
    let ended = if terminate && open > 0 { sessions::terminate(own, user, Some(age)).await? } else { 0 };
    let ago = period(age);
    let message = match (open, terminate) {
        (0, _) => format!("No session of role {user:?} is left from before its password was changed, {ago} ago."),
        (_, true) => format!("Told to end: {} of role {user:?} from before its password was changed, {ago} ago.", counted(ended)),
        (_, false) => {
            let open = counted(open);
            format!("Open from before the password of role {user:?} was changed, {ago} ago: {open}. \"Terminate\": true ends them.")
        }
    };
    Ok((message, retirement(user, ended > 0 || open == 0, ended, clients)))
}

/// Of two users the one that is not current keeps its password until its next turn, unless it is taken away here.
async fn of_two_users(
    context: &Context<'_>,
    rotation: &Rotation,
    description: &Description,
    own: &Session,
    host: &str,
    terminate: bool,
) -> Result<(String, Retirement), Error> {
    let (current, user) = (rotation.current.credentials.username.as_str(), rotation.next_username.as_str());
    // The last change of any kind, since a label that somebody moves by hand leaves no date of its own.
    let age = since(rotation.current.created.max(description.last_rotated).max(description.last_changed));
    let clients = sessions::clients(own, user, None).await?;
    let open = total(&clients);
    let kept = |why: String, clients| {
        let message = format!("{why} Role {user:?} keeps its password, and nothing was changed.");
        Ok((message, retirement(user, false, 0, clients)))
    };
    let wait = rotation.policy.retire_after;
    if age < wait {
        let why = format!(
            "The secret was changed {} ago, and retire_after is {}: an application may still hold what was AWSCURRENT before.",
            period(age),
            period(wait)
        );
        return kept(why, clients);
    }
    if open > 0 && !terminate {
        return kept(format!("Open: {} of role {user:?}. \"Terminate\": true ends them.", counted(open)), clients);
    }
    let admin = admin::session(context, rotation, Some(own)).await?;
    let taken = take_password(context, rotation, &admin, host).await;
    let ended = match taken {
        Ok(true) if open > 0 => Some(sessions::terminate(&admin, user, None).await),
        _ => None,
    };
    let name = admin.role().to_owned();
    admin.close().await;
    if !taken? {
        return Ok((format!("Role {user:?} does not exist: there is nothing to retire."), retirement(user, false, 0, clients)));
    }
    let mut message = format!("Role {user:?} has no password until its next turn. Role {current:?} was left as it is.");
    let ended = match ended {
        None => 0,
        Some(Ok(ended)) => {
            let _ = write!(message, " Told to end: {}.", counted(ended));
            ended
        }
        Some(Err(error)) => {
            let advice = if error.is_database(DatabaseFault::PermissionDenied) {
                format!("run {}, and retire again", role::grant("pg_signal_backend", &name))
            } else {
                error.to_string()
            };
            let _ = write!(message, " Still open, since the admin may not end them: {}; {advice}.", counted(open));
            0
        }
    };
    Ok((message, retirement(user, true, ended, clients)))
}

/// Takes the other user's password away, if it may be touched at all and AWSCURRENT is still where it was; whether there is such a user.
async fn take_password(context: &Context<'_>, rotation: &Rotation, admin: &Session, host: &str) -> Result<bool, Error> {
    let allowed = async || {
        let description = settled(context, &rotation.secret).await?;
        rotation.still_current(&description)
    };
    let change = async || {
        if alternating_users::planned(rotation, admin, host).await?.change.create {
            role::roll_back(admin).await?;
            return Ok(false);
        }
        role::take_password(admin, &rotation.next_username).await.map_err(admin::lacks_right)?;
        Ok(true)
    };
    under_lock(rotation, admin, allowed, change).await
}

fn retirement(user: &str, retired: bool, terminated: u64, clients: Vec<Client>) -> Retirement {
    let clients = clients.into_iter().map(|client| ClientReport {
        application_name: client.application,
        address: client.address,
        sessions: client.sessions,
        oldest_seconds: client.oldest_seconds,
    });
    Retirement { role: user.to_owned(), retired, terminated, clients: clients.collect() }
}

fn total(clients: &[Client]) -> u64 {
    clients.iter().map(|client| client.sessions).sum()
}

fn counted(count: u64) -> String {
    if count == 1 { "1 session".to_owned() } else { format!("{count} sessions") }
}

fn since(time: Option<SystemTime>) -> Duration {
    time.and_then(|time| SystemTime::now().duration_since(time).ok()).unwrap_or_default()
}

/// In the largest unit of which there is one at least.
fn period(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(24 * 60 * 60, "d"), (60 * 60, "h"), (60, "min")];
    units
        .into_iter()
        .find(|(unit, _)| seconds >= *unit)
        .map_or_else(|| format!("{seconds} s"), |(unit, name)| format!("{} {name}", seconds / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_told_as_a_person_would() {
        for (seconds, text) in [(0, "0 s"), (59, "59 s"), (60, "1 min"), (7_199, "1 h"), (86_400, "1 d"), (200_000, "2 d")] {
            assert_eq!(period(Duration::from_secs(seconds)), text);
        }
    }
}
