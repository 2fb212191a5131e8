//! `setSecret` when the database refuses the current password: it finds what an earlier rotation
//! left behind, and reports what is lost.

use crate::world::application::{Application, STEPS};
use crate::world::lambda::Function;
use crate::world::proxy::{AwsProxy, Fault};
use crate::world::{eventually, random_hex, world};
use serde_json::{Value, json};

fn failed_logins(application: &Application) -> usize {
    let failed = format!("password authentication failed for user \"{}\"", application.role);
    world().postgres.log().matches(&failed).count()
}

#[tokio::test]
async fn a_pending_password_that_the_database_already_has_is_left_alone() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let token = application.begin().await;
    application.steps(&function, &["createSecret"], &token).await;
    application.set_password(&application.password_in("AWSPENDING").await).await;
    let stored = application.stored_hash().await;
    let report = application.step(&function, "setSecret", &token).await.unwrap();
    assert_eq!(report["Outcome"], "AlreadySet");
    assert_eq!(application.stored_hash().await, stored);
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
    let warning = report["Warnings"][0].as_str().unwrap();
    assert!(warning.contains("refused AWSCURRENT") && warning.contains("AWSPREVIOUS"), "{report}");
    assert!(application.accepts("never arrived").await, "the outage has ended already");
    application.steps(&function, &["testSecret", "finishSecret"], &token).await;
    application.assert_rotated(&token, "never arrived").await;
}

#[tokio::test]
async fn an_abandoned_rotation_that_had_changed_the_database_is_found() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let abandoned = application.begin().await;
    application.steps(&function, &["createSecret"], &abandoned).await;
    application.set_password(&application.password_in("AWSPENDING").await).await;
    let token = application.abandon_and_begin().await;
    application.steps(&function, &STEPS, &token).await;
    application.assert_rotated(&token, &application.password).await;
}

#[tokio::test]
async fn versions_that_cannot_help_do_not_use_up_the_tries() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let abandoned = application.begin().await;
    application.steps(&function, &["createSecret"], &abandoned).await;
    application.set_password(&application.password_in("AWSPENDING").await).await;
    for _ in 0..4 {
        // Each round leaves an empty version, and one that has lost its label.
        application.abandon_and_begin().await;
        application
            .put(&random_hex(), &application.document_with(&application.password), &["AWSCURRENT"])
            .await;
    }
    let token = application.abandon_and_begin().await;
    application.steps(&function, &STEPS, &token).await;
    application.assert_rotated(&token, &application.password).await;
    assert!(failed_logins(&application) <= 3, "no password is sent twice");
}

#[tokio::test]
async fn a_function_that_may_not_list_versions_does_without() {
    let proxy = AwsProxy::start();
    let application = Application::new().await;
    application.set_password("changed by hand").await;
    let token = application.begin().await;
    let function = Function::start(&[("AWS_ENDPOINT_URL", &proxy.url)]);
    application.steps(&function, &["createSecret"], &token).await;
    proxy.fail("ListSecretVersionIds", 99, Fault::Refuse(400, "AccessDeniedException"));
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
    // The password that works is in the oldest version, of the same role and server.
    let token = application.begin().await;
    application.steps(&function, &STEPS, &token).await;
    assert!(application.accepts(&application.password_in("AWSCURRENT").await).await);
    eventually("the two failed logins", async || (failed_logins(&application) >= 2).then_some(()))
        .await;
    assert_eq!(failed_logins(&application), 2, "only AWSCURRENT and AWSPENDING were refused");
    assert_eq!(failed_logins(&other), 0);
}

#[tokio::test]
async fn the_newest_passwords_without_a_label_are_tried_up_to_the_policys_refusals() {
    let default = Function::start(&[]);
    let policy = json!({"defaults": {"max_refused_logins": 3}}).to_string();
    let three = Function::start(&[("ROTATION_POLICY", &policy)]);
    for (function, age, found) in [
        (&default, 0, true),
        (&default, 2, true),
        (&default, 3, false),
        (&three, 0, true),
        (&three, 1, false),
    ] {
        let application = Application::new().await;
        let abandoned: Vec<_> = (0..5).map(|_| random_hex()).collect();
        for password in &abandoned {
            application.put(&random_hex(), &application.document_with(password), &["MINE"]).await;
        }
        application
            .put(&random_hex(), &application.document_with("has the label"), &["MINE"])
            .await;
        application.set_password(&abandoned[4 - age]).await;
        let token = application.begin().await;
        application.steps(function, &["createSecret"], &token).await;
        let result = application.step(function, "setSecret", &token).await;
        assert_eq!(result.is_ok(), found, "{age}: {result:?}");
        // AWSCURRENT, AWSPENDING and those that came before, or as many as are allowed.
        let refused = 2 + age;
        let failure = result.err().map(|failure| failure.message);
        let logged = function.await_log_event("the report", |event| {
            event["secret.arn"] == application.secret.as_str()
                && event["rotation.step"] == "setSecret"
                && !event["db.refused_logins"].is_null()
                && failure.as_ref().is_none_or(|said| event["message"] == said.as_str())
        });
        assert_eq!(logged.await["db.refused_logins"], refused, "{failure:?}");
        let counted = async || (failed_logins(&application) == refused).then_some(());
        eventually("the failed logins", counted).await;
    }
}

#[tokio::test]
async fn an_unknown_password_is_reported_with_what_to_do() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    application.set_password("changed by hand").await;
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
    let event = json!({"Operation": "preflight", "SecretId": application.name});
    let preflight = function.invoke(event).await.unwrap();
    assert_eq!(preflight["RefusedLogins"], 1, "{preflight}");
}

/// A database that was restored from a snapshot has another host, and an older password.
#[tokio::test]
async fn versions_for_a_former_host_are_named_and_tried_where_the_policy_lists_it() {
    let application = Application::new().await;
    let (mut former, password) = (application.document.clone(), random_hex());
    (former["host"], former["password"]) = (json!("old.example.com"), json!(password));
    application.set_password(&password).await;
    application.put(&random_hex(), &former.to_string(), &["AWSCURRENT"]).await;
    let present = application.document_with("of the lost database");
    application.put(&random_hex(), &present, &["AWSCURRENT"]).await;
    let function = Function::start(&[]);
    let token = application.begin().await;
    application.steps(&function, &STEPS[..1], &token).await;
    let before = application.snapshot().await;
    let refused = application.step(&function, "setSecret", &token).await.unwrap_err();
    assert_eq!(refused.kind, "NoCredentialAccepted", "{}", refused.message);
    let event = |operation: &str, more: Value| {
        let mut event = json!({"Operation": operation, "SecretId": application.name});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let recover = function.invoke(event("recover", json!({}))).await.unwrap_err();
    assert_eq!(recover.kind, "NotRecovered", "{}", recover.message);
    let status = function.invoke(event("status", json!({}))).await.unwrap();
    assert_eq!(status["Versions"][2]["Label"], "AWSPREVIOUS", "{status}");
    let deep = function.invoke(event("status", json!({"Deep": true}))).await.unwrap();
    let server = format!("old.example.com:{}", world().postgres.port);
    for text in [
        &refused.message,
        &recover.message,
        status["Versions"][2]["Reason"].as_str().unwrap(),
        deep["Versions"][0]["Reason"].as_str().unwrap(),
    ] {
        assert!(text.contains(&server) && text.contains("former_hosts"), "{text}");
    }
    assert_eq!(application.snapshot().await, before);

    let policy = json!({"defaults": {"former_hosts": ["OLD.example.com"]}}).to_string();
    let function = Function::start(&[("ROTATION_POLICY", &policy)]);
    let report = application.step(&function, "setSecret", &token).await.unwrap();
    assert!(report["Warnings"][0].as_str().unwrap().contains("AWSPREVIOUS"), "{report}");
    application.steps(&function, &STEPS[2..], &token).await;
    application.assert_rotated(&token, "of the lost database").await;
}
