//! The warning that a password ends before the next rotation. No rotation changes that date.

use std::time::SystemTime;

use postgres_protocol::escape::escape_identifier;

use crate::context::Context;
use crate::database::Session;
use crate::database::expiry::{self, Expiry};
use crate::error::Error;
use crate::policy::Strategy;
use crate::report::seconds_until;
use crate::rotation::Rotation;
use crate::secret::store::Description;

/// When the next rotation can be expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextRotation {
    /// After this many seconds. Negative if it is late.
    In(i64),
    NotScheduled,
}

impl NextRotation {
    /// The date in Secrets Manager.
    pub(crate) fn scheduled(description: &Description) -> Self {
        let now = SystemTime::now();
        let until = |next| Self::In(seconds_until(next, now));
        description.next_rotation.map_or(Self::NotScheduled, until)
    }

    /// The rotation after the one that is under way. Until a rotation has ended, the date in
    /// Secrets Manager is its own, so one interval is added to now.
    fn after_this_one(description: &Description) -> Self {
        let Self::In(scheduled) = Self::scheduled(description) else { return Self::NotScheduled };
        let interval = description
            .next_rotation
            .zip(description.last_rotated)
            .map_or(0, |(next, last)| seconds_until(next, last));
        Self::In(scheduled.max(interval))
    }
}

impl Rotation {
    /// A warning for each user of this secret whose password ends before the rotation after this
    /// one. If that cannot be found out, a warning says so. The session's `search_path` has to be
    /// `pg_catalog`.
    pub(crate) async fn expiring(&self, context: &Context<'_>, session: &Session) -> Vec<String> {
        // Under a lease, it is right that passwords end.
        if self.policy.lease().is_some() {
            return Vec::new();
        }
        let expiring = async {
            let mut ends = expiry::read(session, &self.users()).await?;
            // A turn does not copy the date of a former lease.
            if self.strategy == Strategy::AlternatingUsers {
                ends.retain(|end| !end.is_of_lease());
            }
            // Most passwords never end, and cost no call.
            if ends.is_empty() {
                return Ok(Vec::new());
            }
            let description = context.store.describe(&self.secret).await?;
            let next = NextRotation::after_this_one(&description);
            Ok::<_, Error>(ends.iter().filter_map(|end| warning(end, next)).collect())
        };
        expiring.await.unwrap_or_else(|error| {
            let reason = error.reason();
            vec![format!("whether a password ends soon (VALID UNTIL) is unknown: {reason}")]
        })
    }
}

/// A warning if the password ends before the next rotation.
pub(crate) fn warning(end: &Expiry, next: NextRotation) -> Option<String> {
    let Expiry { role, at, seconds, .. } = end;
    let when = match next {
        _ if *seconds <= 0 => format!("ended at {at} (VALID UNTIL), so every login is refused"),
        NextRotation::In(next) if next >= *seconds => {
            format!("ends at {at} (VALID UNTIL), before the next rotation")
        }
        NextRotation::In(_) => return None,
        NextRotation::NotScheduled => {
            format!("ends at {at} (VALID UNTIL), and no rotation is scheduled")
        }
    };
    Some(format!(
        "the password of role {role:?} {when}. A rotation does not change that date. As a role \
         that may, run ALTER ROLE {} VALID UNTIL 'infinity', or set a later date.",
        escape_identifier(role)
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn description(last: Option<i64>, next: Option<i64>) -> Description {
        let at = |days: i64| {
            let day = Duration::from_hours(24);
            let distance = day * u32::try_from(days.abs()).unwrap();
            if days < 0 { SystemTime::now() - distance } else { SystemTime::now() + distance }
        };
        Description {
            last_rotated: last.map(at),
            next_rotation: next.map(at),
            ..Description::default()
        }
    }

    #[test]
    fn a_password_that_ends_before_the_next_rotation_is_a_warning() {
        for (days, last, next, during, at_rest) in [
            // A scheduled rotation under way: its own date is today.
            (20, Some(-30), Some(0), Some("before the next"), None),
            (31, Some(-30), Some(0), None, None),
            // A manual rotation in between.
            (20, Some(-10), Some(20), Some("before the next"), Some("before the next")),
            (25, Some(-10), Some(20), Some("before the next"), None),
            (31, Some(-10), Some(20), None, None),
            // The first rotation.
            (20, None, Some(30), Some("before the next"), Some("before the next")),
            (31, None, Some(30), None, None),
            // Late.
            (1, Some(-60), Some(-30), Some("before the next"), None),
            (1, None, None, Some("no rotation is scheduled"), Some("no rotation is scheduled")),
            (-1, Some(-10), Some(20), Some("ended at"), Some("ended at")),
        ] {
            let end = Expiry {
                role: "a b".to_owned(),
                at: "2030-01-01 00:00:00 UTC".to_owned(),
                exact: "2030-01-01 00:00:00.000000 UTC".to_owned(),
                epoch: 0,
                seconds: days * 86_400 - 60,
            };
            let description = description(last, next);
            for (next, expected) in [
                (NextRotation::after_this_one(&description), during),
                (NextRotation::scheduled(&description), at_rest),
            ] {
                let warning = warning(&end, next);
                let text = warning.as_deref().unwrap_or("none");
                assert_eq!(warning.is_some(), expected.is_some(), "{days} {next:?}: {text}");
                assert!(expected.is_none_or(|part| text.contains(part)), "{days} {next:?}: {text}");
            }
        }
    }
}
