//! Bad input: each kind gets a clear error and changes nothing.

use serde_json::{Value, json};

use crate::world::application::{Application, STEPS};
use crate::world::lambda::Function;
use crate::world::postgres::{admin, version};
use crate::world::{random_hex, unique, world};

#[tokio::test]
async fn events_that_are_not_understood_are_answered_with_what_is_accepted() {
    let function = Function::start(&[]);
    for event in [
        json!(null),
        json!({}),
        json!({"Step": "rotate"}),
        json!({"Operation": "status"}),
        json!([1]),
        json!("x"),
    ] {
        let refused = function.invoke(event.clone()).await.unwrap_err();
        assert_eq!(refused.kind, "InvalidEvent", "{event}");
        assert!(refused.message.contains("createSecret"), "{event}: {}", refused.message);
    }
}

/// The steps of a rotation that has begun, each of which has to be refused with this and change
/// nothing.
async fn refused(
    application: &Application,
    function: &Function,
    steps: &[&str],
    token: &str,
    kind: &str,
    text: &str,
) {
    let before = application.snapshot().await;
    for step in steps {
        let refused = application.step(function, step, token).await.unwrap_err();
        assert_eq!(refused.kind, kind, "{step}: {}", refused.message);
        assert!(refused.message.contains(text), "{step}: {}", refused.message);
        assert!(!refused.message.contains("canary"), "{step}: {}", refused.message);
    }
    assert_eq!(application.snapshot().await, before, "{steps:?} {text}");
}

#[tokio::test]
async fn values_that_are_no_credentials_are_refused_before_anything_is_changed() {
    let function = Function::start(&[]);
    let good =
        json!({"engine": "postgres", "host": "localhost", "username": "app", "password": "canary"});
    let with = |key: &str, value: Value| {
        let mut document = good.clone();
        document[key] = value;
        document.to_string()
    };
    for (text, problem) in [
        ("canary".to_owned(), "not JSON"),
        ("[\"canary\"]".to_owned(), "not an object"),
        (
            "{\"password\": \"canary\", \"host\": \"a\", \"host\": \"b\"}".to_owned(),
            "\"host\" appears twice",
        ),
        (with("engine", json!("mysql canary")), "\"engine\" is neither"),
        (with("engine", Value::Null), "\"engine\" is missing"),
        (with("host", json!("")), "\"host\" is empty"),
        (with("host", json!("postgres://app:canary@h/d")), "without scheme"),
        (with("username", Value::Null), "\"username\" is missing"),
        (with("username", json!("x".repeat(64))), "64 bytes"),
        (with("password", Value::Null), "\"password\" is missing"),
        (with("password", json!("")), "\"password\" is empty"),
        (with("port", json!(70_000)), "\"port\" is not"),
        (with("ssl", json!("perhaps")), "\"ssl\" is neither"),
        (with("rotation", json!({"admin_reset": true})), "has the key \"admin_reset\""),
        (with("rotation", json!("canary")), "\"rotation\" is not an object"),
        (with("rotation", json!({"strategy": "alternating-users"})), "needs an admin secret"),
    ] {
        let application = Application::storing("app", "canary", Value::Null, &text, "bad/").await;
        let token = application.begin().await;
        refused(&application, &function, &["createSecret"], &token, "InvalidSecret", problem).await;
    }
}

#[tokio::test]
async fn binary_secrets_are_refused() {
    let function = Function::start(&[]);
    let name = unique("bad/");
    let client = world().aws.client();
    let made = client
        .create_secret()
        .name(&name)
        .secret_binary(aws_sdk_secretsmanager::primitives::Blob::new(b"canary"))
        .send()
        .await
        .unwrap();
    let application = Application {
        role: "app".to_owned(),
        password: String::new(),
        secret: made.arn.unwrap(),
        name,
        document: Value::Null,
    };
    let token = application.begin().await;
    refused(&application, &function, &["createSecret"], &token, "InvalidSecret", "binary data")
        .await;
}

#[tokio::test]
async fn pending_values_that_change_more_than_the_password_are_refused_even_if_they_log_in() {
    let function = Function::start(&[]);
    let other = Application::new().await;
    for (key, value) in [
        ("username", json!(other.role)),
        ("host", json!("127.0.0.1")),
        ("port", json!(1)),
        ("dbname", json!("template1")),
        ("replicaHost", json!("canary")),
    ] {
        let application = Application::new().await;
        let token = application.begin().await;
        let mut document = application.document.clone();
        document["password"] = json!(other.password);
        document[key] = value;
        application.put(&token, &document.to_string(), &["AWSPENDING"]).await;
        refused(&application, &function, &STEPS, &token, "PendingMismatch", &format!("\"{key}\""))
            .await;
    }
}

#[tokio::test]
async fn pending_passwords_that_the_server_would_not_keep_are_refused() {
    let function = Function::start(&[]);
    for (password, text) in [
        ("", "is empty"),
        ("md50123456789abcdef0123456789abcdef", "form of a stored hash"),
        (
            "SCRAM-SHA-256$4096:AAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAA\
             AAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "form of a stored hash",
        ),
        ("nul\0", "NUL"),
    ] {
        let application = Application::new().await;
        let token = application.begin().await;
        application.put(&token, &application.document_with(password), &["AWSPENDING"]).await;
        refused(&application, &function, &STEPS, &token, "InvalidSecret", text).await;
    }
}

/// The server itself says which texts it takes for a hash.
#[tokio::test]
async fn a_password_is_refused_only_if_the_server_would_store_it_unchanged() {
    let (function, application) = (Function::start(&[]), Application::new().await);
    let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let digits = "0123456789abcdef0123456789abcdef";
    let scram = format!("SCRAM-SHA-256$4096:AAAA${key}:{key}");
    // From PostgreSQL 18 on, a row of separators does not count once. The function cannot know.
    let row = format!("$${scram}");
    let older = version().await < 180_000;
    let candidates = [
        (scram.clone(), true),
        (scram.replace("4096", "1"), true),
        (row.clone(), older),
        (scram.replacen(':', "::", 1), false),
        (scram.replace("4096", " 4096"), true),
        (scram.replace("4096", "many"), false),
        (scram.replace("AAAA$", "A$"), false),
        (scram.replace(&format!(":{key}"), ":AAAA"), false),
        (scram.replace("256", "512"), false),
        (scram.replace("SCRAM", "scram"), false),
        (format!("{scram}x"), false),
        ("SCRAM-SHA-256$4096:mine".to_owned(), false),
        ("SCRAM-SHA-256$".to_owned(), false),
        (format!("md5{digits}"), true),
        (format!("md5{}", digits.to_uppercase()), false),
        (format!("md5{digits}0"), false),
        (format!("MD5{digits}"), false),
        ("md5 and more".to_owned(), false),
    ];
    let admin = admin().await;
    for (candidate, unchanged) in candidates {
        let literal = postgres_protocol::escape::escape_literal(&candidate);
        let sql = format!("ALTER ROLE {} PASSWORD {literal}", application.role);
        admin.batch_execute(&sql).await.unwrap();
        let stored = application.stored_hash().await.unwrap();
        assert_eq!(stored == candidate, unchanged, "the server stores {candidate} as {stored}");
        let token = application.abandon_and_begin().await;
        application.put(&token, &application.document_with(&candidate), &["AWSPENDING"]).await;
        let expected = unchanged || candidate == row;
        match application.step(&function, "createSecret", &token).await {
            Ok(kept) => assert!(!expected && kept["Outcome"] == "Kept", "{candidate}: {kept}"),
            Err(refused) => {
                assert!(expected && refused.kind == "InvalidSecret", "{candidate}: {refused:?}");
            }
        }
    }
}

#[tokio::test]
async fn tokens_that_name_no_pending_version_are_refused() {
    let function = Function::start(&[]);
    let application = Application::new().await;
    application.begin().await;
    refused(&application, &function, &STEPS, &random_hex(), "UnknownVersion", "no version").await;

    let unlabelled = random_hex();
    application.put(&unlabelled, &application.document_with("canary"), &["MINE"]).await;
    refused(
        &application,
        &function,
        &STEPS,
        &unlabelled,
        "VersionNotPending",
        "does not carry AWSPENDING",
    )
    .await;
}

#[tokio::test]
async fn the_token_of_the_current_version_succeeds_and_does_nothing() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let token = application.begin().await;
    application.steps(&function, &STEPS, &token).await;
    let before = application.snapshot().await;
    for step in STEPS {
        assert_eq!(
            application.step(&function, step, &token).await.unwrap()["Outcome"],
            "AlreadyCurrent"
        );
    }
    assert_eq!(application.snapshot().await, before);
}

#[tokio::test]
async fn a_rotation_that_is_switched_off_is_refused() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let token = application.begin().await;
    world()
        .aws
        .client()
        .cancel_rotate_secret()
        .secret_id(&application.secret)
        .send()
        .await
        .unwrap();
    refused(
        &application,
        &function,
        &["createSecret"],
        &token,
        "RotationDisabled",
        "rotation is switched off",
    )
    .await;

    let token = application.abandon_and_begin().await;
    application.steps(&function, &["createSecret"], &token).await;
    let cancel = async || {
        world()
            .aws
            .client()
            .cancel_rotate_secret()
            .secret_id(&application.secret)
            .send()
            .await
            .unwrap()
    };
    application.steps(&function, &["setSecret", "testSecret"], &token).await;
    cancel().await;
    refused(
        &application,
        &function,
        &["finishSecret"],
        &token,
        "RotationDisabled",
        "rotation is switched off",
    )
    .await;

    // Once the database has the password, the application needs the last step.
    application.remove_pending_label().await;
    let token = application.cut_off_after_commit(&function).await;
    cancel().await;
    application.steps(&function, &["finishSecret"], &token).await;
    application.assert_rotated(&token, &application.password).await;
}

#[tokio::test]
async fn a_secret_that_another_service_manages_is_refused() {
    let function = Function::start(&[]);
    let document = json!({"username": "postgres", "password": "canary"});
    let application =
        Application::storing("app", "canary", document.clone(), &document.to_string(), "rds!")
            .await;
    refused(
        &application,
        &function,
        &["createSecret", "setSecret"],
        &random_hex(),
        "SecretManagedByService",
        "the service \"rds\" manages",
    )
    .await;
}

#[tokio::test]
async fn a_secret_that_does_not_exist_is_named() {
    let function = Function::start(&[]);
    for step in STEPS {
        let event =
            json!({"Step": step, "SecretId": "no/such/secret", "ClientRequestToken": random_hex()});
        let refused = function.invoke(event).await.unwrap_err();
        assert_eq!(refused.kind, "SecretNotFound", "{step}: {}", refused.message);
        assert!(refused.message.contains("no/such/secret"), "{}", refused.message);
    }
}
