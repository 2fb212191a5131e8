//! Whether the lease of the current user is renewed: one pure decision over what is left of it.
//!
//! A turn gives the next user a whole lease and leaves the current one's alone. If the next turn
//! does not come in time, the current user's lease is renewed: a late rotation must not be an
//! outage.

use std::time::Duration;

use crate::policy::OnOverdue;

/// AWSCURRENT is renewed until this many leases after it was made. No count of renewals is kept, so
/// the date is the limit.
const MOST_LEASES: u32 = 4;

/// The least that a renewal adds. At the limit, the clocks' difference of seconds is no reason to
/// renew.
const LEAST_GAIN: Duration = Duration::from_mins(1);

/// The facts that the decision needs. All times but `age` come from the database's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) lease: Duration,
    /// What is left, in seconds; negative if it has ended. `None` means that the password has no
    /// end.
    pub(crate) seconds_left: Option<i64>,
    /// The age of AWSCURRENT, from Secrets Manager's date to the function's present. If these
    /// clocks differ, the limit moves by as much.
    pub(crate) age: Duration,
    /// The time between two runs of `monitor`, if it is known.
    pub(crate) monitor_period: Option<Duration>,
    pub(crate) on_overdue: OnOverdue,
}

/// What happens to the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Enough of it is left.
    Lasts,
    /// It is renewed: this much from now on.
    Renew(Duration),
    /// It ends soon or has ended, and was renewed for as long as it may be.
    LimitReached,
    /// It ends soon or has ended, and the policy lets it.
    Ends,
}

impl Decision {
    /// The new lease, if there is one.
    pub(crate) fn renewal(self) -> Option<Duration> {
        match self {
            Self::Renew(period) => Some(period),
            Self::Lasts | Self::LimitReached | Self::Ends => None,
        }
    }
}

impl Facts {
    /// Decides only by what is left. The rotation may be late, switched off or on a new schedule.
    /// Too little is less than a quarter of a lease, or less than two runs of `monitor`: one of
    /// them may fail.
    pub(crate) fn decide(self) -> Decision {
        let Some(seconds_left) = self.seconds_left else { return Decision::Lasts };
        let left = Duration::from_secs(u64::try_from(seconds_left).unwrap_or_default());
        let enough = (self.lease / 4).max(self.monitor_period.unwrap_or_default() * 2);
        if left >= enough {
            return Decision::Lasts;
        }
        if self.on_overdue == OnOverdue::Expire {
            return Decision::Ends;
        }
        self.renewal(left)
    }

    /// Decides for a person, who wants AWSCURRENT to work, even if the policy lets a lease end.
    pub(crate) fn decide_for_a_person(self) -> Decision {
        Self { on_overdue: OnOverdue::Renew, ..self }.decide()
    }

    fn renewal(self, left: Duration) -> Decision {
        let until_limit = (self.lease * MOST_LEASES).saturating_sub(self.age);
        let renewed = self.lease.min(until_limit);
        // A date is never brought forward.
        if renewed > left + LEAST_GAIN { Decision::Renew(renewed) } else { Decision::LimitReached }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    /// The lease of 6 h that a schedule of 4 h needs.
    fn facts(hours_left: Option<i64>, age_in_hours: u64) -> Facts {
        Facts {
            lease: Duration::from_hours(6),
            seconds_left: hours_left.map(|hours| hours * HOUR),
            age: Duration::from_hours(age_in_hours),
            monitor_period: None,
            on_overdue: OnOverdue::Renew,
        }
    }

    fn hours(number: u64) -> Decision {
        Decision::Renew(Duration::from_hours(number))
    }

    #[test]
    fn what_is_left_decides_until_four_leases_after_the_turn() {
        for (left, age, expected) in [
            // On time, and at the latest turn of the window.
            (Some(6), 0, Decision::Lasts),
            (Some(2), 4, Decision::Lasts),
            (Some(1), 5, hours(6)),
            // `monitor` failed for long, or was switched on late.
            (Some(0), 6, hours(6)),
            (Some(-5), 11, hours(6)),
            // The last renewals are shorter, and there is no other.
            (Some(1), 18, hours(6)),
            (Some(1), 20, hours(4)),
            (Some(1), 22, hours(2)),
            (Some(1), 23, Decision::LimitReached),
            (Some(0), 24, Decision::LimitReached),
            (Some(-1), 24, Decision::LimitReached),
            (Some(-1), 23, hours(1)),
            (Some(-100), 1000, Decision::LimitReached),
            // A user of the time before the policy had a lease.
            (None, 0, Decision::Lasts),
            (None, 1000, Decision::Lasts),
        ] {
            assert_eq!(facts(left, age).decide(), expected, "{left:?} {age}");
        }
    }

    #[test]
    fn two_runs_of_monitor_are_left_at_least() {
        for (period, left, expected) in [
            (1, 2, Decision::Lasts),
            (2, 3, hours(6)),
            (2, 4, Decision::Lasts),
            // As long as a lease: nothing else is safe.
            (3, 5, hours(6)),
        ] {
            let monitor_period = Some(Duration::from_hours(period));
            let facts = Facts { monitor_period, ..facts(Some(left), 1) };
            assert_eq!(facts.decide(), expected, "{period} {left}");
        }
    }

    #[test]
    fn the_policy_may_let_a_lease_end_and_a_person_may_not_want_it() {
        for (left, monitor, person) in [
            (Some(3), Decision::Lasts, Decision::Lasts),
            (Some(1), Decision::Ends, hours(6)),
            (Some(-1), Decision::Ends, hours(6)),
        ] {
            let facts = Facts { on_overdue: OnOverdue::Expire, ..facts(left, 5) };
            assert_eq!(
                (facts.decide(), facts.decide_for_a_person()),
                (monitor, person),
                "{left:?}"
            );
        }
    }

    #[test]
    fn no_date_lies_beyond_the_limit_and_none_is_brought_forward() {
        for age in 0..40 {
            for left in -30..10 {
                if let Decision::Renew(renewed) = facts(Some(left), age).decide() {
                    let hours = i64::try_from(renewed.as_secs()).unwrap() / HOUR;
                    assert!(hours <= 6 && hours > left, "{left} {age}");
                    assert!(i64::try_from(age).unwrap() + hours <= 24, "{left} {age}");
                }
            }
        }
    }
}
