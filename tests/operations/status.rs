//! What is wrong with a secret, and the facts that a person needs about it.

use postgres_protocol::escape::escape_literal;
use serde_json::{Value, json};

use crate::world::application::Application;
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::postgres::{admin, free_port};
use crate::world::{random_hex, unique};

#[tokio::test]
async fn a_healthy_secret_is_left_alone() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let before = application.snapshot().await;
    for operation in ["status", "recover"] {
        let report = application.operate(&function, operation, json!({})).await.unwrap();
        assert_eq!(
            (&report["Remedy"], &report["Done"]),
            (&json!("Nothing"), &json!([])),
            "{report}"
        );
        assert_eq!(report["Versions"][0]["Database"], "accepted");
        assert!(report["Message"].as_str().unwrap().contains("in order"), "{report}");
    }
    assert_eq!(application.snapshot().await, before);
}

#[tokio::test]
async fn status_says_what_there_is_to_know() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    assert_eq!(pair.application.rotate(&function).await["state"], "succeeded");
    let _open = [
        pair.session("AWSCURRENT").await,
        pair.session("AWSPREVIOUS").await,
        pair.session("AWSPREVIOUS").await,
    ];
    let token = pair.application.begin().await;
    pair.application.steps(&function, &["createSecret"], &token).await;
    let status = pair.application.operate(&function, "status", json!({})).await.unwrap();
    let versions = status["Versions"].as_array().unwrap();
    let seen: Vec<_> = versions
        .iter()
        .map(|version| {
            ["Label", "Role", "Database"]
                .map(|key| version[key].as_str().unwrap_or_default().to_owned())
        })
        .collect();
    let expected = [
        ["AWSCURRENT", &pair.clone, "accepted"],
        ["AWSPENDING", &pair.base, "rejected"],
        ["AWSPREVIOUS", &pair.base, "accepted"],
    ];
    assert_eq!(seen, expected.map(|row| row.map(str::to_owned)));
    assert!(versions.iter().all(|version| version["AgeSeconds"].is_u64()), "{status}");
    assert_eq!(
        (&status["Sessions"][&pair.clone], &status["Sessions"][&pair.base]),
        (&json!(1), &json!(2)),
        "{status}"
    );
    assert_eq!(
        (&status["Schedule"]["RotationEnabled"], &status["Schedule"]["Overdue"]),
        (&json!(true), &json!(false)),
        "{status}"
    );
    assert!(status["Schedule"]["LastRotatedSecondsAgo"].is_u64(), "{status}");
    assert!(status["Message"].as_str().unwrap().contains("Remove the label"), "{status}");
}

#[tokio::test]
async fn the_form_of_the_stored_password_is_reported_where_the_role_may_see_it() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let status = application.operate(&function, "status", json!({})).await.unwrap();
    assert!(status["PasswordStoredAs"].is_null(), "{status}");
    for (stored, form) in [("md5", "md5"), ("scram-sha-256", "scram-sha-256")] {
        let role = &application.role;
        let password = escape_literal(&application.password);
        let sql = format!(
            "GRANT SELECT ON pg_authid TO {role}; SET password_encryption = '{stored}'; SET \
             log_statement = none; ALTER ROLE {role} PASSWORD {password}"
        );
        admin().await.batch_execute(&sql).await.unwrap();
        let status = application.operate(&function, "status", json!({})).await.unwrap();
        assert_eq!(status["PasswordStoredAs"], json!({role: form}), "{status}");
    }
}

#[tokio::test]
async fn what_is_not_known_is_never_acted_on() {
    let role = unique("app_");
    let application =
        Application::named(&role, |document| document["port"] = json!(free_port())).await;
    let function = Function::start(&[]);
    let token = application.begin().await;
    application.put(&token, &application.document_with("pending"), &["AWSPENDING"]).await;
    let before = application.snapshot().await;
    let status = application.operate(&function, "status", json!({})).await.unwrap();
    assert_eq!(status["Remedy"], "Wait", "{status}");
    let [current, pending] = [0, 1].map(|version| &status["Versions"][version]);
    assert_eq!(current["Database"], "unknown", "{status}");
    assert!(current["Reason"].as_str().unwrap().contains("Connection refused"), "{status}");
    assert_eq!(pending["Database"], json!(null), "{status}");
    assert_eq!(pending["Reason"], "not tried: see the reason beside AWSCURRENT", "{status}");
    let refused = application.operate(&function, "recover", json!({})).await.unwrap_err();
    assert_eq!(refused.kind, "NotRecovered");
    assert!(refused.message.contains("Connection refused"), "{}", refused.message);
    assert_eq!(application.snapshot().await, before);
}

/// Extensions ban a role after some.
#[tokio::test]
async fn a_status_causes_two_refused_logins_at_most() {
    let (one, pair, function) = (Application::new().await, Pair::new().await, Function::start(&[]));
    let refused = async |application: &Application, options: Value| {
        let report = application.operate(&function, "status", options).await.unwrap();
        report["RefusedLogins"].as_u64().unwrap()
    };
    pair.turn(&function).await;
    for application in [&one, &pair.application] {
        let token = application.begin().await;
        application.steps(&function, &["createSecret"], &token).await;
    }
    assert_eq!(refused(&one, json!({})).await, 0, "AWSPENDING is not tried beside AWSCURRENT");
    one.set_password("changed by hand").await;
    pair.superuser("ALTER ROLE :base PASSWORD NULL; ALTER ROLE :clone PASSWORD NULL").await;
    for application in [&one, &pair.application] {
        assert_eq!(refused(application, json!({})).await, 2);
    }
    one.put(&random_hex(), &one.document_with("abandoned"), &["AWSPENDING"]).await;
    assert_eq!(refused(&one, json!({})).await, 2);
    assert_eq!(refused(&one, json!({"Deep": true})).await, 3);
}
