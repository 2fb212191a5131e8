//! What follows from the answer to COMMIT and from the proof.

use std::time::{Duration, Instant};

use postgres_protocol::escape::escape_literal;
use postgres_protocol::password::scram_sha_256;
use serde_json::{Value, json};

use super::{COMMIT, Rotation, SHORT, superuser};
use crate::world::application::{Application, STEPS};
use crate::world::fault_rig::FaultRig;
use crate::world::lambda::Function;
use crate::world::postgres::{Cluster, PLAINTEXT_ROLES, Settings, own_database};
use crate::world::proxy;
use crate::world::wire::Fault;
use crate::world::{eventually, random_hex, unique};

const RESTORED: &str = "The role has AWSCURRENT's password again; a login with it worked.";
const NOTHING_TO_RESTORE: &str = "The role still has AWSCURRENT's password: the server accepts it.";
const NOT_PROVEN: &str = "AWSCURRENT's password was set again, but a login with it fails too";

#[tokio::test]
async fn a_lost_answer_to_the_commit_with_the_pending_password_accepted_goes_on() {
    // A silent session is broken off, or it would keep the lock.
    for fault in [Fault::BreakAfter, Fault::Silence] {
        let rotation = Rotation::begin().await;
        rotation.rig.wire.arm_for(COMMIT, fault);
        let finished = rotation.finish().await;
        assert_eq!(rotation.rig.wire.hits(), 1);
        rotation.assert_moved(finished).await;
    }
}

#[tokio::test]
async fn a_lost_answer_to_the_commit_with_the_current_password_accepted_is_retryable() {
    for (fault, kind) in [(Fault::BreakBefore, "ConnectionLost"), (Fault::Hang, "DatabaseTimedOut")]
    {
        let rotation = Rotation::begin().await;
        rotation.rig.wire.arm_for(COMMIT, fault);
        let finished = rotation.finish_within(SHORT).await;
        let failure = rotation.assert_restored(finished, kind, true).await;
        assert!(failure.message.contains(NOTHING_TO_RESTORE), "{}", failure.message);
    }
}

/// It would take effect later, when the standby is back and the invocation is over.
#[tokio::test]
async fn a_commit_that_waits_for_a_standby_is_ended_and_proven() {
    let (role, password) = (unique("app_"), random_hex());
    let verifier = escape_literal(&scram_sha_256(password.as_bytes()));
    let prepare = format!("CREATE ROLE {role} LOGIN PASSWORD {verifier}");
    let cluster = Cluster::start(&Settings { prepare, ..Settings::default() });
    let edit = |document: &mut Value| document["port"] = json!(cluster.port);
    let application = Application::for_role(&role, &password, edit).await;
    let root = cluster.ca_file.display().to_string();
    let function = Function::start(&[("CA_BUNDLE_FILE", &root)]);
    let token = application.begin().await;
    application.steps(&function, &STEPS[..3], &token).await;
    let (admin, name) = (cluster.admin().await, "synchronous_standby_names");
    for sql in [&format!("ALTER SYSTEM SET {name} = 'gone'"), "SELECT pg_reload_conf()"] {
        admin.batch_execute(sql).await.unwrap();
    }
    let set = format!("SELECT 1 WHERE current_setting('{name}') = 'gone'");
    eventually("the setting", async || admin.query_opt(&set, &[]).await.unwrap()).await;
    function.set_timeout(SHORT);
    let finished = application.step(&function, "finishSecret", &token).await;
    assert_eq!(finished.unwrap()["Outcome"], "Finished");
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    assert_eq!(admin.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0), 0);
    let current = application.password_in("AWSCURRENT").await;
    cluster.login(&role, &current).await.expect("AWSCURRENT logs in");
}

#[tokio::test]
async fn a_proof_refused_with_28p01_restores_the_current_password() {
    let rotation = Rotation::begin().await;
    rotation.rig.wire.arm_for(COMMIT, Fault::Then(rotation.other_password()));
    let finished = rotation.finish().await;
    let failure = rotation.assert_restored(finished, "LoginRejected", false).await;
    assert!(failure.message.contains(RESTORED), "{}", failure.message);
}

#[tokio::test]
async fn a_proof_refused_by_pg_hba_restores_the_current_password() {
    let rotation = Rotation::begin().await;
    let role = rotation.role().to_owned();
    rotation.rig.wire.arm_each([
        (COMMIT, Fault::Then(format!("REVOKE {PLAINTEXT_ROLES} FROM {role}"))),
        (COMMIT, Fault::Then(format!("GRANT {PLAINTEXT_ROLES} TO {role}"))),
    ]);
    let finished = rotation.finish().await;
    assert_eq!(rotation.rig.wire.hits(), 2, "the change and the way back");
    let failure = rotation.assert_restored(finished, "HostNotPermitted", false).await;
    assert!(failure.message.contains(RESTORED), "{}", failure.message);
}

/// The server accepted the password, whatever it refused afterwards.
#[tokio::test]
async fn a_session_refused_after_the_password_was_accepted_is_a_proof() {
    for (after_commit, undo) in [
        // 53300, 28000 and 42501.
        ("ALTER ROLE :role CONNECTION LIMIT 1", "ALTER ROLE :role CONNECTION LIMIT -1"),
        ("ALTER ROLE :role NOLOGIN", "ALTER ROLE :role LOGIN"),
        ("REVOKE CONNECT ON DATABASE :db FROM PUBLIC", "GRANT CONNECT ON DATABASE :db TO PUBLIC"),
    ] {
        let rotation = Rotation::of(FaultRig::in_database(&own_database().await).await).await;
        let dbname = rotation.rig.application.document["dbname"].as_str().unwrap();
        let of_this = |sql: &str| sql.replace(":role", rotation.role()).replace(":db", dbname);
        rotation.rig.wire.arm_for(COMMIT, Fault::Then(of_this(after_commit)));
        let finished = rotation.finish().await;
        superuser(&of_this(undo)).await;
        rotation.assert_moved(finished).await;
    }
}

#[tokio::test]
async fn a_database_that_is_gone_does_not_speak_against_the_password() {
    let rotation = Rotation::begin().await;
    // The first login is that of AWSCURRENT.
    rotation.rig.wire.arm_login(2, Fault::Database(unique("gone_")));
    let finished = rotation.finish().await;
    assert_eq!(rotation.rig.wire.hits(), 1);
    rotation.assert_moved(finished).await;
}

#[tokio::test]
async fn a_proof_that_says_nothing_is_made_again() {
    for fault in [Fault::BreakBefore, Fault::BreakAfter, Fault::Refuse("57P03")] {
        let rotation = Rotation::begin().await;
        rotation.rig.wire.arm_login(2, fault);
        let finished = rotation.finish().await;
        assert_eq!(rotation.rig.wire.hits(), 1);
        rotation.assert_moved(finished).await;
    }
}

/// Applications wait meanwhile, and the session with the way back is idle: so it is not tried for
/// as long as an invocation may last.
#[tokio::test]
async fn a_server_that_no_proof_reaches_gets_the_current_password_back() {
    for (time, at_most) in [(SHORT, SHORT), (Duration::from_mins(15), Duration::from_secs(30))] {
        let rotation = Rotation::begin().await;
        rotation.rig.wire.arm_logins_until(2, Fault::BreakBefore, COMMIT);
        let started = Instant::now();
        let finished = rotation.finish_within(time).await;
        assert!(started.elapsed() < at_most, "{:?}", started.elapsed());
        let failure = rotation.assert_restored(finished, "ConnectionLost", true).await;
        assert!(failure.message.contains(RESTORED), "{}", failure.message);
    }
}

#[tokio::test]
async fn a_server_that_no_login_reaches_again_has_the_current_password() {
    let rotation = Rotation::begin().await;
    rotation.rig.wire.arm_logins_from(2, Fault::BreakBefore);
    let finished = rotation.finish_within(SHORT).await;
    rotation.rig.wire.disarm();
    let failure = rotation.assert_restored(finished, "ConnectionLost", true).await;
    assert!(failure.message.contains(NOT_PROVEN), "{}", failure.message);
}

#[tokio::test]
async fn a_role_that_neither_password_opens_keeps_awspending_and_both_causes() {
    for (after_commit, undo, kind) in [
        (
            "ALTER ROLE :role VALID UNTIL '2000-01-01'",
            "ALTER ROLE :role VALID UNTIL 'infinity'",
            "LoginRejected",
        ),
        ("REVOKE plaintext_roles FROM :role", "GRANT plaintext_roles TO :role", "HostNotPermitted"),
    ] {
        let rotation = Rotation::begin().await;
        let of_this = |sql: &str| sql.replace(":role", rotation.role());
        rotation.rig.wire.arm_for(COMMIT, Fault::Then(of_this(after_commit)));
        let finished = rotation.finish().await;
        superuser(&of_this(undo)).await;
        let failure = rotation.assert_restored(finished, kind, false).await;
        for cause in ["login with AWSPENDING", NOT_PROVEN, "login with AWSCURRENT"] {
            assert!(failure.message.contains(cause), "{cause}: {}", failure.message);
        }
    }
}

/// A wrong password comes before NOLOGIN. The right one is accepted, and opens no session.
#[tokio::test]
async fn a_role_that_may_no_longer_log_in_has_the_current_password_again() {
    let rotation = Rotation::begin().await;
    let no_login = format!("{}; ALTER ROLE {} NOLOGIN", rotation.other_password(), rotation.role());
    rotation.rig.wire.arm_for(COMMIT, Fault::Then(no_login));
    let finished = rotation.finish().await;
    superuser(&format!("ALTER ROLE {} LOGIN", rotation.role())).await;
    let failure = rotation.assert_restored(finished, "LoginRejected", false).await;
    for cause in ["login with AWSPENDING", NOT_PROVEN, "LOGIN"] {
        assert!(failure.message.contains(cause), "{cause}: {}", failure.message);
    }
}

/// What a failover does that loses the last change.
#[tokio::test]
async fn a_change_that_is_lost_with_its_session_leaves_nothing_to_restore() {
    let rotation = Rotation::begin().await;
    let before = rotation.rig.application.stored_hash().await.unwrap();
    let lost = format!(
        "ALTER ROLE {role} PASSWORD '{before}'; {end}",
        role = rotation.role(),
        end = end_sessions(rotation.role())
    );
    rotation.rig.wire.arm_for(COMMIT, Fault::Then(lost));
    let finished = rotation.finish().await;
    let failure = rotation.assert_restored(finished, "LoginRejected", false).await;
    assert!(failure.message.contains(NOTHING_TO_RESTORE), "{}", failure.message);
}

/// The proof's session logs in as the application, which acts as a role that may not go back.
#[tokio::test]
async fn the_session_that_finds_a_lost_commit_out_can_still_go_back() {
    let rotation = Rotation::begin().await;
    let (role, owner) = (rotation.role(), unique("owner_"));
    superuser(&format!(
        "CREATE ROLE {owner}; GRANT {owner} TO {role}; ALTER ROLE {role} SET role = {owner}"
    ))
    .await;
    rotation.rig.wire.arm_for(COMMIT, Fault::BreakAfter);
    let denied = proxy::Fault::Refuse(400, "AccessDeniedException");
    rotation.rig.proxy.fail("UpdateSecretVersionStage", 1, denied);
    let finished = rotation.finish().await;
    let failure = rotation.assert_restored(finished, "SecretsManagerAccessDenied", false).await;
    assert!(failure.message.contains(RESTORED), "{}", failure.message);
}

/// A session that is gone matters only to the way back.
#[tokio::test]
async fn a_proof_counts_without_the_session_that_made_the_change() {
    let rotation = Rotation::begin().await;
    rotation.rig.wire.arm_for(COMMIT, Fault::Then(end_sessions(rotation.role())));
    let finished = rotation.finish().await;
    rotation.assert_moved(finished).await;
}

fn end_sessions(role: &str) -> String {
    format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'")
}
