//! Attacks on the log and on the person who reads it: rows that an error quotes, statements that
//! give power, and words that act on a terminal.

use serde_json::json;

use super::function;
use crate::world::application::Application;
use crate::world::lambda::Function;
use crate::world::postgres::admin;
use crate::world::unique;

/// The failure of `testSecret` on the current value: its text, and all that the function logged.
async fn tested(application: &Application, function: &Function) -> (String, String) {
    let token = application.begin().await;
    let failed = application.step(function, "testSecret", &token).await.unwrap_err();
    let logged = function
        .await_log_event("the error", |event| event["error.kind"] == json!(failed.kind))
        .await;
    assert_eq!(logged["level"], "ERROR");
    (failed.message, function.output())
}

#[tokio::test]
async fn a_probe_of_the_secret_reads_no_row_into_the_log() {
    // Planning runs what is declared STABLE. Its error may have any SQLSTATE, those included by
    // which we recognise a missing right, a time-out or a lock.
    for code in ["22P02", "42501", "42P01", "57014", "55P03", "53300", "57P03", "P0001"] {
        let application = Application::new().await;
        let (role, canary) = (&application.role, format!("row {code} of the application"));
        let owner = application.login(&application.password).await;
        let sql = format!(
            "CREATE TABLE {role}.rows AS SELECT '{canary}'::text AS row; CREATE FUNCTION \
             {role}.steal() RETURNS int STABLE LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '%', \
             (SELECT row FROM {role}.rows) USING ERRCODE = '{code}', DETAIL = (SELECT row FROM \
             {role}.rows), HINT = (SELECT row FROM {role}.rows); END $$"
        );
        owner.batch_execute(&sql).await.unwrap();
        let mut document = application.document.clone();
        document["rotation"] = json!({"probes": [format!("SELECT * FROM {role}.orders WHERE id = \
            {role}.steal()")]});
        application
            .put(
                &unique("probe-of-the-secret-000000000000"),
                &document.to_string(),
                &["AWSCURRENT"],
            )
            .await;
        let function = function(&application, &json!({}));
        let (text, log) = tested(&application, &function).await;
        assert!(text.contains(code), "{text}");
        assert!(!text.contains(&canary) && !log.contains(&canary), "{text}\n{log}");
    }
}

#[tokio::test]
async fn a_view_that_the_secret_declares_reads_no_row_into_the_log() {
    let application = Application::new().await;
    let role = &application.role;
    let owner = application.login(&application.password).await;
    let sql = format!(
        "CREATE FUNCTION {role}.steal() RETURNS int STABLE LANGUAGE plpgsql AS $$ BEGIN RAISE \
         EXCEPTION 'a row of the application' USING ERRCODE = '42501'; END $$; CREATE VIEW \
         {role}.seen AS SELECT * FROM {role}.orders WHERE id = {role}.steal()"
    );
    owner.batch_execute(&sql).await.unwrap();
    let mut document = application.document.clone();
    document["rotation"] = json!({"grants": [format!("SELECT, UPDATE ON {role}.seen")]});
    application
        .put(&unique("view-of-the-secret-0000000000000"), &document.to_string(), &["AWSCURRENT"])
        .await;
    let function = function(&application, &json!({}));
    let token = application.begin().await;
    let answer = application.step(&function, "testSecret", &token).await;
    let said = format!("{answer:?}{}", function.output());
    assert!(!said.contains("a row of the application"), "{said}");
}

#[tokio::test]
async fn no_statement_gives_what_only_the_secret_asks_for() {
    let boss = unique("boss_");
    admin().await.batch_execute(&format!("CREATE ROLE {boss} SUPERUSER")).await.unwrap();
    for grant in [
        format!("{boss} WITH ADMIN OPTION"),
        boss.clone(),
        "pg_execute_server_program WITH ADMIN OPTION".to_owned(),
        "SELECT ON pg_catalog.pg_authid".to_owned(),
        "EXECUTE ON FUNCTION pg_catalog.pg_read_file(text)".to_owned(),
    ] {
        let application = Application::edited(|document| {
            document["rotation"] = json!({"grants": [grant]});
        })
        .await;
        let function = function(&application, &json!({}));
        let (text, log) = tested(&application, &function).await;
        assert!(text.contains("no statement is shown"), "{grant}: {text}");
        assert!(!text.contains("GRANT ") && !log.contains("GRANT "), "{grant}: {text}");
    }
}

#[tokio::test]
async fn no_statement_gives_a_powerful_role_even_if_the_policy_asks_for_it() {
    let application = Application::new().await;
    let function = function(&application, &json!({"grants": ["pg_read_server_files"]}));
    let (text, _) = tested(&application, &function).await;
    assert!(text.contains("powerful") && !text.contains("GRANT "), "{text}");
}

#[tokio::test]
async fn no_statement_gives_the_role_that_a_setting_names() {
    let application = Application::edited(|document| {
        document["rotation"] = json!({"probes": ["SELECT 1"]});
    })
    .await;
    let boss = unique("boss_");
    let sql = format!("CREATE ROLE {boss} CREATEROLE");
    admin().await.batch_execute(&sql).await.unwrap();
    let own = application.login(&application.password).await;
    let sql = format!("ALTER ROLE {} SET role = '{boss}'", application.role);
    own.batch_execute(&sql).await.unwrap();
    let function = function(&application, &json!({}));
    let (text, _) = tested(&application, &function).await;
    assert!(text.contains(&boss) && text.contains("\"role\" setting"), "{text}");
    assert!(!text.contains("GRANT "), "{text}");
}
