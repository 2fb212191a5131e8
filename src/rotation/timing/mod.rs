//! Whether the policy's lease and overlap fit the secret's schedule: one pure decision.

pub(crate) mod expiry;
pub(crate) mod lease;
pub(crate) mod overlap;
pub(crate) mod renewal;
mod schedule;

use std::time::{Duration, SystemTime};

use self::schedule::Schedule;
use super::Rotation;
use crate::error::{Error, Problem, RotationFault};
use crate::policy::{Policy, Strategy};
use crate::secret::store::Description;

/// A third of the shortest schedule, which is every 4 hours: a shorter overlap fits every secret.
const FITS_EVERY_SCHEDULE: Duration = Duration::from_mins(80);

/// Refuses a lease that could end before the next turn, and an overlap that could make a scheduled
/// turn fail.
///
/// # Errors
/// [`Error::Rotation`], with `Policy`.
pub(crate) fn check(
    rotation: &Rotation,
    description: &Description,
    now: SystemTime,
) -> Result<(), Error> {
    let Policy { lease, overlap, .. } = rotation.policy;
    let pair = rotation.strategy == Strategy::AlternatingUsers;
    if lease.is_none() && (!pair || overlap < FITS_EVERY_SCHEDULE) {
        return Ok(());
    }
    let schedule = || {
        let rules = description.rules.as_ref();
        rules.map_or(Ok(None), |rules| Schedule::of(rules, now))
    };
    let checked = match lease {
        Some(_) if !pair => Err(Problem::from(
            "lease needs two users: a role cannot set its own VALID UNTIL. Set admin_secret and \
             the strategy alternating-users, or remove lease.",
        )),
        Some(_) if rotation.policy.lease().is_none() => Err(Problem::from(
            "lease needs \"role\": the admin sets VALID UNTIL for that role, which may not do so \
             itself. Name it, or remove lease.",
        )),
        _ => schedule().and_then(|schedule| fits(lease, overlap, schedule)),
    };
    checked.map_err(|problem| RotationFault::Policy(problem).of(&rotation.secret))
}

fn fits(
    lease: Option<Duration>,
    overlap: Duration,
    schedule: Option<Schedule>,
) -> Result<(), Problem> {
    let Some(schedule) = schedule else {
        // Without a schedule, no turn would follow before the lease ends.
        return lease.map_or(Ok(()), |_| {
            Err("lease needs a schedule, and this secret has none. Set one with `aws \
                 secretsmanager rotate-secret --rotation-rules`."
                .into())
        });
    };
    let needed = schedule.shortest_lease();
    if let Some(lease) = lease.filter(|lease| *lease < needed) {
        return Err(format!(
            "lease is {}, and its schedule needs {} or more: {} from turn to turn, {} of window, \
             and a quarter of the interval for a turn that is late.",
            hours(lease),
            hours(needed),
            hours(schedule.longest),
            hours(schedule.window)
        )
        .into());
    }
    if overlap >= schedule.shortest / 3 {
        return Err(format!(
            "overlap is {}, and its schedule has a turn every {}. Set overlap to less than a third \
             of that.",
            hours(overlap),
            hours(schedule.shortest)
        )
        .into());
    }
    Ok(())
}

impl Schedule {
    /// A lease has to outlast the latest moment of the next turn, by a quarter of the interval.
    fn shortest_lease(&self) -> Duration {
        self.longest + self.window + self.longest / 4
    }
}

/// In the form of the policy, rounded up.
fn hours(duration: Duration) -> String {
    format!("{}h", duration.as_secs().div_ceil(3600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_outlasts_the_latest_turn_by_a_quarter() {
        let hours = Duration::from_hours;
        let schedule = |longest, shortest, window| {
            let (longest, shortest, window) = (hours(longest), hours(shortest), hours(window));
            Some(Schedule { longest, shortest, window })
        };
        for (schedule, lease, overlap, expected) in [
            (schedule(4, 4, 1), Some(6), 0, ""),
            (schedule(5, 5, 1), Some(7), 0, "lease is 7h, and its schedule needs 8h or more"),
            (schedule(5, 5, 1), Some(8), 0, ""),
            (schedule(24, 24, 24), Some(53), 0, "needs 54h or more: 24h from turn to turn, 24h"),
            (schedule(24, 24, 24), Some(54), 0, ""),
            (schedule(24, 24, 3), Some(33), 0, ""),
            (schedule(72, 24, 1), Some(90), 0, "needs 91h or more"),
            (None, Some(100), 0, "lease needs a schedule"),
            (None, None, 100, ""),
            (schedule(24, 24, 24), None, 8, "overlap is 8h, and its schedule has a turn every 24h"),
            (schedule(24, 24, 24), None, 7, ""),
            // The shortest interval counts, of which a third has to be left.
            (schedule(16, 4, 1), None, 2, "has a turn every 4h"),
            (schedule(16, 4, 1), Some(21), 1, ""),
        ] {
            let fits = fits(lease.map(hours), hours(overlap), schedule);
            let said = fits.map_or_else(|problem| problem.to_string(), |()| String::new());
            assert!(
                said.contains(expected) && said.is_empty() == expected.is_empty(),
                "{schedule:?} {lease:?} {overlap}: {said}"
            );
        }
    }
}
