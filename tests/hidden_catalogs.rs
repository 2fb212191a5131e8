//! Catalogs that PUBLIC may no longer read: what is only good to know stops no operation.

use serde_json::json;

use crate::world::application::{Application, STEPS};
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::postgres::own_database;
use crate::world::world;

const TAKEN: &str = "REVOKE SELECT ON pg_catalog.pg_stat_activity FROM PUBLIC; \
    REVOKE EXECUTE ON FUNCTION pg_catalog.pg_is_in_recovery() FROM PUBLIC";

/// A database whose catalogs were taken from PUBLIC; its name.
async fn hardened_database() -> String {
    let dbname = own_database().await;
    let postgres = &world().postgres;
    let admin = postgres.login_to(&dbname, "postgres", &postgres.admin_password).await.unwrap();
    admin.batch_execute(TAKEN).await.unwrap();
    dbname
}

async fn assert_all_works(function: &Function, application: &Application) {
    let operate = async |operation: &str| {
        let event = json!({"Operation": operation, "SecretId": application.secret});
        let answer = function.invoke(event).await;
        answer.unwrap_or_else(|failure| panic!("{operation}: {failure:?}"))
    };
    let status = operate("status").await;
    assert_eq!(status["Remedy"], "Nothing", "{status}");
    let hidden = &status["NotVisible"];
    assert_eq!(
        hidden["Sessions"], "42501: permission denied for view pg_stat_activity",
        "{status}"
    );
    let preflight = operate("preflight").await;
    assert_eq!(preflight["Ready"], true, "{preflight}");
    for done in 0..=STEPS.len() {
        let token = application.begin().await;
        application.steps(function, &STEPS[..done], &token).await;
        operate("recover").await;
        assert_eq!(operate("status").await["Remedy"], "Nothing", "after {done} steps");
    }
    operate("rotate").await;
    assert_eq!(operate("status").await["Remedy"], "Nothing");
}

#[tokio::test]
async fn a_single_user_is_rotated_and_recovered_without_them() {
    let dbname = hardened_database().await;
    let application = Application::edited(|document| document["dbname"] = json!(dbname)).await;
    assert_all_works(&Function::start(&[]), &application).await;
    // The outage that recover exists for: the database has the password of a version without label.
    let function = Function::start(&[]);
    let token = application.begin().await;
    application.steps(&function, &STEPS[..1], &token).await;
    application.set_password(&application.password_in("AWSPENDING").await).await;
    application.remove_pending_label().await;
    let event = json!({"Operation": "recover", "SecretId": application.secret});
    let recovered = function.invoke(event).await.unwrap();
    assert_eq!(recovered["Done"], json!(["RestoreCurrent"]), "{recovered}");
    assert!(application.accepts(&application.password_in("AWSCURRENT").await).await);
}

#[tokio::test]
async fn alternating_users_are_rotated_and_recovered_without_them() {
    let dbname = hardened_database().await;
    let pair = Pair::edited(|document| document["dbname"] = json!(dbname)).await;
    assert_all_works(&Function::start(&[]), &pair.application).await;
}

#[tokio::test]
async fn the_end_of_passwords_that_cannot_be_read_is_named() {
    let dbname = own_database().await;
    let postgres = &world().postgres;
    let admin = postgres.login_to(&dbname, "postgres", &postgres.admin_password).await.unwrap();
    let sql = "REVOKE SELECT ON pg_catalog.pg_roles FROM PUBLIC";
    admin.batch_execute(sql).await.unwrap();
    let application = Application::edited(|document| document["dbname"] = json!(dbname)).await;
    let event = json!({"Operation": "status", "SecretId": application.secret});
    let status = Function::start(&[]).invoke(event).await.unwrap();
    assert_eq!(status["Remedy"], "Nothing", "{status}");
    let hidden = status["NotVisible"]["ValidUntil"].as_str().unwrap();
    assert_eq!(hidden, "42501: permission denied for view pg_roles", "{status}");
}

/// What a single user's steps and operations read and can do without.
const DISPENSABLE: [&str; 13] = [
    "SELECT ON pg_catalog.pg_database",
    "SELECT ON pg_catalog.pg_db_role_setting",
    "SELECT ON pg_catalog.pg_locks",
    "SELECT ON pg_catalog.pg_roles",
    "SELECT ON pg_catalog.pg_settings",
    "SELECT ON pg_catalog.pg_shdepend",
    "SELECT ON pg_catalog.pg_stat_activity",
    "SELECT ON pg_catalog.pg_user_mappings",
    "EXECUTE ON FUNCTION pg_catalog.has_table_privilege(text, text)",
    "EXECUTE ON FUNCTION pg_catalog.pg_is_in_recovery()",
    "EXECUTE ON FUNCTION pg_catalog.pg_options_to_table(text[])",
    "EXECUTE ON FUNCTION pg_catalog.pg_show_all_settings()",
    "EXECUTE ON FUNCTION pg_catalog.pg_stat_get_activity(integer)",
];

#[tokio::test]
async fn no_catalog_that_is_good_to_know_stops_a_recovery_or_a_rotation() {
    let dbname = own_database().await;
    let postgres = &world().postgres;
    let admin = postgres.login_to(&dbname, "postgres", &postgres.admin_password).await.unwrap();
    let application = Application::edited(|document| document["dbname"] = json!(dbname)).await;
    let function = Function::start(&[]);
    for taken in DISPENSABLE {
        application.cut_off_after_commit(&function).await;
        application.remove_pending_label().await;
        admin.batch_execute(&format!("REVOKE {taken} FROM PUBLIC")).await.unwrap();
        for operation in ["recover", "rotate"] {
            let event = json!({"Operation": operation, "SecretId": application.secret});
            let answer = function.invoke(event).await;
            assert!(answer.is_ok(), "{operation} without {taken}: {answer:?}");
            let current = application.password_in("AWSCURRENT").await;
            assert!(application.accepts(&current).await, "{operation} without {taken}");
        }
        admin.batch_execute(&format!("GRANT {taken} TO PUBLIC")).await.unwrap();
    }
}
