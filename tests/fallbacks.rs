//! `setSecret` when the database does not have the current password: what was left behind is found, and what was lost is said.

use serde_json::json;

use crate::world::application::{Application, STEPS};
use crate::world::lambda::Function;
use crate::world::postgres::{ADMIN, HOST, admin};
use crate::world::wire::{Fault, Wire};
use crate::world::{eventually, random_hex, unique, world};

/// An admin secret with what `edit` makes of it, and its ARN.
async fn admin_secret(prefix: &str, edit: impl FnOnce(&mut serde_json::Value)) -> String {
    let mut document = json!({"username": ADMIN, "password": world().postgres.admin_password});
    edit(&mut document);
    Application::storing(ADMIN, "", document.clone(), &document.to_string(), prefix).await.secret
}

fn policy(application: &Application, fields: &serde_json::Value) -> String {
    json!({"secrets": {&application.secret: fields}}).to_string()
}

fn failed_logins(application: &Application) -> usize {
    let failed = format!("password authentication failed for user \"{}\"", application.role);
    world().postgres.log().matches(&failed).count()
}

#[tokio::test]
async fn the_pending_password_that_the_database_has_already_is_left_alone() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let token = application.begin().await;
    application.steps(&function, &["createSecret", "setSecret"], &token).await;
    let stored = application.stored().await;
    let report = application.step(&function, "setSecret", &token).await.unwrap();
    assert_eq!(report["Outcome"], "AlreadySet");
    assert_eq!(application.stored().await, stored);
    eventually("the one failed login", async || (failed_logins(&application) == 1).then_some(())).await;
}

#[tokio::test]
async fn the_previous_password_helps_where_the_current_one_never_arrived() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    application.put(&random_hex(), &application.document_with("never arrived"), &["AWSCURRENT"]).await;
    let token = application.begin().await;
    application.steps(&function, &["createSecret"], &token).await;
    let report = application.step(&function, "setSecret", &token).await.unwrap();
    assert!(report["Message"].as_str().unwrap().contains("AWSPREVIOUS"), "{report}");
    assert!(report["Warnings"][0].as_str().unwrap().contains("AWSCURRENT"), "{report}");
    application.steps(&function, &["testSecret", "finishSecret"], &token).await;
    application.assert_rotated(&token, "never arrived").await;
}

#[tokio::test]
async fn an_abandoned_rotation_that_had_changed_the_database_is_found() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let abandoned = application.begin().await;
    application.steps(&function, &["createSecret", "setSecret"], &abandoned).await;
    let token = application.begin_again().await;
    application.steps(&function, &STEPS, &token).await;
    application.assert_rotated(&token, &application.password).await;
}

#[tokio::test]
async fn versions_of_another_role_or_server_are_not_tried() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let other = Application::new().await;
    for (key, value) in [("username", json!(other.role)), ("host", json!("old.example.com")), ("port", json!(1))] {
        let mut document = application.document.clone();
        document[key] = value;
        application.put(&random_hex(), &document.to_string(), &["AWSCURRENT"]).await;
    }
    application.put(&random_hex(), &application.document_with("wrong"), &["AWSCURRENT"]).await;
    // The one that works: the oldest version, of the same role and server.
    let token = application.begin().await;
    application.steps(&function, &STEPS, &token).await;
    application.assert_rotated(&token, "wrong").await;
    assert_eq!(failed_logins(&other), 0);
}

#[tokio::test]
async fn a_password_that_nobody_knows_is_reported_with_what_to_do() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    application.set_password("somebody changed it by hand").await;
    let token = application.begin().await;
    application.steps(&function, &["createSecret"], &token).await;
    let before = application.snapshot().await;
    let refused = application.step(&function, "setSecret", &token).await.unwrap_err();
    assert_eq!(refused.kind, "NoCredentialAccepted");
    assert!(refused.message.contains("AWSCURRENT, AWSPENDING") && refused.message.contains("put-secret-value"), "{}", refused.message);
    assert_eq!(application.snapshot().await, before);
}

#[tokio::test]
async fn the_admin_mends_a_lost_password_only_where_the_functions_policy_says_so() {
    let application = Application::new().await;
    let admin = admin_secret("admin/", |_| {}).await;
    application.set_password("somebody changed it by hand").await;
    let token = application.begin().await;

    let fields = json!({"strategy": "single-user", "admin_secret": admin});
    let function = Function::start(&[("ROTATION_POLICY", &policy(&application, &fields))]);
    application.steps(&function, &["createSecret"], &token).await;
    let refused = application.step(&function, "setSecret", &token).await.unwrap_err();
    assert_eq!(refused.kind, "NoCredentialAccepted");
    assert!(refused.message.contains("admin_reset"), "{}", refused.message);

    let fields = json!({"strategy": "single-user", "admin_secret": admin, "admin_reset": true});
    let function = Function::start(&[("ROTATION_POLICY", &policy(&application, &fields))]);
    application.steps(&function, &STEPS, &token).await;
    application.assert_rotated(&token, &application.password).await;
}

#[tokio::test]
async fn a_role_that_may_not_change_its_own_password_is_changed_by_the_admin() {
    // What `rds.restrict_password_commands` does, which a plain PostgreSQL cannot be made to do.
    let wire = Wire::start("ALTER ROLE", Fault::Refuse("42501"));
    let admin = admin_secret("rds!cluster-", |document| document["host"] = json!(HOST)).await;
    let application = wire.application(|_| {}).await;
    crate::world::postgres::admin().await.batch_execute("GRANT plaintext_roles TO postgres").await.unwrap();
    let token = application.begin().await;

    let alone = Function::start(&[("ROTATION_POLICY", &policy(&application, &json!({"allow_plaintext": true})))]);
    application.steps(&alone, &["createSecret"], &token).await;
    let refused = application.step(&alone, "setSecret", &token).await.unwrap_err();
    assert_eq!(refused.kind, "PermissionDenied");
    assert!(refused.message.contains("rds_password") && refused.message.contains("admin_secret"), "{}", refused.message);

    let wire = Wire::start("ALTER ROLE", Fault::Refuse("42501"));
    let application = wire.application(|_| {}).await;
    let token = application.begin().await;
    let fields = json!({"strategy": "single-user", "admin_secret": admin, "allow_plaintext": true});
    let function = Function::start(&[("ROTATION_POLICY", &policy(&application, &fields))]);
    application.steps(&function, &["createSecret"], &token).await;
    let report = application.step(&function, "setSecret", &token).await.unwrap();
    assert!(report["Message"].as_str().unwrap().contains("admin secret"), "{report}");
    assert_eq!(wire.hits(), 1);
    application.steps(&function, &["testSecret", "finishSecret"], &token).await;
    application.assert_rotated(&token, &application.password).await;
}

#[tokio::test]
async fn the_admin_is_refused_where_it_could_be_abused() {
    let admin_here = admin_secret("admin/", |_| {}).await;
    let admin_elsewhere = admin_secret("admin/", |document| document["host"] = json!("127.0.0.1")).await;
    let create_role = unique("app_");
    let superuser = unique("app_");
    for (role, attributes) in [(&create_role, "CREATEROLE"), (&superuser, "SUPERUSER")] {
        admin().await.batch_execute(&format!("CREATE ROLE {role} LOGIN {attributes} PASSWORD 'somebody changed it'")).await.unwrap();
    }
    let missing = unique("missing_");
    let plain = Application::new().await;
    plain.set_password("somebody changed it by hand").await;
    for (role, admin, tls_server_name, reason) in [
        (create_role.as_str(), &admin_here, None, "it has CREATEROLE"),
        (&superuser, &admin_here, None, "it is a superuser"),
        (&missing, &admin_here, None, "it does not exist"),
        (ADMIN, &admin_here, None, "it is the admin itself"),
        (&plain.role, &admin_elsewhere, Some("localhost"), "nothing proves that the two are one cluster"),
    ] {
        let application = Application::over(role, "wrong", |_| {}).await;
        let token = application.begin().await;
        let mut fields = json!({"strategy": "single-user", "admin_secret": admin, "admin_reset": true});
        if let Some(name) = tls_server_name {
            // The certificate is for localhost alone, and this admin secret names the address.
            fields["tls_server_name"] = json!(name);
        }
        let function = Function::start(&[("ROTATION_POLICY", &policy(&application, &fields))]);
        application.steps(&function, &["createSecret"], &token).await;
        let before = application.snapshot().await;
        let refused = application.step(&function, "setSecret", &token).await.unwrap_err();
        if tls_server_name.is_some() {
            assert_eq!(refused.kind, "TlsNameMismatch", "another host has to prove its own name: {}", refused.message);
        } else {
            assert_eq!(refused.kind, "AdminRefused", "{}", refused.message);
            assert!(refused.message.contains(reason), "{}", refused.message);
        }
        assert_eq!(application.snapshot().await, before);
    }
}

#[tokio::test]
async fn the_admins_password_is_not_shown_to_a_host_that_only_the_rotated_secret_names() {
    // An admin whose password is stored as md5: the server asks for it in a way that proves nothing.
    let name = unique("admin_");
    let sql = format!("SET password_encryption = 'md5'; CREATE ROLE {name} LOGIN SUPERUSER PASSWORD 'known to the server as md5'");
    admin().await.batch_execute(&sql).await.unwrap();
    let edit = |document: &mut serde_json::Value| {
        document["username"] = json!(name);
        document["password"] = json!("known to the server as md5");
    };
    let application = Application::new().await;
    application.set_password("somebody changed it by hand").await;
    let token = application.begin().await;
    let fields = |admin: &str| json!({"strategy": "single-user", "admin_secret": admin, "admin_reset": true});

    let hostless = admin_secret("rds!", edit).await;
    let function = Function::start(&[("ROTATION_POLICY", &policy(&application, &fields(&hostless)))]);
    application.steps(&function, &["createSecret"], &token).await;
    let refused = application.step(&function, "setSecret", &token).await.unwrap_err();
    assert_eq!(refused.kind, "ServerNotProven", "{}", refused.message);
    assert!(refused.message.contains("scram-sha-256") && refused.message.contains("rotation_host"), "{}", refused.message);

    let with_host = admin_secret("admin/", |document| {
        edit(document);
        document["host"] = json!(HOST);
    })
    .await;
    let function = Function::start(&[("ROTATION_POLICY", &policy(&application, &fields(&with_host)))]);
    application.steps(&function, &STEPS, &token).await;
    application.assert_rotated(&token, &application.password).await;
}
