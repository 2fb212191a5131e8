//! A person moves AWSCURRENT, or changes the strategy, in the middle of a rotation.

use serde_json::{Value, json};

use crate::world::application::{Application, STEPS};
use crate::world::lambda::{Answer, Function};
use crate::world::pair::Pair;
use crate::world::postgres::{await_role_lock_waiter, lock_role};
use crate::world::{random_hex, world};

/// Moves AWSCURRENT by hand, as the console does. AWSPENDING stays where it is.
async fn move_current(application: &Application, to: &str) {
    let [from, to] = ["AWSCURRENT", to].map(|label| application.version_with(label));
    let client = world().aws.client();
    let call = client.update_secret_version_stage().secret_id(&application.secret);
    let call = call.version_stage("AWSCURRENT").remove_from_version_id(from.await.unwrap());
    call.move_to_version_id(to.await.unwrap()).send().await.unwrap();
}

/// Runs setSecret, which has to wait for the lock, and moves AWSCURRENT meanwhile.
async fn set_while_current_moves(
    application: &Application,
    (base, current): (&str, &str),
    to: &str,
) -> Answer {
    let function = Function::start(&[]);
    let token = application.begin().await;
    application.steps(&function, &STEPS[..1], &token).await;
    let other = lock_role(base).await;
    let moved = async {
        await_role_lock_waiter(current).await;
        move_current(application, to).await;
        other.batch_execute("COMMIT").await.unwrap();
    };
    tokio::join!(application.step(&function, "setSecret", &token), moved).0
}

fn assert_changed_nothing(set: Answer, moved_to: &str) {
    match moved_to {
        "AWSPENDING" => assert_eq!(set.unwrap()["Outcome"], "AlreadyCurrent"),
        _ => assert_eq!(set.unwrap_err().kind, "CurrentVersionMoved"),
    }
}

#[tokio::test]
async fn a_current_password_is_not_restored_after_the_label_moved() {
    for moved_to in ["AWSPREVIOUS", "AWSPENDING"] {
        let application = Application::new().await;
        // The outage: this value never reached the database.
        let lost = application.document_with("never arrived");
        application.put(&random_hex(), &lost, &["AWSCURRENT"]).await;
        let (role, hash) = (application.role.as_str(), application.stored_hash().await);
        let set = set_while_current_moves(&application, (role, role), moved_to).await;
        assert_changed_nothing(set, moved_to);
        assert_eq!(application.stored_hash().await, hash, "{moved_to}");
    }
}

#[tokio::test]
async fn the_user_that_the_label_moved_to_keeps_its_password() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    pair.turn(&function).await;
    let users = (pair.base.as_str(), pair.clone.as_str());
    let set = set_while_current_moves(&pair.application, users, "AWSPREVIOUS").await;
    assert_changed_nothing(set, "AWSPREVIOUS");
    assert_eq!(pair.credentials("AWSCURRENT").await.0, pair.base);
    pair.session("AWSCURRENT").await;
}

fn function_with(strategy: &str, admin: &Value) -> Function {
    let defaults = json!({"strategy": strategy, "admin_secret": admin});
    Function::start(&[("ROTATION_POLICY", &json!({"defaults": defaults}).to_string())])
}

#[tokio::test]
async fn a_strategy_that_changes_in_the_middle_of_a_rotation_locks_nobody_out() {
    let pair = Pair::new().await;
    let (application, admin) = (&pair.application, &pair.application.document["masterarn"]);
    let [one, two] = ["single-user", "alternating-users"].map(|name| function_with(name, admin));

    // From one user to two, after a finishSecret that was cut off: the role has the pending
    // password, which is for a user whose turn it is not.
    let token = application.cut_off_after_commit(&one).await;
    for step in ["setSecret", "finishSecret"] {
        let refused = application.step(&two, step, &token).await;
        assert!(refused.is_err_and(|refused| refused.message.contains("recover")), "{step}");
    }
    let recovered = application.operate(&two, "recover", json!({})).await.unwrap();
    assert_eq!(recovered["Done"], json!(["RestoreCurrent", "RemovePendingLabel"]), "{recovered}");
    pair.session("AWSCURRENT").await;

    // From two users to one, and back, at every step.
    for done in 1..STEPS.len() {
        let token = application.begin().await;
        application.steps(&two, &STEPS[..done], &token).await;
        let refused = application.step(&one, STEPS[done], &token).await.unwrap_err();
        assert_eq!(refused.kind, "PendingMismatch", "{refused:?}");
        pair.session("AWSCURRENT").await;
        application.steps(&two, &STEPS[done..], &token).await;
        pair.session("AWSCURRENT").await;
    }
    let token = application.begin().await;
    application.steps(&two, &STEPS[..2], &token).await;
    let recovered = application.operate(&one, "recover", json!({})).await.unwrap();
    assert_eq!(recovered["Done"], json!(["RemovePendingLabel"]), "{recovered}");
    pair.session("AWSCURRENT").await;
}
