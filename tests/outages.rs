//! The server as a whole goes away in the middle of a rotation: it crashes and comes back, fails
//! over to a standby that is read-only until it is promoted, or has no connection left.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod world;

use std::collections::BTreeMap;
use std::io::Write;

use tokio::sync::Mutex;

use world::application::STEPS;
use world::postgres::{Standby, admin};
use world::stage::{Stage, WayOut};
use world::wire::Fault;
use world::world;

/// One at a time: there is one server.
static SERVER: Mutex<()> = Mutex::const_new(());
const WAYS: [WayOut; 3] = [WayOut::Recover, WayOut::Retry, WayOut::Abandon];

/// Strikes at every statement of a rotation; what the function said of it is counted by kind.
async fn at_every_statement(pair: bool, strike: fn(), mend: fn(), allowed: &[&str]) -> String {
    let _alone = SERVER.lock().await;
    let stage = Stage::new(pair).await;
    let (mut kinds, mut points) = (BTreeMap::<String, usize>::new(), 0);
    for nth in 1.. {
        let token = stage.application.begin().await;
        stage.wire.arm(nth, Fault::Meanwhile(strike));
        let struck = stage.rotate(&stage.function, &token).await;
        if stage.wire.hits() == 0 {
            struck.unwrap();
            break;
        }
        // What testSecret cannot find out of a single user whose password was changed already is a
        // warning.
        let again = stage.rotate(&stage.function, &token).await;
        for failure in [struck.err(), again.err()].into_iter().flatten() {
            assert!(allowed.contains(&failure.kind.as_str()), "statement {nth}: {failure:?}");
            *kinds.entry(failure.kind).or_default() += 1;
        }
        mend();
        points += 1;
        let way = WAYS[nth % WAYS.len()];
        let context = format!("statement {nth}, then {way:?}");
        assert!(!pair || stage.login().await, "{context}: AWSCURRENT stopped working");
        stage.leave(way, &token, &context).await;
    }
    let kinds =
        kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect::<Vec<_>>().join(", ");
    assert!(points >= 5, "only {points} points: {kinds}");
    format!("{points} points ({kinds})")
}

fn say(what: &str, kinds: &[String]) {
    let _ = writeln!(
        std::io::stderr(),
        "{what} at every statement: one user {}, two users {}: all converge",
        kinds[0],
        kinds[1]
    );
}

#[tokio::test]
async fn a_server_that_crashes_and_comes_back() {
    let mut kinds = Vec::new();
    for pair in [false, true] {
        let crash = || world().postgres.crash();
        kinds.push(at_every_statement(pair, crash, || (), &["ConnectionLost"]).await);
    }
    say("a crash of the server", &kinds);
}

#[tokio::test]
async fn a_server_that_fails_over_and_is_read_only_for_a_while() {
    let mut kinds = Vec::new();
    for pair in [false, true] {
        let standby = || world().postgres.become_standby(Standby::Readable);
        let promote = || world().postgres.promote();
        kinds.push(
            at_every_statement(pair, standby, promote, &["ConnectionLost", "DatabaseReadOnly"])
                .await,
        );
    }
    say("a failover", &kinds);
}

#[tokio::test]
async fn a_server_that_has_no_connection_left() {
    let _alone = SERVER.lock().await;
    let limit = async |limit: i32| {
        admin()
            .await
            .batch_execute(&format!("ALTER DATABASE postgres CONNECTION LIMIT {limit}"))
            .await
            .unwrap();
    };
    for pair in [false, true] {
        let stage = Stage::new(pair).await;
        for (nth, step) in STEPS.iter().enumerate().skip(1) {
            let token = stage.application.begin().await;
            stage.application.steps(&stage.function, &STEPS[..nth], &token).await;
            let before = stage.application.snapshot().await;
            limit(0).await;
            let full = stage.application.step(&stage.function, step, &token).await.unwrap_err();
            assert_eq!(full.kind, "TooManyConnections", "{step}: {}", full.message);
            assert_eq!(stage.application.snapshot().await, before, "{step}");
            limit(-1).await;
            let way = WAYS[nth % WAYS.len()];
            stage.leave(way, &token, &format!("{step}, then {way:?}")).await;
        }
    }
}
