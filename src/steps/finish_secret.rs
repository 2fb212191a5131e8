//! `finishSecret`: proves the pending version by a login and moves AWSCURRENT to it. Single user:
//! it also changes the password, right before.

use super::evidence;
use super::step_result::StepResult;
use crate::context::Context;
use crate::database::{Login, Purpose};
use crate::error::{Error, RotationFault};
use crate::policy::Strategy;
use crate::report::{Evidence, Outcome};
use crate::rotation::labels::{self, State};
use crate::rotation::login::Origin;
use crate::rotation::promotion::{self, Promoted, Promotion};
use crate::rotation::{Rotation, SecretVersion};
use crate::secret::store::Description;

pub(super) async fn run(context: &Context<'_>, rotation: &Rotation) -> Result<StepResult, Error> {
    let (promoted, evidence) = match rotation.strategy {
        Strategy::SingleUser => single_user(context, rotation, rotation.pending()?).await?,
        Strategy::AlternatingUsers => {
            alternating_users(context, rotation, rotation.pending()?).await?
        }
    };
    let (from, to) = (&rotation.current.id, &rotation.token);
    let message = match promoted {
        Promoted::Moved => format!("AWSCURRENT moved from version {from} to {to}."),
        Promoted::MovedByAnother => {
            format!("AWSCURRENT is on version {to}: another call moved it.")
        }
    };
    Ok(StepResult { evidence, ..StepResult::new(Outcome::Finished, message) })
}

/// Tries AWSCURRENT's password, then the pending one: the database has that one if an earlier call
/// was cut off.
///
/// The evidence is read before the lock is taken. After the move, the session still holds the lock.
/// If the server stopped answering then, the lock would stay.
async fn single_user(
    context: &Context<'_>,
    rotation: &Rotation,
    pending: &SecretVersion,
) -> Result<(Promoted, Option<Evidence>), Error> {
    let promotion = Promotion { context, rotation, to: pending, origin: Origin::Pending };
    let look = async |labels: fn(&Description, &str) -> Result<State, RotationFault>| {
        let description = context.store.describe(&rotation.secret).await?;
        let state =
            labels(&description, &rotation.token).map_err(|fault| fault.of(&rotation.secret))?;
        if state == State::Pending {
            rotation.still_current(&description)?;
        }
        Ok(state)
    };
    // If rotation was switched off, nothing changes any more. But once the database has the pending
    // password, the move still happens. Otherwise AWSCURRENT would be refused for ever.
    let before_change = async || look(labels::state).await;
    let after_change = async || look(labels::progress).await;
    let (current, purpose) = (&rotation.current, Purpose::Administer);
    let login = rotation.login(context, current, Origin::Current, purpose).await?;
    if let Login::Accepted(session) = login {
        let evidence = evidence::of(context, rotation, &session).await;
        let promoted = if pending.same_login(current) {
            promotion.move_only(&session, &after_change).await
        } else {
            promotion.change_and_move(&session, &before_change).await
        };
        session.close().await;
        return promoted.map(|promoted| if_moved(promoted, evidence));
    }
    let login = rotation.login(context, pending, Origin::Pending, purpose).await?;
    let session = login.accepted()?;
    let evidence = evidence::of(context, rotation, &session).await;
    let promoted = promotion.move_only(&session, &after_change).await;
    session.close().await;
    promoted.map(|promoted| if_moved(promoted, evidence))
}

/// The evidence belongs to the call that made the move.
fn if_moved(promoted: Promoted, evidence: Evidence) -> (Promoted, Option<Evidence>) {
    let made = promoted == Promoted::Moved;
    (promoted, Some(evidence).filter(|_| made))
}

/// The login protects against a call out of order, which must not promote a password that the
/// database refuses.
async fn alternating_users(
    context: &Context<'_>,
    rotation: &Rotation,
    pending: &SecretVersion,
) -> Result<(Promoted, Option<Evidence>), Error> {
    let login = rotation.login(context, pending, Origin::Pending, Purpose::Application).await?;
    let session = login.accepted()?;
    let promoted = promotion::alternating_users::move_current(context, rotation, &pending.id).await;
    // This session holds no lock, so it may fail now.
    let evidence = evidence::of(context, rotation, &session).await;
    session.close().await;
    promoted.map(|promoted| if_moved(promoted, evidence))
}
