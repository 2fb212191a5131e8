//! Each state, made for real, found, counted, logged, and put right by the command that is given.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use super::{attach, monitor, refusals};
use crate::world::application::Application;
use crate::world::aws::REGION;
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::postgres::{HOST, free_port, superuser};
use crate::world::{project, random_hex, world};

const HOUR: i64 = 60 * 60;
const WORST_FIRST: [&str; 9] = [
    "mismatch",
    "stuck",
    "overdue",
    "unreachable",
    "expiring",
    "disabled",
    "disabled",
    "never_rotated",
    "unknown",
];

/// Runs a command of an answer in the project's folder, with the real AWS CLI.
async fn carry_out(command: &str) {
    let path =
        format!("{}:/usr/local/bin:/usr/bin:/bin", project().join(".deps/venv/bin").display());
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(project()).env_clear().envs([
        ("PATH", path.as_str()),
        ("HOME", "/nonexistent"),
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
        ("AWS_ENDPOINT_URL_LAMBDA", &world().gateway.url),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &world().aws.url),
    ]);
    let done = tokio::task::spawn_blocking(move || shell.output().unwrap()).await.unwrap();
    assert!(done.status.success(), "{command}: {done:?}");
}

/// A secret that the function has rotated.
async fn rotated(function: &Function) -> Application {
    let application = Application::new().await;
    let rotation = application.rotate(function).await;
    assert_eq!(rotation["state"], "succeeded", "{rotation}");
    application
}

/// One secret in each state, by its name. The function's policy names the last one whole.
async fn fleet(function: &Function, unattached: Application) -> Vec<Application> {
    let mismatch = rotated(function).await;
    let token = mismatch.begin().await;
    mismatch.put(&token, &mismatch.document_with(&random_hex()), &["AWSPENDING"]).await;
    mismatch.set_password(&mismatch.password_in("AWSPENDING").await).await;
    mismatch.name_function(&function.arn()).await;

    let stuck = rotated(function).await;
    stuck.begin().await;
    stuck.name_function(&function.arn()).await;
    stuck.set_date("last_changed_date", -2 * HOUR).await;

    let overdue = rotated(function).await;
    overdue.set_date("next_rotation_date", -5 * HOUR).await;

    let unreachable = rotated(function).await;
    let mut document: Value =
        serde_json::from_str(&unreachable.value("AWSCURRENT").await.unwrap()).unwrap();
    document["port"] = json!(free_port());
    unreachable.put(&random_hex(), &document.to_string(), &["AWSCURRENT"]).await;

    let expiring = rotated(function).await;
    let role = &expiring.role;
    superuser(&format!(
        "DO $$ BEGIN EXECUTE format('ALTER ROLE {role} VALID UNTIL %L', now() + interval '2 d'); \
         END $$"
    ))
    .await;

    let off = rotated(function).await;
    world().aws.client().cancel_rotate_secret().secret_id(&off.secret).send().await.unwrap();

    let never = Application::new().await;
    attach(function, &never).await;

    let unknown = rotated(function).await;
    unknown.put(&random_hex(), "{\"engine\": \"postgres\"}", &["AWSCURRENT"]).await;

    vec![mismatch, stuck, overdue, unreachable, expiring, off, unattached, never, unknown]
}

/// The states by the secret's ARN.
fn states(answer: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let secrets = answer["Secrets"].as_array().unwrap();
    secrets.iter().map(|secret| (text(&secret["SecretId"]), text(&secret["State"]))).collect()
}

#[tokio::test]
async fn each_state_is_found_and_put_right_by_its_command() {
    let unattached = Application::new().await;
    let policy = json!({"secrets": {unattached.secret.clone(): {"metrics_per_secret": true}}});
    let function = Function::start(&[("ROTATION_POLICY", &policy.to_string())]);
    let healthy = rotated(&function).await;
    let fleet = fleet(&function, unattached).await;
    let roles: Vec<_> = fleet.iter().map(|application| application.role.clone()).collect();
    let before: Vec<_> = roles.iter().map(|role| refusals(role)).collect();

    let answer = monitor(&function, json!({})).await;
    let secrets = answer["Secrets"].as_array().unwrap();
    let order: Vec<_> = secrets.iter().map(|secret| secret["State"].as_str().unwrap()).collect();
    assert_eq!(order, WORST_FIRST, "{answer}");
    let found = states(&answer);
    for (application, state) in fleet.iter().zip(WORST_FIRST) {
        assert_eq!(found[&application.secret], state, "{answer}");
    }
    assert_eq!(answer["Counts"]["ok"], 1, "{answer}");
    assert_eq!(answer["Counts"]["expired"], 0, "zeros are counted, too: {answer}");
    let message = answer["Message"].as_str().unwrap();
    assert!(message.contains("9 of 10 secrets not in order: 1 mismatch, 1 stuck"), "{message}");

    // At most two failed logins, and only where the password is wrong.
    let after: Vec<_> = roles.iter().map(|role| refusals(role)).collect();
    assert_eq!(after[0] - before[0], 2);
    assert_eq!(after[1..], before[1..]);
    assert_eq!(answer["RefusedLogins"], 2, "{answer}");

    check_details(&fleet, secrets);
    check_log(&function, &fleet, &healthy).await;
    for secret in secrets {
        // A command of these looks or names a cause, and a person puts that right.
        if !["unreachable", "expiring", "unknown"].contains(&secret["State"].as_str().unwrap()) {
            carry_out(secret["Command"].as_str().unwrap()).await;
        }
    }
    put_right_by_hand(&fleet).await;
    crate::world::eventually("order", async || {
        let answer = monitor(&function, json!({})).await;
        let left = states(&answer);
        assert!(left.len() < 9, "{answer}");
        left.is_empty().then_some(())
    })
    .await;
}

/// What is beside the states.
fn check_details(fleet: &[Application], secrets: &[Value]) {
    let of = |application: &Application| {
        secrets.iter().find(|secret| secret["SecretId"] == application.secret.as_str()).unwrap()
    };
    let [mismatch, stuck, overdue, unreachable, expiring, off, ..] = fleet else { panic!("nine") };
    let secret = of(mismatch);
    assert_eq!(secret["Role"], mismatch.role.as_str());
    assert_eq!(secret["Host"], format!("localhost:{}", world().postgres.port));
    let command = secret["Command"].as_str().unwrap();
    assert!(command.starts_with(&format!("tools/rotation recover {} --function ", mismatch.name)));
    assert!(secret["AgeSeconds"].as_u64().unwrap() < 600, "{secret}");
    let certificate = secret["CertificateExpiresInSeconds"].as_i64().unwrap();
    assert!(certificate > 24 * HOUR, "known of a refused login, too: {secret}");
    assert!(of(stuck)["Since"].as_str().unwrap().ends_with('Z'));
    assert!(of(stuck)["Reason"].as_str().unwrap().contains("A rotation began"));
    let next = of(overdue)["NextRotationInSeconds"].as_i64().unwrap();
    assert!((-6 * HOUR..-5 * HOUR + 1).contains(&next), "{next}");
    assert!(of(unreachable)["Reason"].as_str().unwrap().contains("Connection refused"));
    assert_eq!(of(unreachable)["CertificateExpiresInSeconds"], Value::Null);
    let left = of(expiring)["ExpiresInSeconds"].as_i64().unwrap();
    assert!((47 * HOUR..=48 * HOUR).contains(&left), "{left}");
    assert!(of(expiring)["Reason"].as_str().unwrap().contains("VALID UNTIL"));
    assert_eq!(of(off)["ExpiresInSeconds"], Value::Null, "no VALID UNTIL");
}

/// The metrics that alarms see, and one line per secret.
async fn check_log(function: &Function, fleet: &[Application], healthy: &Application) {
    let metric = function.await_log_event("the fleet", |event| event["Secrets"] == 10).await;
    assert_eq!(metric["FunctionName"], function.name);
    let counts = [
        ("Ok", 1),
        ("Mismatch", 1),
        ("Expired", 0),
        ("Stuck", 1),
        ("Overdue", 1),
        ("Unreachable", 1),
        ("Expiring", 1),
        ("Disabled", 2),
        ("NeverRotated", 1),
        ("Unknown", 1),
    ];
    for (name, count) in counts {
        assert_eq!(metric[name], count, "{name}: {metric}");
    }
    let left = metric["LeaseLeftHours"].as_f64().unwrap();
    assert!((47.0..=48.0).contains(&left), "{metric}");
    assert!(metric["CertificateDaysLeft"].as_f64().unwrap() > 1.0, "{metric}");
    assert!(metric["OldestAgeDays"].as_f64().unwrap() < 1.0, "{metric}");
    let group = &metric["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(group["Dimensions"], json!([["FunctionName"]]), "{metric}");
    assert_eq!(group["Metrics"].as_array().unwrap().len(), 14, "{metric}");
    assert_eq!(metric.get("SecretName"), None);

    let log = function.log();
    let run = log.iter().find(|event| event["Step"] == "monitor").unwrap();
    assert_eq!((&run["MonitorErrors"], run.get("Failures")), (&json!(0), None), "{run}");
    let per_secret: Vec<_> = log.iter().filter(|event| event["SecretName"].is_string()).collect();
    assert_eq!(per_secret.len(), 1, "only where the policy asks for it");
    assert_eq!(per_secret[0]["SecretName"], fleet[6].name.as_str());
    assert_eq!(per_secret[0]["State"], 3, "disabled");
    for (application, state) in fleet.iter().zip(WORST_FIRST) {
        let line = log
            .iter()
            .find(|event| {
                event["secret.arn"] == application.secret.as_str()
                    && event["monitor.state"] == state
            })
            .unwrap_or_else(|| panic!("no line of {state}"));
        assert_eq!(
            (&line["level"], &line["secret.name"]),
            (&json!("WARN"), &json!(application.name))
        );
    }

    // The rotation before left its evidence and its metric.
    let evidence = log
        .iter()
        .find(|event| {
            event["event.name"] == "rotation_finished"
                && event["secret.arn"] == healthy.secret.as_str()
        })
        .unwrap();
    assert_eq!(
        ["secret.name", "rotation.door", "rotation.strategy", "evidence.new", "evidence.old"]
            .map(|key| evidence[key].as_str().unwrap()),
        [healthy.name.as_str(), "secrets-manager", "single-user", "accepted", "replaced"],
        "{evidence}"
    );
    assert_eq!(evidence["evidence.old_sessions"], 0, "{evidence}");
    let labels = healthy.labels().await;
    let old = evidence["secret.old_version_id"].as_str().unwrap();
    assert_eq!(labels[old], ["AWSPREVIOUS"], "{evidence}");
    let new = evidence["secret.version_id"].as_str().unwrap();
    assert!(labels[new].contains(&"AWSCURRENT".to_owned()), "{evidence}");
    let ended: Vec<_> = log.iter().filter(|event| event["RotationsSucceeded"] == 1).collect();
    // Of the healthy one, and of all that were rotated before they were broken.
    assert_eq!(ended.len(), 8);
    assert!(ended.iter().all(|line| line["Step"] == "finishSecret"));
}

/// What no command can do: the network, a date in the database, the value of a secret.
async fn put_right_by_hand(fleet: &[Application]) {
    let [_, _, _, unreachable, expiring, _, _, _, unknown] = fleet else { panic!("nine") };
    let password = unreachable.password_in("AWSCURRENT").await;
    let value = unreachable.document_with(&password);
    unreachable.put(&random_hex(), &value, &["AWSCURRENT"]).await;
    superuser(&format!("ALTER ROLE {} VALID UNTIL 'infinity'", expiring.role)).await;
    let password = unknown.password_in("AWSPREVIOUS").await;
    unknown.put(&random_hex(), &unknown.document_with(&password), &["AWSCURRENT"]).await;
}

/// The server answers as it does to a wrong password, so only the admin knows.
#[tokio::test]
async fn an_admin_tells_an_expired_role_from_a_wrong_password() {
    let (expired, wrong) = (Pair::new().await, Pair::new().await);
    let ended = "ALTER ROLE :base VALID UNTIL '2020-01-01 00:00:00+00'";
    expired.superuser(ended).await;
    wrong.application.set_password(&random_hex()).await;
    let function = Function::start(&[]);
    let names = [&expired.application.name, &wrong.application.name];
    let answer = monitor(&function, json!({"SecretIds": names})).await;
    let found = states(&answer);
    assert_eq!(found[&expired.application.secret], "expired", "{answer}");
    assert_eq!(found[&wrong.application.secret], "mismatch", "{answer}");
    let secret = answer["Secrets"].as_array().unwrap().iter().find(|one| one["State"] == "expired");
    let secret = secret.unwrap();
    assert_eq!(
        (&secret["Since"], &secret["Command"]),
        (&json!("2020-01-01T00:00:00Z"), &Value::Null)
    );
    let reason = secret["Reason"].as_str().unwrap();
    let (_, statement) = reason.split_once("As an admin, run ").unwrap();
    expired.superuser(statement.split_once(", or set").unwrap().0).await;
    let answer = monitor(&function, json!({"SecretIds": names})).await;
    assert_ne!(states(&answer)[&expired.application.secret], "expired", "{answer}");
    expired.superuser(ended).await;

    // An admin whose password is wrong is asked once, and not for each secret.
    let admin = random_hex();
    let document = json!({"username": expired.admin, "password": admin, "host": HOST,
        "port": world().postgres.port});
    let text = document.to_string();
    let secret = Application::storing(&expired.admin, "", document, &text, "admin/").await.secret;
    let policy = json!({"defaults": {"admin_secret": secret}}).to_string();
    let function = Function::start(&[("ROTATION_POLICY", &policy)]);
    let answer = monitor(&function, json!({"SecretIds": names})).await;
    assert_eq!(answer["Counts"]["mismatch"], 2, "{answer}");
    assert_eq!(refusals(&expired.admin), 1);
    assert_eq!(refusals(&expired.base), 4, "two in each run");
}
