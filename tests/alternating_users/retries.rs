//! Turns that are repeated, broken off or abandoned.

use postgres_protocol::escape::escape_identifier;
use serde_json::json;

use super::settings;
use crate::world::application::STEPS;
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::wire::{Fault, Wire};

#[tokio::test]
async fn every_step_may_be_sent_twice_and_run_twice_at_once() {
    let functions = [Function::start(&[]), Function::start(&[])];
    let pair = Pair::new().await;
    for turn in 0..4 {
        let token = pair.application.begin().await;
        for step in STEPS {
            let (one, two) = tokio::join!(
                pair.application.step(&functions[0], step, &token),
                pair.application.step(&functions[1], step, &token)
            );
            assert!(one.is_ok() && two.is_ok(), "turn {turn}, {step}: {one:?} {two:?}");
            let again = pair.application.step(&functions[0], step, &token).await;
            assert!(again.is_ok(), "turn {turn}, {step}: {again:?}");
            pair.session("AWSCURRENT").await;
        }
        assert_eq!(pair.application.version_with("AWSCURRENT").await, Some(token));
        pair.session("AWSPREVIOUS").await;
    }
}

#[tokio::test]
async fn the_whole_rotation_may_be_sent_again_after_every_step() {
    let function = Function::start(&[]);
    let pair = Pair::new().await;
    for done in 1..=STEPS.len() {
        let token = pair.application.begin().await;
        pair.application.steps(&function, &STEPS[..done], &token).await;
        pair.application.steps(&function, &STEPS, &token).await;
        pair.session("AWSCURRENT").await;
        pair.session("AWSPREVIOUS").await;
    }
}

#[tokio::test]
async fn a_rotation_that_was_abandoned_does_not_hurt_the_next_one() {
    let function = Function::start(&[]);
    let pair = Pair::new().await;
    for done in 1..STEPS.len() {
        let token = pair.application.begin().await;
        pair.application.steps(&function, &STEPS[..done], &token).await;
        let token = pair.application.abandon_and_begin().await;
        pair.application.steps(&function, &STEPS, &token).await;
        pair.session("AWSCURRENT").await;
        pair.session("AWSPREVIOUS").await;
    }
}

#[tokio::test]
async fn a_death_before_and_after_each_statement_is_repaired_by_a_retry() {
    let wire = Wire::idle();
    let pair = Pair::through(&wire).await;
    let policy = json!({"defaults": {"allow_plaintext": true}}).to_string();
    let function = Function::start(&[("ROTATION_POLICY", &policy)]);
    let (mut points, mut done) = (0, 0);
    for fault in [Fault::BreakBefore, Fault::BreakAfter] {
        for nth in 1.. {
            let (current, _) = pair.credentials("AWSCURRENT").await;
            // A setting that has changed has to be copied, which takes a statement of its own.
            pair.superuser(&format!(
                "ALTER ROLE {} SET work_mem = '{nth}MB'",
                escape_identifier(&current)
            ))
            .await;
            let token = pair.application.begin().await;
            pair.application.steps(&function, &["createSecret"], &token).await;
            wire.arm(nth, fault.clone());
            let died = pair.application.step(&function, "setSecret", &token).await;
            if wire.hits() == 0 {
                assert!(died.is_ok(), "{died:?}");
                wire.disarm();
                pair.application.steps(&function, &STEPS[2..], &token).await;
                break;
            }
            points += 1;
            // When all is done, it is of no interest that the lock could not be released.
            done += usize::from(died.is_ok());
            assert!(
                died.is_ok() || died.is_err_and(|failure| failure.kind == "ConnectionLost"),
                "{fault:?} {nth}"
            );
            pair.session("AWSCURRENT").await;
            function.restart();
            pair.application.steps(&function, &STEPS, &token).await;
            pair.session("AWSCURRENT").await;
            pair.session("AWSPREVIOUS").await;
            assert_eq!(settings(&pair.base).await, settings(&pair.clone).await, "{fault:?} {nth}");
        }
    }
    assert!(points >= 20 && done == 2, "{points} points, {done} of them after all was done");
}

#[tokio::test]
async fn a_rotation_of_one_user_that_got_stuck_is_found_by_two() {
    let pair = Pair::new().await;
    let single =
        json!({"secrets": {&pair.application.secret: {"strategy": "single-user"}}}).to_string();
    let (one, two) = (Function::start(&[("ROTATION_POLICY", &single)]), Function::start(&[]));
    pair.application.cut_off_after_commit(&one).await;
    let token = pair.application.abandon_and_begin().await;
    pair.application.steps(&two, &["createSecret"], &token).await;
    let report = pair.application.step(&two, "setSecret", &token).await.unwrap();
    assert!(report["Warnings"].to_string().contains("an unlabelled version"), "{report}");
    pair.application.steps(&two, &["testSecret", "finishSecret"], &token).await;
    pair.session("AWSCURRENT").await;
}
