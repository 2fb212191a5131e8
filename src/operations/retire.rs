//! `retire`: ends the use of the previous credential once no session uses it.
//!
//! With alternating users, the previous user logs in and removes its own password. That needs no
//! admin, and it can only affect a role whose password is in the secret.

use std::time::{Duration, SystemTime};

use super::operation_result::OperationResult;
use crate::context::Context;
use crate::database::sessions::{self, Client};
use crate::database::{End, Login, Purpose, Session, role};
use crate::error::{Error, clean};
use crate::policy::Strategy;
use crate::report::{ClientReport, Details, Retirement, period};
use crate::rotation::lock::Changer;
use crate::rotation::login::Origin;
use crate::rotation::{Rotation, SecretVersion, labels};
use crate::secret::store::{self, Description, VersionSelector};

pub(super) async fn run(
    context: &Context<'_>,
    secret: &str,
    terminate: bool,
) -> Result<OperationResult, Error> {
    retire(context, secret, terminate, settled(context, secret).await?).await
}

/// Retires without terminating sessions. `None` if our label says that it is retired already: a
/// login would only fail.
pub(super) async fn unless_retired(
    context: &Context<'_>,
    secret: &str,
) -> Result<Option<OperationResult>, Error> {
    let description = settled(context, secret).await?;
    let previous = description.holder(store::PREVIOUS);
    if previous.is_none() || previous == description.holder(store::RETIRED) {
        return Ok(None);
    }
    retire(context, secret, false, description).await.map(Some)
}

async fn retire(
    context: &Context<'_>,
    secret: &str,
    terminate: bool,
    description: Description,
) -> Result<OperationResult, Error> {
    let rotation = Rotation::read(context, secret, "").await?;
    let previous = context.store.read(secret, VersionSelector::Stage(store::PREVIOUS)).await?;
    let previous = previous.and_then(|version| SecretVersion::parse(version, store::PREVIOUS).ok());
    // Nothing is retired unless AWSCURRENT works.
    let (version, purpose) = (&rotation.current, Purpose::Administer);
    let current_user =
        rotation.login(context, version, Origin::Current, purpose).await?.accepted()?;
    // The latest of all dates: neither the move of a label nor the change in the database has one
    // of its own.
    let changed = rotation.current.created.max(description.last_rotated);
    let age = since(changed.max(description.last_changed));
    let marked = description.holder(store::RETIRED).map(str::to_owned);
    let retiring = RetireTask {
        context,
        rotation: &rotation,
        current_user: &current_user,
        age,
        terminate,
        marked,
    };
    let retired = match rotation.strategy {
        Strategy::SingleUser => retiring.single_user(previous.as_ref()).await,
        Strategy::AlternatingUsers => retiring.alternating_users(previous.as_ref()).await,
    };
    current_user.close().await;
    let (message, retirement) = retired?;
    let details = Details::Retirement(retirement);
    Ok(OperationResult { strategy: Some(rotation.strategy), message, details })
}

/// The description, if no rotation is under way: a rotation may be about to change the password.
async fn settled(context: &Context<'_>, secret: &str) -> Result<Description, Error> {
    let description = context.store.describe(secret).await?;
    labels::not_managed(&description)
        .and_then(|()| labels::at_rest(&description))
        .map_err(|fault| fault.of(secret))?;
    Ok(description)
}

struct RetireTask<'a> {
    context: &'a Context<'a>,
    rotation: &'a Rotation,
    /// A session of the current user.
    current_user: &'a Session,
    /// The time since the last change of the secret.
    age: Duration,
    terminate: bool,
    /// The version that carries our label.
    marked: Option<String>,
}

impl RetireTask<'_> {
    /// Single user: the old password is already refused; sessions opened with it stay open.
    async fn single_user(
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
                "This secret has had no other password for role {user:?}: there is nothing to \
                 retire."
            );
            return Ok((message, retirement(user, true, 0, Vec::new())));
        }
        let clients = sessions::clients(self.current_user, user, Some(self.age)).await?;
        let open = total(&clients);
        let ended = if self.terminate && open > 0 {
            sessions::terminate(self.current_user, user, Some(self.age)).await?
        } else {
            0
        };
        let message = match (open, self.terminate) {
            (0, _) => format!(
                "Role {user:?} has no session from before the last change of the secret, {ago} ago."
            ),
            (_, true) => format!(
                "Terminated {} of role {user:?} from before the last change of the secret, {ago} \
                 ago.",
                counted(ended)
            ),
            (_, false) => {
                let open = counted(open);
                format!(
                    "Role {user:?} has {open} from before the last change of the secret, {ago} \
                     ago. \"Terminate\": true ends them."
                )
            }
        };
        Ok((message, retirement(user, ended >= open, ended, clients)))
    }

    /// Alternating users: the previous user would keep its password until its next turn.
    async fn alternating_users(
        &self,
        previous: Option<&SecretVersion>,
    ) -> Result<(String, Retirement), Error> {
        let (rotation, user) = (self.rotation, self.rotation.next_username.as_str());
        let of_the_pair = |version: &&SecretVersion| {
            version.credentials.username == user && version.same_server(&rotation.current)
        };
        let Some(previous) = previous.filter(of_the_pair) else {
            let message = format!(
                "AWSPREVIOUS does not belong to role {user:?} on this server: there is nothing to \
                 retire."
            );
            return Ok((message, retirement(user, false, 0, Vec::new())));
        };
        let wait = rotation.policy.retire_after;
        // On a retired secret, our own label was the last change.
        let marked = self.marked.as_deref() == Some(previous.id.as_str());
        if self.age < wait && !marked {
            let why = format!(
                "the secret was changed {} ago, and retire_after is {}",
                period(self.age),
                period(wait)
            );
            return Ok(kept(user, &why, sessions::clients(self.current_user, user, None).await?));
        }
        let (origin, purpose) = (Origin::Previous, Purpose::Administer);
        let session = match rotation.login(self.context, previous, origin, purpose).await? {
            Login::Accepted(session) => session,
            Login::Rejected(_) => {
                let message = format!(
                    "The database no longer accepts the password of AWSPREVIOUS for role {user:?}: \
                     it is already retired."
                );
                let clients = sessions::clients(self.current_user, user, None).await?;
                self.mark(previous).await;
                return Ok((message, retirement(user, true, 0, clients)));
            }
        };
        let retired = self.drop_password(user, &session).await;
        session.close().await;
        if matches!(&retired, Ok((_, Retirement { retired: true, .. }))) {
            self.mark(previous).await;
        }
        retired
    }

    /// Puts our label on the retired version. Without it the next call logs in once more.
    async fn mark(&self, retired: &SecretVersion) {
        if self.marked.as_deref() == Some(retired.id.as_str()) {
            return;
        }
        let (secret, from) = (&self.rotation.secret, self.marked.as_deref());
        if let Err(error) = self.context.store.mark_retired(secret, from, &retired.id).await {
            tracing::warn!(secret.arn = secret, "the retired version got no label: {error}");
        }
    }

    async fn drop_password(
        &self,
        user: &str,
        session: &Session,
    ) -> Result<(String, Retirement), Error> {
        let rotation = self.rotation;
        let allowed =
            async || rotation.still_current(&settled(self.context, &rotation.secret).await?);
        let lock = self.current_user.lock(rotation.lock_name()).await?;
        let (in_use, clients) = Changer::previous_user(&lock, session)
            .change(&allowed, async |transaction| {
                role::drop_own_password(transaction).await?;
                // Checked again, since the statement may have waited: a client may have connected,
                // or this user may be current again.
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
            let why = format!("it has {open} open on this server; \"Terminate\": true ends them");
            return Ok(kept(user, &why, clients));
        }
        let ended =
            if clients.is_empty() { 0 } else { sessions::terminate(session, user, None).await? };
        let mut message = format!("Role {user:?} has no password until its next turn.");
        if ended > 0 {
            message = format!("{message} Terminated {}.", counted(ended));
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
        application_name: client.application.as_deref().map(clean::name),
        address: client.address.as_deref().map(clean::name),
        sessions: client.sessions,
        oldest_seconds: client.oldest_seconds,
    });
    Retirement { role: clean::name(user), retired, terminated, clients: clients.collect() }
}

fn total(clients: &[Client]) -> u64 {
    clients.iter().fold(0, |sum, client| sum.saturating_add(client.sessions))
}

fn counted(count: u64) -> String {
    if count == 1 { "1 session".to_owned() } else { format!("{count} sessions") }
}

fn since(time: Option<SystemTime>) -> Duration {
    time.and_then(|time| SystemTime::now().duration_since(time).ok()).unwrap_or_default()
}
