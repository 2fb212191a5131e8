//! No password is ever seen: every output is searched for every password of the test.

use serde_json::json;

use crate::world::application::{Application, STEPS};
use crate::world::lambda::Function;
use crate::world::postgres::{ADMIN, admin, free_port};
use crate::world::{random_hex, world};

#[tokio::test]
async fn no_output_of_any_kind_holds_a_password() {
    let mut outputs = Vec::new();
    let mut secrets = Vec::new();
    for format in ["JSON", "Text"] {
        let function = Function::start(&[
            ("AWS_LAMBDA_LOG_LEVEL", "TRACE"),
            ("AWS_LAMBDA_LOG_FORMAT", format),
        ]);
        let application = Application::new().await;
        let rotation_token = random_hex();
        let mut invoke = async |step: &str, token: &str| {
            let mut event = application.event(step, token);
            event["RotationToken"] = json!(rotation_token);
            outputs.push(format!("{:?}", function.invoke(event).await));
        };

        // A rotation that goes well, each step twice.
        let token = application.begin().await;
        for step in STEPS {
            invoke(step, &token).await;
            invoke(step, &token).await;
        }
        secrets.push(application.password_in("AWSCURRENT").await);
        // One whose password is wrong in the database, and one without a database.
        application.set_password(&random_hex()).await;
        let token = application.begin().await;
        for step in STEPS {
            invoke(step, &token).await;
        }
        secrets.push(application.password_in("AWSPENDING").await);
        let mut nowhere = application.document.clone();
        nowhere["port"] = json!(free_port());
        application.put(&random_hex(), &nowhere.to_string(), &["AWSCURRENT"]).await;
        let token = application.abandon_and_begin().await;
        for step in STEPS {
            invoke(step, &token).await;
        }
        secrets.push(application.password_in("AWSPENDING").await);
        // One with a pending value that a person wrote and that is invalid.
        let token = application.abandon_and_begin().await;
        let canary = format!("md5{}", &random_hex()[..32]);
        application.put(&token, &application.document_with(&canary), &["AWSPENDING"]).await;
        for step in STEPS {
            invoke(step, &token).await;
        }
        secrets.extend([canary, rotation_token.clone()]);
        secrets.push(application.password.clone());
        crate::world::eventually("the log", async || {
            function.output().matches("finishSecret").nth(4).map(drop)
        })
        .await;
        outputs.push(function.output());
    }

    // The admin secret's password.
    let application = Application::new().await;
    let document = json!({"username": ADMIN, "password": world().postgres.admin_password});
    let admin_secret =
        Application::storing(ADMIN, "", document.clone(), &document.to_string(), "admin/")
            .await
            .secret;
    let policy = json!({"defaults": {"strategy": "single-user", "admin_secret": admin_secret,
        "admin_reset": true, "role": application.role}})
    .to_string();
    let function =
        Function::start(&[("AWS_LAMBDA_LOG_LEVEL", "TRACE"), ("ROTATION_POLICY", &policy)]);
    application.set_password(&random_hex()).await;
    let token = application.begin().await;
    application.steps(&function, &STEPS, &token).await;
    function
        .await_log_event("the last step", |event| event["rotation.step"] == "finishSecret")
        .await;
    secrets.push(application.password_in("AWSCURRENT").await);
    secrets.push(world().postgres.admin_password.clone());
    outputs.push(function.output());

    // The server logs every statement and shows the last one of every session.
    let activity = admin()
        .await
        .query("SELECT query FROM pg_stat_activity WHERE query IS NOT NULL", &[])
        .await
        .unwrap();
    outputs.extend(activity.iter().map(|row| row.get(0)));
    outputs.push(world().postgres.log());

    let output = outputs.join("\n");
    assert!(
        output.contains("ALTER ROLE") && output.contains("SCRAM-SHA-256$4096:"),
        "the server did log the changes"
    );
    assert!(output.contains("AWSCURRENT moved"), "the function did log its steps");
    for secret in secrets {
        assert!(secret.len() >= 32 && !output.contains(&secret), "a password was seen");
        let escaped = serde_json::to_string(&secret).unwrap();
        assert!(!output.contains(escaped.trim_matches('"')), "a password was seen, escaped");
    }
}
