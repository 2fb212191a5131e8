//! The health of a fleet: which secrets are looked at, how each is found, and what is said of it.

mod races;
mod retire;
mod states;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::world::application::Application;
use crate::world::lambda::Function;
use crate::world::proxy::{AwsProxy, Fault};
use crate::world::{random_hex, unique, world};

/// Looks at the secrets that `more` names.
async fn monitor(function: &Function, more: Value) -> Value {
    let mut event = json!({"Operation": "monitor"});
    for (key, value) in more.as_object().into_iter().flatten() {
        event[key] = value.clone();
    }
    function.invoke(event).await.unwrap()
}

/// Has Secrets Manager rotate the secret with that function from now on, by a test at first.
async fn attach(function: &Function, application: &Application) {
    let test = application.test(function).await;
    assert_eq!(test["state"], "succeeded", "{test}");
}

/// How often the server refused the role's password.
fn refusals(role: &str) -> usize {
    let refused = format!("password authentication failed for user \"{role}\"");
    world().postgres.log().lines().filter(|line| line.contains(&refused)).count()
}

/// The secrets of an answer.
fn ids(answer: &Value) -> Vec<String> {
    let secrets = answer["Secrets"].as_array().unwrap();
    secrets.iter().map(|secret| secret["SecretId"].as_str().unwrap().to_owned()).collect()
}

/// Secrets with one role among them, under a prefix of their own.
async fn create_many(count: usize) -> (String, Vec<Application>) {
    let (first, prefix) = (Application::new().await, unique("many/"));
    let mut all = Vec::new();
    for _ in 0..count {
        let text = first.document.to_string();
        let prefix = format!("{prefix}/");
        let document = first.document.clone();
        all.push(Application::storing(&first.role, "", document, &text, &prefix).await);
    }
    (format!("{prefix}/"), all)
}

#[tokio::test]
async fn a_fleet_is_looked_at_part_by_part_and_page_by_page() {
    // More than are looked at at once.
    let (prefix, all) = create_many(23).await;
    let expected: BTreeSet<_> = all.iter().map(|application| application.secret.clone()).collect();
    let function = Function::start(&[]);

    let whole = monitor(&function, json!({"NamePrefix": prefix, "All": true})).await;
    assert_eq!(ids(&whole).into_iter().collect::<BTreeSet<_>>(), expected);
    assert_eq!((&whole["Counts"]["disabled"], &whole["NextToken"]), (&json!(23), &Value::Null));

    let mut seen = Vec::new();
    for part in 1..=3 {
        let event = json!({"NamePrefix": prefix, "Part": [part, 3], "All": true});
        let some = ids(&monitor(&function, event.clone()).await);
        let again = Function::start(&[]);
        assert_eq!(ids(&monitor(&again, event).await), some, "the same part in every process");
        assert!(some.len() < 23, "{some:?}");
        seen.extend(some);
    }
    assert_eq!(seen.len(), 23, "no secret is in two parts");
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), expected);

    // Too little time to begin more than the first ones.
    function.set_timeout(std::time::Duration::from_secs(10));
    let first = monitor(&function, json!({"NamePrefix": prefix, "All": true})).await;
    assert_eq!(ids(&first).len(), 20, "{first}");
    let token = first["NextToken"].clone();
    assert!(first["Message"].as_str().unwrap().contains("NextToken"), "{first}");
    let event = json!({"NamePrefix": prefix, "All": true, "NextToken": token});
    let second = monitor(&function, event).await;
    assert_eq!((ids(&second).len(), &second["NextToken"]), (3, &Value::Null), "{second}");
    let both: BTreeSet<_> = ids(&first).into_iter().chain(ids(&second)).collect();
    assert_eq!(both, expected);

    // A schedule passes no token on: what is left out is said, and counted as an error.
    let event = json!({"NamePrefix": prefix, "Part": [1, 1]});
    let part = monitor(&function, event).await;
    assert_eq!(
        (&part["Counts"]["unknown"], &part["NextToken"]),
        (&json!(3), &Value::Null),
        "{part}"
    );
    assert!(part["Message"].as_str().unwrap().contains("No time was left for 3"), "{part}");
    function
        .await_log_event("the metric", |event| {
            event["MonitorErrors"] == 1 && event["FunctionName"] == function.name
        })
        .await;
}

#[tokio::test]
async fn only_without_a_list_are_all_secrets_listed() {
    let (application, proxy) = (Application::new().await, AwsProxy::start());
    let policy = json!({"secrets": {application.name.clone(): {}}}).to_string();
    let function =
        Function::start(&[("AWS_ENDPOINT_URL", proxy.url.as_str()), ("ROTATION_POLICY", &policy)]);
    let listed = || proxy.calls().iter().filter(|(of, _)| of == "ListSecrets").count();
    let chosen = monitor(&function, json!({"SecretIds": [application.name]})).await;
    assert_eq!((ids(&chosen), listed()), (vec![application.secret.clone()], 0), "{chosen}");
    // Nothing names this function, and the policy names one secret whole.
    let fleet = monitor(&function, json!({})).await;
    assert_eq!(ids(&fleet), vec![application.secret.clone()], "{fleet}");
    assert!(listed() > 0);
    let secret = &fleet["Secrets"][0];
    assert_eq!(secret["State"], "disabled", "{secret}");
    let command = secret["Command"].as_str().unwrap();
    assert!(
        command.starts_with("aws secretsmanager rotate-secret")
            && command.contains(&function.arn()),
        "{command}"
    );
    // A role that IAM binds to the function's own secrets may not describe this one.
    let denied = || proxy.fail("DescribeSecret", 1, Fault::Refuse(400, "AccessDeniedException"));
    denied();
    let fleet = monitor(&function, json!({})).await;
    assert_eq!(fleet["Secrets"][0]["State"], "disabled", "the list says so: {fleet}");
    denied();
    let chosen = monitor(&function, json!({"SecretIds": [application.name]})).await;
    assert_eq!(chosen["Secrets"][0]["State"], "unknown", "{chosen}");
    assert!(chosen["Secrets"][0]["Reason"].as_str().unwrap().contains("IAM"), "{chosen}");
    let command =
        format!("tools/rotation status {} --function {}", application.name, function.name);
    assert_eq!(chosen["Secrets"][0]["Command"], command, "{chosen}");
    proxy.fail("ListSecrets", 1, Fault::Refuse(400, "AccessDeniedException"));
    let refused = function.invoke(json!({"Operation": "monitor"})).await.unwrap_err();
    assert_eq!(refused.kind, "SecretsManagerAccessDenied");
    for said in ["Allow secretsmanager:ListSecrets on \"*\"", "\"SecretIds\""] {
        assert!(refused.message.contains(said), "{}", refused.message);
    }
    assert!(!refused.message.contains("this secret"), "{}", refused.message);
    // The prefix has the other tests' secrets below it, too.
    let below = monitor(&function, json!({"NamePrefix": application.name})).await;
    assert!(ids(&below).contains(&application.secret), "{below}");
}

#[tokio::test]
async fn a_second_secret_with_the_same_role_is_a_warning() {
    let (_, pair) = create_many(2).await;
    let function = Function::start(&[]);
    let names: Vec<_> = pair.iter().map(|application| application.name.clone()).collect();
    let answer = monitor(&function, json!({"SecretIds": names})).await;
    for (secret, other) in [(0, 1), (1, 0)] {
        let warning = answer["Secrets"][secret]["Warnings"][0].as_str().unwrap();
        let other = answer["Secrets"][other]["SecretId"].as_str().unwrap();
        assert!(warning.contains(other) && warning.contains("same role"), "{answer}");
    }
    let alone = monitor(&function, json!({"SecretIds": [names[0]]})).await;
    assert_eq!(alone["Secrets"][0]["Warnings"], json!([]), "{alone}");
}

#[tokio::test]
async fn a_bad_event_is_refused_and_a_missing_secret_is_only_unknown() {
    let function = Function::start(&[]);
    for event in [
        json!({"Operation": "monitor", "SecretId": "shop/app"}),
        json!({"Operation": "monitor", "SecretIds": ["$(reboot)"]}),
        json!({"Operation": "monitor", "Part": [0, 1]}),
        json!({"Operation": "Monitor"}),
    ] {
        let refused = function.invoke(event).await.unwrap_err();
        assert_eq!(refused.kind, "InvalidEvent", "{}", refused.message);
    }
    let missing = monitor(&function, json!({"SecretIds": ["no/such-secret"]})).await;
    let secret = &missing["Secrets"][0];
    assert_eq!((&secret["State"], &secret["Command"]), (&json!("unknown"), &Value::Null));
    assert!(secret["Reason"].as_str().unwrap().contains("does not exist"), "{secret}");
}

#[tokio::test]
async fn no_look_shows_a_password() {
    let (application, broken) = (Application::new().await, Application::new().await);
    let canary = random_hex();
    let value = json!({"engine": "postgres", "password": canary, "username": canary});
    broken.put(&random_hex(), &value.to_string(), &["AWSCURRENT"]).await;
    let refused = Application::new().await;
    refused.set_password(&random_hex()).await;
    let function = Function::start(&[("AWS_LAMBDA_LOG_LEVEL", "TRACE")]);
    let names = [&application.name, &broken.name, &refused.name];
    let answer = monitor(&function, json!({"SecretIds": names, "All": true, "Retire": true})).await;
    assert_eq!(answer["Secrets"].as_array().unwrap().len(), 3, "{answer}");
    function.await_log_event("the sum", |event| event["operation"] == "monitor").await;
    for secret in [&canary, &application.password, &refused.password] {
        for shown in [answer.to_string(), function.output(), world().postgres.log()] {
            assert!(!shown.contains(secret.as_str()), "a password was seen");
        }
    }
}
