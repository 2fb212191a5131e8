//! `preflight` and `status` with `"Fix": "sql"`: one script for psql gives all that is missing, in
//! every database.

use serde_json::{Value, json};

use super::Unequal;
use crate::world::postgres::{admin, has};
use crate::world::{unique, world};

async fn asked(unequal: &Unequal, operation: &str) -> Value {
    // The labels have to be at rest.
    unequal.pair.application.remove_pending_label().await;
    let event = json!({
        "Operation": operation, "SecretId": unequal.pair.application.secret, "Fix": "sql",
    });
    unequal.function.invoke(event).await.unwrap()
}

/// Runs a script as psql does that is connected to the secret's database.
pub(super) async fn run(unequal: &Unequal, script: &str) -> usize {
    let postgres = &world().postgres;
    let session = async |database: &str| {
        postgres.login_to(database, "postgres", &postgres.admin_password).await.unwrap()
    };
    let mut current = session(&unequal.database).await;
    let mut count = 0;
    for line in script.lines().filter(|line| !line.starts_with("--")) {
        if let Some(database) = line.strip_prefix("\\connect ") {
            current = session(database).await;
        } else if let Some(setting) = line.strip_prefix("\\set ") {
            assert_eq!(setting, "ON_ERROR_STOP on");
        } else {
            current.batch_execute(line).await.unwrap_or_else(|error| panic!("{line}: {error:?}"));
            count += 1;
        }
    }
    count
}

/// Everything in the secret's database and in another, of which an error names only ten.
async fn make_unequal(unequal: &Unequal) -> String {
    let elsewhere = unique("elsewhere_");
    admin().await.batch_execute(&format!("CREATE DATABASE {elsewhere}")).await.unwrap();
    for database in [&unequal.database, &elsewhere] {
        unequal
            .superuser_in(
                database,
                "CREATE SCHEMA s; DO $$ BEGIN FOR n IN 1..30 LOOP EXECUTE format('CREATE TABLE \
                 s.t%s (id serial); GRANT SELECT, INSERT ON s.t%s TO :current; CREATE TABLE \
                 s.o%s (id int); ALTER TABLE s.o%s OWNER TO :current', n, n, n, n); END LOOP; END \
                 $$; GRANT USAGE ON SCHEMA s TO :current; ALTER DEFAULT PRIVILEGES FOR ROLE \
                 :current GRANT SELECT ON TABLES TO :admin; CREATE EXTENSION citext; CREATE VIEW \
                 s.v AS SELECT 1; ALTER VIEW s.v OWNER TO :current",
            )
            .await;
    }
    elsewhere
}

#[tokio::test]
async fn preflight_gives_all_that_is_missing_in_one_script() {
    let unequal = Unequal::new().await;
    let elsewhere = make_unequal(&unequal).await;
    let report = asked(&unequal, "preflight").await;
    assert_eq!(report["Ready"], false, "{report}");
    let failed = report["Checks"].as_array().unwrap().last().unwrap();
    assert_eq!(failed["ErrorKind"], "PrivilegesMissing", "{failed}");
    let script = report["Script"].as_str().unwrap();
    assert!(script.contains(&format!("\\connect {elsewhere}\n")), "{script}");
    // The objects of the user are moved by one statement for each database.
    assert_eq!(script.matches("REASSIGN OWNED").count(), 2, "{script}");
    let count = run(&unequal, script).await;
    // Two privileges on each of 30 tables, USAGE, default privileges, and REASSIGN OWNED.
    assert_eq!(count, 2 * (60 + 3), "{script}");

    let report = asked(&unequal, "preflight").await;
    assert_eq!(report["Ready"], true, "{report}");
    assert_eq!(report["Script"], "-- Nothing has to be run.\n");
    unequal.pair.turn(&unequal.function).await;
    admin().await.batch_execute(&format!("DROP DATABASE {elsewhere} WITH (FORCE)")).await.unwrap();
}

/// An error cannot show such a name, and without it the statement would be about another table.
#[tokio::test]
async fn a_statement_with_a_name_that_does_not_print_is_only_in_the_script() {
    let unequal = Unequal::new().await;
    let table = "public.\"other\u{2028}s\"";
    let grant = format!("GRANT SELECT ON TABLE {table} TO");
    unequal.superuser(&format!("CREATE TABLE {table} (id int); {grant} :current")).await;
    unequal.set().await;
    let message = unequal.refused().await.message;
    assert!(message.contains("which preflight writes with \"Fix\": \"sql\")"), "{message}");
    assert!(!message.contains("GRANT"), "{message}");
    let report = asked(&unequal, "preflight").await;
    assert!(report["Script"].as_str().unwrap().contains(&grant), "{report}");
}

#[tokio::test]
async fn status_gives_it_for_the_two_users_as_they_are_now() {
    let unequal = Unequal::new().await;
    let elsewhere = make_unequal(&unequal).await;
    let script = asked(&unequal, "status").await["Script"].as_str().unwrap().to_owned();
    run(&unequal, &script).await;
    let token = unequal.pair.application.begin().await;
    let steps = ["createSecret", "setSecret", "testSecret"];
    unequal.pair.application.steps(&unequal.function, &steps, &token).await;
    admin().await.batch_execute(&format!("DROP DATABASE {elsewhere} WITH (FORCE)")).await.unwrap();
}

/// An admin after an upgrade has ADMIN OPTION on none of the roles that were there before.
#[tokio::test]
async fn what_the_admin_lacks_is_in_the_script_too() {
    if !has("ADMIN OPTION of the admin alone", 16).await {
        return;
    }
    let unequal = Unequal::new().await;
    let groups = unique("group_");
    unequal
        .superuser(&format!(
            "DO $$ BEGIN FOR n IN 1..25 LOOP EXECUTE format('CREATE ROLE {groups}_%s; GRANT \
             {groups}_%s TO :current', n, n); END LOOP; END $$"
        ))
        .await;
    let failed = unequal.step("createSecret").await.and(unequal.step("setSecret").await);
    let failed = failed.unwrap_err();
    assert_eq!(failed.kind, "AdminLacksRight", "{}", failed.message);
    assert!(failed.message.contains("; and 15 more, which preflight lists"), "{}", failed.message);
    let report = asked(&unequal, "preflight").await;
    let count = run(&unequal, report["Script"].as_str().unwrap()).await;
    assert_eq!(count, 25);
    unequal.pair.turn(&unequal.function).await;
}

#[tokio::test]
async fn a_pair_that_lacks_nothing_has_nothing_to_run() {
    let unequal = Unequal::new().await;
    for operation in ["preflight", "status"] {
        let report = asked(&unequal, operation).await;
        assert_eq!(report["Script"], "-- Nothing has to be run.\n", "{report}");
    }
    let event = json!({"Operation": "preflight", "SecretId": unequal.pair.application.secret});
    let report = unequal.function.invoke(event).await.unwrap();
    assert!(report.get("Script").is_none(), "{report}");
}
