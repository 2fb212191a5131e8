//! What a rotation does about declarations: it checks, halts, and says what is missing.

use serde_json::json;

use super::Declared;
use crate::world::application::{Application, STEPS};
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::postgres::{Cluster, HOST, Settings, Standby, admin};
use crate::world::unique;

#[tokio::test]
async fn a_secret_without_declarations_is_reported_as_such() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let token = application.begin().await;
    let report = application.step(&function, "testSecret", &token).await.unwrap();
    assert!(
        report["Message"].as_str().unwrap().ends_with("no grants and no probes are declared."),
        "{report}"
    );
}

#[tokio::test]
async fn all_that_is_missing_is_reported_at_once() {
    let function = Function::start(&[]);
    let (role, schema) = (unique("app_"), unique("schema_"));
    let rotation = json!({"grants": [format!("SELECT ON {schema}.a"), "CREATE ON DATABASE \
        postgres"], "probes": ["SELECT * FROM nowhere", "SELECT 1"]});
    let application = Application::named(&role, |document| document["rotation"] = rotation).await;
    let token = application.begin().await;
    let failed = application.step(&function, "testSecret", &token).await.unwrap_err();
    for expected in [
        "probes[0] cannot be run",
        &format!("table {schema}.a does not exist"),
        "CREATE on database postgres",
    ] {
        assert!(failed.message.contains(expected), "{expected}: {}", failed.message);
    }
}

#[tokio::test]
async fn a_single_user_is_checked_before_its_password_is_changed() {
    let function = Function::start(&[]);
    let declared = Declared::new("grants", &["SELECT ON :s.orders"], "").await;
    let application = &declared.application;
    let token = application.begin().await;
    application.steps(&function, &["createSecret"], &token).await;
    let before = application.snapshot().await;
    let failed = application.step(&function, "setSecret", &token).await.unwrap_err();
    assert_eq!(failed.kind, "DeclaredRightsMissing");
    let statement = declared.fill("GRANT SELECT ON TABLE :s.orders TO \":r\"");
    assert!(
        failed.message.contains(&format!("({statement}). AWSCURRENT was not moved.")),
        "{}",
        failed.message
    );
    assert_eq!(application.snapshot().await, before);

    admin().await.batch_execute(&statement).await.unwrap();
    application.steps(&function, &["setSecret"], &token).await;
    // A right that was revoked meanwhile halts here, where the application has noticed nothing.
    let revoke = declared.fill("REVOKE SELECT ON :s.orders FROM :r");
    admin().await.batch_execute(&revoke).await.unwrap();
    let before = application.snapshot().await;
    let failed = application.step(&function, "testSecret", &token).await.unwrap_err();
    assert!(failed.message.contains(&statement), "{}", failed.message);
    assert_eq!(application.snapshot().await, before);
    // Once the database has the pending password, to halt would lock the application out.
    application.set_password(&application.password_in("AWSPENDING").await).await;
    let report = application.step(&function, "testSecret", &token).await.unwrap();
    assert!(report["Warnings"][0].as_str().unwrap().contains(&statement), "{report}");
    application.steps(&function, &["finishSecret"], &token).await;
    application.assert_rotated(&token, &application.password).await;
}

#[tokio::test]
async fn a_single_user_with_settings_of_its_own_is_changed_after_its_check() {
    let function = Function::start(&[]);
    let declared = Declared::new(
        "probes",
        &["SELECT * FROM orders"],
        "CREATE ROLE acts_:s; GRANT USAGE ON SCHEMA :s TO acts_:s; GRANT SELECT ON :s.orders TO \
         acts_:s; GRANT acts_:s TO :r; ALTER ROLE :r SET role = acts_:s; ALTER ROLE :r SET \
         search_path = :s; ALTER ROLE :r SET default_transaction_read_only = on; CREATE FUNCTION \
         :s.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT 'md5' $$",
    )
    .await;
    let application = &declared.application;
    let token = application.begin().await;
    application.steps(&function, &STEPS, &token).await;
    application.assert_rotated(&token, &application.password).await;
    assert!(application.stored_hash().await.unwrap().starts_with("SCRAM-SHA-256$"));
}

#[tokio::test]
async fn a_revoked_grant_halts_a_turn_and_the_application_still_works() {
    let pair = Pair::new().await;
    let thing = unique("thing_");
    let policy = json!({"secrets": {&pair.application.secret: {
        "grants": [format!("SELECT, INSERT ON TABLE public.{thing}")], "probes": [format!("SELECT \
         total FROM public.{thing} WHERE id = $1")],
    }}});
    let function = Function::start(&[("ROTATION_POLICY", &policy.to_string())]);
    pair.superuser(&format!(
        "CREATE TABLE public.{thing} (id int, total int); GRANT SELECT, INSERT \
        ON public.{thing} TO :base"
    ))
    .await;
    pair.turn(&function).await;
    let before = pair.credentials("AWSCURRENT").await;

    pair.superuser(&format!("REVOKE INSERT ON public.{thing} FROM :base")).await;
    let rotation = pair.application.rotate(&function).await;
    assert_eq!(rotation["state"], "failed", "{rotation}");
    let failure = function
        .await_log_event("the refusal", |event| event["error.kind"] == "DeclaredRightsMissing")
        .await;
    let statement = pair.filled(&format!("GRANT INSERT ON TABLE public.{thing} TO :base"));
    assert!(failure["message"].as_str().unwrap().contains(&format!("({statement})")), "{failure}");
    assert_eq!(failure["rotation.step"], "testSecret");
    assert_eq!(pair.credentials("AWSCURRENT").await, before);
    pair.session("AWSCURRENT").await;

    pair.superuser(&statement).await;
    pair.turn(&function).await;
    let tested = function
        .await_log_event("the test", |event| {
            event["outcome"] == "Tested" && event["test.grants"] == 1
        })
        .await;
    assert_eq!(tested["test.probes"], 1);
}

#[tokio::test]
async fn a_mistake_in_a_declaration_is_pointed_at_before_anything_is_changed() {
    let function = Function::start(&[]);
    for (rotation, expected) in [
        (
            json!({"grants": ["SELECT ON a", "SELCT ON canary"]}),
            "grants[1] in \"rotation\", character 1: expected a privilege",
        ),
        (
            json!({"grants": ["SELECT ON canary TO app"]}),
            "grants[0] in \"rotation\", character 18: expected the end",
        ),
        (
            json!({"grants": "SELECT ON canary"}),
            "\"grants\" in \"rotation\" is not a list of strings",
        ),
        (json!({"grants": [{"canary": 1}]}), "\"grants\" in \"rotation\" is not a list of strings"),
        (
            json!({"probes": ["DROP TABLE canary"]}),
            "probes[0] in \"rotation\", it does not begin with one of SELECT",
        ),
        (json!({"probes": ["SELECT 1; SELECT canary"]}), "several statements"),
        (
            json!({"owner_role": "canary"}),
            "The secret itself may set \"strategy\", \"grants\" and \"probes\"",
        ),
    ] {
        let application = Application::edited(|document| document["rotation"] = rotation).await;
        let token = application.begin().await;
        let before = application.snapshot().await;
        for step in STEPS {
            let refused = application.step(&function, step, &token).await.unwrap_err();
            assert_eq!(refused.kind, "InvalidSecret", "{}", refused.message);
            assert!(
                refused.message.contains(expected) && !refused.message.contains("canary"),
                "{expected}: {}",
                refused.message
            );
        }
        assert_eq!(application.snapshot().await, before);
    }
    for (policy, expected) in [
        (
            r#"{"defaults":{"grants":["SELECT ON app.orders","SELCT ON app.orders"]}}"#,
            "at \"SELCT\" (character 1): expected a privilege",
        ),
        (r#"{"defaults":{"probes":["CALL app.close()"]}}"#, "does not begin with one of SELECT"),
    ] {
        let application = Application::new().await;
        let token = application.begin().await;
        let function = Function::start(&[("ROTATION_POLICY", policy)]);
        let refused = application.step(&function, "createSecret", &token).await.unwrap_err();
        assert_eq!(refused.kind, "InvalidConfiguration");
        assert!(
            refused.message.contains("ROTATION_POLICY") && refused.message.contains(expected),
            "{}",
            refused.message
        );
    }
}

#[tokio::test]
async fn a_standby_is_noticed_before_it_is_too_late() {
    let role = unique("app_");
    let prepare = format!("CREATE ROLE {role} LOGIN PASSWORD 'of the standby'");
    let standby = Cluster::start(&Settings {
        standby: Some(Standby::Readable),
        prepare,
        ..Settings::default()
    });
    let application = Application::for_role(&role, "of the standby", |document| {
        document["host"] = json!(HOST);
        document["port"] = json!(standby.port);
    })
    .await;
    let function = Function::start(&[("CA_BUNDLE_FILE", standby.ca_file.to_str().unwrap())]);
    let token = application.begin().await;
    let failed = application.step(&function, "testSecret", &token).await.unwrap_err();
    assert_eq!(failed.kind, "DatabaseReadOnly", "{}", failed.message);
}
