//! The end of a credential that was current before.

use serde_json::{Value, json};

use crate::world::application::{Application, STEPS};
use crate::world::lambda::{Answer, Function};
use crate::world::pair::Pair;
use crate::world::{eventually, random_hex, world};

fn at_once() -> Function {
    Function::start(&[("ROTATION_POLICY", &json!({"defaults": {"retire_after": "0s"}}).to_string())])
}

async fn retire(function: &Function, application: &Application, terminate: bool) -> Answer {
    function.invoke(json!({"Operation": "retire", "SecretId": application.name, "Terminate": terminate})).await
}

fn message(report: &Value) -> &str {
    report["Message"].as_str().unwrap()
}

#[tokio::test]
async fn a_user_that_nobody_uses_any_more_loses_its_password_until_its_next_turn() {
    let (pair, function) = (Pair::new().await, at_once());
    pair.turn(&function).await;
    let (user, leaked) = pair.login_in("AWSPREVIOUS").await;
    for _ in 0..2 {
        let report = retire(&function, &pair.application, false).await.unwrap();
        assert_eq!((&report["Retired"], &report["Role"], &report["Clients"]), (&json!(true), &json!(user), &json!([])), "{report}");
        assert!(world().postgres.login(&user, &leaked).await.is_err(), "the leaked password is dead");
        pair.session("AWSCURRENT").await;
    }
    pair.turn(&function).await;
    assert_eq!(pair.login_in("AWSCURRENT").await.0, user);
    pair.session("AWSCURRENT").await;
    pair.session("AWSPREVIOUS").await;
}

#[tokio::test]
async fn a_user_that_is_in_use_keeps_its_password() {
    let (pair, function) = (Pair::new().await, at_once());
    pair.turn(&function).await;
    let open = [pair.session("AWSPREVIOUS").await, pair.session("AWSPREVIOUS").await];
    let report = retire(&function, &pair.application, false).await.unwrap();
    assert_eq!((&report["Retired"], &report["Terminated"]), (&json!(false), &json!(0)), "{report}");
    let clients = report["Clients"].as_array().unwrap();
    assert_eq!((clients.len(), &clients[0]["Sessions"], &clients[0]["ApplicationName"]), (1, &json!(2), &json!("application")), "{report}");
    assert!(message(&report).contains("2 sessions") && message(&report).contains("\"Terminate\": true"), "{report}");
    pair.session("AWSPREVIOUS").await;
    for session in &open {
        session.batch_execute("SELECT 1").await.unwrap();
    }
}

#[tokio::test]
async fn sessions_are_ended_where_a_person_asks_for_it_and_the_admin_may() {
    let (pair, function) = (Pair::new().await, at_once());
    pair.turn(&function).await;
    let open = pair.session("AWSPREVIOUS").await;
    let current = pair.session("AWSCURRENT").await;
    pair.superuser("GRANT pg_signal_backend TO :admin").await;
    let report = retire(&function, &pair.application, true).await.unwrap();
    assert_eq!((&report["Retired"], &report["Terminated"]), (&json!(true), &json!(1)), "{report}");
    eventually("the end of the session", async || open.is_closed().then_some(())).await;
    current.batch_execute("SELECT 1").await.unwrap();

    pair.turn(&function).await;
    pair.superuser("REVOKE pg_signal_backend FROM :admin").await;
    let open = pair.session("AWSPREVIOUS").await;
    let report = retire(&function, &pair.application, true).await.unwrap();
    assert_eq!((&report["Retired"], &report["Terminated"]), (&json!(true), &json!(0)), "{report}");
    assert!(message(&report).contains(&pair.filled("run GRANT \"pg_signal_backend\" TO :admin")), "{report}");
    open.batch_execute("SELECT 1").await.unwrap();
}

#[tokio::test]
async fn nobody_is_retired_before_the_time_that_the_policy_gives() {
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
    let (pair, function) = (Pair::new().await, at_once());
    pair.turn(&function).await;
    let token = pair.application.begin().await;
    pair.application.steps(&function, &STEPS[..2], &token).await;
    let refused = retire(&function, &pair.application, true).await.unwrap_err();
    assert_eq!(refused.kind, "RotationUnderWay", "{}", refused.message);
    function.invoke(json!({"Operation": "recover", "SecretId": pair.application.name})).await.unwrap();

    pair.superuser("ALTER ROLE :base PASSWORD 'x'; ALTER ROLE :clone PASSWORD 'x'").await;
    let before = pair.application.snapshot().await;
    let refused = retire(&function, &pair.application, true).await.unwrap_err();
    assert_eq!(refused.kind, "LoginRejected", "{}", refused.message);
    assert_eq!(pair.application.snapshot().await, before);
}

#[tokio::test]
async fn a_role_that_only_looks_like_the_second_user_is_left_alone() {
    let (pair, function) = (Pair::new().await, at_once());
    let report = retire(&function, &pair.application, true).await.unwrap();
    assert_eq!(report["Retired"], false);
    assert!(message(&report).contains("does not exist"), "{report}");
    let password = random_hex();
    pair.superuser(&format!("CREATE ROLE :clone LOGIN PASSWORD '{password}'")).await;
    let refused = retire(&function, &pair.application, true).await.unwrap_err();
    assert_eq!(refused.kind, "UsersNotReady", "{}", refused.message);
    world().postgres.login(&pair.clone, &password).await.unwrap();
}

#[tokio::test]
async fn of_one_user_the_sessions_from_before_are_counted_and_ended_on_request() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let old = application.login(&application.password).await;
    assert_eq!(application.rotate(&function).await["state"], "succeeded");
    let new = application.login(&application.password_in("AWSCURRENT").await).await;
    let report = retire(&function, &application, false).await.unwrap();
    assert_eq!((&report["Retired"], &report["Clients"][0]["Sessions"]), (&json!(false), &json!(1)), "{report}");
    assert!(report["Clients"][0]["Address"].is_string() && message(&report).contains("\"Terminate\": true"), "{report}");
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
