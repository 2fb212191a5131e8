//! Facts about a secret and its roles on which no decision rests.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::inspected_sessions::InspectedSessions;
use crate::context::Context;
use crate::database::expiry::{self, Expiry};
use crate::database::sessions;
use crate::error::clean;
use crate::report::{ScheduleReport, seconds_until};
use crate::rotation::Rotation;
use crate::rotation::timing::expiry::{NextRotation, warning};
use crate::rotation::timing::renewal;
use crate::secret::store::Description;

/// Facts for a person. A fact that cannot be read is reported, and the operation continues.
#[derive(Default)]
pub(super) struct Surroundings {
    pub(super) sessions: BTreeMap<String, u64>,
    pub(super) stored_as: BTreeMap<String, String>,
    /// Passwords that end before the next rotation, and copies of passwords on the server.
    pub(super) warnings: Vec<String>,
    pub(super) expiry: Vec<Expiry>,
    pub(super) not_visible: BTreeMap<&'static str, String>,
}

/// Reads the open sessions, how the passwords are stored and when they end, over the first open
/// session. If there is none, the admin is asked whether a password has ended. The server refuses
/// an ended one like a wrong one.
pub(super) async fn look_around(
    context: &Context<'_>,
    rotation: &Rotation,
    description: &Description,
    sessions: &InspectedSessions,
) -> Surroundings {
    let mut seen = Surroundings::default();
    let session = [&sessions.current, &sessions.pending, &sessions.older].into_iter().flatten();
    let Some(session) = session.into_iter().next() else {
        seen.expiry = renewal::expiry_by_admin(context, rotation).await;
        return seen;
    };
    let users = rotation.users();
    match sessions::count(session, &users).await {
        Ok(count) => seen.sessions = shown(count),
        Err(error) => drop(seen.not_visible.insert("Sessions", error.reason())),
    }
    match sessions::stored_as(session, &users).await {
        Ok(stored_as) => {
            let stored_as = stored_as.into_iter().map(|(user, form)| (user, clean::name(&form)));
            seen.stored_as = shown(stored_as);
        }
        Err(error) => drop(seen.not_visible.insert("PasswordStoredAs", error.reason())),
    }
    let next = NextRotation::scheduled(description);
    match expiry::read(session, &users).await {
        Ok(ends) => {
            // Under a lease, it is right that passwords end.
            if rotation.policy.lease().is_none() {
                let current = &rotation.current.credentials.username;
                // The next turn does not copy the date of a former lease.
                let stays = |end: &&Expiry| end.role == *current || !end.is_of_lease();
                let staying = ends.iter().filter(stays);
                seen.warnings = staying.filter_map(|end| warning(end, next)).collect();
            }
            seen.expiry = ends;
        }
        Err(error) => drop(seen.not_visible.insert("ValidUntil", error.reason())),
    }
    seen.warnings.extend(rotation.copies(session).await);
    seen
}

impl Surroundings {
    pub(super) fn dates<T>(&self, of: impl Fn(&Expiry) -> T) -> BTreeMap<String, T> {
        shown(self.expiry.iter().map(|expiry| (expiry.role.clone(), of(expiry))))
    }
}

/// Facts about roles, whose names may hold anything.
fn shown<T>(of_roles: impl IntoIterator<Item = (String, T)>) -> BTreeMap<String, T> {
    of_roles.into_iter().map(|(role, fact)| (clean::name(&role), fact)).collect()
}

pub(super) fn schedule(description: &Description) -> ScheduleReport {
    let now = SystemTime::now();
    let next = description.next_rotation.map(|next| seconds_until(next, now));
    ScheduleReport {
        rotation_enabled: description.rotation_enabled,
        last_rotated_seconds_ago: age(description.last_rotated),
        next_rotation_in_seconds: next,
        overdue: description.rotation_enabled == Some(true) && next.is_some_and(|next| next < 0),
    }
}

/// How long ago, in seconds.
pub(super) fn age(since: Option<SystemTime>) -> Option<u64> {
    since.map(|since| SystemTime::now().duration_since(since).unwrap_or_default().as_secs())
}
