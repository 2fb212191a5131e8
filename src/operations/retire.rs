//! `retire`: ends the use of the credential that was current before, once nobody uses it.
//!
//! Of two users the other one takes its own password away, with the credential that the secret
//! holds: that needs no admin, and touches no role that was never the secret's own.

use std::time::{Duration, SystemTime};

use super::operation_result::OperationResult;
use crate::context::Context;
use crate::database::sessions::{self, Client};
use crate::database::{End, Login, Purpose, Session, role};
use crate::error::{Error, RotationFault};
use crate::policy::Strategy;
use crate::report::{ClientReport, Details, Retirement};
use crate::rotation::lock::ChangeSessions;
use crate::rotation::passwords::Origin;
use crate::rotation::{Rotation, SecretVersion, labels};
use crate::secret::store::{self, Description, VersionSelector};

pub(super) async fn run(
    context: &Context<'_>,
    secret: &str,
    terminate: bool,
) -> Result<OperationResult, Error> {
    let description = settled(context, secret).await?;
    let current = context.store.read(secret, VersionSelector::Stage(store::CURRENT)).await?;
    let current = current.ok_or_else(|| RotationFault::NoCurrent.of(secret))?;
    let rotation = Rotation::of(context.config, current, "")?;
    let previous = context.store.read(secret, VersionSelector::Stage(store::PREVIOUS)).await?;
    let previous = previous.and_then(|version| SecretVersion::parse(version, store::PREVIOUS).ok());
    // Nothing is taken away while it is not certain that AWSCURRENT works.
    let (version, purpose) = (&rotation.current, Purpose::Administer);
    let own = rotation.login(context, version, Origin::Current, purpose).await?.accepted()?;
    // The last change of any kind, since neither a label that moves nor the change in the database
    // leaves a date of its own.
    let changed = rotation.current.created.max(description.last_rotated);
    let age = since(changed.max(description.last_changed));
    let retiring = Retiring { context, rotation: &rotation, own: &own, age, terminate };
    let retired = match rotation.strategy {
        Strategy::SingleUser => retiring.one_user(previous.as_ref()).await,
        Strategy::AlternatingUsers => retiring.two_users(previous.as_ref()).await,
    };
    own.close().await;
    let (message, retirement) = retired?;
    let details = Details::Retirement(retirement);
    Ok(OperationResult { strategy: Some(rotation.strategy), message, details })
}

/// The labels, if no rotation is under way: it may be about to give the user another password.
async fn settled(context: &Context<'_>, secret: &str) -> Result<Description, Error> {
    let description = context.store.describe(secret).await?;
    labels::not_managed(&description)
        .and_then(|()| labels::at_rest(&description))
        .map_err(|fault| fault.of(secret))?;
    Ok(description)
}

struct Retiring<'a> {
    context: &'a Context<'a>,
    rotation: &'a Rotation,
    /// Of the current user.
    own: &'a Session,
    /// How long ago the secret was changed.
    age: Duration,
    terminate: bool,
}

impl Retiring<'_> {
    /// Of one user the old password is refused already; what it has opened before goes on.
    async fn one_user(
        &self,
        previous: Option<&SecretVersion>,
    ) -> Result<(String, Retirement), Error> {
        let current = &self.rotation.current.credentials;
        let (user, ago) = (current.username.as_str(), period(self.age));
        if previous.is_none_or(|previous| {
            previous.credentials.username == *user
                && previous.credentials.password == current.password
        }) {
            let message = format!(
                "Role {user:?} has had no other password in this secret: there is nothing to \
                 retire."
            );
            return Ok((message, retirement(user, true, 0, Vec::new())));
        }
        let clients = sessions::clients(self.own, user, Some(self.age)).await?;
        let open = total(&clients);
        let ended = if self.terminate && open > 0 {
            sessions::terminate(self.own, user, Some(self.age)).await?
        } else {
            0
        };
        let message = match (open, self.terminate) {
            (0, _) => format!(
                "No session of role {user:?} is left from before the secret was changed, {ago} ago."
            ),
            (_, true) => format!(
                "Told to end: {} of role {user:?} from before the secret was changed, {ago} ago.",
                counted(ended)
            ),
            (_, false) => {
                let open = counted(open);
                format!(
                    "Open from before the secret was changed, {ago} ago: {open} of role {user:?}. \
                     \"Terminate\": true ends them."
                )
            }
        };
        Ok((message, retirement(user, ended >= open, ended, clients)))
    }

    /// Of two users the one that is not current keeps its password until its next turn, unless it
    /// is taken away here.
    async fn two_users(
        &self,
        previous: Option<&SecretVersion>,
    ) -> Result<(String, Retirement), Error> {
        let (rotation, user) = (self.rotation, self.rotation.next_username.as_str());
        let server = &rotation.current.credentials.server;
        let of_the_pair = |version: &&SecretVersion| {
            let credentials = &version.credentials;
            credentials.username == user
                && credentials.server.host == server.host
                && credentials.server.port == server.port
        };
        let Some(previous) = previous.filter(of_the_pair) else {
            let message = format!(
                "AWSPREVIOUS is not of role {user:?} on this server: there is nothing to retire."
            );
            return Ok((message, retirement(user, false, 0, Vec::new())));
        };
        let wait = rotation.policy.retire_after;
        if self.age < wait {
            let why = format!(
                "the secret was changed {} ago, and retire_after is {}",
                period(self.age),
                period(wait)
            );
            return Ok(kept(user, &why, sessions::clients(self.own, user, None).await?));
        }
        let (origin, purpose) = (Origin::Previous, Purpose::Administer);
        let session = match rotation.login(self.context, previous, origin, purpose).await? {
            Login::Accepted(session) => session,
            Login::Rejected(_) => {
                let message = format!(
                    "Role {user:?} does not accept the password of AWSPREVIOUS any more: it is \
                     retired already."
                );
                let clients = sessions::clients(self.own, user, None).await?;
                return Ok((message, retirement(user, true, 0, clients)));
            }
        };
        let retired = self.drop_password(user, &session).await;
        session.close().await;
        retired
    }

    async fn drop_password(
        &self,
        user: &str,
        session: &Session,
    ) -> Result<(String, Retirement), Error> {
        let rotation = self.rotation;
        let allowed =
            async || rotation.still_current(&settled(self.context, &rotation.secret).await?);
        let sessions = ChangeSessions::by_role(self.own, session);
        let (in_use, clients) = sessions
            .change_under_lock(rotation, allowed, async |transaction| {
                role::drop_own_password(transaction).await?;
                // Once more, since that may have waited: a client may have come, or this user may
                // have become the current one again.
                let clients = sessions::clients(session, user, None).await?;
                let in_use = total(&clients) > 0 && !self.terminate;
                if in_use {
                    return Ok(((in_use, clients), End::RollBack));
                }
                allowed().await?;
                Ok(((in_use, clients), End::Commit))
            })
            .await?;
        let open = counted(total(&clients));
        if in_use {
            let why = format!("{open} of it open on this server; \"Terminate\": true ends them");
            return Ok(kept(user, &why, clients));
        }
        let ended =
            if clients.is_empty() { 0 } else { sessions::terminate(session, user, None).await? };
        let mut message = format!("Role {user:?} has no password until its next turn.");
        if ended > 0 {
            message = format!("{message} Told to end: {}.", counted(ended));
        }
        Ok((message, retirement(user, true, ended, clients)))
    }
}

fn kept(user: &str, why: &str, clients: Vec<Client>) -> (String, Retirement) {
    (
        format!("Role {user:?} keeps its password: {why}. Nothing was changed."),
        retirement(user, false, 0, clients),
    )
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
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (7_199, "1 h"),
            (86_400, "1 d"),
            (200_000, "2 d"),
        ] {
            assert_eq!(period(Duration::from_secs(seconds)), text);
        }
    }
}
