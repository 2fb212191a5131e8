//! The way back after a rotation: `recover` with `"Prefer": "previous"`. The fault suites cut it
//! off at every point.

use serde_json::json;

use super::{COMMIT, SHORT};
use crate::world::application::Application;
use crate::world::fault_rig::{FaultRig, LONG};
use crate::world::lambda::{Answer, Function};
use crate::world::pair::Pair;
use crate::world::proxy::Fault;
use crate::world::wire;
use crate::world::{random_hex, world};

const MOVE: &str = "UpdateSecretVersionStage";

async fn go_back(rig: &FaultRig) -> Answer {
    rig.application.operate(&rig.function, "recover", json!({"Prefer": "previous"})).await
}

/// The label that a rotation leaves on its version would otherwise look like one that is stuck.
#[tokio::test]
async fn a_return_leaves_the_secret_at_rest() {
    for pair in [false, true] {
        let rig = FaultRig::new(pair).await;
        let before = rig.application.version_with("AWSCURRENT").await;
        rig.rotate_undisturbed().await;
        let rotated = rig.application.version_with("AWSCURRENT").await;
        let report = go_back(&rig).await.unwrap();
        assert_eq!(report["RefusedLogins"], 0, "{report}");
        assert_eq!(rig.application.version_with("AWSCURRENT").await, before);
        assert_eq!(rig.application.version_with("AWSPENDING").await, None);
        assert!(rig.current_logs_in().await);
        rig.assert_in_order("after the return").await;
        let recovered = rig.application.operate(&rig.function, "recover", json!({})).await.unwrap();
        assert_eq!(recovered["Done"], json!([]), "{recovered}");
        // The same call again returns from the return.
        go_back(&rig).await.unwrap();
        assert_eq!(rig.application.version_with("AWSCURRENT").await, rotated);
        assert!(rig.current_logs_in().await);
        rig.rotate_undisturbed().await;
        rig.assert_in_order("after the next rotation").await;
    }
}

#[tokio::test]
async fn a_return_by_hand_is_not_taken_back() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    pair.turn(&function).await;
    let client = world().aws.client();
    let call = client.update_secret_version_stage().secret_id(&pair.application.secret);
    let [from, to] =
        ["AWSCURRENT", "AWSPREVIOUS"].map(|label| pair.application.version_with(label));
    let (from, to) = (from.await.unwrap(), to.await.unwrap());
    let call = call.version_stage("AWSCURRENT").remove_from_version_id(from);
    call.move_to_version_id(&to).send().await.unwrap();
    let recovered = pair.application.operate(&function, "recover", json!({})).await.unwrap();
    assert_eq!(recovered["Done"], json!(["RemovePendingLabel"]), "{recovered}");
    assert_eq!(pair.application.version_with("AWSCURRENT").await, Some(to));
}

#[tokio::test]
async fn a_return_that_is_refused_says_why_and_changes_nothing() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let refused = async |application: &Application, kind: &str, said: &str| {
        let before = application.snapshot().await;
        // A dry run does not log in as the previous user.
        let dry_runs = if kind == "LoginRejected" { &[false][..] } else { &[false, true] };
        for dry_run in dry_runs {
            let options = json!({"Prefer": "previous", "DryRun": dry_run});
            let failure = application.operate(&function, "recover", options).await.unwrap_err();
            assert_eq!(failure.kind, kind, "{failure:?}");
            assert!(failure.message.contains(said), "{failure:?}");
        }
        assert_eq!(application.snapshot().await, before);
    };
    refused(&application, "NoPreviousVersion", "AWSPREVIOUS").await;
    application.begin().await;
    refused(&application, "RotationUnderWay", "recover").await;
    application.remove_pending_label().await;
    let mut elsewhere = application.document.clone();
    elsewhere["host"] = json!("elsewhere.example.com");
    application.put(&random_hex(), &elsewhere.to_string(), &["AWSCURRENT"]).await;
    application.put(&random_hex(), &application.document.to_string(), &["AWSCURRENT"]).await;
    refused(&application, "PendingMismatch", "host").await;

    let pair = Pair::new().await;
    pair.turn(&function).await;
    // As `retire` leaves it.
    pair.superuser("ALTER ROLE :base PASSWORD NULL").await;
    refused(&pair.application, "LoginRejected", "AWSPREVIOUS").await;
}

/// As `finishSecret` does it: the way back stays open until AWSCURRENT has moved.
#[tokio::test]
async fn a_return_that_iam_refuses_restores_the_current_password() {
    let rig = FaultRig::new(false).await;
    rig.rotate_undisturbed().await;
    rig.application.remove_pending_label().await;
    let labels = rig.application.labels().await;
    rig.proxy.fail(MOVE, 1, Fault::Refuse(400, "AccessDeniedException"));
    let failure = go_back(&rig).await.unwrap_err();
    assert_eq!(failure.kind, "SecretsManagerAccessDenied", "{failure:?}");
    assert!(failure.message.contains("AWSCURRENT's password again"), "{failure:?}");
    assert_eq!(rig.application.labels().await, labels);
    assert!(rig.current_logs_in().await);
    rig.assert_in_order("after the refusal").await;
}

/// Each advice in the text puts it right.
#[tokio::test]
async fn a_return_whose_move_stays_unknown_is_ended_by_either_advice() {
    for advice in [json!({"Prefer": "previous"}), json!({})] {
        let rig = FaultRig::new(false).await;
        let before = rig.application.version_with("AWSCURRENT").await;
        rig.rotate_undisturbed().await;
        rig.application.remove_pending_label().await;
        rig.proxy.fail(MOVE, 99, Fault::Refuse(500, "InternalServiceError"));
        rig.function.set_timeout(SHORT);
        let failure = go_back(&rig).await.unwrap_err();
        rig.function.set_timeout(LONG);
        rig.proxy.fail_no_more();
        for said in ["has AWSPREVIOUS's password", "The same operation again", "\"Prefer\""] {
            assert!(failure.message.contains(said), "{failure:?}");
        }
        assert!(!rig.current_logs_in().await, "the role has the other password");
        rig.application.operate(&rig.function, "recover", advice.clone()).await.unwrap();
        assert!(rig.current_logs_in().await, "{advice}");
        let returned = rig.application.version_with("AWSCURRENT").await == before;
        assert_eq!(returned, advice != json!({}));
        rig.assert_in_order("after the advice").await;
    }
}

#[tokio::test]
async fn a_return_whose_answers_are_lost_is_found_out() {
    for pair in [false, true] {
        let rig = FaultRig::new(pair).await;
        let before = rig.application.version_with("AWSCURRENT").await;
        rig.rotate_undisturbed().await;
        rig.application.remove_pending_label().await;
        rig.proxy.fail(MOVE, 6, Fault::LoseAnswer);
        rig.wire.arm_for(COMMIT, wire::Fault::BreakAfter);
        go_back(&rig).await.unwrap();
        rig.proxy.fail_no_more();
        assert_eq!(rig.application.version_with("AWSCURRENT").await, before);
        assert!(rig.current_logs_in().await, "alternating: {pair}");
    }
}
