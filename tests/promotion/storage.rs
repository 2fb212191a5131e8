//! `password_encryption` is md5, and `pg_hba.conf` takes SCRAM only: a password stored as the
//! setting says would lock the role out for good.

use postgres_protocol::escape::escape_literal;
use postgres_protocol::password::scram_sha_256;
use serde_json::{Value, json};

use super::{own_database, superuser};
use crate::world::application::{Application, STEPS};
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::postgres::{Cluster, SCRAM_ROLES, Settings};
use crate::world::{random_hex, unique};

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
}
