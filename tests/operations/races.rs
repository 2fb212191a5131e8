//! A recovery beside a step, another session or a person who writes the secret.

use postgres_protocol::escape::escape_literal;
use postgres_protocol::password::scram_sha_256;
use serde_json::json;

use super::assert_in_order;
use crate::world::application::{Application, STEPS};
use crate::world::lambda::Function;
use crate::world::postgres::{HOST, admin, await_role_lock_waiter, lock_role};
use crate::world::wire::{self, Wire};
use crate::world::{eventually, random_hex, unique, world};

#[tokio::test]
async fn a_rotation_whose_label_is_removed_while_it_changes_the_password_is_stopped() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let token = application.begin().await;
    application.steps(&function, &["createSecret"], &token).await;
    // Either may take the lock first. Afterwards AWSCURRENT works, or a second recovery repairs it.
    let other = Function::start(&[]);
    let (recovered, set) = tokio::join!(
        application.operate(&function, "recover", json!({})),
        application.step(&other, "setSecret", &token)
    );
    let current = application.password_in("AWSCURRENT").await;
    if recovered.is_ok() {
        assert!(application.accepts(&current).await, "{recovered:?} {set:?}");
    } else {
        application.operate(&function, "recover", json!({})).await.unwrap();
    }
    assert_in_order(&function, &application).await;
}

/// A role that may not change its own password, with an admin secret that names another database.
async fn create_restricted(wire: &Wire) -> (Application, [Function; 2]) {
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
    let (application, [one, two]) = create_restricted(&wire).await;
    let token = application.begin().await;
    application.steps(&one, &STEPS[..1], &token).await;
    wire.arm_for("ALTER ROLE", wire::Fault::Refuse("42501"));
    // Another session holds the role's row, so that finishSecret waits between its check of the
    // labels and its commit.
    let other = admin().await;
    other
        .batch_execute(&format!("BEGIN; ALTER ROLE {} CONNECTION LIMIT 77", application.role))
        .await
        .unwrap();
    let (set, recovered) = tokio::join!(application.step(&one, "finishSecret", &token), async {
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
        let recovering = application.operate(&two, "recover", json!({}));
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
        (json!("Finished"), "LoginRejected")
    );
    assert_eq!(
        application.version_with("AWSCURRENT").await,
        Some(token),
        "the only record of the database's password"
    );
    assert_eq!(application.operate(&two, "recover", json!({})).await.unwrap()["Done"], json!([]));
}

#[tokio::test]
async fn a_role_that_may_not_change_its_own_password_is_recovered_by_the_admin() {
    let wire = Wire::idle();
    let (application, [function, _]) = create_restricted(&wire).await;
    for (lost, prefer) in [(false, "back"), (true, "forward")] {
        application.cut_off_after_commit(&function).await;
        if lost {
            application.remove_pending_label().await;
        }
        wire.arm_for("ALTER ROLE", wire::Fault::Refuse("42501"));
        let report =
            application.operate(&function, "recover", json!({"Prefer": prefer})).await.unwrap();
        assert_eq!(report["Done"][0], "RestoreCurrent", "{report}");
        let current = application.password_in("AWSCURRENT").await;
        let dbname = application.document["dbname"].as_str().unwrap();
        world().postgres.login_to(dbname, &application.role, &current).await.unwrap();
    }
}

#[tokio::test]
async fn the_label_stays_on_a_password_that_has_just_reached_the_database() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let token = application.begin().await;
    application.steps(&function, &["createSecret"], &token).await;
    let pending = application.password_in("AWSPENDING").await;
    let other = lock_role(&application.role).await;
    let (refused, ()) = tokio::join!(application.operate(&function, "recover", json!({})), async {
        await_role_lock_waiter(&application.role).await;
        let verifier = escape_literal(&scram_sha_256(pending.as_bytes()));
        other
            .batch_execute(&format!("ALTER ROLE {} PASSWORD {verifier}; COMMIT", application.role))
            .await
            .unwrap();
    });
    assert_eq!(refused.unwrap_err().kind, "LoginRejected");
    assert_eq!(
        application.password_in("AWSPENDING").await,
        pending,
        "the only record of the database's password"
    );
    let report = application.operate(&function, "recover", json!({})).await.unwrap();
    assert_eq!(report["Done"], json!(["RollForward"]), "{report}");
    assert_in_order(&function, &application).await;
}

#[tokio::test]
async fn a_current_value_that_a_person_writes_meanwhile_is_not_overruled() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    application.cut_off_after_commit(&function).await;
    let stored = application.stored_hash().await;
    let other = lock_role(&application.role).await;
    let (refused, ()) =
        tokio::join!(application.operate(&function, "recover", json!({"Prefer": "back"})), async {
            await_role_lock_waiter(&application.role).await;
            application
                .put(
                    &random_hex(),
                    &application.document_with("written by a person"),
                    &["AWSCURRENT"],
                )
                .await;
            other.batch_execute("COMMIT").await.unwrap();
        });
    assert_eq!(refused.unwrap_err().kind, "CurrentVersionMoved");
    assert_eq!(application.stored_hash().await, stored, "the database was not changed");
}
