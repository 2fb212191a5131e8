//! A fleet rotates at once: 200 secrets, ten processes of the function, and Secrets Manager's own
//! limit on writes. And one look sees a fleet.

#![allow(clippy::disallowed_methods, reason = "the server of the tests sends what they asked for")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "fleet/monitored.rs"]
mod monitored;
mod world;

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinSet;

use world::application::{Application, STEPS};
use world::lambda::Function;
use world::{random_token, world};

const SECRETS: usize = 200;
/// As many as the module reserves.
const PROCESSES: usize = 10;
/// Writes a second. AWS allows 50 in an account and region, which ten real processes exceed by a
/// third. Here they write more slowly, so the limit is lower, too.
const WRITES: u32 = 20;
const MADE_AT_ONCE: usize = 20;
/// How often the test repeats a failed rotation, as Secrets Manager does.
const REPEATS: usize = 5;

/// One after the other: each measures a time.
#[tokio::test]
async fn a_fleet_is_looked_at_and_rotates() {
    monitored::two_thousand_secrets_are_looked_at_in_a_minute().await;
    two_hundred_secrets_rotate_at_once_though_secrets_manager_throttles().await;
}

async fn two_hundred_secrets_rotate_at_once_though_secrets_manager_throttles() {
    let functions: Vec<_> = (0..PROCESSES).map(|_| Function::start(&[])).collect();
    let mut applications = Vec::new();
    // Each takes a connection while it is made, and the server has 100.
    while applications.len() < SECRETS {
        let some = (0..MADE_AT_ONCE).map(|_| Application::new()).collect::<JoinSet<_>>();
        applications.extend(some.join_all().await);
    }
    let fleet: Vec<_> = applications
        .into_iter()
        .zip(functions.iter().cycle())
        .map(|(application, function)| (application, function, random_token()))
        .collect();
    world().aws.exchange("PUT", "writes", &WRITES.to_string(), String::new()).await;
    let started = Instant::now();
    for (application, function, token) in &fleet {
        let client = world().aws.client();
        let call = client.rotate_secret().secret_id(&application.secret);
        let call = call.client_request_token(token).rotation_lambda_arn(function.arn());
        call.send().await.expect("the rotation begins");
    }
    let mut failures = BTreeMap::<String, usize>::new();
    for (application, function, token) in &fleet {
        let rotation = ended(token).await;
        let mut failed = rotation["steps"].as_array().unwrap().iter().find_map(|step| {
            let error = serde_json::from_str::<Value>(step["error"].as_str()?).ok()?;
            Some(error["errorType"].as_str().unwrap_or_default().to_owned())
        });
        let mut repeats = 0;
        while let Some(kind) = failed {
            *failures.entry(kind).or_default() += 1;
            repeats += 1;
            assert!(repeats <= REPEATS, "{}: {failures:?}", application.name);
            failed = repeat(application, function, token).await;
        }
    }
    let took = started.elapsed();
    for (application, _, token) in &fleet {
        assert_eq!(application.version_with("AWSCURRENT").await.as_ref(), Some(token));
        let password = application.password_in("AWSCURRENT").await;
        assert!(application.accepts(&password).await, "{}: AWSCURRENT", application.name);
        assert!(!application.accepts(&application.password).await, "{}: before", application.name);
    }
    let refused = world().aws.look_up("writes", "now").await["refused"].as_u64().unwrap();
    assert!(refused > 0, "nothing was throttled: the test shows nothing");
    for kind in failures.keys() {
        assert_eq!(
            kind, "SecretsManagerThrottled",
            "a failure that is not throttling: {failures:?}"
        );
    }
    let repeated: usize = failures.values().sum();
    let _ = writeln!(
        std::io::stderr(),
        "{SECRETS} secrets at once, {PROCESSES} processes, {WRITES} writes a second: all rotated \
         in {:.1} s; {refused} requests were throttled, {repeated} rotations repeated",
        took.as_secs_f32()
    );
}

/// Repeats the whole rotation with the same token, as Secrets Manager does. Returns the kind of the
/// error that ended it.
async fn repeat(application: &Application, function: &Function, token: &str) -> Option<String> {
    for step in STEPS {
        if let Err(failure) = application.step(function, step, token).await {
            return Some(failure.kind);
        }
    }
    None
}

async fn ended(token: &str) -> Value {
    let started = Instant::now();
    loop {
        let rotation = world().aws.rotation(token).await;
        if rotation["state"] != "running" {
            return rotation;
        }
        assert!(started.elapsed() < Duration::from_mins(3), "a rotation never ends");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
