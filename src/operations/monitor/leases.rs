//! What `monitor` does about leases. It renews the current user's lease if the next turn does not
//! come. It ends sessions that were opened with an ended password.

use std::time::Duration;

use super::health::LeaseFact;
use crate::context::Context;
use crate::database::expiry::{self, Expiry, PasswordEnd};
use crate::database::{Session, sessions};
use crate::error::{Error, clean};
use crate::policy::Strategy;
use crate::rotation::Rotation;
use crate::rotation::timing::lease::Decision;
use crate::rotation::timing::renewal;

/// How a lease was found, and what was done about it.
#[derive(Debug, Default)]
pub(super) struct LeaseSight {
    /// `None` if the policy has no lease, or its end is unknown.
    pub(super) fact: Option<LeaseFact>,
    /// What became of a lease that needed something.
    pub(super) said: Option<String>,
    /// The end of the current user's password, if this look found a newer one.
    pub(super) expires: Option<PasswordEnd>,
    /// Whether AWSCURRENT works again.
    pub(super) revived: bool,
    pub(super) warnings: Vec<String>,
}

/// Looks at the ends of both passwords over a session of the current user, and acts.
pub(super) async fn keep(
    context: &Context<'_>,
    rotation: &Rotation,
    session: &Session,
    every: Option<Duration>,
) -> LeaseSight {
    let (policy, mut sight) = (&rotation.policy, LeaseSight::default());
    if policy.lease().is_none() && !policy.terminate_on_retire {
        return sight;
    }
    let ends = match expiry::read(session, &rotation.users()).await {
        Ok(ends) => ends,
        Err(error) => {
            sight.warnings.push(clean::whole(format!("VALID UNTIL is unknown: {error}")));
            return sight;
        }
    };
    let next_user = Expiry::of(&ends, &rotation.next_username).filter(|end| end.has_passed());
    if let Some(ended) = next_user
        .filter(|_| policy.terminate_on_retire && rotation.strategy == Strategy::AlternatingUsers)
    {
        let told = end_sessions(context, rotation, session, ended).await;
        sight.warnings.extend(told.unwrap_or_else(|error| {
            let error = clean::whole(error.to_string());
            Some(format!("the sessions of role {:?} were not ended: {error}", ended.role))
        }));
    }
    let current = Expiry::of(&ends, &rotation.current.credentials.username);
    if let Some((current, facts)) = current.zip(renewal::facts(rotation, current, every)) {
        sight.fact = Some(LeaseFact::Lasts);
        let decision = facts.decide();
        let renewed = match decision {
            Decision::Lasts => return sight,
            Decision::Renew(period) => {
                Some((renewal::renew(context, rotation, session, period).await, period))
            }
            Decision::LimitReached | Decision::Ends => None,
        };
        tell(&mut sight, current, decision, renewed);
    }
    sight
}

/// Asks the admin whether the password that the database refuses has ended, and renews its lease.
pub(super) async fn revive(
    context: &Context<'_>,
    rotation: &Rotation,
    every: Option<Duration>,
) -> LeaseSight {
    let mut sight = LeaseSight::default();
    let Some(ended) = renewal::ended(context, rotation).await else { return sight };
    sight.expires = ended.end();
    let Some(facts) = renewal::facts(rotation, Some(&ended), every) else { return sight };
    let decision = facts.decide();
    let renewed = match decision {
        Decision::Renew(period) => Some((renewal::revive(context, rotation, period).await, period)),
        Decision::Lasts | Decision::LimitReached | Decision::Ends => None,
    };
    sight.revived = matches!(renewed, Some((Ok(_), _)));
    tell(&mut sight, &ended, decision, renewed);
    sight
}

/// Says what became of a lease that needed something.
fn tell(
    sight: &mut LeaseSight,
    end: &Expiry,
    decision: Decision,
    renewed: Option<(Result<String, Error>, Duration)>,
) {
    let Expiry { role, at, .. } = end;
    let ends = if end.has_passed() { "ended" } else { "ends" };
    sight.fact = Some(LeaseFact::Due);
    let said = match (renewed, decision) {
        (Some((Ok(until), period)), _) => {
            sight.expires = end.end().map(|end| end.renewed(period));
            format!(
                "No rotation came in time, so the lease of role {role:?} was renewed until {until}."
            )
        }
        (Some((Err(error), _)), _) => format!(
            "The lease of role {role:?} {ends} at {at}, and could not be renewed: {}",
            error.full_text()
        ),
        (None, Decision::Ends) => format!(
            "The lease of role {role:?} {ends} at {at}. It is not renewed, as on_overdue in \
             ROTATION_POLICY says."
        ),
        (None, _) => format!(
            "The lease of role {role:?} {ends} at {at}. Four leases after its turn, it is no \
             longer renewed."
        ),
    };
    sight.said = Some(said);
}

/// Ends the open sessions of the next user, whose password has ended. Asks the admin only if there
/// are any.
async fn end_sessions(
    context: &Context<'_>,
    rotation: &Rotation,
    session: &Session,
    ended: &Expiry,
) -> Result<Option<String>, Error> {
    let user = ended.role.as_str();
    if sessions::clients(session, user, None).await?.is_empty() {
        return Ok(None);
    }
    let count = renewal::end_sessions(context, rotation, session).await?;
    let sessions = if count == 1 { "session" } else { "sessions" };
    Ok(Some(format!(
        "{count} {sessions} of role {user:?} ended: its password had ended at {}.",
        ended.at
    )))
}
