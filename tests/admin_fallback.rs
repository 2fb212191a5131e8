//! The admin sets the password of a single user. It does so only where the policy allows it, and
//! never in a way that could be abused.

use serde_json::json;

use crate::world::application::{Application, STEPS};
use crate::world::lambda::Function;
use crate::world::postgres::{ADMIN, Cluster, HOST, Settings, admin, free_port, version};
use crate::world::wire::{Fault, Wire};
use crate::world::{temporary_folder, unique, world};

/// Creates an admin secret that `edit` changed first; its ARN.
async fn create_admin_secret(prefix: &str, edit: impl FnOnce(&mut serde_json::Value)) -> String {
    let mut document = json!({"username": ADMIN, "password": world().postgres.admin_password});
    edit(&mut document);
    Application::storing(ADMIN, "", document.clone(), &document.to_string(), prefix).await.secret
}

/// Names the server in the admin secret, which makes the server trusted.
fn add_server(document: &mut serde_json::Value) {
    document["host"] = json!(HOST);
    document["port"] = json!(world().postgres.port);
}

/// A policy that binds the secret to its role.
fn policy(application: &Application, fields: &serde_json::Value) -> String {
    let mut fields = fields.clone();
    fields["role"] = json!(application.role);
    json!({"secrets": {&application.secret: fields}}).to_string()
}

#[tokio::test]
async fn the_admin_resets_a_lost_password_only_where_the_functions_policy_says_so() {
    let application = Application::new().await;
    let admin = create_admin_secret("admin/", |_| {}).await;
    application.set_password("changed by hand").await;
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
    // The refusal of `rds.restrict_password_commands`, a setting that only RDS has.
    let wire = Wire::start("ALTER ROLE", Fault::Refuse("42501"));
    let admin = create_admin_secret("admin/", add_server).await;
    let application = wire.application(|_| {}).await;
    let token = application.begin().await;

    let alone = Function::start(&[(
        "ROTATION_POLICY",
        &policy(&application, &json!({"allow_plaintext": true})),
    )]);
    application.steps(&alone, &["createSecret"], &token).await;
    let refused = application.step(&alone, "setSecret", &token).await.unwrap_err();
    assert_eq!(refused.kind, "PermissionDenied");
    assert!(
        refused.message.contains("rds_password") && refused.message.contains("admin_secret"),
        "{}",
        refused.message
    );

    let wire = Wire::start("ALTER ROLE", Fault::Refuse("42501"));
    let application = wire.application(|_| {}).await;
    let token = application.begin().await;
    let fields = json!({"strategy": "single-user", "admin_secret": admin, "allow_plaintext": true});
    let function = Function::start(&[("ROTATION_POLICY", &policy(&application, &fields))]);
    application.steps(&function, &["createSecret"], &token).await;
    application.steps(&function, &["setSecret"], &token).await;
    assert_eq!(wire.hits(), 1, "the admin rehearsed the change");
    wire.arm_for("ALTER ROLE", Fault::Refuse("42501"));
    application.steps(&function, &["testSecret", "finishSecret"], &token).await;
    assert_eq!(wire.hits(), 1, "the admin made the change");
    application.assert_rotated(&token, &application.password).await;
}

#[tokio::test]
async fn the_admin_is_refused_where_it_could_be_abused() {
    let here = create_admin_secret("admin/", add_server).await;
    let elsewhere = create_admin_secret("admin/", |document| {
        add_server(document);
        document["host"] = json!("127.0.0.1");
    })
    .await;
    let other_port = create_admin_secret("admin/", |document| {
        add_server(document);
        document["port"] = json!(free_port());
    })
    .await;
    let roles: Vec<_> = (0..11).map(|_| unique("app_")).collect();
    let sql = format!(
        "CREATE ROLE {0} LOGIN CREATEROLE; CREATE ROLE {1} LOGIN SUPERUSER; CREATE ROLE {2} LOGIN; \
         GRANT {0} TO {2}; CREATE ROLE {3} LOGIN; CREATE ROLE {4} LOGIN REPLICATION; CREATE ROLE \
         {5} LOGIN BYPASSRLS; CREATE ROLE {6} LOGIN; GRANT {ADMIN} TO {6}; CREATE ROLE {7} LOGIN; \
         GRANT SELECT ON pg_authid TO {7}; CREATE ROLE {8} LOGIN; GRANT EXECUTE ON FUNCTION \
         pg_read_file(text) TO {8}; CREATE ROLE {9} LOGIN; GRANT SELECT (rolpassword) ON pg_authid \
         TO {9}; CREATE ROLE {10} LOGIN; GRANT SELECT ON pg_shadow TO {10}",
        roles[0],
        roles[1],
        roles[2],
        roles[3],
        roles[4],
        roles[5],
        roles[6],
        roles[7],
        roles[8],
        roles[9],
        roles[10]
    );
    admin().await.batch_execute(&sql).await.unwrap();
    let powerful = "it is powerful";
    let mut cases = vec![
        (roles[0].clone(), &here, powerful),
        (roles[1].clone(), &here, "it is a superuser"),
        (roles[2].clone(), &here, powerful),
        ("missing".to_owned(), &here, "it does not exist"),
        (ADMIN.to_owned(), &here, "it is the admin itself"),
        (roles[3].clone(), &elsewhere, "to prove that the two are one"),
        (roles[3].clone(), &other_port, "to prove that the two are one"),
        (roles[4].clone(), &here, powerful),
        (roles[5].clone(), &here, powerful),
        (roles[6].clone(), &here, powerful),
        (roles[7].clone(), &here, powerful),
        (roles[8].clone(), &here, powerful),
        (roles[9].clone(), &here, powerful),
        (roles[10].clone(), &here, powerful),
    ];
    for group in [
        "pg_execute_server_program",
        "pg_signal_backend",
        "rds_replication",
        "rds_iam",
        "cloudsqlsuperuser",
        "azure_pg_admin",
        "neon_superuser",
    ] {
        let member = unique("app_");
        let create =
            if group.starts_with("pg_") { String::new() } else { format!("CREATE ROLE {group};") };
        let sql = format!("{create} CREATE ROLE {member} LOGIN; GRANT {group} TO {member}");
        admin().await.batch_execute(&sql).await.unwrap();
        cases.push((member, &here, powerful));
    }
    for (role, admin, reason) in &cases {
        let application = Application::for_role(role, "wrong", |_| {}).await;
        let token = application.begin().await;
        let fields = json!({"strategy": "single-user", "admin_secret": admin, "admin_reset": true});
        let function = Function::start(&[("ROTATION_POLICY", &policy(&application, &fields))]);
        application.steps(&function, &["createSecret"], &token).await;
        let before = application.snapshot().await;
        let refused = application.step(&function, "setSecret", &token).await.unwrap_err();
        assert_eq!(refused.kind, "AdminRefused", "{}", refused.message);
        assert!(refused.message.contains(reason), "{}", refused.message);
        assert_eq!(application.snapshot().await, before);
    }
}

#[tokio::test]
async fn an_admin_of_another_server_is_refused_although_the_role_is_there_too() {
    // Staging was restored from production, and its secret still names production's admin.
    let wire = Wire::start("ALTER ROLE", Fault::Refuse("42501"));
    let application = wire.application(|_| {}).await;
    let prepare = format!("CREATE ROLE {} LOGIN PASSWORD 'of production'", application.role);
    let production = Cluster::start(&Settings { prepare, ..Settings::default() });
    let admin = create_admin_secret("admin/", |document| {
        *document = json!({"host": HOST, "port": production.port, "username": ADMIN,
            "password": production.admin_password});
    })
    .await;
    let roots = temporary_folder("roots").join("both.pem");
    let both = [&world().postgres, &production]
        .map(|server| std::fs::read_to_string(&server.ca_file).unwrap())
        .concat();
    std::fs::write(&roots, both).unwrap();
    let fields = json!({"strategy": "single-user", "admin_secret": admin, "allow_plaintext": true});
    let environment = [
        ("ROTATION_POLICY", policy(&application, &fields)),
        ("CA_BUNDLE_FILE", roots.display().to_string()),
    ];
    let function =
        Function::start(&environment.each_ref().map(|(name, value)| (*name, value.as_str())));
    let token = application.begin().await;
    application.steps(&function, &["createSecret"], &token).await;
    let refused = application.step(&function, "setSecret", &token).await.unwrap_err();
    std::fs::remove_dir_all(roots.parent().unwrap()).unwrap();
    assert_eq!(refused.kind, "AdminRefused", "{}", refused.message);
    assert!(
        refused.message.contains("not the one that the secret's role logs in to"),
        "{}",
        refused.message
    );
    assert!(
        production.login(&application.role, "of production").await.is_ok(),
        "production keeps its password"
    );
}

#[tokio::test]
async fn an_operator_that_the_database_defines_decides_nothing_about_a_role() {
    let (role, database) = (unique("app_"), unique("shop_"));
    admin().await.batch_execute(&format!("CREATE ROLE {role} LOGIN SUPERUSER")).await.unwrap();
    admin().await.batch_execute(&format!("CREATE DATABASE {database}")).await.unwrap();
    let shop = world()
        .postgres
        .login_to(&database, ADMIN, &world().postgres.admin_password)
        .await
        .unwrap();
    let sql = format!(
        "CREATE SCHEMA mine; CREATE FUNCTION mine.no(oid, oid) RETURNS bool LANGUAGE sql AS \
         'SELECT false'; CREATE OPERATOR mine.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = \
         mine.no); ALTER DATABASE {database} SET search_path = mine, pg_catalog"
    );
    shop.batch_execute(&sql).await.unwrap();
    let secret = create_admin_secret("admin/", |document| {
        add_server(document);
        document["dbname"] = json!(database);
    })
    .await;
    let application =
        Application::for_role(&role, "wrong", |document| document["dbname"] = json!(database))
            .await;
    let fields = json!({"strategy": "single-user", "admin_secret": secret, "admin_reset": true});
    let function = Function::start(&[("ROTATION_POLICY", &policy(&application, &fields))]);
    let token = application.begin().await;
    application.steps(&function, &["createSecret"], &token).await;
    let refused = application.step(&function, "setSecret", &token).await.unwrap_err();
    assert!(refused.message.contains("it is a superuser"), "{}", refused.message);
}

#[tokio::test]
async fn the_admin_helps_past_a_proxy_and_only_where_a_right_is_missing() {
    for (code, kind) in [("42501", None), ("22023", Some("PasswordRefused"))] {
        let wire = Wire::start("ALTER ROLE", Fault::Refuse(code));
        let admin = create_admin_secret("admin/", add_server).await;
        let application =
            wire.application(|document| document["host"] = json!("pooler.invalid")).await;
        let fields = json!({"strategy": "single-user", "admin_secret": admin,
            "allow_plaintext": true, "rotation_host": "127.0.0.1"});
        let function = Function::start(&[("ROTATION_POLICY", &policy(&application, &fields))]);
        let token = application.begin().await;
        application.steps(&function, &["createSecret"], &token).await;
        let before = application.snapshot().await;
        let result = application.step(&function, "setSecret", &token).await;
        assert_eq!(result.as_ref().err().map(|failure| failure.kind.as_str()), kind, "{result:?}");
        assert_eq!(application.snapshot().await, before);
        if kind.is_none() {
            wire.arm_for("ALTER ROLE", Fault::Refuse(code));
            application.steps(&function, &["testSecret", "finishSecret"], &token).await;
            application.assert_rotated(&token, &application.password).await;
        }
    }
}

#[tokio::test]
async fn a_session_of_another_role_does_not_make_the_admin_change_the_secrets_role() {
    let (own, victim) = (Application::new().await, unique("victim_"));
    let sql = format!(
        "CREATE ROLE {victim} LOGIN PASSWORD 'of the victim'; GRANT plaintext_roles TO {}",
        own.role
    );
    admin().await.batch_execute(&sql).await.unwrap();
    let wire = Wire::impersonating(&own.role);
    let admin = create_admin_secret("admin/", add_server).await;
    let application = Application::for_role(&victim, &own.password, |document| {
        document["port"] = json!(wire.port);
        document["ssl"] = json!(false);
    })
    .await;
    let fields = json!({"strategy": "single-user", "admin_secret": admin, "allow_plaintext": true});
    let function = Function::start(&[("ROTATION_POLICY", &policy(&application, &fields))]);
    let token = application.begin().await;
    application.steps(&function, &["createSecret"], &token).await;
    let refused = application.step(&function, "setSecret", &token).await.unwrap_err();
    assert_eq!(refused.kind, "UsersNotReady", "{}", refused.message);
    assert!(
        world().postgres.login(&victim, "of the victim").await.is_ok(),
        "the victim keeps its password"
    );
}

#[tokio::test]
async fn a_right_that_the_admin_lacks_is_named() {
    let weak = unique("admin_");
    admin()
        .await
        .batch_execute(&format!("CREATE ROLE {weak} LOGIN PASSWORD 'weak'"))
        .await
        .unwrap();
    let secret = create_admin_secret("admin/", |document| {
        add_server(document);
        document["username"] = json!(weak);
        document["password"] = json!("weak");
    })
    .await;
    let application = Application::new().await;
    application.set_password("changed by hand").await;
    let fields = json!({"strategy": "single-user", "admin_secret": secret, "admin_reset": true});
    let function = Function::start(&[("ROTATION_POLICY", &policy(&application, &fields))]);
    let token = application.begin().await;
    application.steps(&function, &["createSecret"], &token).await;
    let refused = application.step(&function, "setSecret", &token).await.unwrap_err();
    assert_eq!(refused.kind, "AdminLacksRight", "{}", refused.message);
    let options = version().await >= 160_000;
    let (first, more) =
        refused.message.split_once(". On PostgreSQL 16 or newer, also run ").unwrap();
    let (_, first) = first.split_once(" Run ").unwrap();
    let (more, _) = more.split_once(". [").unwrap();
    for statement in [first, more].into_iter().take(if options { 2 } else { 1 }) {
        admin().await.batch_execute(statement).await.unwrap();
    }
    application.step(&function, "setSecret", &token).await.unwrap();
}

#[tokio::test]
async fn the_admins_password_is_not_shown_to_a_host_that_only_the_rotated_secret_names() {
    // The admin's password is stored as md5. An md5 login does not prove the server.
    let name = unique("admin_");
    let sql = format!(
        "SET password_encryption = 'md5'; CREATE ROLE {name} LOGIN SUPERUSER PASSWORD 'known to \
         the server as md5'"
    );
    admin().await.batch_execute(&sql).await.unwrap();
    let edit = |document: &mut serde_json::Value| {
        document["username"] = json!(name);
        document["password"] = json!("known to the server as md5");
    };
    let application = Application::new().await;
    application.set_password("changed by hand").await;
    let token = application.begin().await;
    let fields = |admin: &str| {
        json!({"strategy": "single-user", "admin_secret": admin,
        "admin_reset": true})
    };

    let hostless = create_admin_secret("rds!", edit).await;
    let function =
        Function::start(&[("ROTATION_POLICY", &policy(&application, &fields(&hostless)))]);
    application.steps(&function, &["createSecret"], &token).await;
    let refused = application.step(&function, "setSecret", &token).await.unwrap_err();
    assert_eq!(refused.kind, "ServerNotProven", "{}", refused.message);
    assert!(
        refused.message.contains("scram-sha-256") && refused.message.contains("rotation_port"),
        "{}",
        refused.message
    );

    let with_host = create_admin_secret("admin/", |document| {
        edit(document);
        add_server(document);
    })
    .await;
    let function =
        Function::start(&[("ROTATION_POLICY", &policy(&application, &fields(&with_host)))]);
    application.steps(&function, &STEPS, &token).await;
    application.assert_rotated(&token, &application.password).await;
}
