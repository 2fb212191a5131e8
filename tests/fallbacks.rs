//! `setSecret` when the database does not have the current password: what was left behind is found,
//! and what was lost is said.

use serde_json::json;

use crate::world::application::{Application, STEPS};
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::postgres::{ADMIN, Cluster, HOST, Settings, admin, free_port};
use crate::world::proxy::{self, AwsProxy};
use crate::world::wire::{Fault, Wire};
use crate::world::{eventually, random_hex, scratch, unique, world};

/// An admin secret with what `edit` makes of it, and its ARN.
async fn admin_secret(prefix: &str, edit: impl FnOnce(&mut serde_json::Value)) -> String {
    let mut document = json!({"username": ADMIN, "password": world().postgres.admin_password});
    edit(&mut document);
    Application::storing(ADMIN, "", document.clone(), &document.to_string(), prefix).await.secret
}

/// An admin secret that names its own server, which makes that server trusted.
fn located(document: &mut serde_json::Value) {
    document["host"] = json!(HOST);
    document["port"] = json!(world().postgres.port);
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
    eventually("the one failed login", async || (failed_logins(&application) == 1).then_some(()))
        .await;
}

#[tokio::test]
async fn the_previous_password_helps_where_the_current_one_never_arrived() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    application
        .put(&random_hex(), &application.document_with("never arrived"), &["AWSCURRENT"])
        .await;
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
async fn versions_that_cannot_help_do_not_use_up_the_tries() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let abandoned = application.begin().await;
    application.steps(&function, &["createSecret", "setSecret"], &abandoned).await;
    for _ in 0..4 {
        // An empty version each, and one that no label is on any more.
        application.begin_again().await;
        application
            .put(&random_hex(), &application.document_with(&application.password), &["AWSCURRENT"])
            .await;
    }
    let token = application.begin_again().await;
    application.steps(&function, &STEPS, &token).await;
    application.assert_rotated(&token, &application.password).await;
    assert!(failed_logins(&application) <= 3, "the same password was sent twice");
}

#[tokio::test]
async fn a_function_that_may_not_list_versions_does_without() {
    let proxy = AwsProxy::start();
    let application = Application::new().await;
    application.set_password("somebody changed it by hand").await;
    let token = application.begin().await;
    let function = Function::start(&[("AWS_ENDPOINT_URL", &proxy.url)]);
    application.steps(&function, &["createSecret"], &token).await;
    proxy.fail("ListSecretVersionIds", 99, proxy::Fault::Refuse(400, "AccessDeniedException"));
    let refused = application.step(&function, "setSecret", &token).await.unwrap_err();
    assert_eq!(refused.kind, "NoCredentialAccepted", "{}", refused.message);
    assert!(refused.message.contains("secretsmanager:ListSecretVersionIds"), "{}", refused.message);
}

#[tokio::test]
async fn versions_of_another_role_or_server_are_not_tried() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let other = Application::new().await;
    for (key, value) in
        [("username", json!(other.role)), ("host", json!("old.example.com")), ("port", json!(1))]
    {
        let mut document = application.document.clone();
        document[key] = value;
        document["password"] = json!(random_hex());
        application.put(&random_hex(), &document.to_string(), &["AWSCURRENT"]).await;
    }
    application.put(&random_hex(), &application.document_with("wrong"), &["AWSCURRENT"]).await;
    // The one that works: the oldest version, of the same role and server.
    let token = application.begin().await;
    application.steps(&function, &STEPS, &token).await;
    assert!(application.accepts(&application.password_in("AWSCURRENT").await).await);
    eventually("the two failed logins", async || (failed_logins(&application) >= 2).then_some(()))
        .await;
    assert_eq!(failed_logins(&application), 2, "those with AWSCURRENT and AWSPENDING");
    assert_eq!(failed_logins(&other), 0);
}

#[tokio::test]
async fn the_three_newest_passwords_without_a_label_are_tried() {
    for (age, found) in [(0, true), (2, true), (3, false)] {
        let (application, function) = (Application::new().await, Function::start(&[]));
        let abandoned: Vec<_> = (0..5).map(|_| random_hex()).collect();
        for password in &abandoned {
            application.put(&random_hex(), &application.document_with(password), &["MINE"]).await;
        }
        application
            .put(&random_hex(), &application.document_with("has the label"), &["MINE"])
            .await;
        application.set_password(&abandoned[4 - age]).await;
        let token = application.begin().await;
        application.steps(&function, &["createSecret"], &token).await;
        let result = application.step(&function, "setSecret", &token).await;
        assert_eq!(result.is_ok(), found, "{age}: {result:?}");
    }
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
    assert!(
        refused.message.contains("AWSCURRENT, AWSPENDING")
            && refused.message.contains("put-secret-value"),
        "{}",
        refused.message
    );
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
    let admin = admin_secret("admin/", located).await;
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
    let report = application.step(&function, "setSecret", &token).await.unwrap();
    assert!(report["Message"].as_str().unwrap().contains("admin secret"), "{report}");
    assert_eq!(wire.hits(), 1);
    application.steps(&function, &["testSecret", "finishSecret"], &token).await;
    application.assert_rotated(&token, &application.password).await;
}

#[tokio::test]
async fn the_admin_is_refused_where_it_could_be_abused() {
    let here = admin_secret("admin/", located).await;
    let elsewhere = admin_secret("admin/", |document| {
        located(document);
        document["host"] = json!("127.0.0.1");
    })
    .await;
    let other_port = admin_secret("admin/", |document| {
        located(document);
        document["port"] = json!(free_port());
    })
    .await;
    let roles: Vec<_> = (0..7).map(|_| unique("app_")).collect();
    let sql = format!(
        "CREATE ROLE {0} LOGIN CREATEROLE; CREATE ROLE {1} LOGIN SUPERUSER; CREATE ROLE {2} LOGIN; \
         GRANT {0} TO {2}; CREATE ROLE {3} LOGIN; GRANT pg_execute_server_program TO {3}; CREATE \
         ROLE {4} LOGIN; CREATE ROLE {5} LOGIN REPLICATION; CREATE ROLE {6} LOGIN BYPASSRLS",
        roles[0], roles[1], roles[2], roles[3], roles[4], roles[5], roles[6]
    );
    admin().await.batch_execute(&sql).await.unwrap();
    for (role, admin, reason) in [
        (roles[0].as_str(), &here, "it has CREATEROLE"),
        (&roles[1], &here, "it is a superuser"),
        (&roles[2], &here, "is a member of a role that has"),
        (&roles[3], &here, "reaches the server's files"),
        ("missing", &here, "it does not exist"),
        (ADMIN, &here, "it is the admin itself"),
        (&roles[4], &elsewhere, "to prove that the two are one"),
        (&roles[4], &other_port, "to prove that the two are one"),
        (&roles[5], &here, "REPLICATION"),
        (&roles[6], &here, "BYPASSRLS"),
    ] {
        let application = Application::over(role, "wrong", |_| {}).await;
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
    // Staging, made from a copy of production, with production's admin still in its secret.
    let wire = Wire::start("ALTER ROLE", Fault::Refuse("42501"));
    let application = wire.application(|_| {}).await;
    let prepare = format!("CREATE ROLE {} LOGIN PASSWORD 'of production'", application.role);
    let production = Cluster::start(&Settings { prepare, ..Settings::default() });
    let admin = admin_secret("admin/", |document| {
        *document = json!({"host": HOST, "port": production.port, "username": ADMIN,
            "password": production.admin_password});
    })
    .await;
    let roots = scratch("roots").join("both.pem");
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
        "production's password is what it was"
    );
}

#[tokio::test]
async fn no_operator_of_the_databases_own_decides_on_a_role() {
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
    let secret = admin_secret("admin/", |document| {
        located(document);
        document["dbname"] = json!(database);
    })
    .await;
    let application =
        Application::over(&role, "wrong", |document| document["dbname"] = json!(database)).await;
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
        let admin = admin_secret("admin/", located).await;
        let application =
            wire.application(|document| document["host"] = json!("pooler.invalid")).await;
        let fields = json!({"strategy": "single-user", "admin_secret": admin,
            "allow_plaintext": true, "rotation_host": "127.0.0.1"});
        let function = Function::start(&[("ROTATION_POLICY", &policy(&application, &fields))]);
        let token = application.begin().await;
        application.steps(&function, &["createSecret"], &token).await;
        let stored = application.stored().await;
        let result = application.step(&function, "setSecret", &token).await;
        assert_eq!(result.as_ref().err().map(|failure| failure.kind.as_str()), kind, "{result:?}");
        assert_eq!(application.stored().await == stored, kind.is_some());
    }
}

#[tokio::test]
async fn a_session_that_is_not_of_the_role_in_the_secret_does_not_set_the_admin_on_that_role() {
    let (own, victim) = (Application::new().await, unique("victim_"));
    let sql = format!(
        "CREATE ROLE {victim} LOGIN PASSWORD 'of the victim'; GRANT plaintext_roles TO {}",
        own.role
    );
    admin().await.batch_execute(&sql).await.unwrap();
    let wire = Wire::impersonating(&own.role);
    let admin = admin_secret("admin/", located).await;
    let application = Application::over(&victim, &own.password, |document| {
        document["port"] = json!(wire.port);
        document["ssl"] = json!(false);
    })
    .await;
    let fields = json!({"strategy": "single-user", "admin_secret": admin, "allow_plaintext": true});
    let function = Function::start(&[("ROTATION_POLICY", &policy(&application, &fields))]);
    let token = application.begin().await;
    application.steps(&function, &["createSecret"], &token).await;
    let refused = application.step(&function, "setSecret", &token).await.unwrap_err();
    assert_eq!(refused.kind, "AdminRefused", "{}", refused.message);
    assert!(
        world().postgres.login(&victim, "of the victim").await.is_ok(),
        "the victim's password is what it was"
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
    let secret = admin_secret("admin/", |document| {
        located(document);
        document["username"] = json!(weak);
        document["password"] = json!("weak");
    })
    .await;
    let application = Application::new().await;
    application.set_password("somebody changed it by hand").await;
    let fields = json!({"strategy": "single-user", "admin_secret": secret, "admin_reset": true});
    let function = Function::start(&[("ROTATION_POLICY", &policy(&application, &fields))]);
    let token = application.begin().await;
    application.steps(&function, &["createSecret"], &token).await;
    let refused = application.step(&function, "setSecret", &token).await.unwrap_err();
    assert_eq!(refused.kind, "AdminLacksRight", "{}", refused.message);
    assert!(
        refused.message.contains("WITH ADMIN OPTION") && refused.message.contains(&weak),
        "{}",
        refused.message
    );
}

#[tokio::test]
async fn the_admins_password_is_not_shown_to_a_host_that_only_the_rotated_secret_names() {
    // An admin whose password is stored as md5: the server asks for it in a way that proves
    // nothing.
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
    application.set_password("somebody changed it by hand").await;
    let token = application.begin().await;
    let fields = |admin: &str| {
        json!({"strategy": "single-user", "admin_secret": admin,
        "admin_reset": true})
    };

    let hostless = admin_secret("rds!", edit).await;
    let function =
        Function::start(&[("ROTATION_POLICY", &policy(&application, &fields(&hostless)))]);
    application.steps(&function, &["createSecret"], &token).await;
    let refused = application.step(&function, "setSecret", &token).await.unwrap_err();
    assert_eq!(refused.kind, "ServerNotProven", "{}", refused.message);
    assert!(
        refused.message.contains("scram-sha-256") && refused.message.contains("rotation_host"),
        "{}",
        refused.message
    );

    let with_host = admin_secret("admin/", |document| {
        edit(document);
        located(document);
    })
    .await;
    let function =
        Function::start(&[("ROTATION_POLICY", &policy(&application, &fields(&with_host)))]);
    application.steps(&function, &STEPS, &token).await;
    application.assert_rotated(&token, &application.password).await;
}

#[tokio::test]
async fn an_admin_does_nothing_behind_a_pooler_that_keeps_the_options_to_itself() {
    let (wire, dbname) = (Wire::without_options(), unique("shop_"));
    admin().await.batch_execute(&format!("CREATE DATABASE {dbname}")).await.unwrap();
    let pair = Pair::through(&wire).await;
    pair.superuser(&format!("ALTER DATABASE {dbname} OWNER TO :base")).await;
    // What the owner of a database may have everybody's `=` mean there.
    let owner =
        world().postgres.login_to(&dbname, &pair.base, &pair.application.password).await.unwrap();
    let trap = format!(
        "CREATE SCHEMA trap; GRANT USAGE ON SCHEMA trap TO PUBLIC; CREATE FUNCTION \
         trap.equal(text, text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN IF current_user \
         OPERATOR(pg_catalog.=) '{}' THEN EXECUTE 'ALTER ROLE :base CREATEROLE'; END IF; RETURN $1 \
         OPERATOR(pg_catalog.=) $2; END $$; CREATE OPERATOR trap.= (LEFTARG = text, RIGHTARG = \
         text, FUNCTION = trap.equal); ALTER DATABASE {dbname} SET search_path = trap, pg_catalog",
        pair.admin
    );
    owner.batch_execute(&pair.filled(&trap)).await.unwrap();
    let mut document = pair.application.document.clone();
    document["dbname"] = json!(dbname);
    pair.application.put(&random_hex(), &document.to_string(), &["AWSCURRENT"]).await;
    let function = Function::start(&[(
        "ROTATION_POLICY",
        &json!({"defaults": {"allow_plaintext": true}}).to_string(),
    )]);
    let token = pair.application.begin().await;
    pair.application.steps(&function, &STEPS[..1], &token).await;
    let refused = pair.application.step(&function, "setSecret", &token).await.unwrap_err();
    assert_eq!(refused.kind, "ProxyInTheWay", "{}", refused.message);
    let powers = "SELECT rolcreaterole FROM pg_roles WHERE rolname = $1";
    assert!(
        !admin().await.query_one(powers, &[&pair.base]).await.unwrap().get::<_, bool>(0),
        "the trap was sprung"
    );
}

#[tokio::test]
async fn a_role_is_not_changed_behind_a_pooler_that_keeps_the_options_to_itself() {
    let wire = Wire::without_options();
    let function = Function::start(&[(
        "ROTATION_POLICY",
        &json!({"defaults": {"allow_plaintext": true}}).to_string(),
    )]);
    let application = wire.application(|_| {}).await;
    let token = application.begin().await;
    application.steps(&function, &STEPS[..1], &token).await;
    let refused = application.step(&function, "setSecret", &token).await.unwrap_err();
    assert_eq!(refused.kind, "ProxyInTheWay", "{}", refused.message);
    assert!(application.accepts(&application.password).await);
}
