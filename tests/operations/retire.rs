//! Retiring a credential that was current before.

use serde_json::{Value, json};

use crate::world::application::{Application, STEPS};
use crate::world::lambda::{Answer, Function};
use crate::world::pair::Pair;
use crate::world::postgres::{admin, await_role_lock_waiter, lock_role};
use crate::world::{eventually, random_hex, world};

/// A function whose policy retires a user at once.
fn without_waiting() -> Function {
    Function::start(&[(
        "ROTATION_POLICY",
        &json!({"defaults": {"retire_after": "0s"}}).to_string(),
    )])
}

async fn retire(function: &Function, application: &Application, terminate: bool) -> Answer {
    function
        .invoke(
            json!({"Operation": "retire", "SecretId": application.name, "Terminate": terminate}),
        )
        .await
}

fn message(report: &Value) -> &str {
    report["Message"].as_str().unwrap()
}

#[tokio::test]
async fn an_unused_user_has_no_password_until_its_next_turn() {
    let (pair, function) = (Pair::new().await, without_waiting());
    pair.turn(&function).await;
    let (user, leaked) = pair.credentials("AWSPREVIOUS").await;
    for _ in 0..2 {
        let report = retire(&function, &pair.application, false).await.unwrap();
        assert_eq!(
            (&report["Retired"], &report["Role"], &report["Clients"]),
            (&json!(true), &json!(user), &json!([])),
            "{report}"
        );
        assert!(
            world().postgres.login(&user, &leaked).await.is_err(),
            "the leaked password is dead"
        );
        pair.session("AWSCURRENT").await;
    }
    pair.turn(&function).await;
    assert_eq!(pair.credentials("AWSCURRENT").await.0, user);
    pair.session("AWSCURRENT").await;
    pair.session("AWSPREVIOUS").await;
}

#[tokio::test]
async fn a_user_that_is_in_use_keeps_its_password() {
    let (pair, function) = (Pair::new().await, without_waiting());
    pair.turn(&function).await;
    let open = [pair.session("AWSPREVIOUS").await, pair.session("AWSPREVIOUS").await];
    let report = retire(&function, &pair.application, false).await.unwrap();
    assert_eq!((&report["Retired"], &report["Terminated"]), (&json!(false), &json!(0)), "{report}");
    let clients = report["Clients"].as_array().unwrap();
    assert_eq!(
        (clients.len(), &clients[0]["Sessions"], &clients[0]["ApplicationName"]),
        (1, &json!(2), &json!("application")),
        "{report}"
    );
    assert!(
        message(&report).contains("2 sessions open on this server")
            && message(&report).contains("\"Terminate\": true"),
        "{report}"
    );
    pair.session("AWSPREVIOUS").await;
    for session in &open {
        session.batch_execute("SELECT 1").await.unwrap();
    }
}

#[tokio::test]
async fn sessions_are_terminated_on_request_whatever_application_name_they_set() {
    let (pair, function) = (Pair::new().await, without_waiting());
    pair.turn(&function).await;
    let (open, hidden, current) = (
        pair.session("AWSPREVIOUS").await,
        pair.session("AWSPREVIOUS").await,
        pair.session("AWSCURRENT").await,
    );
    hidden.batch_execute("SET application_name = 'postgres-secret-rotation'").await.unwrap();
    let report = retire(&function, &pair.application, true).await.unwrap();
    assert_eq!((&report["Retired"], &report["Terminated"]), (&json!(true), &json!(2)), "{report}");
    eventually("the end of the sessions", async || {
        (open.is_closed() && hidden.is_closed()).then_some(())
    })
    .await;
    current.batch_execute("SELECT 1").await.unwrap();
}

#[tokio::test]
async fn a_user_that_logs_in_during_its_retirement_keeps_its_password() {
    let (pair, function) = (Pair::new().await, without_waiting());
    pair.turn(&function).await;
    let other = lock_role(&pair.base).await;
    let (report, open) = tokio::join!(retire(&function, &pair.application, false), async {
        await_role_lock_waiter(&pair.clone).await;
        let open = pair.session("AWSPREVIOUS").await;
        other.batch_execute("COMMIT").await.unwrap();
        open
    });
    let report = report.unwrap();
    assert_eq!(
        (&report["Retired"], &report["Clients"][0]["Sessions"]),
        (&json!(false), &json!(1)),
        "{report}"
    );
    pair.session("AWSPREVIOUS").await;
    open.batch_execute("SELECT 1").await.unwrap();
}

#[tokio::test]
async fn a_user_that_becomes_the_current_one_again_meanwhile_keeps_its_password() {
    let (pair, function) = (Pair::new().await, without_waiting());
    pair.turn(&function).await;
    pair.application.remove_pending_label().await;
    let [current, previous] = [
        pair.application.version_with("AWSCURRENT").await.unwrap(),
        pair.application.version_with("AWSPREVIOUS").await.unwrap(),
    ];
    let other = admin().await;
    other.batch_execute(&pair.filled("BEGIN; ALTER ROLE :base CONNECTION LIMIT 77")).await.unwrap();
    let (refused, ()) = tokio::join!(retire(&function, &pair.application, false), async {
        let watch = admin().await;
        let waits =
            "SELECT 1 FROM pg_stat_activity WHERE usename = $1 AND wait_event_type = 'Lock'";
        eventually("the wait for the row", async || {
            watch.query_opt(waits, &[&pair.base]).await.unwrap()
        })
        .await;
        let call = world()
            .aws
            .client()
            .update_secret_version_stage()
            .secret_id(&pair.application.secret)
            .version_stage("AWSCURRENT");
        call.remove_from_version_id(&current).move_to_version_id(&previous).send().await.unwrap();
        other.batch_execute("ROLLBACK").await.unwrap();
    });
    assert_eq!(refused.unwrap_err().kind, "CurrentVersionMoved");
    pair.session("AWSCURRENT").await;
}

#[tokio::test]
async fn no_user_is_retired_before_the_time_that_the_policy_sets() {
    for (policy, period) in [("{}", "1 d"), (r#"{"defaults": {"retire_after": "90m"}}"#, "1 h")] {
        let (pair, function) = (Pair::new().await, Function::start(&[("ROTATION_POLICY", policy)]));
        pair.turn(&function).await;
        let report = retire(&function, &pair.application, true).await.unwrap();
        assert_eq!(report["Retired"], false, "{report}");
        assert!(message(&report).contains(&format!("retire_after is {period}")), "{report}");
        pair.session("AWSPREVIOUS").await;
    }
}

#[tokio::test]
async fn nothing_is_retired_while_a_rotation_is_under_way_or_the_current_user_does_not_work() {
    let (pair, function) = (Pair::new().await, without_waiting());
    pair.turn(&function).await;
    let token = pair.application.begin().await;
    pair.application.steps(&function, &STEPS[..2], &token).await;
    let refused = retire(&function, &pair.application, true).await.unwrap_err();
    assert_eq!(refused.kind, "RotationUnderWay", "{}", refused.message);
    function
        .invoke(json!({"Operation": "recover", "SecretId": pair.application.name}))
        .await
        .unwrap();

    pair.superuser("ALTER ROLE :base PASSWORD 'x'; ALTER ROLE :clone PASSWORD 'x'").await;
    let before = pair.application.snapshot().await;
    let refused = retire(&function, &pair.application, true).await.unwrap_err();
    assert_eq!(refused.kind, "LoginRejected", "{}", refused.message);
    assert_eq!(pair.application.snapshot().await, before);
}

#[tokio::test]
async fn a_role_that_was_never_in_the_secret_is_left_alone() {
    let (pair, function) = (Pair::new().await, without_waiting());
    let password = random_hex();
    pair.superuser(&format!(
        "CREATE ROLE :clone LOGIN PASSWORD '{password}'; GRANT :base TO :clone"
    ))
    .await;
    let mut document = pair.application.document.clone();
    document["username"] = json!(pair.clone);
    document["password"] = json!(password);
    let other = Application::storing(
        &pair.clone,
        &password,
        document.clone(),
        &document.to_string(),
        "app/",
    )
    .await;
    for secret in [&pair.application, &other] {
        let report = retire(&function, secret, true).await.unwrap();
        assert_eq!(report["Retired"], false);
        assert!(message(&report).contains("there is nothing to retire"), "{report}");
    }
    world().postgres.login(&pair.clone, &password).await.unwrap();
    pair.session("AWSCURRENT").await;
}

#[tokio::test]
async fn a_current_user_that_is_in_aws_previous_too_is_left_alone() {
    let (pair, function) = (Pair::new().await, without_waiting());
    pair.turn(&function).await;
    // A person edits another key of the secret.
    let mut document: Value =
        serde_json::from_str(&pair.application.value("AWSCURRENT").await.unwrap()).unwrap();
    document["note"] = json!("another key");
    pair.application.put(&random_hex(), &document.to_string(), &["AWSCURRENT"]).await;
    let report = retire(&function, &pair.application, true).await.unwrap();
    assert_eq!(report["Retired"], false, "{report}");
    pair.session("AWSCURRENT").await;
}

#[tokio::test]
async fn a_retirement_needs_nothing_that_only_a_rotation_needs() {
    let (pair, function) = (Pair::new().await, without_waiting());
    pair.turn(&function).await;
    pair.superuser("ALTER ROLE :admin NOLOGIN; ALTER ROLE :clone RESET role").await;
    let (user, leaked) = pair.credentials("AWSPREVIOUS").await;
    let report = retire(&function, &pair.application, false).await.unwrap();
    assert_eq!(report["Retired"], true, "{report}");
    assert!(world().postgres.login(&user, &leaked).await.is_err());
}

#[tokio::test]
async fn old_sessions_of_a_single_user_are_counted_and_terminated_on_request() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let old = application.login(&application.password).await;
    assert_eq!(application.rotate(&function).await["state"], "succeeded");
    let new = application.login(&application.password_in("AWSCURRENT").await).await;
    let report = retire(&function, &application, false).await.unwrap();
    assert_eq!(
        (&report["Retired"], &report["Clients"][0]["Sessions"]),
        (&json!(false), &json!(1)),
        "{report}"
    );
    assert!(
        report["Clients"][0]["Address"].is_string()
            && message(&report).contains("\"Terminate\": true"),
        "{report}"
    );
    old.batch_execute("SELECT 1").await.unwrap();
    let report = retire(&function, &application, true).await.unwrap();
    assert_eq!((&report["Retired"], &report["Terminated"]), (&json!(true), &json!(1)), "{report}");
    eventually("the end of the session", async || old.is_closed().then_some(())).await;
    new.batch_execute("SELECT 1").await.unwrap();
    eventually("an empty list", async || {
        let report = retire(&function, &application, false).await.unwrap();
        (report["Retired"] == true && report["Clients"] == json!([])).then_some(())
    })
    .await;
    application.login(&application.password_in("AWSCURRENT").await).await;
}

#[tokio::test]
async fn no_old_session_of_a_single_user_is_missed_and_no_new_one_is_counted() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let token = application.begin().await;
    application.steps(&function, &STEPS[..1], &token).await;
    let old = application.login(&application.password).await;
    old.batch_execute("SET application_name = 'postgres-secret-rotation'").await.unwrap();
    application.steps(&function, &STEPS[1..], &token).await;
    let report = retire(&function, &application, true).await.unwrap();
    assert_eq!(
        report["Terminated"], 1,
        "opened with the old password after createSecret: {report}"
    );
    eventually("the end of the session", async || old.is_closed().then_some(())).await;

    let application = Application::new().await;
    let healthy = application.login(&application.password).await;
    let mut document = application.document.clone();
    document["note"] = json!("another key");
    application.put(&random_hex(), &document.to_string(), &["AWSCURRENT"]).await;
    let report = retire(&function, &application, true).await.unwrap();
    assert_eq!(
        (&report["Retired"], &report["Terminated"]),
        (&json!(true), &json!(0)),
        "the password is the same: {report}"
    );
    healthy.batch_execute("SELECT 1").await.unwrap();
}
