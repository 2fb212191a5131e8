//! The health of a secret: one pure decision over what Secrets Manager says of it and one login
//! with AWSCURRENT.

use std::time::{Duration, SystemTime};

use crate::database::expiry::PasswordEnd;
use crate::report::Health;

/// How long after the window for its next rotation a secret counts as overdue.
const OVERDUE_AFTER: Duration = Duration::from_hours(4);
/// The longest window of a schedule that is given in days.
const LONGEST_WINDOW: Duration = Duration::from_hours(24);
/// A rotation takes seconds, and Secrets Manager repeats a failed one for some minutes.
const STUCK_AFTER: Duration = Duration::from_hours(1);
/// The time that a person needs to renew a role's `VALID UNTIL`.
const EXPIRING_WITHIN: Duration = Duration::from_hours(7 * 24);

/// The facts that the decision needs.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) now: SystemTime,
    pub(super) rotation: RotationSetting,
    /// The creation of the secret.
    pub(super) created: Option<SystemTime>,
    /// The end of the last rotation. Storing a value by hand is no rotation.
    pub(super) last_rotation: Option<SystemTime>,
    /// When a person stored the present value, if no rotation did.
    pub(super) stored_by_hand: Option<SystemTime>,
    /// The end of the window of the next rotation. Storing a value by hand moves it, too.
    pub(super) next_rotation: Option<SystemTime>,
    /// The time between two rotations, if the schedule says it plainly.
    pub(super) interval: Option<Duration>,
    pub(super) pending: PendingLabel,
    pub(super) login: LoginFact,
    /// The end of the role's password: its `VALID UNTIL`, if it has one and that is known.
    pub(super) expires: Option<PasswordEnd>,
    /// How its lease stands, if the policy has one and that is known.
    pub(super) lease: Option<LeaseFact>,
}

/// How a lease stands. `monitor` has renewed what it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeaseFact {
    /// It lasts until the next turn.
    Lasts,
    /// It would not last until the next turn, which is late.
    Due,
}

/// What Secrets Manager says of the secret's rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RotationSetting {
    /// It is on and names this function.
    Here,
    /// It is off, and names this function.
    Off,
    /// It is on and names another function.
    Elsewhere,
    /// It is off, and names no function or another one.
    Nowhere,
    /// The service that made the secret rotates it.
    Managed,
}

/// Where the label AWSPENDING is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PendingLabel {
    /// On AWSCURRENT's version, or on none.
    AtRest,
    /// On another version. The secret was last changed at this time.
    UnderWay { last_changed: Option<SystemTime> },
}

/// What a login with AWSCURRENT showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoginFact {
    Accepted,
    /// Refused twice, and AWSCURRENT was the same version before and after.
    Refused,
    /// Refused, and AWSCURRENT moved meanwhile: a rotation may have ended in between.
    RefusedWhileMoving,
    /// It failed for another reason than the password.
    Failed,
    /// It could not be tried.
    Untried,
}

/// The state of a secret, its cause, and what puts it right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) state: Health,
    pub(super) since: Option<SystemTime>,
    pub(super) cause: Cause,
}

/// Why a secret is in its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    InOrder,
    /// Another service rotates the secret.
    Managed,
    Refused,
    /// `VALID UNTIL` has passed.
    Expired,
    UnderWay,
    /// The window of the next rotation has passed.
    WindowPassed,
    /// A person stored the value, and no rotation came in the time of the schedule.
    StoredByHand,
    LoginFailed,
    /// A lease has ended and could not be renewed.
    LeaseEnded,
    /// `VALID UNTIL` comes soon.
    Expires,
    /// A lease would not have lasted until the next turn.
    LeaseDue,
    SwitchedOff,
    OtherFunction,
    NoFunction,
    NeverRotated,
    CurrentMoved,
    NotLookedAt,
}

/// Decides. The worst state that applies wins.
pub(super) fn decide(facts: &Facts) -> Finding {
    let found = |state, since, cause| Finding { state, since, cause };
    if facts.rotation == RotationSetting::Managed {
        return found(Health::Ok, None, Cause::Managed);
    }
    let passed = |time: &SystemTime| *time <= facts.now;
    let expired = facts.expires.filter(PasswordEnd::has_passed);
    let refused = facts.login == LoginFact::Refused;
    if refused && expired.is_none() {
        return found(Health::Mismatch, None, Cause::Refused);
    }
    if let Some(expired) = expired {
        let cause = if facts.lease.is_some() { Cause::LeaseEnded } else { Cause::Expired };
        return found(Health::Expired, Some(expired.date), cause);
    }
    if let PendingLabel::UnderWay { last_changed } = facts.pending
        && last_changed.is_none_or(|changed| passed(&(changed + STUCK_AFTER)))
    {
        return found(Health::Stuck, last_changed, Cause::UnderWay);
    }
    if let Some((since, cause)) = overdue(facts) {
        return found(Health::Overdue, Some(since), cause);
    }
    if facts.login == LoginFact::Failed {
        return found(Health::Unreachable, None, Cause::LoginFailed);
    }
    // Without a lease, a rotation does not renew `VALID UNTIL`.
    let soon = facts.next_rotation.max(Some(facts.now + EXPIRING_WITHIN));
    match facts.lease {
        Some(LeaseFact::Due) => return found(Health::Expiring, None, Cause::LeaseDue),
        None if facts.expires.is_some_and(|end| Some(end.by_clock(facts.now)) < soon) => {
            return found(Health::Expiring, None, Cause::Expires);
        }
        None | Some(LeaseFact::Lasts) => {}
    }
    match facts.rotation {
        RotationSetting::Off => found(Health::Disabled, None, Cause::SwitchedOff),
        RotationSetting::Elsewhere => found(Health::Disabled, None, Cause::OtherFunction),
        RotationSetting::Nowhere => found(Health::Disabled, None, Cause::NoFunction),
        RotationSetting::Here | RotationSetting::Managed => match facts.login {
            _ if facts.last_rotation.is_none() => {
                found(Health::NeverRotated, facts.created, Cause::NeverRotated)
            }
            LoginFact::RefusedWhileMoving => found(Health::Unknown, None, Cause::CurrentMoved),
            LoginFact::Untried => found(Health::Unknown, None, Cause::NotLookedAt),
            LoginFact::Accepted | LoginFact::Refused | LoginFact::Failed => {
                found(Health::Ok, None, Cause::InOrder)
            }
        },
    }
}

/// Since when a rotation is overdue. Only a rotation that is on, and here, can be.
fn overdue(facts: &Facts) -> Option<(SystemTime, Cause)> {
    if facts.rotation != RotationSetting::Here {
        return None;
    }
    let passed = |time: &SystemTime, grace: Duration| *time + grace < facts.now;
    let window = facts.next_rotation.filter(|end| passed(end, OVERDUE_AFTER));
    if let Some(end) = window {
        return Some((end, Cause::WindowPassed));
    }
    // Secrets Manager counts a value stored by hand as a rotation. It is none.
    let (last, interval, _) = (facts.last_rotation?, facts.interval?, facts.stored_by_hand?);
    let due = last + interval;
    passed(&due, LONGEST_WINDOW + OVERDUE_AFTER).then_some((due, Cause::StoredByHand))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);
    const DAY: Duration = Duration::from_hours(24);

    fn now() -> SystemTime {
        UNIX_EPOCH + 20_000 * DAY
    }

    /// A secret in order: rotated two days ago, and due in five.
    fn healthy() -> Facts {
        Facts {
            now: now(),
            rotation: RotationSetting::Here,
            created: Some(now() - 100 * DAY),
            last_rotation: Some(now() - 2 * DAY),
            stored_by_hand: None,
            next_rotation: Some(now() + 5 * DAY),
            interval: Some(7 * DAY),
            pending: PendingLabel::AtRest,
            login: LoginFact::Accepted,
            expires: None,
            lease: None,
        }
    }

    /// An end by a clock that is right.
    fn end(date: SystemTime) -> PasswordEnd {
        let left = match date.duration_since(now()) {
            Ok(left) => i64::try_from(left.as_secs()).unwrap(),
            Err(late) => -i64::try_from(late.duration().as_secs()).unwrap(),
        };
        PasswordEnd { date, seconds_left: left }
    }

    const SETTINGS: [RotationSetting; 5] = [
        RotationSetting::Here,
        RotationSetting::Off,
        RotationSetting::Elsewhere,
        RotationSetting::Nowhere,
        RotationSetting::Managed,
    ];
    const LOGINS: [LoginFact; 5] = [
        LoginFact::Accepted,
        LoginFact::Refused,
        LoginFact::RefusedWhileMoving,
        LoginFact::Failed,
        LoginFact::Untried,
    ];

    /// Every combination of the facts, with a time on each side of each limit.
    fn all() -> Vec<Facts> {
        let mut all = Vec::new();
        let long_ago = Some(now() - 60 * DAY);
        let under_way = |last_changed| PendingLabel::UnderWay { last_changed };
        for rotation in SETTINGS {
            for login in LOGINS {
                for pending in [
                    PendingLabel::AtRest,
                    under_way(None),
                    under_way(Some(now() - HOUR / 2)),
                    under_way(Some(now() - 2 * HOUR)),
                ] {
                    for expires in [None, Some(end(now() - HOUR)), Some(end(now() + 2 * DAY))] {
                        for next_rotation in
                            [None, Some(now() + DAY), Some(now() - HOUR), Some(now() - 5 * HOUR)]
                        {
                            for last_rotation in [None, long_ago] {
                                for stored_by_hand in [None, Some(now() - DAY)] {
                                    all.push(Facts {
                                        rotation,
                                        last_rotation,
                                        stored_by_hand,
                                        next_rotation,
                                        pending,
                                        login,
                                        expires,
                                        ..healthy()
                                    });
                                }
                            }
                        }
                    }
                }
            }
        }
        all
    }

    /// What each state means, said once more and without an order.
    fn holds(state: Health, facts: &Facts) -> bool {
        let expired = facts.expires.is_some_and(|end| end.date < now());
        let last_changed = match facts.pending {
            PendingLabel::AtRest => None,
            PendingLabel::UnderWay { last_changed } => Some(last_changed.unwrap_or(UNIX_EPOCH)),
        };
        let on = facts.rotation == RotationSetting::Here;
        match state {
            Health::Mismatch => facts.login == LoginFact::Refused && !expired,
            Health::Expired => expired,
            Health::Stuck => last_changed.is_some_and(|changed| changed < now() - HOUR),
            Health::Overdue => {
                let by_hand = facts.stored_by_hand.is_some() && facts.last_rotation.is_some();
                on && (facts.next_rotation.is_some_and(|next| next < now() - 4 * HOUR) || by_hand)
            }
            Health::Unreachable => facts.login == LoginFact::Failed,
            Health::Expiring => facts.expires.is_some(),
            Health::Disabled => !on,
            Health::NeverRotated => facts.last_rotation.is_none(),
            Health::Unknown => {
                matches!(facts.login, LoginFact::RefusedWhileMoving | LoginFact::Untried)
            }
            Health::Ok => true,
        }
    }

    #[test]
    fn the_worst_state_that_holds_is_the_one() {
        let all = all();
        assert!(all.len() > 4_000, "{}", all.len());
        for facts in all {
            let expected = if facts.rotation == RotationSetting::Managed {
                Health::Ok
            } else {
                Health::WORST_FIRST.into_iter().find(|state| holds(*state, &facts)).unwrap()
            };
            assert_eq!(decide(&facts).state, expected, "{facts:?}");
        }
    }

    #[test]
    fn nobody_is_called_for_a_rotation_that_ended_in_between() {
        for facts in all() {
            if facts.login != LoginFact::Refused {
                assert_ne!(decide(&facts).state, Health::Mismatch, "{facts:?}");
            }
        }
    }

    #[test]
    fn each_state_has_its_cause_and_its_beginning() {
        use Cause as C;
        use Health as H;
        let due = Some(now() - 5 * HOUR);
        let changed = Some(now() - 2 * HOUR);
        let under_way = PendingLabel::UnderWay { last_changed: changed };
        let expired = Some(end(now() - HOUR));
        let soon = Some(end(now() + 6 * DAY));
        let late = Some(end(now() + 8 * DAY));
        let next_month = Some(now() + 30 * DAY);
        let by_hand = Some(now() - DAY);
        let long_ago = Some(now() - 40 * DAY);
        let created = Some(now() - 100 * DAY);
        for (facts, state, since, cause) in [
            (healthy(), H::Ok, None, C::InOrder),
            (Facts { login: LoginFact::Refused, ..healthy() }, H::Mismatch, None, C::Refused),
            (
                Facts { login: LoginFact::Refused, expires: expired, ..healthy() },
                H::Expired,
                Some(now() - HOUR),
                C::Expired,
            ),
            (Facts { pending: under_way, ..healthy() }, H::Stuck, changed, C::UnderWay),
            (Facts { next_rotation: due, ..healthy() }, H::Overdue, due, C::WindowPassed),
            (
                Facts { stored_by_hand: by_hand, last_rotation: long_ago, ..healthy() },
                H::Overdue,
                Some(now() - 33 * DAY),
                C::StoredByHand,
            ),
            (Facts { stored_by_hand: by_hand, ..healthy() }, H::Ok, None, C::InOrder),
            (
                Facts {
                    stored_by_hand: by_hand,
                    last_rotation: long_ago,
                    interval: None,
                    ..healthy()
                },
                H::Ok,
                None,
                C::InOrder,
            ),
            (Facts { login: LoginFact::Failed, ..healthy() }, H::Unreachable, None, C::LoginFailed),
            (Facts { expires: soon, ..healthy() }, H::Expiring, None, C::Expires),
            (Facts { expires: late, ..healthy() }, H::Ok, None, C::InOrder),
            (
                Facts { expires: soon, lease: Some(LeaseFact::Lasts), ..healthy() },
                H::Ok,
                None,
                C::InOrder,
            ),
            (
                Facts { expires: late, lease: Some(LeaseFact::Due), ..healthy() },
                H::Expiring,
                None,
                C::LeaseDue,
            ),
            (
                Facts { expires: expired, lease: Some(LeaseFact::Due), ..healthy() },
                H::Expired,
                Some(now() - HOUR),
                C::LeaseEnded,
            ),
            (
                Facts { expires: late, next_rotation: next_month, ..healthy() },
                H::Expiring,
                None,
                C::Expires,
            ),
            (
                Facts { rotation: RotationSetting::Off, ..healthy() },
                H::Disabled,
                None,
                C::SwitchedOff,
            ),
            (
                Facts { rotation: RotationSetting::Off, next_rotation: due, ..healthy() },
                H::Disabled,
                None,
                C::SwitchedOff,
            ),
            (
                Facts { rotation: RotationSetting::Elsewhere, ..healthy() },
                H::Disabled,
                None,
                C::OtherFunction,
            ),
            (
                Facts { rotation: RotationSetting::Nowhere, last_rotation: None, ..healthy() },
                H::Disabled,
                None,
                C::NoFunction,
            ),
            (Facts { last_rotation: None, ..healthy() }, H::NeverRotated, created, C::NeverRotated),
            (
                Facts { login: LoginFact::RefusedWhileMoving, ..healthy() },
                H::Unknown,
                None,
                C::CurrentMoved,
            ),
            (Facts { login: LoginFact::Untried, ..healthy() }, H::Unknown, None, C::NotLookedAt),
            (Facts { rotation: RotationSetting::Managed, ..healthy() }, H::Ok, None, C::Managed),
        ] {
            assert_eq!(decide(&facts), Finding { state, since, cause }, "{facts:?}");
        }
    }
}
