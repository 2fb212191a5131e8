//! Attacks on an admin's password by a person who may write one rotated secret.

use serde_json::{Value, json};

use super::function;
use crate::world::application::{Application, STEPS};
use crate::world::impostor::{Ask, Impostor, Trick};
use crate::world::lambda::{Failure, Function};
use crate::world::postgres::{ADMIN, CLEAR_ROLES, HOST, TRUSTED_ROLES, free_port};
use crate::world::proxy::AwsProxy;
use crate::world::{random_hex, unique, world};

/// A secret of the superuser; its ARN.
async fn admin_secret(edit: impl FnOnce(&mut Value)) -> String {
    let mut document = json!({"username": ADMIN, "password": world().postgres.admin_password});
    edit(&mut document);
    Application::storing(ADMIN, "", document.clone(), &document.to_string(), "admin/").await.secret
}

/// A function that trusts the impostor's certificate.
fn function_beside(impostor: &Impostor, policy: &Value) -> Function {
    Function::start_exactly(&[
        ("ROTATION_POLICY", &policy.to_string()),
        ("CA_BUNDLE_FILE", &impostor.ca_file.display().to_string()),
    ])
}

/// What `setSecret` says of a new rotation.
async fn refused(secret: &Application, function: &Function) -> Failure {
    let token = secret.begin().await;
    secret.steps(function, &["createSecret"], &token).await;
    secret.step(function, "setSecret", &token).await.unwrap_err()
}

/// The secret of a role that does not exist, so that the rotation asks for the admin.
async fn attackers_secret(edit: impl FnOnce(&mut Value)) -> Application {
    Application::for_role(&unique("attacker_"), "wrong", edit).await
}

#[tokio::test]
async fn the_secrets_port_does_not_lead_the_admins_password_to_a_false_server() {
    let impostor = Impostor::start(Trick::Ask { for_user: ADMIN, how: Ask::InClear });
    let hostless = admin_secret(|_| {}).await;
    for fields in [
        // The proof was dropped as soon as rotation_host was set.
        json!({"rotation_host": HOST}),
        // Only the port is the attacker's, beside the name of the real host.
        json!({}),
    ] {
        let secret = attackers_secret(|document| document["port"] = json!(impostor.port)).await;
        let mut fields = fields.clone();
        fields["strategy"] = json!("single-user");
        fields["admin_secret"] = json!(hostless);
        fields["admin_reset"] = json!(true);
        fields["role"] = json!(secret.role);
        let policy = json!({"secrets": {&secret.secret: fields}});
        let function = function_beside(&impostor, &policy);
        let refused = refused(&secret, &function).await;
        assert_eq!(refused.kind, "ServerNotProven", "{}", refused.message);
        assert!(impostor.was_visited(), "the attack came to the point");
        assert!(!impostor.has_heard(&world().postgres.admin_password), "{fields}");
    }
}

#[tokio::test]
async fn rotation_host_never_moves_an_admin_that_names_its_own_host() {
    // The attacker's secret names the admin's host, so that rotation_host looked like its other
    // name. The port is the admin secret's own.
    let impostor = Impostor::start(Trick::Ask { for_user: ADMIN, how: Ask::InClear });
    let admin = admin_secret(|document| {
        document["host"] = json!("db.invalid");
        document["port"] = json!(impostor.port);
    })
    .await;
    let secret = attackers_secret(|document| {
        document["host"] = json!("db.invalid");
        document["port"] = json!(impostor.port);
    })
    .await;
    let policy = json!({"secrets": {&secret.secret: {
        "strategy": "single-user", "admin_secret": admin, "admin_reset": true, "role": secret.role,
        "rotation_host": HOST,
    }}});
    let function = function_beside(&impostor, &policy);
    let refused = refused(&secret, &function).await;
    assert_eq!(refused.kind, "NameNotResolved", "{}", refused.message);
    assert!(refused.message.contains("db.invalid"), "{}", refused.message);
    assert!(!impostor.has_heard(&world().postgres.admin_password));
}

#[tokio::test]
async fn host_and_port_of_the_policy_need_no_proof() {
    // Neither way proves anything of the server.
    for (group, how) in [(None, "as an md5 hash"), (Some(CLEAR_ROLES), "in clear")] {
        let name = unique("admin_");
        let mut sql = format!(
            "SET password_encryption = 'md5'; CREATE ROLE {name} LOGIN SUPERUSER PASSWORD 'stored \
             as md5'; "
        );
        sql.extend(group.map(|group| format!("GRANT {group} TO {name}")));
        crate::world::postgres::admin().await.batch_execute(&sql).await.unwrap();
        let hostless = admin_secret(|document| {
            *document = json!({"username": name, "password": "stored as md5"});
        })
        .await;
        let application =
            Application::edited(|document| document["port"] = json!(free_port())).await;
        application.set_password("changed by hand").await;
        let fields = json!({"strategy": "single-user", "admin_secret": hostless,
            "admin_reset": true, "role": application.role, "rotation_host": HOST,
            "rotation_port": world().postgres.port});
        let function = function(&application, &fields);
        let token = application.begin().await;
        application.steps(&function, &STEPS, &token).await;
        application.assert_rotated(&token, &application.password).await;
        let said = |event: &Value| event["message"].to_string().contains(how);
        let warning = function.await_log_event("the warning", said).await;
        assert_eq!(warning["level"], "WARN");
    }
}

#[tokio::test]
async fn only_a_server_that_is_named_or_proves_itself_gets_something_of_an_admins_password() {
    let bound = |iterations| Ask::Scram { bound: true, iterations };
    let unbound = Ask::Scram { bound: false, iterations: 4096 };
    // It follows the end of the start-up message. A nonce may hold "md5", but no NUL.
    let hash = "\0md5";
    // How the server asks, and what it then hears that depends on the password: where the admin
    // secret names it, and where the rotated secret does.
    for (how, named, else_refused) in [
        (Ask::Nothing, None, "channel binding"),
        (Ask::InClear, Some(world().postgres.admin_password.as_str()), "channel binding"),
        (Ask::Md5, Some(hash), "channel binding"),
        (unbound, Some(",p="), "channel binding"),
        (bound(1), Some(",p="), "too few iterations"),
        (bound(4095), Some(",p="), "too few iterations"),
        (bound(4096), Some(",p="), ""),
        (bound(100_001), None, "more SCRAM iterations"),
    ] {
        for trusted in [true, false] {
            let impostor = Impostor::start(Trick::Ask { for_user: ADMIN, how });
            let secret = attackers_secret(|document| document["port"] = json!(impostor.port)).await;
            let admin = admin_secret(|document| {
                if trusted {
                    document["host"] = json!(HOST);
                    document["port"] = json!(impostor.port);
                }
            })
            .await;
            let policy = json!({"secrets": {&secret.secret: {"strategy": "single-user",
                "admin_secret": admin, "admin_reset": true, "role": secret.role}}});
            let function = function_beside(&impostor, &policy);
            let refused = refused(&secret, &function).await;
            let context = format!("{how:?}, named {trusted}: {}", refused.message);
            assert!(impostor.has_heard(ADMIN), "the attack came to the point: {context}");
            let expected = named.filter(|_| trusted || else_refused.is_empty());
            for part in [world().postgres.admin_password.as_str(), hash, ",p="] {
                assert_eq!(impostor.has_heard(part), expected == Some(part), "{part}: {context}");
            }
            if !trusted && !else_refused.is_empty() {
                assert!(refused.message.contains(else_refused), "{context}");
            }
        }
    }
}

/// A server that trusts the function's address lets it in as any role.
#[tokio::test]
async fn a_login_that_takes_no_password_proves_no_role() {
    let victim = Application::new().await;
    let sql = format!("GRANT {TRUSTED_ROLES} TO {}", victim.role);
    crate::world::postgres::admin().await.batch_execute(&sql).await.unwrap();
    let admin = admin_secret(|document| {
        document["host"] = json!(HOST);
        document["port"] = json!(world().postgres.port);
    })
    .await;
    for (strategy, steps) in [("single-user", &STEPS[1..]), ("alternating-users", &STEPS[1..2])] {
        let secret = Application::for_role(&victim.role, "wrong", |_| {}).await;
        let function = function(&secret, &json!({"strategy": strategy, "admin_secret": admin}));
        let token = secret.begin().await;
        secret.steps(&function, &["createSecret"], &token).await;
        let before = victim.snapshot().await;
        for step in steps {
            let refused = secret.step(&function, step, &token).await.unwrap_err();
            assert_eq!(refused.kind, "PasswordNotUsed", "{step}: {}", refused.message);
            assert!(refused.message.contains("asked for no password"), "{}", refused.message);
        }
        let status = secret.operate(&function, "status", json!({})).await.unwrap();
        assert_eq!(status["Versions"][0]["Database"], "unknown", "{status}");
        let preflight = secret.operate(&function, "preflight", json!({})).await.unwrap();
        assert_eq!(preflight["Ready"], false, "{preflight}");
        let event = json!({"Operation": "monitor", "SecretIds": [secret.secret]});
        let look = function.invoke(event).await.unwrap();
        assert_eq!(look["Secrets"][0]["State"], "unreachable", "{look}");
        assert_eq!(victim.snapshot().await, before);
        let clone = format!("{}_clone", victim.role);
        let exists = "SELECT FROM pg_roles WHERE rolname = $1";
        let admin = crate::world::postgres::admin().await;
        assert!(admin.query_opt(exists, &[&clone]).await.unwrap().is_none());
    }
}

/// The writer of a secret need not know its earlier passwords.
#[tokio::test]
async fn former_hosts_lead_no_earlier_password_to_a_false_server() {
    let (role, earlier) = (unique("app_"), random_hex());
    let ask = Trick::Ask { for_user: "", how: Ask::InClear };
    let impostor = Impostor::start(ask);
    let secret = Application::for_role(&role, &earlier, |document| {
        document["host"] = json!("old.example.com");
    })
    .await;
    let theirs = json!({"engine": "postgres", "host": HOST, "port": impostor.port,
        "username": role, "password": "of the attacker"});
    secret.put(&random_hex(), &theirs.to_string(), &["AWSCURRENT"]).await;
    let policy = json!({"defaults": {"former_hosts": ["old.example.com"]}});
    let function = function_beside(&impostor, &policy);
    let refused = refused(&secret, &function).await;
    assert_eq!(refused.kind, "ServerNotProven", "{}", refused.message);
    assert!(impostor.has_heard("of the attacker"), "the attack came to the point");
    assert!(!impostor.has_heard(&earlier), "{}", refused.message);
}

/// The server of one secret refuses the admin, so that `monitor` would take its password for wrong.
#[tokio::test]
async fn a_false_server_keeps_monitor_from_asking_no_other() {
    let refuse = Trick::Refuse { code: "28P01", routine: "auth_failed", message: "no" };
    let impostor = Impostor::start(refuse);
    let (theirs, ours) = (
        attackers_secret(|document| document["port"] = json!(impostor.port)).await,
        Application::new().await,
    );
    let sql = format!("ALTER ROLE {} VALID UNTIL '2020-01-01'", ours.role);
    crate::world::postgres::admin().await.batch_execute(&sql).await.unwrap();
    let admin = admin_secret(|_| {}).await;
    let policy = json!({"defaults": {"strategy": "single-user", "admin_secret": admin}});
    let function = function_beside(&impostor, &policy);
    let event = json!({"Operation": "monitor", "SecretIds": [theirs.secret, ours.secret]});
    let answer = function.invoke(event).await.unwrap();
    let state = |secret: &str| {
        let secrets = answer["Secrets"].as_array().unwrap();
        secrets.iter().find(|one| one["SecretId"] == secret).unwrap()["State"].clone()
    };
    assert_eq!(state(&theirs.secret), "mismatch", "{answer}");
    assert_eq!(state(&ours.secret), "expired", "{answer}");
    assert!(impostor.has_heard(ADMIN), "the attack came to the point");
}

#[tokio::test]
async fn a_secret_does_not_choose_its_admin() {
    let theirs = admin_secret(|_| {}).await;
    let secret = Application::edited(|document| document["masterarn"] = json!(theirs)).await;
    let proxy = AwsProxy::start();
    let start = |policy: &str| {
        Function::start_exactly(&[("AWS_ENDPOINT_URL", &proxy.url), ("ROTATION_POLICY", policy)])
    };
    let function = start("{}");
    let token = secret.begin().await;
    let refused = secret.step(&function, "createSecret", &token).await.unwrap_err();
    assert_eq!(refused.kind, "InvalidSecret", "{}", refused.message);
    for said in ["masterarn", "does not count", "admin_secret", "trust_masterarn"] {
        assert!(refused.message.contains(said), "{}", refused.message);
    }
    assert_eq!(secret.value("AWSPENDING").await, None);

    // Where no admin is needed, it is no error. Where the policy names another, it is a warning.
    let ours = admin_secret(|_| {}).await;
    for (fields, warned) in [
        (json!({"strategy": "single-user"}), false),
        (json!({"strategy": "single-user", "admin_secret": ours}), true),
    ] {
        let function = start(&json!({"secrets": {&secret.secret: fields}}).to_string());
        let token = secret.abandon_and_begin().await;
        for step in STEPS {
            let report = secret.step(&function, step, &token).await.unwrap();
            assert_eq!(report["Warnings"].to_string().contains("masterarn"), warned, "{report}");
        }
        for operation in ["status", "preflight"] {
            let event = json!({"Operation": operation, "SecretId": secret.secret});
            let report = function.invoke(event).await.unwrap();
            let said = report.to_string();
            assert_eq!(
                said.contains("is not the admin secret in ROTATION_POLICY"),
                warned,
                "{report}"
            );
        }
    }
    let read = proxy.calls().into_iter().any(|(_, body)| body["SecretId"] == json!(theirs));
    assert!(!read, "the admin secret that the secret named was never read");
}

#[tokio::test]
async fn a_secret_is_bound_to_the_policys_role() {
    let victim = Application::new().await;
    let admin = admin_secret(|document| {
        document["host"] = json!(HOST);
        document["port"] = json!(world().postgres.port);
    })
    .await;
    // The attacker names another team's role, or its second user.
    for username in [victim.role.clone(), format!("{}_clone", victim.role)] {
        let own = unique("attacker_");
        let secret = Application::for_role(&username, "wrong", |_| {}).await;
        for strategy in ["single-user", "alternating-users"] {
            let fields = json!({"strategy": strategy, "admin_secret": admin, "admin_reset": true,
                "role": own});
            let function = function(&secret, &fields);
            let token = secret.abandon_and_begin().await;
            let refused = secret.step(&function, "createSecret", &token).await.unwrap_err();
            assert_eq!(refused.kind, "InvalidSecret", "{}", refused.message);
            assert!(refused.message.contains(&own), "{}", refused.message);
            let recover = json!({"Operation": "recover", "SecretId": secret.secret});
            assert_eq!(function.invoke(recover).await.unwrap_err().kind, "InvalidSecret");
        }
    }
    assert!(victim.accepts(&victim.password).await, "the victim keeps its password");
}

#[tokio::test]
async fn a_secret_does_not_overrule_the_policys_strategy() {
    let secret = Application::edited(|document| {
        document["rotation"] = json!({"strategy": "alternating-users"});
    })
    .await;
    let function = function(&secret, &json!({"strategy": "single-user"}));
    let token = secret.begin().await;
    for step in STEPS {
        let report = secret.step(&function, step, &token).await.unwrap();
        assert_eq!(report["Strategy"], "single-user");
        let warnings = report["Warnings"].to_string();
        assert!(warnings.contains("asks for the strategy alternating-users"), "{report}");
    }
    secret.assert_rotated(&token, &secret.password).await;
    for operation in ["status", "preflight"] {
        let event = json!({"Operation": operation, "SecretId": secret.secret});
        let report = function.invoke(event).await.unwrap().to_string();
        assert!(report.contains("asks for the strategy alternating-users"), "{report}");
    }
}

#[tokio::test]
async fn two_entries_of_one_rank_decide_nothing() {
    let secret = Application::new().await;
    let policy = json!({"secrets": {
        &secret.secret: {"strategy": "single-user"},
        &secret.name: {"strategy": "alternating-users"},
    }});
    let function = Function::start_exactly(&[("ROTATION_POLICY", &policy.to_string())]);
    let token = secret.begin().await;
    let refused = secret.step(&function, "createSecret", &token).await.unwrap_err();
    assert_eq!(refused.kind, "InvalidConfiguration", "{}", refused.message);
    for said in [&secret.secret, &format!("{:?}", secret.name)] {
        assert!(refused.message.contains(said), "{}", refused.message);
    }
}
