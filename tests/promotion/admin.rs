//! A role that may not change its own password: the admin changes it and takes it back, while the
//! role's own session holds the lock.

use postgres_protocol::escape::escape_literal;
use postgres_protocol::password::scram_sha_256;
use serde_json::json;

use super::{Rotation, superuser};
use crate::world::application::{Application, STEPS};
use crate::world::fault_rig::FaultRig;
use crate::world::lambda::Function;
use crate::world::postgres::{HOST, PLAINTEXT_ROLES};
use crate::world::proxy::{self, AwsProxy};
use crate::world::wire::{Fault, Wire};
use crate::world::{random_hex, unique};

/// What a server answers that has `rds.restrict_password_commands`.
pub(super) const NOT_ITSELF: (&str, Fault) = ("ALTER ROLE", Fault::Refuse("42501"));

/// A rig whose policy names an admin secret; both ways lead through the wire.
pub(super) async fn rig() -> FaultRig {
    let (proxy, wire) = (AwsProxy::start(), Wire::idle());
    let application = wire.application(|_| {}).await;
    let (admin, password) = (unique("admin_"), random_hex());
    let verifier = escape_literal(&scram_sha_256(password.as_bytes()));
    superuser(&format!("CREATE ROLE {admin} LOGIN CREATEROLE PASSWORD {verifier}")).await;
    superuser(&format!("GRANT {PLAINTEXT_ROLES} TO {admin}")).await;
    superuser(&format!("GRANT {} TO {admin} WITH ADMIN OPTION", application.role)).await;
    let document = json!({"username": admin, "password": password, "host": HOST,
        "port": wire.port, "ssl": false});
    let secret =
        Application::storing(&admin, "", document.clone(), &document.to_string(), "admin/").await;
    let policy = json!({"defaults": {"allow_plaintext": true, "strategy": "single-user",
        "admin_secret": secret.secret}});
    let function = Function::start(&[
        ("AWS_ENDPOINT_URL", &proxy.url),
        ("ROTATION_POLICY", &policy.to_string()),
    ]);
    FaultRig { proxy, wire, function, application, pair: false }
}

#[tokio::test]
async fn a_lost_answer_to_the_admins_commit_is_found_out() {
    let rotation = Rotation::of(rig().await).await;
    rotation.rig.wire.arm_each([NOT_ITSELF, ("COMMIT", Fault::BreakAfter)]);
    let finished = rotation.finish().await;
    assert_eq!(rotation.rig.wire.hits(), 2);
    rotation.assert_moved(finished).await;

    let rotation = Rotation::of(rig().await).await;
    rotation.rig.wire.arm_each([NOT_ITSELF, ("COMMIT", Fault::BreakBefore)]);
    let finished = rotation.finish().await;
    rotation.assert_restored(finished, "ConnectionLost", true).await;
}

#[tokio::test]
async fn the_admin_takes_a_password_back_that_is_not_proven() {
    let rotation = Rotation::of(rig().await).await;
    let other_password = rotation.other_password();
    rotation.rig.wire.arm_each([NOT_ITSELF, ("COMMIT", Fault::Then(other_password))]);
    let finished = rotation.finish().await;
    assert_eq!(rotation.rig.wire.hits(), 2);
    let failure = rotation.assert_restored(finished, "LoginRejected", false).await;
    assert!(failure.message.contains("AWSCURRENT's password again"), "{}", failure.message);
}

#[tokio::test]
async fn the_admin_takes_a_password_back_that_aws_does_not_promote() {
    let rotation = Rotation::of(rig().await).await;
    rotation.rig.wire.arm_each([NOT_ITSELF]);
    let denied = proxy::Fault::Refuse(400, "AccessDeniedException");
    rotation.rig.proxy.fail("UpdateSecretVersionStage", 1, denied);
    let finished = rotation.finish().await;
    let failure = rotation.assert_restored(finished, "SecretsManagerAccessDenied", false).await;
    assert!(failure.message.contains("AWSCURRENT's password again"), "{}", failure.message);
}

/// Logins that succeed, calls to Secrets Manager, and refused logins of a whole rotation.
#[tokio::test]
async fn a_rotation_keeps_to_its_budget() {
    for (by_admin, most_sessions, most_calls) in [(false, 4, 12), (true, 6, 14)] {
        let rig = if by_admin { rig().await } else { FaultRig::new(false).await };
        let token = rig.application.begin().await;
        let calls = rig.proxy.calls().len();
        let (mut sessions, mut refused) = (0, 0);
        for step in STEPS {
            rig.wire.arm_each(by_admin.then_some(NOT_ITSELF));
            let report = rig.application.step(&rig.function, step, &token).await.unwrap();
            sessions += rig.wire.seen().1;
            refused += report["RefusedLogins"].as_u64().unwrap_or_default();
        }
        let calls = rig.proxy.calls().len() - calls;
        assert!(sessions <= most_sessions, "by admin: {by_admin}, {sessions} sessions");
        assert!(calls <= most_calls, "by admin: {by_admin}, {calls} calls");
        assert_eq!(refused, 0, "by admin: {by_admin}");
    }
}
