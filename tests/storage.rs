//! The form in which the server stores a password: a role, a database or a default never weakens
//! it. Where `pg_hba.conf` takes SCRAM only, md5 would lock the role out for good.

use postgres_protocol::escape::escape_literal;
use postgres_protocol::password::scram_sha_256;
use serde_json::{Value, json};

use crate::world::application::{Application, STEPS};
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::postgres::{Cluster, SCRAM_ROLES, Settings, admin, has, own_database, superuser};
use crate::world::proxy::AwsProxy;
use crate::world::wire::{self, Wire};
use crate::world::{eventually, random_hex, unique};

/// Who may set it without any privilege: the role itself, and the owner of its database.
const SETTINGS: [&str; 3] = [
    "ALTER ROLE :role SET password_encryption = 'md5'",
    "ALTER DATABASE :db SET password_encryption = 'md5'",
    "ALTER ROLE :role IN DATABASE :db SET password_encryption = 'md5'",
];

async fn operate(function: &Function, operation: &str, application: &Application) -> Value {
    let event = json!({"Operation": operation, "SecretId": application.secret});
    let answer = function.invoke(event).await;
    answer.unwrap_or_else(|failure| panic!("{operation}: {failure:?}"))
}

async fn assert_stored_as_scram(application: &Application, context: &str) {
    let stored = application.stored_hash().await.unwrap_or_default();
    assert!(stored.starts_with("SCRAM-SHA-256$4096:"), "{context}: {}", &stored[..14]);
    let current = application.password_in("AWSCURRENT").await;
    assert!(application.accepts(&current).await, "{context}: AWSCURRENT logs in");
}

#[tokio::test]
async fn a_single_user_is_never_stored_in_a_weaker_form_than_its_login() {
    let own_form = Function::start(&[]);
    let cleartext = json!({"defaults": {"password_storage": "cleartext"}}).to_string();
    let cleartext = Function::start(&[("ROTATION_POLICY", &cleartext)]);
    for setting in SETTINGS {
        for (function, form) in [(&own_form, "a verifier"), (&cleartext, "in clear")] {
            let context = format!("{setting}, {form}");
            let dbname = own_database().await;
            let application =
                Application::edited(|document| document["dbname"] = json!(dbname)).await;
            superuser(&format!("GRANT {SCRAM_ROLES} TO {}", application.role)).await;
            superuser(&setting.replace(":role", &application.role).replace(":db", &dbname)).await;
            let preflight = operate(function, "preflight", &application).await;
            assert_eq!(preflight["Ready"], true, "{context}: {preflight}");
            let rotation = application.rotate(function).await;
            assert_eq!(rotation["state"], "succeeded", "{context}: {rotation}");
            assert_stored_as_scram(&application, &context).await;

            // The way back of a recovery: the newest version has lost its label.
            let lost = application.begin().await;
            application.steps(function, &STEPS[..1], &lost).await;
            let pending = application.password_in("AWSPENDING").await;
            application.set_password(&pending).await;
            application.remove_pending_label().await;
            let recovered = operate(function, "recover", &application).await;
            assert_eq!(recovered["Done"], json!(["RestoreCurrent"]), "{context}: {recovered}");
            assert_stored_as_scram(&application, &context).await;
        }
    }
}

#[tokio::test]
async fn an_admin_that_resets_the_password_stores_it_as_scram() {
    for setting in SETTINGS {
        let dbname = own_database().await;
        let pair = Pair::edited(|document| document["dbname"] = json!(dbname)).await;
        let application = &pair.application;
        let policy = json!({"defaults": {"strategy": "single-user",
            "admin_secret": application.document["masterarn"], "admin_reset": true,
            "role": pair.base}});
        let function = Function::start(&[("ROTATION_POLICY", &policy.to_string())]);
        superuser(&format!("GRANT {SCRAM_ROLES} TO {}, {}", pair.base, pair.admin)).await;
        for role in [&pair.base, &pair.admin] {
            superuser(&setting.replace(":role", role).replace(":db", &dbname)).await;
        }
        application.set_password(&random_hex()).await;
        let recovered = operate(&function, "recover", application).await;
        assert_eq!(recovered["Done"], json!(["ResetByAdmin"]), "{setting}: {recovered}");
        assert_stored_as_scram(application, setting).await;
    }
}

#[tokio::test]
async fn alternating_users_are_never_stored_in_a_weaker_form_than_their_login() {
    let function = Function::start(&[]);
    for setting in SETTINGS {
        let dbname = own_database().await;
        let pair = Pair::edited(|document| document["dbname"] = json!(dbname)).await;
        let application = &pair.application;
        superuser(&format!("GRANT {SCRAM_ROLES} TO {}, {}", pair.base, pair.admin)).await;
        for role in [&pair.base, &pair.admin] {
            superuser(&setting.replace(":role", role).replace(":db", &dbname)).await;
        }
        for turn in 1..=2 {
            let rotation = application.rotate(&function).await;
            assert_eq!(rotation["state"], "succeeded", "{setting}, turn {turn}: {rotation}");
            pair.session("AWSCURRENT").await;
            pair.session("AWSPREVIOUS").await;
        }
    }
}

#[tokio::test]
async fn a_servers_own_setting_does_not_weaken_a_password_either() {
    let (role, password) = (unique("app_"), random_hex());
    let verifier = escape_literal(&scram_sha_256(password.as_bytes()));
    let prepare =
        format!("CREATE ROLE {role} LOGIN PASSWORD {verifier}; GRANT {SCRAM_ROLES} TO {role}");
    let cluster =
        Cluster::start(&Settings { prepare, password_encryption: "md5", ..Settings::default() });
    let edit = |document: &mut Value| document["port"] = json!(cluster.port);
    let application = Application::for_role(&role, &password, edit).await;
    let root = cluster.ca_file.display().to_string();
    let cleartext = json!({"defaults": {"password_storage": "cleartext"}}).to_string();
    for policy in ["{}", &cleartext] {
        let function = Function::start(&[("CA_BUNDLE_FILE", &root), ("ROTATION_POLICY", policy)]);
        let preflight = operate(&function, "preflight", &application).await;
        assert_eq!(preflight["Ready"], true, "{policy}: {preflight}");
        let rotation = application.rotate(&function).await;
        assert_eq!(rotation["state"], "succeeded", "{policy}: {rotation}");
        let current = application.password_in("AWSCURRENT").await;
        cluster.login(&role, &current).await.expect("AWSCURRENT logs in by SCRAM");
    }
    let (admin, function) = (cluster.admin().await, Function::start(&[("CA_BUNDLE_FILE", &root)]));
    if !has("scram_iterations", 16).await {
        return;
    }
    for sql in ["ALTER SYSTEM SET scram_iterations = 100001", "SELECT pg_reload_conf()"] {
        admin.batch_execute(sql).await.unwrap();
    }
    let token = application.begin().await;
    application.steps(&function, &STEPS[..1], &token).await;
    let set = async || application.step(&function, "setSecret", &token).await;
    let refused = eventually("the new setting", async || set().await.err()).await;
    assert_eq!(refused.kind, "TooManyIterations", "{refused:?}");
    for number in ["100001", "100000"] {
        assert!(refused.message.contains(number), "{number}: {refused:?}");
    }
    let current = application.password_in("AWSCURRENT").await;
    cluster.login(&role, &current).await.expect("nothing was changed");
}

/// An extension with a history refuses the last password, wherever it is set.
#[tokio::test]
async fn a_way_back_that_the_server_refuses_halts_the_rehearsal() {
    let (proxy, wire) = (AwsProxy::start(), Wire::idle());
    let application = wire.application(|_| {}).await;
    let policy = json!({"defaults": {"password_storage": "cleartext", "allow_plaintext": true}});
    let function = Function::start(&[
        ("AWS_ENDPOINT_URL", &proxy.url),
        ("ROTATION_POLICY", &policy.to_string()),
    ]);
    let token = application.begin().await;
    application.steps(&function, &STEPS[..1], &token).await;
    let (before, pending) =
        (application.snapshot().await, application.password_in("AWSPENDING").await);
    for code in ["28P01", "22023"] {
        let last: &'static str = format!("PASSWORD '{}'", application.password).leak();
        wire.arm_for(last, wire::Fault::Refuse(code));
        let halted = application.step(&function, "setSecret", &token).await.unwrap_err();
        assert_eq!((halted.kind.as_str(), wire.hits()), ("WayBackRefused", 1), "{halted:?}");
        assert!(!halted.message.contains(&application.password), "the server quotes it");
        assert_eq!(application.snapshot().await, before);
    }
    // It would remember the pending one, too, although that was rolled back.
    wire.arm_for(format!("PASSWORD '{pending}'").leak(), wire::Fault::Refuse("28P01"));
    application.steps(&function, &STEPS[1..3], &token).await;
    assert_eq!(wire.hits(), 0, "the pending password is not rehearsed");
    wire.disarm();
    application.steps(&function, &STEPS[3..], &token).await;
    application.assert_rotated(&token, &application.password).await;
}

/// Stores the application's password in another form, as an administrator would.
async fn store_again(application: &Application, settings: &str) {
    let password = application.password.replace('\'', "''");
    let role = &application.role;
    let sql = format!("{settings} ALTER ROLE {role} PASSWORD '{password}'");
    admin().await.batch_execute(&sql).await.unwrap();
}

#[tokio::test]
async fn a_role_or_a_database_cannot_weaken_how_its_password_is_stored() {
    let function = Function::start(&[]);
    for setting in ["password_encryption = 'md5'", "scram_iterations = 1"] {
        if setting.starts_with("scram") && !has("scram_iterations", 16).await {
            continue;
        }
        let application = Application::new().await;
        let sql = format!("ALTER ROLE {} SET {setting}", application.role);
        admin().await.batch_execute(&sql).await.unwrap();
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
    admin().await.batch_execute(&sql).await.unwrap();
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
    if !has("scram_iterations", 16).await {
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
