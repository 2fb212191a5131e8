//! Renews the lease of the current user, and ends sessions that an ended credential left open. Both
//! are done by the admin, under the role's lock.

use std::time::{Duration, SystemTime};

use postgres_protocol::escape::escape_identifier;

use super::lease;
use crate::context::Context;
use crate::database::expiry::{self, Expiry};
use crate::database::{End, Login, Purpose, Session, sessions};
use crate::error::Error;
use crate::rotation::lock::Changer;
use crate::rotation::login::Origin;
use crate::rotation::{Rotation, admin, labels};

/// The facts for a decision about the current user; `None` if the policy has no lease.
pub(crate) fn facts(
    rotation: &Rotation,
    expiry: Option<&Expiry>,
    monitor_period: Option<Duration>,
) -> Option<lease::Facts> {
    let created = rotation.current.created.unwrap_or(SystemTime::UNIX_EPOCH);
    rotation.policy.lease().map(|lease| lease::Facts {
        lease,
        seconds_left: expiry.map(|expiry| expiry.seconds),
        age: SystemTime::now().duration_since(created).unwrap_or_default(),
        monitor_period,
        on_overdue: rotation.policy.on_overdue,
    })
}

/// When the passwords of both users end, as the admin sees it; empty if it cannot be asked.
pub(crate) async fn expiry_by_admin(context: &Context<'_>, rotation: &Rotation) -> Vec<Expiry> {
    if rotation.admin_secret().is_none() {
        return Vec::new();
    }
    let Ok(admin) = admin::session(context, rotation, None).await else { return Vec::new() };
    let expiry = expiry::read(&admin, &rotation.users()).await;
    admin.close().await;
    expiry.unwrap_or_default()
}

/// The end of the current user's password, if it has passed and the admin can see it. The server
/// refuses that like a wrong password.
pub(crate) async fn ended(context: &Context<'_>, rotation: &Rotation) -> Option<Expiry> {
    let role = &rotation.current.credentials.username;
    let ends = expiry_by_admin(context, rotation).await;
    ends.into_iter().find(|end| end.role == *role).filter(Expiry::has_passed)
}

/// Sentences about a password of the current user that has ended.
pub(crate) fn advice(rotation: &Rotation, ended: &Expiry) -> String {
    let role = &rotation.current.credentials.username;
    let until = &ended.at;
    let decision = facts(rotation, Some(ended), None).map(lease::Facts::decide_for_a_person);
    let advice = match decision {
        None => format!(
            "Run ALTER ROLE {} VALID UNTIL 'infinity', or set another date.",
            escape_identifier(role)
        ),
        Some(lease::Decision::Renew(_)) => {
            "The next rotation brings a new lease, and \"recover\" renews this one through the \
             admin."
                .to_owned()
        }
        Some(_) => {
            "Four leases after it began, it is no longer renewed. The next rotation needs no login \
             of this user."
                .to_owned()
        }
    };
    format!("The password of role {role:?} ended at {until} (VALID UNTIL). {advice}")
}

/// Lets the current user's password end after `period`. Returns the new date. `session` belongs to
/// that user.
///
/// # Errors
/// [`Error::Rotation`] if AWSCURRENT has moved, and those of the admin's change.
pub(crate) async fn renew(
    context: &Context<'_>,
    rotation: &Rotation,
    session: &Session,
    period: Duration,
) -> Result<String, Error> {
    let lock = session.lock(rotation.lock_name()).await?;
    let renew =
        async |changer: Changer<'_>| set(context, rotation, changer, NewEnd::After(period)).await;
    let until = admin::as_admin(context, rotation, &lock, renew).await?;
    let _ = lock.release().await;
    Ok(until)
}

/// Renews a lease that has ended. No session of the user can show before whether the password is
/// right, so a login with AWSCURRENT shows it afterwards. If that is refused, the old date is set
/// again.
///
/// # Errors
/// Those of [`renew`], and [`Error::Database`], with `LoginRejected` if the password is wrong too.
pub(crate) async fn revive(
    context: &Context<'_>,
    rotation: &Rotation,
    period: Duration,
) -> Result<String, Error> {
    let role = rotation.current.credentials.username.as_str();
    let revive = async |changer: Changer<'_>| {
        let before = expiry::read(changer.session(), &[role]).await?.pop();
        let until = set(context, rotation, changer, NewEnd::After(period)).await?;
        let login =
            rotation.login(context, &rotation.current, Origin::Current, Purpose::Administer).await;
        match login.and_then(Login::accepted) {
            Ok(session) => {
                session.close().await;
                Ok(until)
            }
            Err(error) => {
                if let Some(before) = before {
                    set(context, rotation, changer, NewEnd::At(&before.exact)).await?;
                }
                Err(error)
            }
        }
    };
    admin::as_admin_alone(context, rotation, revive).await
}

/// A new end of a password.
#[derive(Debug, Clone, Copy)]
enum NewEnd<'a> {
    After(Duration),
    At(&'a str),
}

/// Sets the current user's date, if AWSCURRENT has not moved. After a turn, the date of the user
/// before must stay.
async fn set(
    context: &Context<'_>,
    rotation: &Rotation,
    changer: Changer<'_>,
    end: NewEnd<'_>,
) -> Result<String, Error> {
    let role = rotation.current.credentials.username.as_str();
    let allowed = async || rotation.still_current(&context.store.describe(&rotation.secret).await?);
    changer
        .change(allowed, async |transaction| {
            let (until, date) = match end {
                NewEnd::After(period) => {
                    let until = expiry::after(transaction.session(), period).await?;
                    let date = expiry::of_lease(&until);
                    (until, date)
                }
                NewEnd::At(date) => (date.to_owned(), date.to_owned()),
            };
            expiry::set(transaction, role, &date).await?;
            Ok((until, End::Commit))
        })
        .await
}

/// Ends the open sessions of the next user if its password has ended. Returns their number.
/// `session` belongs to the current user. The admin needs the right to end them: membership in
/// `pg_signal_backend`.
///
/// # Errors
/// [`Error::Rotation`] if a rotation has begun, which may give that user a new password, and those
/// of the admin.
pub(crate) async fn end_sessions(
    context: &Context<'_>,
    rotation: &Rotation,
    session: &Session,
) -> Result<u64, Error> {
    let user = rotation.next_username.as_str();
    let lock = session.lock(rotation.lock_name()).await?;
    let end = async |changer: Changer<'_>| {
        let description = context.store.describe(&rotation.secret).await?;
        labels::at_rest(&description).map_err(|fault| fault.of(&rotation.secret))?;
        rotation.still_current(&description)?;
        let admin = changer.session();
        let ended = expiry::read(admin, &[user]).await?.first().is_some_and(Expiry::has_passed);
        if ended { sessions::terminate(admin, user, None).await } else { Ok(0) }
    };
    let ended = admin::as_admin(context, rotation, &lock, end).await?;
    let _ = lock.release().await;
    Ok(ended)
}
