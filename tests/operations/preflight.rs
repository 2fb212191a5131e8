//! Whether a rotation would succeed: what a person asks before the first one, or after the network
//! changed.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::application::Application;
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::postgres::free_port;
use crate::world::proxy::{AwsProxy, Fault};
use crate::world::wire::{self, Wire};
use crate::world::world;

async fn preflight(function: &Function, application: &Application) -> Value {
    application.operate(function, "preflight", json!({})).await.unwrap()
}

/// The first check that failed: its name, its kind and its text.
fn failed(report: &Value) -> (String, String, String) {
    let check = report["Checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["Passed"] == false)
        .unwrap_or_else(|| panic!("{report}"));
    assert_eq!(report["Ready"], false, "{report}");
    let message = report["Message"].as_str().unwrap();
    assert!(
        message.contains(check["Check"].as_str().unwrap())
            && message.matches("Nothing was changed.").count() == 1,
        "{report}"
    );
    let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
    (text("Check"), text("ErrorKind"), text("Message"))
}

fn names(report: &Value) -> Vec<&str> {
    report["Checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["Check"].as_str().unwrap())
        .collect()
}

const SECRET: [&str; 7] = [
    "secretsmanager:DescribeSecret",
    "labels",
    "secretsmanager:GetSecretValue",
    "value and policy",
    "secretsmanager:PutSecretValue",
    "secretsmanager:UpdateSecretVersionStage",
    "secretsmanager:ListSecretVersionIds",
];
const WAY: [&str; 4] = ["DNS", "TCP", "TLS", "login with AWSCURRENT"];

#[tokio::test]
async fn a_secret_that_can_be_rotated_is_ready_and_is_not_changed() {
    let application = Application::new().await;
    let grants =
        json!({"defaults": {"grants": [format!("SELECT ON TABLE {}.orders", application.role)]}})
            .to_string();
    let function = Function::start(&[("ROTATION_POLICY", &grants)]);
    let before = application.snapshot().await;
    let report = preflight(&function, &application).await;
    assert_eq!(report["Ready"], true, "{report}");
    let own =
        ["declared grants and probes", "right to change the password (tried and rolled back)"];
    assert_eq!(names(&report), [&SECRET[..], &WAY[..], &own[..]].concat());
    assert!(
        report["Checks"].as_array().unwrap().iter().all(|check| check["DurationMs"].is_u64()),
        "{report}"
    );
    assert_eq!(application.snapshot().await, before);
    assert!(application.accepts(&application.password).await);
}

#[tokio::test]
async fn a_pair_is_tried_to_the_last_statement_and_rolled_back() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    for turn in 0..2 {
        let before = pair.application.snapshot().await;
        let report = preflight(&function, &pair.application).await;
        assert_eq!(report["Ready"], true, "{report}");
        let other = if turn == 0 { &pair.clone } else { &pair.base };
        let right = format!("the admin's right to prepare {other:?} (tried and rolled back)");
        let can = format!("what {other:?} can do (compared after that, and rolled back)");
        assert_eq!(
            names(&report),
            [&SECRET[..], &WAY[..], &["login with the admin secret", &right, &can][..]].concat()
        );
        assert_eq!(pair.application.snapshot().await, before);
        let made = world()
            .postgres
            .admin()
            .await
            .query("SELECT FROM pg_roles WHERE rolname = $1", &[&pair.clone])
            .await
            .unwrap();
        assert_eq!(made.len(), turn, "the second user was rolled back");
        pair.session("AWSCURRENT").await;
        pair.turn(&function).await;
        pair.session("AWSPREVIOUS").await;
    }
}

#[tokio::test]
async fn every_check_that_fails_is_named_and_says_what_to_do() {
    let function = Function::start(&[]);
    let edited = async |edit: fn(&mut Value)| Application::edited(edit).await;
    let wrong_password = edited(|document| document["password"] = json!("wrong")).await;
    for (application, hop, kind, advice) in [
        (
            edited(|document| document["host"] = json!("no-such-host.invalid")).await,
            "DNS",
            "NameNotResolved",
            "VPC's DNS",
        ),
        (
            edited(|document| document["port"] = json!(free_port())).await,
            "TCP",
            "DatabaseUnreachable",
            "security groups",
        ),
        (
            edited(|document| document["host"] = json!("127.0.0.1")).await,
            "TLS",
            "TlsNameMismatch",
            "tls_server_name",
        ),
        (
            edited(|document| document["dbname"] = json!("no such database")).await,
            "login with AWSCURRENT",
            "DatabaseMissing",
            "dbname",
        ),
        (wrong_password, "login with AWSCURRENT", "LoginRejected", "refused the password"),
        (
            edited(|document| document["ssl"] = json!(false)).await,
            "value and policy",
            "InvalidSecret",
            "allow_plaintext",
        ),
    ] {
        let before = application.snapshot().await;
        let report = preflight(&function, &application).await;
        let (failed, failed_kind, text) = failed(&report);
        assert_eq!((failed.as_str(), failed_kind.as_str()), (hop, kind), "{report}");
        assert!(text.contains(advice), "{text}");
        assert_eq!(application.snapshot().await, before);
    }
    let stuck = Application::new().await;
    stuck.begin().await;
    let report = preflight(&function, &stuck).await;
    assert_eq!(failed(&report).1, "RotationUnderWay");
    assert!(
        names(&report).contains(&"login with AWSCURRENT"),
        "the other checks still run: {report}"
    );
}

#[tokio::test]
async fn every_call_that_iam_forbids_is_named() {
    let application = Application::new().await;
    for operation in [
        "DescribeSecret",
        "GetSecretValue",
        "PutSecretValue",
        "UpdateSecretVersionStage",
        "ListSecretVersionIds",
    ] {
        let proxy = AwsProxy::start();
        let function = Function::start(&[("AWS_ENDPOINT_URL", &proxy.url)]);
        proxy.fail(operation, 1, Fault::Refuse(400, "AccessDeniedException"));
        let report = preflight(&function, &application).await;
        let (hop, kind, text) = failed(&report);
        assert_eq!(
            (hop, kind.as_str()),
            (format!("secretsmanager:{operation}"), "SecretsManagerAccessDenied")
        );
        assert!(text.contains(&format!("Allow secretsmanager:{operation}")), "{text}");
    }
}

#[tokio::test]
async fn a_declared_right_that_is_missing_is_reported() {
    let application = Application::new().await;
    let policy =
        json!({"defaults": {"grants": ["CREATE ON DATABASE postgres"], "probes": ["SELECT \
        * FROM bills"]}})
        .to_string();
    let function = Function::start(&[("ROTATION_POLICY", &policy)]);
    let (hop, kind, text) = failed(&preflight(&function, &application).await);
    assert_eq!(
        (hop.as_str(), kind.as_str()),
        ("declared grants and probes", "DeclaredRightsMissing")
    );
    assert!(text.contains("GRANT CREATE ON DATABASE") && text.contains("probes[0]"), "{text}");
}

#[tokio::test]
async fn a_role_that_may_not_change_its_password_needs_an_admin() {
    let wire = Wire::start("ALTER ROLE", wire::Fault::Refuse("42501"));
    let application = wire.application(|_| {}).await;
    let policy = json!({"defaults": {"allow_plaintext": true}}).to_string();
    let function = Function::start(&[("ROTATION_POLICY", &policy)]);
    let (hop, kind, text) = failed(&preflight(&function, &application).await);
    assert_eq!(
        (hop.as_str(), kind.as_str()),
        ("right to change the password (tried and rolled back)", "PermissionDenied")
    );
    assert!(text.contains("admin_secret"), "{text}");

    let wire = Wire::start("ALTER ROLE", wire::Fault::Refuse("42501"));
    let pair = Pair::through(&wire).await;
    let admin = pair.application.document["masterarn"].clone();
    let policy = json!({"defaults": {"allow_plaintext": true, "strategy": "single-user",
        "admin_secret": admin}})
    .to_string();
    let function = Function::start(&[("ROTATION_POLICY", &policy)]);
    let report = preflight(&function, &pair.application).await;
    assert_eq!(report["Ready"], true, "{report}");
    assert!(
        names(&report)
            .contains(&"the admin's right to change the password (tried and rolled back)"),
        "{report}"
    );
    assert!(report.to_string().contains("the admin does it"), "{report}");
}

#[tokio::test]
async fn a_check_that_loses_its_connection_does_not_pass() {
    let wire = Wire::start("ALTER ROLE", wire::Fault::BreakAfter);
    let application = wire.application(|_| {}).await;
    let policy = json!({"defaults": {"allow_plaintext": true}}).to_string();
    let function = Function::start(&[("ROTATION_POLICY", &policy)]);
    let before = application.snapshot().await;
    assert_eq!(failed(&preflight(&function, &application).await).1, "ConnectionLost");
    assert_eq!(application.snapshot().await, before);
}

#[tokio::test]
async fn the_reason_that_would_forbid_a_reset_by_the_admin_is_reported() {
    let pair = Pair::new().await;
    pair.superuser("ALTER ROLE :base CREATEROLE").await;
    let fields = json!({"strategy": "single-user",
        "admin_secret": pair.application.document["masterarn"], "admin_reset": true,
        "role": pair.base});
    let function =
        Function::start(&[("ROTATION_POLICY", &json!({"defaults": fields}).to_string())]);
    let (hop, kind, _) = failed(&preflight(&function, &pair.application).await);
    assert_eq!((hop.as_str(), kind.as_str()), ("login with the admin secret", "AdminRefused"));
}

#[tokio::test]
async fn a_secret_that_is_being_rotated_is_not_written_to() {
    let proxy = AwsProxy::start();
    let function = Function::start(&[("AWS_ENDPOINT_URL", &proxy.url)]);
    let application = Application::new().await;
    application.begin().await;
    preflight(&function, &application).await;
    let calls = proxy.calls();
    assert!(
        calls.iter().all(|(operation, _)| operation != "PutSecretValue"
            && operation != "UpdateSecretVersionStage"),
        "{calls:?}"
    );
}

#[tokio::test]
async fn an_admin_that_lacks_a_right_gets_the_statement_that_grants_it() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    pair.superuser("ALTER ROLE :admin NOCREATEROLE").await;
    let (hop, kind, text) = failed(&preflight(&function, &pair.application).await);
    assert!(hop.contains(&pair.clone), "{hop}");
    assert_eq!(kind, "AdminLacksRight");
    assert!(text.contains("CREATEROLE"), "{text}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_before_the_deadline() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let application = Application::edited(|document| document["port"] = json!(port)).await;
    let function = Function::start(&[]);
    function.set_timeout(Duration::from_secs(2));
    let (hop, kind, _) = failed(&preflight(&function, &application).await);
    assert_eq!((hop.as_str(), kind.as_str()), ("TLS", "DatabaseTimedOut"));
}

#[tokio::test]
async fn a_preflight_shows_no_password() {
    // The server logs a cleartext password.
    let policy = json!({"defaults": {"password_storage": "cleartext"}}).to_string();
    let function =
        Function::start(&[("AWS_LAMBDA_LOG_LEVEL", "TRACE"), ("ROTATION_POLICY", &policy)]);
    let (application, pair) = (Application::new().await, Pair::new().await);
    for secret in [&application, &pair.application] {
        let report = preflight(&function, secret).await.to_string();
        let password = secret.password_in("AWSCURRENT").await;
        // Of two users, the current one keeps its password.
        let untried = report.contains("Not tried: whether the server takes AWSCURRENT's password");
        assert_eq!(untried, secret.role == application.role, "{report}");
        assert!(!report.contains(&password) && !function.output().contains(&password));
        assert!(!world().postgres.log().contains(&password));
    }
}
