//! A fault at every request to Secrets Manager, every statement and every login to PostgreSQL. Then
//! three ways out, each of which has to lead to a working AWSCURRENT.

use std::fmt;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, LocalSet};

use crate::world::fault_rig::{FaultRig, LONG, WayOut, What, Where};
use crate::world::lambda::Function;
use crate::world::wire;

/// The time of a step that nothing answers. `finishSecret` changes a single user's password only
/// with 10 s or more left.
const SHORT: Duration = Duration::from_secs(3);
const SHORT_FINISH: Duration = Duration::from_secs(15);
/// Rotations that wait for a time-out at the same time.
const AT_ONCE: usize = 8;

const PLACES: [fn(usize) -> Where; 3] = [Where::Request, Where::Statement, Where::Login];

const ENDS: [What; 3] = [What::FailsBefore, What::AnswerLost, What::KilledAfter];
const CUTS: [What; 2] = [What::AnswerLost, What::KilledAfter];

const WAYS: [WayOut; 3] = [WayOut::Retry, WayOut::Abandon, WayOut::Recover];

/// How many points of each kind were tried.
#[derive(Debug, Default)]
struct Points {
    requests: usize,
    statements: usize,
    logins: usize,
}

impl Points {
    fn count(&mut self, at: Where) {
        match at {
            Where::Request(_) => self.requests += 1,
            Where::Statement(_) => self.statements += 1,
            Where::Login(_) => self.logins += 1,
        }
    }

    fn all(&self) -> usize {
        self.requests + self.statements + self.logins
    }
}

impl fmt::Display for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, statements, logins } = self;
        write!(
            f,
            "{:>4} points: {requests:>3} requests, {statements:>3} statements, {logins:>2} logins",
            self.all()
        )
    }
}

/// One line of the table of what was tried.
fn print_row(pair: bool, points: &Points, how: &str) {
    let users = if pair { "alternating users" } else { "single user" };
    let _ = writeln!(std::io::stderr(), "{users:<17} {points}; {how}: all converge");
}

/// Rotates with that fault, in one invocation or in two at once; whether the fault struck.
async fn rotate_with_fault(
    rig: &FaultRig,
    racing: Option<&Function>,
    at: Where,
    what: What,
    token: &str,
) -> bool {
    let times = match what {
        What::NeverAnswered => [SHORT, SHORT, SHORT, SHORT_FINISH],
        _ => [LONG; 4],
    };
    let rotated = async {
        match racing {
            None => rig.rotate_within(times, &rig.function, token).await,
            Some(other) => {
                let (one, two) =
                    tokio::join!(rig.rotate(&rig.function, token), rig.rotate(other, token));
                one.and(two)
            }
        }
    };
    let struck = rig.strike(at, what, rotated).await;
    rig.function.set_timeout(LONG);
    struck
}

/// AWSCURRENT works at every moment. The one exception is short: a single user's password was
/// changed, and the invocation had no chance to move AWSCURRENT or to go back.
async fn assert_current_works(rig: &FaultRig, what: What, context: &str) {
    let cut_off = matches!(what, What::KilledAfter | What::NeverAnswered);
    let may_be_refused = !rig.pair && cut_off && rig.wire.committed();
    assert!(may_be_refused || rig.current_logs_in().await, "{context}: AWSCURRENT stopped working");
}

/// Fails a rotation at every point, and takes one of these ways out after each.
async fn every_fault(pair: bool, whats: &[What], ways: &[WayOut], race: bool) {
    let rig = FaultRig::new(pair).await;
    let racing = race.then(|| rig.second_function());
    let mut points = Points::default();
    for what in whats.iter().copied() {
        for place in PLACES {
            for nth in 1.. {
                let token = rig.application.begin().await;
                let struck =
                    rotate_with_fault(&rig, racing.as_ref(), place(nth), what, &token).await;
                let way = ways[nth % ways.len()];
                let context = format!("{what:?} at {:?}, then {way:?}", place(nth));
                assert_current_works(&rig, what, &context).await;
                if !struck {
                    assert!(rig.current_logs_in().await, "{context}: AWSCURRENT does not log in");
                    break;
                }
                points.count(place(nth));
                rig.take_way_out(way, &token, &context).await;
            }
        }
    }
    let raced = if race { ", by two invocations at once" } else { "" };
    print_row(pair, &points, &format!("{whats:?}, then {ways:?}{raced}"));
    assert!(points.all() >= 25 * whats.len(), "only {points}");
}

/// Fails a return to the previous version at every point. The same call again and a recovery each
/// lead to an AWSCURRENT that works.
async fn every_fault_of_a_return(pair: bool) {
    let rig = FaultRig::new(pair).await;
    rig.rotate_undisturbed().await;
    let recover = |options: Value| rig.application.operate(&rig.function, "recover", options);
    let previous = json!({"Prefer": "previous"});
    let mut points = Points::default();
    for what in CUTS {
        for place in PLACES {
            for nth in 1.. {
                let struck = rig.strike(place(nth), what, recover(previous.clone())).await;
                let way = if nth % 2 == 0 { previous.clone() } else { json!({}) };
                let context = format!("{what:?} at {:?} of a return, then {way}", place(nth));
                assert_current_works(&rig, what, &context).await;
                if !struck {
                    break;
                }
                points.count(place(nth));
                let recovered = recover(way).await;
                assert!(recovered.is_ok(), "{context}: {recovered:?}");
                assert!(rig.current_logs_in().await, "{context}: AWSCURRENT does not log in");
                rig.assert_in_order(&context).await;
            }
        }
    }
    print_row(pair, &points, &format!("{CUTS:?} of a return, then the same or recover"));
    assert!(points.all() >= 10 * CUTS.len(), "only {points}");
}

/// Before its first turn, the second user does not exist, and `pg_hba.conf` refuses it by its
/// group.
async fn rig_after_one_turn(pair: bool) -> FaultRig {
    let rig = FaultRig::new(pair).await;
    if pair {
        rig.rotate_undisturbed().await;
    }
    rig
}

/// Has nothing answer at a point, each with a secret and a function of its own, since each waits.
async fn every_time_out(pair: bool) {
    let undisturbed = rig_after_one_turn(pair).await;
    let calls = undisturbed.proxy.calls().len();
    undisturbed.wire.arm(usize::MAX, wire::Fault::Hang);
    undisturbed.rotate_undisturbed().await;
    let (statements, logins) = undisturbed.wire.seen();
    let points = Points { requests: undisturbed.proxy.calls().len() - calls, statements, logins };

    let permits = Rc::new(Semaphore::new(AT_ONCE));
    let mut rotations = JoinSet::new();
    let all = LocalSet::new();
    for (place, count) in
        PLACES.into_iter().zip([points.requests, points.statements, points.logins])
    {
        for nth in 1..=count {
            let permits = Rc::clone(&permits);
            let rotation = async move {
                let _permit = permits.acquire().await.expect("it is never closed");
                let (at, what) = (place(nth), What::NeverAnswered);
                let rig = rig_after_one_turn(pair).await;
                let token = rig.application.begin().await;
                let struck = rotate_with_fault(&rig, None, at, what, &token).await;
                let way = WAYS[nth % WAYS.len()];
                let context = format!("{what:?} at {at:?}, then {way:?}");
                assert!(struck, "{context}: there is no such point");
                assert_current_works(&rig, what, &context).await;
                rig.take_way_out(way, &token, &context).await;
            };
            rotations.spawn_local_on(rotation, &all);
        }
    }
    all.run_until(async {
        while let Some(ended) = rotations.join_next().await {
            ended.expect("a rotation converges");
        }
    })
    .await;
    print_row(pair, &points, &format!("{:?}, then {WAYS:?}", What::NeverAnswered));
    assert!(points.all() >= 25, "only {points}");
}

#[tokio::test]
async fn every_fault_of_a_single_user_then_a_retry() {
    every_fault(false, &ENDS, &[WayOut::Retry], false).await;
}

#[tokio::test]
async fn every_fault_of_a_single_user_then_another_rotation() {
    every_fault(false, &ENDS, &[WayOut::Abandon], false).await;
}

#[tokio::test]
async fn every_fault_of_a_single_user_then_recovery() {
    every_fault(false, &ENDS, &[WayOut::Recover], false).await;
}

#[tokio::test]
async fn every_fault_of_alternating_users_then_a_retry() {
    every_fault(true, &ENDS, &[WayOut::Retry], false).await;
}

#[tokio::test]
async fn every_fault_of_alternating_users_then_another_rotation() {
    every_fault(true, &ENDS, &[WayOut::Abandon], false).await;
}

#[tokio::test]
async fn every_fault_of_alternating_users_then_recovery() {
    every_fault(true, &ENDS, &[WayOut::Recover], false).await;
}

#[tokio::test]
async fn every_time_out_of_a_single_user() {
    every_time_out(false).await;
}

#[tokio::test]
async fn every_time_out_of_alternating_users() {
    every_time_out(true).await;
}

#[tokio::test]
async fn every_fault_of_a_single_user_in_a_race() {
    every_fault(false, &[What::FailsBefore, What::AnswerLost], &WAYS, true).await;
}

#[tokio::test]
async fn every_fault_of_alternating_users_in_a_race() {
    every_fault(true, &[What::FailsBefore, What::AnswerLost], &WAYS, true).await;
}

#[tokio::test]
async fn every_fault_of_a_return_of_a_single_user() {
    every_fault_of_a_return(false).await;
}

#[tokio::test]
async fn every_fault_of_a_return_of_alternating_users() {
    every_fault_of_a_return(true).await;
}
