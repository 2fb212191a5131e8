//! What a person asks for at 2 a.m.: what is wrong, and that it be mended.

use postgres_protocol::escape::escape_literal;
use postgres_protocol::password::scram_sha_256;
use serde_json::{Value, json};

use crate::world::application::{Application, STEPS};
use crate::world::lambda::{Answer, Function};
use crate::world::pair::Pair;
use crate::world::postgres::{ADMIN, HOST, admin, at_work_on, free_port, waits_for_it};
use crate::world::proxy::{AwsProxy, Fault};
use crate::world::wire::{self, Wire};
use crate::world::{eventually, random_hex, unique, world};

async fn operate(
    function: &Function,
    operation: &str,
    application: &Application,
    more: Value,
) -> Answer {
    let mut event = json!({"Operation": operation, "SecretId": application.name});
    for (key, value) in more.as_object().into_iter().flatten() {
        event[key] = value.clone();
    }
    function.invoke(event).await
}

/// AWSCURRENT works, and a rotation can begin and end.
async fn assert_in_order(function: &Function, application: &Application) {
    let status = operate(function, "status", application, json!({})).await.unwrap();
    assert_eq!(status["Remedy"], "Nothing", "{status}");
    let rotation = application.rotate(function).await;
    assert_eq!(rotation["state"], "succeeded", "{rotation}");
    let status = operate(function, "status", application, json!({})).await.unwrap();
    assert_eq!(status["Remedy"], "Nothing", "{status}");
}

#[tokio::test]
async fn a_forced_rotation_is_one_call() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    for _ in 0..2 {
        let before = application.password_in("AWSCURRENT").await;
        let report = operate(&function, "rotate", &application, json!({})).await.unwrap();
        let steps: Vec<_> = report["Steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| step["Step"].as_str().unwrap())
            .collect();
        assert_eq!(steps, STEPS);
        assert!(
            report["Steps"]
                .as_array()
                .unwrap()
                .iter()
                .all(|step| step["DurationMs"].as_u64() > Some(0)),
            "{report}"
        );
        let token = report["Steps"][0]["VersionId"].as_str().unwrap();
        application.assert_rotated(token, &before).await;
        assert!(
            !report.to_string().contains(&application.password_in("AWSCURRENT").await),
            "a password in the report"
        );
    }
    let pair = Pair::new().await;
    let report = operate(&function, "rotate", &pair.application, json!({})).await.unwrap();
    assert_eq!(report["Strategy"], "alternating-users");
    assert_eq!(pair.login_in("AWSCURRENT").await.0, pair.clone);
    assert_in_order(&function, &pair.application).await;
}

#[tokio::test]
async fn a_forced_rotation_does_not_meddle_with_another_one() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let token = application.begin().await;
    application.steps(&function, &["createSecret"], &token).await;
    let before = application.snapshot().await;
    let refused = operate(&function, "rotate", &application, json!({})).await.unwrap_err();
    assert_eq!(refused.kind, "RotationUnderWay");
    assert!(
        refused.message.contains(&token) && refused.message.contains("\"recover\""),
        "{}",
        refused.message
    );
    assert_eq!(application.snapshot().await, before);
}

#[tokio::test]
async fn a_rotation_that_is_switched_off_is_not_forced() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let token = application.begin().await;
    let client = world().aws.client();
    client.cancel_rotate_secret().secret_id(&application.secret).send().await.unwrap();
    let before = application.snapshot().await;
    let refused = operate(&function, "rotate", &application, json!({})).await.unwrap_err();
    assert_eq!(refused.kind, "RotationDisabled", "{token}: {}", refused.message);
    assert_eq!(application.snapshot().await, before);
    // To look, and to mend, is allowed all the same.
    operate(&function, "status", &application, json!({})).await.unwrap();
    operate(&function, "recover", &application, json!({})).await.unwrap();
}

#[tokio::test]
async fn a_secret_of_another_service_is_left_to_it() {
    let function = Function::start(&[]);
    let application = Application::storing(
        "app",
        "",
        json!({}),
        r#"{"username": "app", "password": "secret"}"#,
        "rds!cluster-",
    )
    .await;
    for operation in ["rotate", "status", "recover"] {
        let refused = operate(&function, operation, &application, json!({})).await.unwrap_err();
        assert_eq!(refused.kind, "SecretManagedByService", "{operation}: {}", refused.message);
    }
}

#[tokio::test]
async fn a_healthy_secret_is_left_alone() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let before = application.snapshot().await;
    for operation in ["status", "recover"] {
        let report = operate(&function, operation, &application, json!({})).await.unwrap();
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
    let status = operate(&function, "status", &pair.application, json!({})).await.unwrap();
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
    assert!(status["Message"].as_str().unwrap().contains("take it off"), "{status}");
}

#[tokio::test]
async fn how_passwords_are_stored_is_said_where_the_role_may_see_it() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let status = operate(&function, "status", &application, json!({})).await.unwrap();
    assert!(status["PasswordStoredAs"].is_null(), "{status}");
    for (stored, form) in [("md5", "md5"), ("scram-sha-256", "scram-sha-256")] {
        let role = &application.role;
        let password = escape_literal(&application.password);
        let sql = format!(
            "GRANT SELECT ON pg_authid TO {role}; SET password_encryption = '{stored}'; SET \
             log_statement = none; ALTER ROLE {role} PASSWORD {password}"
        );
        admin().await.batch_execute(&sql).await.unwrap();
        let status = operate(&function, "status", &application, json!({})).await.unwrap();
        assert_eq!(status["PasswordStoredAs"], json!({role: form}), "{status}");
    }
}

#[tokio::test]
async fn every_state_that_a_rotation_may_leave_is_recovered_from() {
    let function = Function::start(&[]);
    for (done, remedy) in [
        (0, "TakeOffPending"),
        (1, "TakeOffPending"),
        (2, "RollForward"),
        (3, "RollForward"),
        (4, "Nothing"),
    ] {
        let application = Application::new().await;
        let token = application.begin().await;
        application.steps(&function, &STEPS[..done], &token).await;
        let before = application.snapshot().await;
        let status = operate(&function, "status", &application, json!({})).await.unwrap();
        let plan =
            operate(&function, "recover", &application, json!({"DryRun": true})).await.unwrap();
        assert_eq!(
            (&status["Remedy"], &plan["Remedy"], &plan["Done"]),
            (&json!(remedy), &json!(remedy), &json!([])),
            "{done}: {plan}"
        );
        assert_eq!(application.snapshot().await, before, "{done}: nothing was changed");
        let report = operate(&function, "recover", &application, json!({})).await.unwrap();
        let done_now: Vec<&str> = if remedy == "Nothing" { vec![] } else { vec![remedy] };
        assert_eq!(report["Done"], json!(done_now), "{report}");
        assert!(application.accepts(&application.password_in("AWSCURRENT").await).await, "{done}");
        assert_in_order(&function, &application).await;
    }
}

#[tokio::test]
async fn every_state_that_a_turn_may_leave_is_recovered_from() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    for (done, prefer, remedy) in [
        (0, "forward", "TakeOffPending"),
        (1, "back", "TakeOffPending"),
        (2, "forward", "RollForward"),
        (2, "back", "TakeOffPending"),
        (3, "forward", "RollForward"),
    ] {
        let token = pair.application.begin().await;
        pair.application.steps(&function, &STEPS[..done], &token).await;
        let report = operate(&function, "recover", &pair.application, json!({"Prefer": prefer}))
            .await
            .unwrap();
        assert_eq!(report["Done"], json!([remedy]), "{done} {prefer}: {report}");
        pair.session("AWSCURRENT").await;
        assert_in_order(&function, &pair.application).await;
    }
}

#[tokio::test]
async fn a_rotation_may_be_taken_back() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let token = application.begin().await;
    application.steps(&function, &STEPS[..2], &token).await;
    assert!(!application.accepts(&application.password).await);
    let report =
        operate(&function, "recover", &application, json!({"Prefer": "back"})).await.unwrap();
    assert_eq!(report["Done"], json!(["RestoreCurrent", "TakeOffPending"]), "{report}");
    assert!(
        application.accepts(&application.password).await,
        "the database has AWSCURRENT's password again"
    );
    assert_eq!(application.password_in("AWSCURRENT").await, application.password);
    assert_in_order(&function, &application).await;
}

#[tokio::test]
async fn a_password_that_no_label_leads_to_is_found() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let abandoned = application.begin().await;
    application.steps(&function, &STEPS[..2], &abandoned).await;
    application.begin_again().await;
    let report = operate(&function, "recover", &application, json!({})).await.unwrap();
    assert_eq!(report["Done"], json!(["RestoreCurrent", "TakeOffPending"]), "{report}");
    assert!(application.accepts(&application.password).await);
    assert_in_order(&function, &application).await;
}

#[tokio::test]
async fn what_could_not_be_looked_for_is_said() {
    let proxy = AwsProxy::start();
    let (application, function) =
        (Application::new().await, Function::start(&[("AWS_ENDPOINT_URL", &proxy.url)]));
    application.set_password("somebody changed it by hand").await;
    proxy.fail("ListSecretVersionIds", 1, Fault::Refuse(400, "AccessDeniedException"));
    let refused = operate(&function, "recover", &application, json!({})).await.unwrap_err();
    assert_eq!(refused.kind, "NotRecovered");
    assert!(
        refused.message.contains("needs secretsmanager:ListSecretVersionIds"),
        "{}",
        refused.message
    );
}

#[tokio::test]
async fn a_lost_password_is_reset_where_the_policy_allows_it_and_asked_for_where_not() {
    let document = json!({"username": ADMIN, "password": world().postgres.admin_password,
        "host": HOST, "port": world().postgres.port});
    let admin_secret =
        Application::storing(ADMIN, "", document.clone(), &document.to_string(), "admin/")
            .await
            .secret;
    for admin_reset in [false, true] {
        let application = Application::new().await;
        application.set_password("somebody changed it by hand").await;
        let fields = json!({"strategy": "single-user", "admin_secret": admin_secret,
            "admin_reset": admin_reset});
        let function = Function::start(&[(
            "ROTATION_POLICY",
            &json!({"secrets": {&application.name: fields}}).to_string(),
        )]);
        let before = application.snapshot().await;
        let answer = operate(&function, "recover", &application, json!({})).await;
        if admin_reset {
            assert_eq!(answer.unwrap()["Done"], json!(["ResetByAdmin"]));
            assert!(application.accepts(&application.password).await);
            assert_in_order(&function, &application).await;
        } else {
            let failure = answer.unwrap_err();
            assert_eq!(failure.kind, "NotRecovered");
            assert!(
                failure.message.contains("put-secret-value")
                    && failure.message.contains("admin_reset"),
                "{}",
                failure.message
            );
            assert_eq!(application.snapshot().await, before);
            let status = operate(&function, "status", &application, json!({})).await.unwrap();
            assert_eq!(
                (&status["Remedy"], &status["Versions"][0]["Database"]),
                (&json!("AskForHelp"), &json!("rejected")),
                "{status}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_not_known_is_never_acted_on() {
    let role = unique("app_");
    let application =
        Application::with(&role, |document| document["port"] = json!(free_port())).await;
    let function = Function::start(&[]);
    let token = application.begin().await;
    application.put(&token, &application.document_with("pending"), &["AWSPENDING"]).await;
    let before = application.snapshot().await;
    let status = operate(&function, "status", &application, json!({})).await.unwrap();
    assert_eq!(status["Remedy"], "Wait", "{status}");
    for version in [0, 1] {
        assert_eq!(status["Versions"][version]["Database"], "unknown", "{status}");
        assert!(
            status["Versions"][version]["Reason"].as_str().unwrap().contains("Connection refused"),
            "{status}"
        );
    }
    let refused = operate(&function, "recover", &application, json!({})).await.unwrap_err();
    assert_eq!(refused.kind, "NotRecovered");
    assert!(refused.message.contains("Connection refused"), "{}", refused.message);
    assert_eq!(application.snapshot().await, before);
}

#[tokio::test]
async fn a_pending_value_that_no_step_takes_is_taken_off() {
    let function = Function::start(&[]);
    for value in ["not JSON", "{\"username\":\"somebody else\"}"] {
        let application = Application::new().await;
        let token = application.begin().await;
        application.put(&token, value, &["AWSPENDING"]).await;
        let report = operate(&function, "recover", &application, json!({})).await.unwrap();
        assert_eq!(report["Done"], json!(["TakeOffPending"]), "{report}");
        assert_in_order(&function, &application).await;
    }
}

#[tokio::test]
async fn a_rotation_that_begins_its_change_while_its_label_is_taken_off_is_stopped() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let token = application.begin().await;
    application.steps(&function, &["createSecret"], &token).await;
    // Both at once: whichever comes first under the lock, AWSCURRENT works afterwards or recovery
    // goes on from there.
    let other = Function::start(&[]);
    let (recovered, set) = tokio::join!(
        operate(&function, "recover", &application, json!({})),
        application.step(&other, "setSecret", &token)
    );
    let current = application.password_in("AWSCURRENT").await;
    if recovered.is_ok() {
        assert!(application.accepts(&current).await, "{recovered:?} {set:?}");
    } else {
        operate(&function, "recover", &application, json!({})).await.unwrap();
    }
    assert_in_order(&function, &application).await;
}

/// A role that may not change its own password, and an admin secret that names another database
/// than the role's own.
async fn restricted(wire: &Wire) -> (Application, [Function; 2]) {
    let (name, password, dbname) = (unique("admin_"), random_hex(), unique("shop_"));
    let verifier = escape_literal(&scram_sha_256(password.as_bytes()));
    for sql in [
        format!("CREATE DATABASE {dbname}"),
        format!("CREATE ROLE {name} LOGIN CREATEROLE PASSWORD {verifier}"),
    ] {
        admin().await.batch_execute(&sql).await.unwrap();
    }
    let document = json!({"username": name, "password": password, "host": HOST,
        "port": world().postgres.port, "dbname": "postgres"});
    let secret = Application::storing(&name, "", document.clone(), &document.to_string(), "admin/")
        .await
        .secret;
    let application = wire.application(|document| document["dbname"] = json!(dbname)).await;
    admin()
        .await
        .batch_execute(&format!("GRANT {} TO {name} WITH ADMIN OPTION", application.role))
        .await
        .unwrap();
    let policy = json!({"defaults": {"allow_plaintext": true, "strategy": "single-user",
        "admin_secret": secret}})
    .to_string();
    (application, [(); 2].map(|()| Function::start(&[("ROTATION_POLICY", &policy)])))
}

#[tokio::test]
async fn the_lock_holds_whichever_database_the_admin_is_in() {
    let wire = Wire::idle();
    let (application, [one, two]) = restricted(&wire).await;
    let token = application.begin().await;
    application.steps(&one, &STEPS[..1], &token).await;
    wire.arm_for("ALTER ROLE", wire::Fault::Refuse("42501"));
    // Somebody else holds the role's row, so that setSecret waits between its look at the labels
    // and its commit.
    let other = admin().await;
    other
        .batch_execute(&format!("BEGIN; ALTER ROLE {} CONNECTION LIMIT 77", application.role))
        .await
        .unwrap();
    let (set, recovered) = tokio::join!(application.step(&one, "setSecret", &token), async {
        let watch = admin().await;
        let waits = |event: &'static str| {
            format!(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event = '{event}' AND query LIKE '%{}%'",
                application.role
            )
        };
        eventually("the wait for the row", async || {
            watch.query_opt(&waits("transactionid"), &[]).await.unwrap()
        })
        .await;
        let recovering = operate(&two, "recover", &application, json!({}));
        let release = async {
            eventually("the wait for the lock", async || {
                watch.query_opt(&waits("advisory"), &[]).await.unwrap()
            })
            .await;
            other.batch_execute("ROLLBACK").await.unwrap();
        };
        tokio::join!(recovering, release).0
    });
    assert_eq!(
        (set.unwrap()["Outcome"].clone(), recovered.unwrap_err().kind.as_str()),
        (json!("PasswordSet"), "LoginRejected")
    );
    assert_eq!(
        application.holder("AWSPENDING").await,
        Some(token),
        "the only record of what the database has"
    );
    assert_eq!(
        operate(&two, "recover", &application, json!({})).await.unwrap()["Done"],
        json!(["RollForward"])
    );
}

#[tokio::test]
async fn a_role_that_may_not_change_its_own_password_is_recovered_by_the_admin() {
    let wire = Wire::idle();
    let (application, [function, _]) = restricted(&wire).await;
    for (lost, prefer) in [(false, "back"), (true, "forward")] {
        let token = application.begin().await;
        wire.arm_for("ALTER ROLE", wire::Fault::Refuse("42501"));
        application.steps(&function, &STEPS[..2], &token).await;
        if lost {
            application.take_off_pending().await;
        }
        wire.arm_for("ALTER ROLE", wire::Fault::Refuse("42501"));
        let report =
            operate(&function, "recover", &application, json!({"Prefer": prefer})).await.unwrap();
        assert_eq!(report["Done"][0], "RestoreCurrent", "{report}");
        let current = application.password_in("AWSCURRENT").await;
        let dbname = application.document["dbname"].as_str().unwrap();
        world().postgres.login_to(dbname, &application.role, &current).await.unwrap();
    }
}

#[tokio::test]
async fn the_label_is_not_taken_off_a_password_that_has_just_reached_the_database() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let token = application.begin().await;
    application.steps(&function, &["createSecret"], &token).await;
    let pending = application.password_in("AWSPENDING").await;
    let other = at_work_on(&application.role).await;
    let (refused, ()) =
        tokio::join!(operate(&function, "recover", &application, json!({})), async {
            waits_for_it(&application.role).await;
            let verifier = escape_literal(&scram_sha_256(pending.as_bytes()));
            other
                .batch_execute(&format!(
                    "ALTER ROLE {} PASSWORD {verifier}; COMMIT",
                    application.role
                ))
                .await
                .unwrap();
        });
    assert_eq!(refused.unwrap_err().kind, "LoginRejected");
    assert_eq!(
        application.password_in("AWSPENDING").await,
        pending,
        "the only record of what the database has"
    );
    let report = operate(&function, "recover", &application, json!({})).await.unwrap();
    assert_eq!(report["Done"], json!(["RollForward"]), "{report}");
    assert_in_order(&function, &application).await;
}

#[tokio::test]
async fn a_current_value_that_a_person_writes_meanwhile_is_not_overruled() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let token = application.begin().await;
    application.steps(&function, &STEPS[..2], &token).await;
    let stored = application.stored().await;
    let other = at_work_on(&application.role).await;
    let (refused, ()) = tokio::join!(
        operate(&function, "recover", &application, json!({"Prefer": "back"})),
        async {
            waits_for_it(&application.role).await;
            application
                .put(
                    &random_hex(),
                    &application.document_with("written by a person"),
                    &["AWSCURRENT"],
                )
                .await;
            other.batch_execute("COMMIT").await.unwrap();
        }
    );
    assert_eq!(refused.unwrap_err().kind, "CurrentVersionMoved");
    assert_eq!(application.stored().await, stored, "the database was not changed");
}

#[tokio::test]
async fn no_operation_shows_a_password() {
    let (application, function) =
        (Application::new().await, Function::start(&[("AWS_LAMBDA_LOG_LEVEL", "TRACE")]));
    let canary = random_hex();
    let token = application.begin().await;
    application.put(&token, &application.document_with(&canary), &["AWSPENDING"]).await;
    for (operation, more) in [
        ("status", json!({})),
        ("recover", json!({"DryRun": true})),
        ("recover", json!({})),
        ("rotate", json!({})),
    ] {
        let shown = format!("{:?}", operate(&function, operation, &application, more).await);
        assert!(
            !shown.contains(&canary) && !shown.contains(&application.password),
            "{operation}: {shown}"
        );
    }
    let new = application.password_in("AWSCURRENT").await;
    for secret in [&canary, &application.password, &new] {
        assert!(!function.output().contains(secret.as_str()), "the function's log");
        assert!(!world().postgres.log().contains(secret.as_str()), "the server's log");
    }
}
