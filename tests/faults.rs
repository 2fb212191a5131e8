//! A fault at every request to Secrets Manager and every statement to PostgreSQL, then three ways
//! out: each has to lead to a working AWSCURRENT.

use std::io::Write;
use std::time::Duration;

use crate::world::eventually;
use crate::world::fault_rig::{FaultRig, WayOut};
use crate::world::lambda::Function;
use crate::world::proxy::Fault;
use crate::world::wire;

/// The time of an invocation that nothing answers, and of all others.
const SHORT: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy)]
enum Where {
    Request(usize),
    Statement(usize),
}

#[derive(Debug, Clone, Copy)]
enum What {
    FailsBefore,
    AnswerLost,
    KilledAfter,
    NeverAnswered,
}

const ENDS: [What; 3] = [What::FailsBefore, What::AnswerLost, What::KilledAfter];

const WAYS: [WayOut; 3] = [WayOut::Retry, WayOut::Abandon, WayOut::Recover];

/// Rotates with that fault, in one invocation or in two at once; whether the fault struck.
async fn rotate_with_fault(
    rig: &FaultRig,
    racing: Option<&Function>,
    at: Where,
    what: What,
    token: &str,
) -> bool {
    match at {
        Where::Request(nth) => rig.proxy.arm(
            nth,
            match what {
                What::FailsBefore => Fault::Refuse(400, "LimitExceededException"),
                What::AnswerLost => Fault::LoseAnswer,
                What::KilledAfter | What::NeverAnswered => Fault::HangAfterEffect,
            },
        ),
        Where::Statement(nth) => rig.wire.arm(
            nth,
            match what {
                What::FailsBefore => wire::Fault::BreakBefore,
                What::AnswerLost | What::KilledAfter => wire::Fault::BreakAfter,
                What::NeverAnswered => wire::Fault::Hang,
            },
        ),
    }
    rig.function.set_timeout(if matches!(what, What::NeverAnswered) { SHORT } else { LONG });
    let hit = || rig.proxy.hit() || rig.wire.hits() > 0;
    let rotated = async {
        match racing {
            None => rig.rotate(&rig.function, token).await,
            Some(other) => {
                let (one, two) =
                    tokio::join!(rig.rotate(&rig.function, token), rig.rotate(other, token));
                one.and(two)
            }
        }
    };
    if matches!(what, What::KilledAfter) {
        let killed = async {
            eventually("the fault", async || hit().then_some(())).await;
            rig.function.restart();
        };
        tokio::pin!(rotated);
        tokio::select! {
            biased;
            () = killed => { let _ = rotated.await; }
            ended = &mut rotated => assert!(ended.is_ok() || hit(), "{ended:?}"),
        }
    } else {
        let ended = rotated.await;
        assert!(ended.is_ok() || hit(), "{at:?} {what:?}: {ended:?}");
    }
    let struck = hit();
    rig.proxy.arm(usize::MAX, Fault::Hang);
    rig.wire.disarm();
    rig.function.set_timeout(LONG);
    struck
}

/// Fails a rotation at every point, and takes one of these ways out after each.
async fn every_fault(pair: bool, whats: &[What], ways: &[WayOut], race: bool) {
    let rig = FaultRig::new(pair).await;
    let racing = race.then(|| rig.second_function());
    let mut points = 0;
    for what in whats.iter().copied() {
        for place in [Where::Request as fn(usize) -> Where, Where::Statement as fn(usize) -> Where]
        {
            for nth in 1.. {
                let token = rig.application.begin().await;
                let struck =
                    rotate_with_fault(&rig, racing.as_ref(), place(nth), what, &token).await;
                let way = ways[nth % ways.len()];
                let context = format!("{what:?} at {:?}, then {way:?}", place(nth));
                // With a pair, AWSCURRENT works at every moment. A single user's old password is
                // refused from setSecret on.
                assert!(
                    !rig.pair || rig.current_logs_in().await,
                    "{context}: AWSCURRENT stopped working"
                );
                if !struck {
                    assert!(rig.current_logs_in().await, "{context}: AWSCURRENT does not log in");
                    break;
                }
                points += 1;
                rig.take_way_out(way, &token, &context).await;
            }
        }
    }
    let users = if pair { "alternating users" } else { "a single user" };
    let raced = if race { " by two invocations at once" } else { "" };
    let _ = writeln!(
        std::io::stderr(),
        "{points} points of a rotation with {users}{raced}, {whats:?}, then {ways:?}: all converge"
    );
    assert!(points >= 15 * whats.len(), "only {points} points");
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
    every_fault(false, &[What::NeverAnswered], &WAYS, false).await;
}

#[tokio::test]
async fn every_time_out_of_alternating_users() {
    every_fault(true, &[What::NeverAnswered], &WAYS, false).await;
}

#[tokio::test]
async fn every_fault_of_a_single_user_in_a_race() {
    every_fault(false, &[What::FailsBefore, What::AnswerLost], &WAYS, true).await;
}

#[tokio::test]
async fn every_fault_of_alternating_users_in_a_race() {
    every_fault(true, &[What::FailsBefore, What::AnswerLost], &WAYS, true).await;
}
