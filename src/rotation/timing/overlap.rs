//! The overlap: turns keep a distance, so that applications can still use the password before the
//! last one.

use std::time::{Duration, SystemTime};

use crate::context::Context;
use crate::error::{Error, RotationFault};
use crate::policy::Strategy;
use crate::report::period;
use crate::rotation::{Rotation, SecretVersion};
use crate::secret::store::{self, Description, VersionSelector};

/// Refuses a turn that would remove a password which was current a moment ago. A new secret's first
/// turn removes none. A single user has no overlap.
///
/// # Errors
/// [`Error::Rotation`], with `TooSoon`.
pub(crate) async fn check(
    context: &Context<'_>,
    rotation: &Rotation,
    description: &Description,
) -> Result<(), Error> {
    let overlap = rotation.policy.overlap;
    let age = age(rotation.current.created, description.last_rotated, SystemTime::now());
    let Some((age, left)) = age.and_then(|age| Some((age, left(overlap, age)?))) else {
        return Ok(());
    };
    if rotation.strategy == Strategy::SingleUser || !takes_password(context, rotation).await? {
        return Ok(());
    }
    Err(RotationFault::TooSoon {
        role: rotation.next_username.clone(),
        age: period(age),
        overlap: period(overlap),
        left: period(rounded_up(left)),
    }
    .of(&rotation.secret))
}

/// Whether AWSPREVIOUS belongs to the user whose turn it would be, on the same server.
async fn takes_password(context: &Context<'_>, rotation: &Rotation) -> Result<bool, Error> {
    let selector = VersionSelector::Stage(store::PREVIOUS);
    let previous = context.store.read(&rotation.secret, selector).await?;
    let previous = previous.and_then(|version| SecretVersion::parse(version, store::PREVIOUS).ok());
    Ok(previous.is_some_and(|previous| {
        previous.credentials.username == rotation.next_username
            && previous.same_server(&rotation.current)
    }))
}

/// The time since AWSCURRENT became current: by the later of its creation and the last rotation.
/// The date of the secret's last change does not count, since the next rotation's own version moves
/// it.
///
/// Both dates are from Secrets Manager's clock, and `now` is from the function's. If that is ahead,
/// the overlap ends earlier by as much. If it is behind, the overlap ends later. A date in the
/// future counts as now.
fn age(
    created: Option<SystemTime>,
    last_rotated: Option<SystemTime>,
    now: SystemTime,
) -> Option<Duration> {
    created.max(last_rotated).map(|since| now.duration_since(since).unwrap_or_default())
}

/// What is left of the overlap, if anything.
fn left(overlap: Duration, age: Duration) -> Option<Duration> {
    overlap.checked_sub(age).filter(|left| !left.is_zero())
}

/// Up to the next second or minute, so that waiting as long is enough.
fn rounded_up(left: Duration) -> Duration {
    let unit = if left > Duration::from_mins(1) { 60 } else { 1 };
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    Duration::from_secs(seconds.div_ceil(unit) * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_date_counts_and_one_in_the_future_is_now() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        for (created, last_rotated, expected) in [
            (Some(40), None, Some(60)),
            (Some(40), Some(70), Some(30)),
            (Some(70), Some(40), Some(30)),
            (Some(101), None, Some(0)),
            (None, Some(40), Some(60)),
            (None, None, None),
        ] {
            let age = age(created.map(at), last_rotated.map(at), at(100));
            assert_eq!(age.map(|age| age.as_secs()), expected, "{created:?} {last_rotated:?}");
        }
    }

    #[test]
    fn an_overlap_ends_at_its_last_second() {
        for (overlap, age, expected, text) in [
            (300_000, 0, true, "5 min"),
            (300_000, 40_000, true, "5 min"),
            (300_000, 241_000, true, "59 s"),
            (300_000, 299_100, true, "1 s"),
            (300_000, 300_000, false, ""),
            (300_000, 400_000, false, ""),
            (0, 0, false, ""),
        ] {
            let left = left(Duration::from_millis(overlap), Duration::from_millis(age));
            assert_eq!(left.is_some(), expected, "{overlap} {age}");
            assert_eq!(left.map(rounded_up).map(period).unwrap_or_default(), text);
        }
    }
}
