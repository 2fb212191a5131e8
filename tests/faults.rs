//! A fault at every request to Secrets Manager and at every statement to PostgreSQL, and three ways
//! out of it; all have to converge.

use std::io::Write;
use std::time::Duration;

use crate::world::eventually;
use crate::world::lambda::Function;
use crate::world::proxy::Fault;
use crate::world::stage::{Stage, WayOut};
use crate::world::wire;

/// What is left to a step that nothing answers, and to every other one.
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

/// One rotation with that fault, by one invocation or by two at once; whether the fault has come at
/// all.
async fn fail(
    stage: &Stage,
    racing: Option<&Function>,
    at: Where,
    what: What,
    token: &str,
) -> bool {
    match at {
        Where::Request(nth) => stage.proxy.arm(
            nth,
            match what {
                What::FailsBefore => Fault::Refuse(400, "LimitExceededException"),
                What::AnswerLost => Fault::LoseAnswer,
                What::KilledAfter | What::NeverAnswered => Fault::HangAfterEffect,
            },
        ),
        Where::Statement(nth) => stage.wire.arm(
            nth,
            match what {
                What::FailsBefore => wire::Fault::BreakBefore,
                What::AnswerLost | What::KilledAfter => wire::Fault::BreakAfter,
                What::NeverAnswered => wire::Fault::Hang,
            },
        ),
    }
    stage.function.set_timeout(if matches!(what, What::NeverAnswered) { SHORT } else { LONG });
    let hit = || stage.proxy.hit() || stage.wire.hits() > 0;
    let rotated = async {
        match racing {
            None => stage.rotate(&stage.function, token).await,
            Some(other) => {
                let (one, two) =
                    tokio::join!(stage.rotate(&stage.function, token), stage.rotate(other, token));
                one.and(two)
            }
        }
    };
    if matches!(what, What::KilledAfter) {
        let killed = async {
            eventually("the fault", async || hit().then_some(())).await;
            stage.function.restart();
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
    let came = hit();
    stage.proxy.arm(usize::MAX, Fault::Hang);
    stage.wire.disarm();
    stage.function.set_timeout(LONG);
    came
}

/// Every point of a rotation, each followed by one of these ways out in turn.
async fn every_fault(pair: bool, whats: &[What], ways: &[WayOut], race: bool) {
    let stage = Stage::new(pair).await;
    let racing = race.then(|| stage.another_function());
    let mut points = 0;
    for what in whats.iter().copied() {
        for place in [Where::Request as fn(usize) -> Where, Where::Statement as fn(usize) -> Where]
        {
            for nth in 1.. {
                let token = stage.application.begin().await;
                let came = fail(&stage, racing.as_ref(), place(nth), what, &token).await;
                let way = ways[nth % ways.len()];
                let context = format!("{what:?} at {:?}, then {way:?}", place(nth));
                // Two users: the one in use works at every moment. One user: its old password is
                // refused from setSecret on.
                assert!(
                    !stage.pair || stage.login().await,
                    "{context}: AWSCURRENT stopped working"
                );
                if !came {
                    assert!(stage.login().await, "{context}: AWSCURRENT does not log in");
                    break;
                }
                points += 1;
                stage.leave(way, &token, &context).await;
            }
        }
    }
    let users = if pair { "two users" } else { "one user" };
    let raced = if race { " by two invocations at once" } else { "" };
    let _ = writeln!(
        std::io::stderr(),
        "{points} points of a rotation of {users}{raced}, {whats:?}, then {ways:?}: all converge"
    );
    assert!(points >= 15 * whats.len(), "only {points} points");
}

#[tokio::test]
async fn every_fault_of_one_user_then_a_retry() {
    every_fault(false, &ENDS, &[WayOut::Retry], false).await;
}

#[tokio::test]
async fn every_fault_of_one_user_then_another_rotation() {
    every_fault(false, &ENDS, &[WayOut::Abandon], false).await;
}

#[tokio::test]
async fn every_fault_of_one_user_then_recovery() {
    every_fault(false, &ENDS, &[WayOut::Recover], false).await;
}

#[tokio::test]
async fn every_fault_of_two_users_then_a_retry() {
    every_fault(true, &ENDS, &[WayOut::Retry], false).await;
}

#[tokio::test]
async fn every_fault_of_two_users_then_another_rotation() {
    every_fault(true, &ENDS, &[WayOut::Abandon], false).await;
}

#[tokio::test]
async fn every_fault_of_two_users_then_recovery() {
    every_fault(true, &ENDS, &[WayOut::Recover], false).await;
}

#[tokio::test]
async fn every_time_out_of_one_user() {
    every_fault(false, &[What::NeverAnswered], &WAYS, false).await;
}

#[tokio::test]
async fn every_time_out_of_two_users() {
    every_fault(true, &[What::NeverAnswered], &WAYS, false).await;
}

#[tokio::test]
async fn every_fault_of_one_user_in_a_race() {
    every_fault(false, &[What::FailsBefore, What::AnswerLost], &WAYS, true).await;
}

#[tokio::test]
async fn every_fault_of_two_users_in_a_race() {
    every_fault(true, &[What::FailsBefore, What::AnswerLost], &WAYS, true).await;
}
