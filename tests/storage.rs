//! The form in which the server stores a password: a role, a database or a default never weakens it.

use serde_json::json;

use crate::world::application::{Application, STEPS};
use crate::world::lambda::Function;

/// Stores the application's password in another form, as an administrator would.
async fn store_again(application: &Application, settings: &str) {
    let password = application.password.replace('\'', "''");
    let role = &application.role;
    let sql = format!("{settings} ALTER ROLE {role} PASSWORD '{password}'");
    crate::world::postgres::admin().await.batch_execute(&sql).await.unwrap();
}

#[tokio::test]
async fn a_role_or_a_database_cannot_weaken_how_its_password_is_stored() {
    let function = Function::start(&[]);
    for setting in ["password_encryption = 'md5'", "scram_iterations = 1"] {
        if setting.starts_with("scram") && crate::world::postgres::version().await < 160_000 {
            continue;
        }
        let application = Application::new().await;
        let sql = format!("ALTER ROLE {} SET {setting}", application.role);
        crate::world::postgres::admin().await.batch_execute(&sql).await.unwrap();
        let token = application.begin().await;
        application.steps(&function, &STEPS, &token).await;
        application.assert_rotated(&token, &application.password).await;
        let stored = application.stored_hash().await.unwrap();
        assert!(stored.starts_with("SCRAM-SHA-256$4096:"), "{setting}");
    }
}

#[tokio::test]
async fn a_password_that_is_stored_as_md5_stays_so_with_a_warning() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    store_again(&application, "SET password_encryption = 'md5';").await;
    let sql = format!("ALTER ROLE {} SET password_encryption = 'md5'", application.role);
    crate::world::postgres::admin().await.batch_execute(&sql).await.unwrap();
    let token = application.begin().await;
    application.steps(&function, &["createSecret"], &token).await;
    let report = application.step(&function, "setSecret", &token).await.unwrap();
    assert!(report["Warnings"][0].as_str().unwrap().contains("md5"), "{report}");
    application.steps(&function, &["testSecret", "finishSecret"], &token).await;
    application.assert_rotated(&token, &application.password).await;
    assert!(application.stored_hash().await.unwrap().starts_with("md5"));
}

#[tokio::test]
async fn more_scram_iterations_than_by_default_are_kept() {
    if crate::world::postgres::version().await < 160_000 {
        return;
    }
    let (application, function) = (Application::new().await, Function::start(&[]));
    store_again(&application, "SET scram_iterations = 20000;").await;
    let token = application.begin().await;
    application.steps(&function, &STEPS, &token).await;
    application.assert_rotated(&token, &application.password).await;
    assert!(application.stored_hash().await.unwrap().starts_with("SCRAM-SHA-256$20000:"));
}

#[tokio::test]
async fn the_policy_may_ask_for_scram_where_the_password_is_stored_as_md5() {
    let application = Application::new().await;
    let policy =
        json!({"secrets": {&application.name: {"password_storage": "scram-sha-256"}}}).to_string();
    let function = Function::start(&[("ROTATION_POLICY", &policy)]);
    store_again(&application, "SET password_encryption = 'md5';").await;
    let token = application.begin().await;
    application.steps(&function, &STEPS, &token).await;
    application.assert_rotated(&token, &application.password).await;
    assert!(application.stored_hash().await.unwrap().starts_with("SCRAM-SHA-256$"));
}
