//! The whole server fails during a rotation. It crashes and restarts, fails over to a standby that
//! is read-only until its promotion, or has no connection left.

#![allow(clippy::disallowed_methods, reason = "the server of the tests sends what they asked for")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic fails the test")]

mod world;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use tokio::sync::{Mutex, Notify};

use world::application::STEPS;
use world::fault_rig::{FaultRig, WayOut};
use world::postgres::{Standby, admin};
use world::wire::Fault;
use world::{eventually, world};

/// The tests share one server, so they run one after another.
static SERVER: Mutex<()> = Mutex::const_new(());
const WAYS: [WayOut; 3] = [WayOut::Recover, WayOut::Retry, WayOut::Abandon];

/// Strikes the server at every statement of a rotation; the errors, counted by kind.
async fn at_every_statement(pair: bool, strike: fn(), repair: fn(), allowed: &[&str]) -> String {
    let _alone = SERVER.lock().await;
    let rig = FaultRig::new(pair).await;
    let (mut kinds, mut points) = (BTreeMap::<String, usize>::new(), 0);
    for nth in 1.. {
        let token = rig.application.begin().await;
        rig.wire.arm(nth, Fault::Meanwhile(strike));
        let struck = rig.rotate(&rig.function, &token).await;
        if rig.wire.hits() == 0 {
            struck.unwrap();
            break;
        }
        // After a single user's change, testSecret only warns of what it cannot check.
        let again = rig.rotate(&rig.function, &token).await;
        for failure in [struck.err(), again.err()].into_iter().flatten() {
            assert!(allowed.contains(&failure.kind.as_str()), "statement {nth}: {failure:?}");
            *kinds.entry(failure.kind).or_default() += 1;
        }
        repair();
        points += 1;
        let way = WAYS[nth % WAYS.len()];
        let context = format!("statement {nth}, then {way:?}");
        // Only a single user's COMMIT can end it, until AWSCURRENT has moved.
        let may_be_refused = !pair && rig.wire.committed();
        assert!(may_be_refused || rig.current_logs_in().await, "{context}: AWSCURRENT is refused");
        rig.take_way_out(way, &token, &context).await;
    }
    let kinds =
        kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect::<Vec<_>>().join(", ");
    assert!(points >= 5, "only {points} points: {kinds}");
    format!("{points} points ({kinds})")
}

fn print_counts(what: &str, kinds: &[String]) {
    let _ = writeln!(
        std::io::stderr(),
        "{what} at every statement: single user {}, alternating users {}: all converge",
        kinds[0],
        kinds[1]
    );
}

#[tokio::test]
async fn a_server_that_crashes_and_restarts() {
    let mut kinds = Vec::new();
    for pair in [false, true] {
        let crash = || world().postgres.crash();
        kinds.push(at_every_statement(pair, crash, || (), &["ConnectionLost"]).await);
    }
    print_counts("a crash of the server", &kinds);
}

/// Applications that write much set `synchronous_commit` to off. A crash may then lose what was
/// committed last, and with that the password that AWSCURRENT has.
#[tokio::test]
async fn a_server_that_crashes_after_a_rotation_still_accepts_awscurrent() {
    let _alone = SERVER.lock().await;
    for pair in [false, true] {
        let rig = FaultRig::new(pair).await;
        let sql = "ALTER SYSTEM SET wal_writer_delay = '10s'; ALTER DATABASE postgres SET \
                   synchronous_commit = off";
        for statement in sql.split(';') {
            admin().await.batch_execute(statement).await.unwrap();
        }
        admin().await.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        let token = rig.application.begin().await;
        rig.rotate(&rig.function, &token).await.unwrap();
        world().postgres.crash();
        assert!(rig.current_logs_in().await, "the crash lost the password, pair: {pair}");
        let sql = "ALTER DATABASE postgres RESET synchronous_commit";
        admin().await.batch_execute(sql).await.unwrap();
    }
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
    print_counts("a failover", &kinds);
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
        let rig = FaultRig::new(pair).await;
        for (nth, step) in STEPS.iter().enumerate().skip(1) {
            let token = rig.application.begin().await;
            rig.application.steps(&rig.function, &STEPS[..nth], &token).await;
            let before = rig.application.snapshot().await;
            limit(0).await;
            let full = rig.application.step(&rig.function, step, &token).await.unwrap_err();
            assert_eq!(full.kind, "TooManyConnections", "{step}: {}", full.message);
            assert_eq!(rig.application.snapshot().await, before, "{step}");
            limit(-1).await;
            let way = WAYS[nth % WAYS.len()];
            rig.take_way_out(way, &token, &format!("{step}, then {way:?}")).await;
        }
    }
}

/// The server restarts between the COMMIT of a single user and its proof.
#[tokio::test]
async fn a_server_that_restarts_before_the_proof() {
    let _alone = SERVER.lock().await;
    let rig = FaultRig::new(false).await;
    let token = rig.application.begin().await;
    rig.application.steps(&rig.function, &STEPS[..3], &token).await;
    let restarted = Arc::new(Notify::new());
    // The first login is that of AWSCURRENT.
    rig.wire.arm_login(2, Fault::Hold(Arc::clone(&restarted)));
    let restart = async {
        eventually("the proof", async || (rig.wire.hits() > 0).then_some(())).await;
        tokio::task::spawn_blocking(|| world().postgres.crash()).await.unwrap();
        restarted.notify_one();
    };
    let (finished, ()) =
        tokio::join!(rig.application.step(&rig.function, "finishSecret", &token), restart);
    assert_eq!(finished.unwrap()["Outcome"], "Finished");
    rig.application.assert_rotated(&token, &rig.application.password).await;
}
