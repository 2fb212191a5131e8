//! Probes are planned and never run: what that keeps safe, and what it cannot see.

use serde_json::json;

use super::Declared;
use crate::world::application::STEPS;
use crate::world::lambda::Function;
use crate::world::postgres::admin;
use crate::world::world;

/// A statement that fails although the check says that it works.
struct Unseen {
    /// What hides the failure, in the documentation's words.
    documented: &'static str,
    prepare: &'static str,
    statement: &'static str,
}

const UNSEEN: &[Unseen] = &[
    Unseen {
        documented: "a sequence behind a DEFAULT, in a probe",
        prepare: "GRANT INSERT ON :s.orders TO :r",
        statement: "INSERT INTO :s.orders (total) VALUES (1)",
    },
    Unseen {
        documented: "what a function does with its caller's rights",
        prepare: "CREATE FUNCTION :s.f() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT \
                  count(*) FROM :s.orders); END'",
        statement: "SELECT :s.f()",
    },
    Unseen {
        documented: "what a trigger does",
        prepare: "CREATE TABLE :s.t (id int); CREATE FUNCTION :s.f() RETURNS trigger LANGUAGE \
                  plpgsql AS 'BEGIN INSERT INTO :s.orders VALUES (1); RETURN NEW; END'; CREATE \
                  TRIGGER t BEFORE INSERT ON :s.t FOR EACH ROW EXECUTE FUNCTION :s.f(); GRANT \
                  INSERT ON :s.t TO :r",
        statement: "INSERT INTO :s.t VALUES (1)",
    },
    Unseen {
        documented: "which rows row-level security lets through",
        prepare: "CREATE TABLE :s.t (id int); ALTER TABLE :s.t ENABLE ROW LEVEL SECURITY; CREATE \
                  POLICY p ON :s.t WITH CHECK (id > 1); GRANT INSERT ON :s.t TO :r",
        statement: "INSERT INTO :s.t VALUES (1)",
    },
];

#[tokio::test]
async fn a_probe_is_planned_and_never_run() {
    let function = Function::start(&[]);
    let declared = Declared::new(
        "probes",
        &[
            "SELECT :s.f()",
            "INSERT INTO :s.orders (total) VALUES ($1)",
            "SELECT \
            nextval(':s.orders_id_seq')",
            "DELETE FROM :s.orders",
        ],
        "CREATE FUNCTION :s.f() RETURNS void LANGUAGE sql AS 'INSERT INTO :s.orders (total) VALUES \
         (7)'; GRANT ALL ON ALL TABLES IN SCHEMA :s TO :r; GRANT ALL ON ALL SEQUENCES IN SCHEMA :s \
         TO :r; INSERT INTO :s.orders (total) VALUES (1)",
    )
    .await;
    let report = declared.test(&function).await.unwrap();
    assert_eq!(report["Checks"]["Probes"], 4);
    assert!(report["Checks"]["DurationMs"].is_u64(), "{report}");
    let row = admin()
        .await
        .query_one(
            &declared
                .fill("SELECT (SELECT count(*) FROM :s.orders), last_value FROM :s.orders_id_seq"),
            &[],
        )
        .await
        .unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (1, 1));
    let logged =
        function.await_log_event("the test", |event| event["outcome"] == "CurrentTested").await;
    assert_eq!((&logged["test.probes"], &logged["test.grants"]), (&json!(4), &json!(0)));
    assert!(logged["test.duration_ms"].is_u64(), "{logged}");
}

#[tokio::test]
async fn a_probe_that_disguises_its_statement_is_not_run_either() {
    let function = Function::start(&[]);
    // The server ends a comment at a carriage return, and only the server parses a statement.
    for probe in [
        "--\rANALYZE SELECT :s.f()\n SELECT 1",
        "SELECT 1 /* \u{2028} */, :s.f()",
        "WITH x AS (SELECT :s.f()) SELECT * FROM x",
    ] {
        let prepare = "CREATE FUNCTION :s.f() RETURNS int LANGUAGE plpgsql AS 'BEGIN PERFORM \
            pg_advisory_lock(4711); RETURN 1; END'";
        let declared = Declared::new("probes", &[probe], prepare).await;
        let started = std::time::Instant::now();
        let _ = declared.test(&function).await;
        assert!(started.elapsed() < std::time::Duration::from_secs(2));
        let log = world().postgres.log();
        assert!(!log.contains("EXPLAIN ANALYZE"), "{probe}");
        let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711";
        assert_eq!(
            admin().await.query_one(held, &[]).await.unwrap().get::<_, i64>(0),
            0,
            "{probe}"
        );
    }
}

#[tokio::test]
async fn what_is_not_seen_is_what_the_policys_page_lists() {
    let function = Function::start(&[]);
    let page = std::fs::read_to_string(crate::world::project().join("docs/policy.md")).unwrap();
    for Unseen { documented, prepare, statement } in UNSEEN {
        let declared = Declared::new("probes", &[statement], prepare).await;
        assert!(declared.run(statement).await.is_err(), "{statement}");
        assert!(declared.test(&function).await.is_ok(), "{statement}");
        assert!(page.contains(documented), "docs/policy.md does not list {documented:?}");
    }
}

#[tokio::test]
async fn a_value_in_a_probe_of_the_secret_is_not_shown() {
    let function = Function::start(&[]);
    for probe in ["SELECT 'canary'::int", "SELECT canary canary canary"] {
        let failed = Declared::new("probes", &[probe], "").await.test(&function).await.unwrap_err();
        assert_eq!(failed.kind, "DeclaredRightsMissing", "{}", failed.message);
        assert!(
            !failed.message.contains("canary")
                && failed
                    .message
                    .contains("probes[0] cannot be run (22P02: the server refuses it)")
                || failed.message.contains("(42601: it is not valid SQL)"),
            "{}",
            failed.message
        );
    }
}

#[tokio::test]
async fn a_lock_that_blocks_a_probe_decides_nothing() {
    let function = Function::start(&[]);
    let declared =
        Declared::new("probes", &["SELECT * FROM :s.orders"], "GRANT SELECT ON :s.orders TO :r")
            .await;
    let other = admin().await;
    other.batch_execute(&declared.fill("BEGIN; LOCK TABLE :s.orders")).await.unwrap();
    let failed = declared.test(&function).await.unwrap_err();
    assert_eq!(failed.kind, "LockTimedOut", "{}", failed.message);
    other.batch_execute("ROLLBACK").await.unwrap();
}

#[tokio::test]
async fn a_single_user_is_not_locked_out_by_a_lock_that_blocks_a_probe() {
    let function = Function::start(&[]);
    let declared =
        Declared::new("probes", &["SELECT * FROM :s.orders"], "GRANT SELECT ON :s.orders TO :r")
            .await;
    let application = &declared.application;
    let token = application.begin().await;
    application.steps(&function, &STEPS[..2], &token).await;
    let other = admin().await;
    other.batch_execute(&declared.fill("BEGIN; LOCK TABLE :s.orders")).await.unwrap();
    let before = application.snapshot().await;
    let failed = application.step(&function, "testSecret", &token).await.unwrap_err();
    assert_eq!(failed.kind, "LockTimedOut", "{}", failed.message);
    assert_eq!(application.snapshot().await, before, "the application notices nothing");
    other.batch_execute("ROLLBACK").await.unwrap();
    application.steps(&function, &["testSecret", "finishSecret"], &token).await;
    application.assert_rotated(&token, &application.password).await;
}

#[tokio::test]
async fn a_role_that_waits_for_safe_snapshots_does_not_delay_a_rotation() {
    let function = Function::start(&[]);
    let declared = Declared::new(
        "probes",
        &["SELECT * FROM :s.orders"],
        "GRANT SELECT ON :s.orders TO :r; ALTER ROLE :r SET default_transaction_isolation = \
         serializable; ALTER ROLE :r SET default_transaction_deferrable = on; ALTER ROLE :r SET \
         default_transaction_read_only = on; ALTER ROLE :r SET idle_in_transaction_session_timeout \
         = 5",
    )
    .await;
    let busy = admin().await;
    busy.batch_execute(
        "BEGIN ISOLATION LEVEL SERIALIZABLE; CREATE TEMP TABLE busy (); SELECT * \
        FROM pg_class LIMIT 1",
    )
    .await
    .unwrap();
    let token = declared.application.begin().await;
    let started = std::time::Instant::now();
    declared.application.steps(&function, &STEPS, &token).await;
    assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", started.elapsed());
    busy.batch_execute("ROLLBACK").await.unwrap();
}
