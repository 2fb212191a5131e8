//! Applies the module's examples to an emulated AWS that checks IAM, with the real function and a
//! real PostgreSQL. Proves the role that Terraform creates.

#![allow(clippy::disallowed_methods, reason = "the server of the tests sends what they asked for")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "it prints, and stops where it cannot go on"
)]

#[path = "deployment/dashboard.rs"]
mod dashboard;
#[path = "deployment/monitor.rs"]
mod monitor;
#[path = "deployment/notify.rs"]
mod notify;
#[path = "deployment/package.rs"]
mod package;
#[path = "deployment/proof.rs"]
mod proof;
#[path = "deployment/watch.rs"]
mod watch;
mod world;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use postgres_protocol::escape::escape_literal;
use postgres_protocol::password::scram_sha_256;
use serde_json::Value;

use world::postgres::{HOST, admin};
use world::print::Print;
use world::terraform::{self, Module};
use world::{environment_variable, eventually, random_hex, random_token, world};

#[tokio::main]
async fn main() -> ExitCode {
    if !terraform::available().await {
        println!("NOT RUN: the Terraform module was not applied. Install Terraform 1.11 or newer.");
        return if environment_variable("CI").is_some() {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        };
    }
    let (print, started) = (Print::new(), Instant::now());
    print.title(
        "Terraform",
        "each example is applied, rotated, planned again and destroyed; AWS is emulated, with IAM",
    );
    prepare().await;
    let module = Module::copy().await;
    // Several at once would write to Terraform's cache of providers, where there is no mirror.
    module.must("single-user", &["init", "-no-color", "-input=false"], &[]).await;
    tokio::join!(
        example(&print, &module, "single-user", &["app_single"]),
        example(&print, &module, "alternating-users", &["app_pair"]),
        example(&print, &module, "many-secrets", &["orders", "billing", "reports"]),
        example(&print, &module, "fleet", &["fleet_orders", "fleet_billing"]),
        example(&print, &module, "existing-vpc", &["app_vpc"]),
        proof::of_the_role(&print, &module),
        notify::reaches_its_targets(&print, &module),
        package::of_the_package(&print, &module),
    );
    let left = world().aws.look_up("resources", "all").await;
    let nothing =
        left.as_object().unwrap().values().all(|names| names.as_array().unwrap().is_empty());
    assert!(nothing, "terraform destroy has left {left}");
    let kinds: Vec<_> = left.as_object().unwrap().keys().map(String::as_str).collect();
    print.proof(true, &format!("terraform destroy left none of these: {}", kinds.join(", ")));
    print.title(&format!("Done in {:.0} s.", started.elapsed().as_secs_f32()), "");
    ExitCode::SUCCESS
}

async fn prepare() {
    let tables = "CREATE TABLE orders (id int); CREATE ROLE orders; GRANT SELECT, INSERT ON orders \
        TO orders; CREATE ROLE billing; GRANT SELECT ON orders TO billing";
    admin().await.batch_execute(tables).await.expect("the tables are made");
}

/// Applies an example, which starts its first rotation, rotates once more through Secrets Manager,
/// and destroys the example.
async fn example(print: &Print, module: &Module, name: &str, roles: &[&str]) {
    let seed = random_hex();
    let port = world().postgres.port.to_string();
    let usernames = serde_json::json!(roles).to_string();
    let variables = [
        ("host", HOST),
        ("port", &port),
        ("dbname", "postgres"),
        ("username", roles[0]),
        ("usernames", &usernames),
        ("password", &seed),
        ("rotate_immediately", "true"),
    ];
    let pair = name == "alternating-users";
    if !pair {
        make_roles(&admin().await, roles, &seed).await;
    }
    let (mut shown, ()) = tokio::join!(module.apply(name, &variables), async {
        if pair {
            make_roles(&master().await, roles, &seed).await;
        }
    });
    let output = if roles.len() == 1 { "secret_arn" } else { "secret_arns" };
    let output = module.output(name, output).await;
    let secrets: Vec<&str> = output
        .as_str()
        .into_iter()
        .chain(output.as_object().into_iter().flatten().filter_map(|(_, arn)| arn.as_str()))
        .collect();
    assert_eq!(secrets.len(), roles.len(), "{output}");
    let mut passwords = vec![seed.clone()];
    for secret in &secrets {
        settled(secret).await;
        let first = login(secret).await;
        assert!(
            first.1 != seed,
            "{name}: the rotation that terraform apply has started failed: {}",
            log(module, name).await
        );
        assert!(accepted(&first).await, "{name}: AWSCURRENT, {}", first.0);
        let rotation = rotate(secret).await;
        assert_eq!(rotation["state"], "succeeded", "{name}: {rotation}");
        let second = login(secret).await;
        assert!(accepted(&second).await && second.1 != first.1, "{name}: AWSCURRENT, {}", second.0);
        assert_eq!(accepted(&first).await, pair, "{name}: the password before it");
        assert_eq!(pair, first.0 != second.0, "{name}: {} and {}", first.0, second.0);
        passwords.extend([first.1, second.1]);
    }
    let (code, plan) = module
        .run(name, &["plan", "-detailed-exitcode", "-no-color", "-input=false"], &variables)
        .await;
    assert!(code == Some(0), "{name}: a second plan would change something:\n{plan}");
    let log = log(module, name).await;
    assert!(log.contains("finishSecret"), "{name}: the function's log holds the rotation: {log}");
    shown += &plan;
    for (place, text) in [("state", module.state(name)), ("output", shown), ("log", log)] {
        for password in &passwords {
            assert!(!text.contains(password.as_str()), "{name}: a password in the {place}");
        }
        assert!(!text.contains("SCRAM-SHA-256$"), "{name}: a verifier in the {place}");
    }
    module.must(name, &["destroy", "-auto-approve", "-no-color", "-input=false"], &variables).await;
    let users = if pair { "two users take turns" } else { "one user each" };
    print.proof(
        true,
        &format!(
            "{name}: {} rotated by the apply and by rotate-secret ({users}); second plan: no \
             changes; no password in state, output or log",
            secrets.len()
        ),
    );
}

/// What is in the function's log group.
async fn log(module: &Module, name: &str) -> String {
    let function = module.output(name, "function_name").await;
    world().aws.look_up("logs", function.as_str().unwrap()).await.to_string()
}

async fn make_roles(maker: &tokio_postgres::Client, roles: &[&str], password: &str) {
    let verifier = escape_literal(&scram_sha_256(password.as_bytes()));
    for role in roles {
        let known = maker
            .query_opt("SELECT FROM pg_roles WHERE rolname = $1", &[role])
            .await
            .unwrap()
            .is_some();
        let verb = if known { "ALTER" } else { "CREATE" };
        maker
            .batch_execute(&format!("{verb} ROLE {role} LOGIN PASSWORD {verifier}"))
            .await
            .expect("the role is made");
    }
}

/// Creates the role of the secret that RDS manages, as RDS does, and opens its session.
async fn master() -> tokio_postgres::Client {
    let client = world().aws.client();
    let made = async {
        loop {
            let listed = client
                .list_secrets()
                .send()
                .await
                .expect("the secrets")
                .secret_list
                .unwrap_or_default();
            if let Some(secret) = listed
                .into_iter()
                .find(|secret| secret.name().is_some_and(|name| name.starts_with("rds!")))
            {
                return secret.arn.expect("an ARN");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    // An apply creates the database late.
    let secret = tokio::time::timeout(Duration::from_mins(6), made)
        .await
        .expect("the secret that RDS manages");
    let (user, password) = login(&secret).await;
    let verifier = escape_literal(&scram_sha_256(password.as_bytes()));
    admin()
        .await
        .batch_execute(&format!("CREATE ROLE {user} LOGIN CREATEROLE PASSWORD {verifier}"))
        .await
        .expect("the master is made");
    world().postgres.login(&user, &password).await.expect("the master logs in")
}

/// Username and password in AWSCURRENT.
async fn login(secret: &str) -> (String, String) {
    let value =
        world().aws.client().get_secret_value().secret_id(secret).send().await.expect("AWSCURRENT");
    let value: Value = serde_json::from_str(value.secret_string().expect("text")).expect("JSON");
    let text = |key: &str| value[key].as_str().expect("text").to_owned();
    (text("username"), text("password"))
}

async fn accepted((user, password): &(String, String)) -> bool {
    world().postgres.login(user, password).await.is_ok()
}

/// Waits for the end of what `terraform apply` has started: a rotation, or AWS's test without one.
async fn settled(secret: &str) {
    eventually("the end of what terraform apply has started", async || {
        let labels = world()
            .aws
            .client()
            .describe_secret()
            .secret_id(secret)
            .send()
            .await
            .unwrap()
            .version_ids_to_stages
            .unwrap();
        let Some(pending) = labels.iter().find(|(_, labels)| *labels == &["AWSPENDING"]) else {
            return Some(());
        };
        (world().aws.rotation(pending.0).await["state"] != "running").then_some(())
    })
    .await;
}

/// Rotates with the function that Terraform has set, and waits for the end.
async fn rotate(secret: &str) -> Value {
    let token = random_token();
    world()
        .aws
        .client()
        .rotate_secret()
        .secret_id(secret)
        .client_request_token(&token)
        .send()
        .await
        .expect("the rotation begins");
    eventually("the end of the rotation", async || {
        let rotation = world().aws.rotation(&token).await;
        (rotation["state"] != "running").then_some(rotation)
    })
    .await
}
