//! Every state that a rotation may leave leads back to a secret that works.

use serde_json::json;

use super::assert_in_order;
use crate::world::application::{Application, STEPS};
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::postgres::{ADMIN, HOST, REFUSED_ROLES};
use crate::world::proxy::{AwsProxy, Fault};
use crate::world::{unique, world};

/// Not a number of steps: finishSecret was cut off between its COMMIT and its move.
const CUT_OFF: usize = usize::MAX;

#[tokio::test]
async fn every_state_that_a_rotation_may_leave_is_recovered_from() {
    let function = Function::start(&[]);
    for (done, remedy) in [
        (0, "RemovePendingLabel"),
        (1, "RemovePendingLabel"),
        (2, "RemovePendingLabel"),
        (3, "RemovePendingLabel"),
        (4, "Nothing"),
        (CUT_OFF, "RollForward"),
    ] {
        let application = Application::new().await;
        if done == CUT_OFF {
            application.cut_off_after_commit(&function).await;
        } else {
            let token = application.begin().await;
            application.steps(&function, &STEPS[..done], &token).await;
        }
        let before = application.snapshot().await;
        let status = application.operate(&function, "status", json!({})).await.unwrap();
        let plan =
            application.operate(&function, "recover", json!({"DryRun": true})).await.unwrap();
        assert_eq!(
            (&status["Remedy"], &plan["Remedy"], &plan["Done"]),
            (&json!(remedy), &json!(remedy), &json!([])),
            "{done}: {plan}"
        );
        assert_eq!(application.snapshot().await, before, "{done}: nothing was changed");
        let report = application.operate(&function, "recover", json!({})).await.unwrap();
        let done_now: Vec<&str> = if remedy == "Nothing" { vec![] } else { vec![remedy] };
        assert_eq!(report["Done"], json!(done_now), "{report}");
        // AWSCURRENT: to look, to test and to finish.
        let refused = if done == CUT_OFF { 3 } else { 0 };
        assert_eq!(report["RefusedLogins"], refused, "{done}: {report}");
        assert!(application.accepts(&application.password_in("AWSCURRENT").await).await, "{done}");
        assert_in_order(&function, &application).await;
    }
}

/// As where `pg_hba.conf` lets in a group, and the second user does not exist yet.
#[tokio::test]
async fn a_second_user_that_is_not_let_in_yet_stops_no_recovery() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    pair.superuser(&format!("CREATE ROLE :clone; GRANT {REFUSED_ROLES} TO :clone")).await;
    let token = pair.application.begin().await;
    pair.application.steps(&function, &STEPS[..1], &token).await;
    let report = pair.application.operate(&function, "recover", json!({})).await.unwrap();
    assert_eq!(report["Done"], json!(["RemovePendingLabel"]), "{report}");
    pair.superuser("DROP ROLE :clone").await;
    assert_in_order(&function, &pair.application).await;
}

#[tokio::test]
async fn every_state_that_a_turn_may_leave_is_recovered_from() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    for (done, prefer, remedy) in [
        (0, "forward", "RemovePendingLabel"),
        (1, "back", "RemovePendingLabel"),
        (2, "forward", "RollForward"),
        (2, "back", "RemovePendingLabel"),
        (3, "forward", "RollForward"),
    ] {
        let token = pair.application.begin().await;
        pair.application.steps(&function, &STEPS[..done], &token).await;
        let report = pair
            .application
            .operate(&function, "recover", json!({"Prefer": prefer}))
            .await
            .unwrap();
        assert_eq!(report["Done"], json!([remedy]), "{done} {prefer}: {report}");
        pair.session("AWSCURRENT").await;
        assert_in_order(&function, &pair.application).await;
    }
}

/// While AWSCURRENT works, a missing right halts the recovery. Once it does not, applications need
/// any login that works.
#[tokio::test]
async fn an_outage_is_ended_although_the_next_user_can_do_less() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    pair.imitate_aws_function().await;
    let token = pair.application.begin().await;
    pair.application.steps(&function, &STEPS[..2], &token).await;
    let schema = unique("extra_");
    pair.superuser(&format!("CREATE SCHEMA {schema}; GRANT USAGE ON SCHEMA {schema} TO :clone"))
        .await;
    let refused = pair.application.operate(&function, "recover", json!({})).await.unwrap_err();
    assert_eq!(refused.kind, "PrivilegesMissing", "{}", refused.message);
    pair.superuser("ALTER ROLE :clone PASSWORD 'changed by a person'").await;
    let report = pair.application.operate(&function, "recover", json!({})).await.unwrap();
    assert_eq!(report["Done"], json!(["RollForward"]), "{report}");
    let warnings = report["Steps"][0]["Warnings"].to_string();
    assert!(warnings.contains("testSecret failed") && warnings.contains(&schema), "{report}");
    pair.session("AWSCURRENT").await;
}

#[tokio::test]
async fn a_rotation_can_be_rolled_back() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    application.cut_off_after_commit(&function).await;
    assert!(!application.accepts(&application.password).await);
    let report =
        application.operate(&function, "recover", json!({"Prefer": "back"})).await.unwrap();
    assert_eq!(report["Done"], json!(["RestoreCurrent", "RemovePendingLabel"]), "{report}");
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
    application.cut_off_after_commit(&function).await;
    application.abandon_and_begin().await;
    let report = application.operate(&function, "recover", json!({})).await.unwrap();
    assert_eq!(report["Done"], json!(["RestoreCurrent", "RemovePendingLabel"]), "{report}");
    assert!(application.accepts(&application.password).await);
    assert_in_order(&function, &application).await;
}

#[tokio::test]
async fn what_could_not_be_searched_is_reported() {
    let proxy = AwsProxy::start();
    let (application, function) =
        (Application::new().await, Function::start(&[("AWS_ENDPOINT_URL", &proxy.url)]));
    application.set_password("changed by hand").await;
    proxy.fail("ListSecretVersionIds", 1, Fault::Refuse(400, "AccessDeniedException"));
    let refused = application.operate(&function, "recover", json!({})).await.unwrap_err();
    assert_eq!(refused.kind, "NotRecovered");
    assert!(
        refused.message.contains("needs secretsmanager:ListSecretVersionIds"),
        "{}",
        refused.message
    );
}

#[tokio::test]
async fn a_lost_password_is_reset_if_the_policy_allows_it_and_else_asked_for() {
    let document = json!({"username": ADMIN, "password": world().postgres.admin_password,
        "host": HOST, "port": world().postgres.port});
    let admin_secret =
        Application::storing(ADMIN, "", document.clone(), &document.to_string(), "admin/")
            .await
            .secret;
    for admin_reset in [false, true] {
        let application = Application::new().await;
        application.set_password("changed by hand").await;
        let fields = json!({"strategy": "single-user", "admin_secret": admin_secret,
            "admin_reset": admin_reset, "role": application.role});
        let function = Function::start(&[(
            "ROTATION_POLICY",
            &json!({"secrets": {&application.name: fields}}).to_string(),
        )]);
        let before = application.snapshot().await;
        let answer = application.operate(&function, "recover", json!({})).await;
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
            for (options, remedy) in [
                (json!({}), "TryOlderPasswords"),
                (json!({"Deep": true}), "ManualInterventionRequired"),
            ] {
                let status = application.operate(&function, "status", options).await.unwrap();
                assert_eq!(
                    (&status["Remedy"], &status["Versions"][0]["Database"]),
                    (&json!(remedy), &json!("rejected")),
                    "{status}"
                );
            }
        }
    }
}

#[tokio::test]
async fn the_label_of_an_invalid_pending_value_is_removed() {
    let function = Function::start(&[]);
    for value in ["not JSON", "{\"username\":\"another role\"}"] {
        let application = Application::new().await;
        let token = application.begin().await;
        application.put(&token, value, &["AWSPENDING"]).await;
        let report = application.operate(&function, "recover", json!({})).await.unwrap();
        assert_eq!(report["Done"], json!(["RemovePendingLabel"]), "{report}");
        assert_in_order(&function, &application).await;
    }
}
