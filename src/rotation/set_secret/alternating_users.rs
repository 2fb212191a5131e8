//! `setSecret` for two users: the admin makes the one whose turn is next the equal of the current
//! one, and gives it the pending password.

use super::super::login::{self, Found};
use super::super::{Context, Done, Rotation, admin, strategy};
use super::plan::{Plan, Refusal, plan};
use super::{Locked, done, not_accepted, not_with_current, set_under_lock, storage, under_lock};
use crate::database::pair::{self, Names};
use crate::database::role::End;
use crate::database::{Purpose, Session};
use crate::error::Error;
use crate::report::Outcome;
use crate::secret::password::Password;

/// The current user is never touched. Its login is the proof that the secret is about a role of its
/// own, and on which server that is.
pub(super) async fn run(context: &Context<'_>, rotation: &Rotation) -> Result<Done, Error> {
    let database = rotation.database(context, &rotation.current)?;
    let address = database.target.address();
    match login::find(context, rotation, &database, Purpose::Administer).await? {
        Found::Session { session: own, with } => {
            let mut done = by_admin(context, rotation, Some(&own), &address).await;
            own.close().await;
            if let Ok(done) = &mut done {
                done.warnings.extend(not_with_current(with));
            }
            done
        }
        // The application is locked out already: a pending user that an earlier attempt has made
        // ready is what helps it soonest.
        Found::Pending => {
            let message = format!(
                "Role {:?} on {address} accepts the pending password already.",
                rotation.next_username
            );
            let mut done = Done::new(Outcome::AlreadySet, message);
            done.warnings.push(format!(
                "role {:?} does not accept the password of AWSCURRENT.",
                rotation.current.credentials.username
            ));
            Ok(done)
        }
        Found::Nothing { .. } if rotation.policy.admin_reset => {
            by_admin(context, rotation, None, &address).await
        }
        Found::Nothing { tried } => Err(not_accepted(rotation, &address, tried)),
    }
}

async fn by_admin(
    context: &Context<'_>,
    rotation: &Rotation,
    own: Option<&Session>,
    host: &str,
) -> Result<Done, Error> {
    let admin = admin::session(context, rotation, own).await?;
    let done = make_equal(context, rotation, Locked::by(own, &admin), host).await;
    admin.close().await;
    done
}

async fn make_equal(
    context: &Context<'_>,
    rotation: &Rotation,
    sessions: Locked<'_>,
    host: &str,
) -> Result<Done, Error> {
    let admin = sessions.acting;
    let (names, pending) = (names(rotation), &rotation.pending()?.credentials);
    let storage = storage(rotation, admin).await?;
    let stored_form = pending.password.stored_form(names.next_user, storage);
    let change = async || {
        let plan = planned(rotation, admin, host).await?;
        pair::apply(admin, names, &plan.change, &stored_form, storage, End::Commit)
            .await
            .map_err(admin::lacks_right)?;
        Ok(plan)
    };
    let Plan { change, warnings } = set_under_lock(context, rotation, sessions, change).await?;
    let has = if change.create {
        "was created with the pending password"
    } else {
        "has the pending password now"
    };
    let acts = change.act_as.map_or(String::new(), |role| format!(", and acts as {role:?}"));
    let mut done = done(
        storage,
        format!(
            "Role {:?} {has}{acts}. Role {:?} was left as it is.",
            names.next_user, names.current
        ),
    );
    done.warnings.extend(warnings);
    Ok(done)
}

/// Makes the next user the current one's equal, with that password, and takes all of it back; what
/// a person should know about it.
pub(crate) async fn rehearse(
    rotation: &Rotation,
    own: &Session,
    admin: &Session,
    host: &str,
    password: &Password,
) -> Result<Vec<String>, Error> {
    let names = names(rotation);
    let storage = storage(rotation, admin).await?;
    let stored_form = password.stored_form(names.next_user, storage);
    let change = async || {
        let plan = planned(rotation, admin, host).await?;
        pair::apply(admin, names, &plan.change, &stored_form, storage, End::RollBack)
            .await
            .map_err(admin::lacks_right)?;
        Ok(plan.warnings)
    };
    under_lock(rotation, Locked::by(Some(own), admin), async || Ok(()), change).await
}

/// What there is to do to the next user, within the transaction of [`set_under_lock`].
async fn planned(rotation: &Rotation, admin: &Session, host: &str) -> Result<Plan, Error> {
    let names = names(rotation);
    let facts = pair::read(admin, names).await?;
    plan(&facts, names, rotation.policy.create_users)
        .map_err(|refusal| refused(rotation, host, admin, refusal))
}

fn names(rotation: &Rotation) -> Names<'_> {
    let current = &rotation.current.credentials;
    Names {
        current: &current.username,
        next_user: &rotation.next_username,
        owner: rotation.policy.owner_role.as_deref(),
        base: strategy::base(&current.username),
        dbname: &current.server.dbname,
    }
}

fn refused(rotation: &Rotation, host: &str, admin: &Session, refusal: Refusal) -> Error {
    let (role, host) = (rotation.next_username.clone(), host.to_owned());
    match refusal {
        Refusal::Admin(reason) => Error::AdminRefused {
            admin: admin::secret(rotation).unwrap_or_default().to_owned(),
            role,
            reason,
        },
        Refusal::NotReady(problem) => Error::UsersNotReady { role, host, problem },
        Refusal::LacksRight(statements) => Error::AdminLacksRight {
            admin: admin.role().to_owned(),
            host,
            role,
            statements: statements.join("; "),
        },
    }
}
