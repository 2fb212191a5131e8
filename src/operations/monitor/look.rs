//! Looks at one secret: its description, and one login with AWSCURRENT. Changes nothing but the end
//! of a lease.

use std::time::{Duration, SystemTime};

use super::admins::Admins;
use super::advice;
use super::health::{Facts, LoginFact, PendingLabel, RotationSetting, decide};
use super::listing::is_of;
use super::sight::{Sight, see};
use crate::context::Context;
use crate::error::{Error, StoreFault, clean};
use crate::report::{SecretHealth, Timestamp, seconds_until};
use crate::secret::store::{CURRENT, Description, PENDING};

/// A secret with its health, and what the comparison with the others needs.
pub(super) struct Look {
    pub(super) health: SecretHealth,
    /// The server and the role, or the pair's base user. Two secrets must not share them.
    pub(super) place: Option<(String, String)>,
    /// Whether the policy and the secret's state allow to retire the previous credential.
    pub(super) may_retire: bool,
    /// Whether the look came to an end before the time ran out.
    pub(super) complete: bool,
}

/// Looks at a secret. A failure is its state: no secret keeps the others from being looked at.
///
/// `listed` is the list's description of a secret that does not name this function. It is used if
/// IAM does not let the function describe the secret. `every` is the time between two runs of
/// `monitor`.
pub(super) async fn look(
    context: &Context<'_>,
    admins: &Admins,
    id: &str,
    listed: Option<&Description>,
    every: Option<Duration>,
) -> Look {
    let (described, sight) = match (context.store.describe(id).await, listed) {
        (Ok(described), _) if described.owning_service.is_some() => (described, Sight::untried("")),
        (Ok(described), _) => see(context, admins, described, every).await,
        (Err(error), Some(listed)) if is_denied(&error) => {
            (listed.clone(), Sight::untried(&error.full_text()))
        }
        (Err(error), _) => return not_described(context, id, &error),
    };
    let time_left = context.deadline.leaves(Duration::from_millis(1));
    let here = is_of(&described, context.function_arn);
    let facts = facts(&described, &sight, advice::setting(&described, here));
    let finding = decide(&facts);
    let wanted = context.config.policies.named_whole();
    let wanted = wanted.into_iter().any(|id| id == described.arn || id == described.name);
    let age = facts.last_rotation.or(facts.created);
    let health = SecretHealth {
        state: finding.state,
        since: finding.since.map(Timestamp),
        reason: clean::whole(advice::reason(&finding, &facts, sight.role.as_deref(), &sight.said)),
        command: advice::command(&finding, &described, context.function_arn, wanted),
        role: sight.role.as_deref().map(clean::name),
        host: sight.host.as_deref().map(clean::name),
        age_seconds: age.map(|age| facts.now.duration_since(age).unwrap_or_default().as_secs()),
        next_rotation_in_seconds: facts.next_rotation.map(|next| seconds_until(next, facts.now)),
        expires_in_seconds: facts.expires.map(|end| end.seconds_left),
        certificate_expires_in_seconds: sight.certificate_expires_in,
        warnings: sight.warnings.into_iter().map(clean::whole).collect(),
        retirement: None,
        metrics: sight.metrics,
        secret_id: described.arn.clone(),
        name: described.name.clone(),
    };
    let at_rest = facts.pending == PendingLabel::AtRest && sight.login == LoginFact::Accepted;
    // If another function rotates the secret, only the policy can ask this one to retire.
    let ours = facts.rotation == RotationSetting::Here || wanted;
    let complete = time_left || sight.login == LoginFact::Accepted;
    Look { may_retire: sight.retires && at_rest && ours, place: sight.place, complete, health }
}

/// The facts of the decision, from what was seen.
fn facts(described: &Description, sight: &Sight, rotation: RotationSetting) -> Facts {
    let current = described.holder(CURRENT);
    // Storing a value by hand removes AWSPENDING. Our rotations leave it.
    let by_rotation = current.is_some() && described.holder(PENDING) == current;
    let stored = sight.current_created;
    let last_rotation = described.last_rotated.max(stored.filter(|_| by_rotation));
    let by_hand = stored.filter(|stored| !by_rotation && Some(*stored) > last_rotation);
    let last_changed = described.last_changed;
    Facts {
        now: SystemTime::now(),
        rotation,
        created: described.created,
        last_rotation,
        stored_by_hand: by_hand,
        next_rotation: described.next_rotation,
        interval: described.interval,
        pending: match described.under_way() {
            None => PendingLabel::AtRest,
            Some(_) => PendingLabel::UnderWay { last_changed },
        },
        login: sight.login,
        expires: sight.expires,
        lease: sight.lease,
    }
}

/// The health of a secret that Secrets Manager does not describe.
fn not_described(context: &Context<'_>, id: &str, error: &Error) -> Look {
    let reason = error.full_text();
    let known = !matches!(error, Error::SecretsManager { fault: StoreFault::NotFound(_), .. });
    let command = advice::look_again(id, context.function_arn).filter(|_| known);
    let health = SecretHealth { reason, command, ..SecretHealth::unknown(id.to_owned()) };
    let complete = context.deadline.leaves(Duration::from_millis(1));
    Look { health, place: None, may_retire: false, complete }
}

fn is_denied(error: &Error) -> bool {
    matches!(error, Error::SecretsManager { fault: StoreFault::AccessDenied { .. }, .. })
}
