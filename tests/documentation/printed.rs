//! What the documents show is what is printed, but for numbers and version ids.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::world::application::{Application, STEPS};
use crate::world::aws::REGION;
use crate::world::documents::{self, Block};
use crate::world::lambda::{Failure, Function};
use crate::world::pair::Pair;
use crate::world::{project, world};

/// What prints the blocks of output that the documents show: the demo, the drill, and
/// this file.
const COMMANDS: [&str; 11] = [
    "make demo",
    "make demo STRATEGY=alternating-users",
    "make demo FLEET=1",
    "make demo LEASE=6h STRATEGY=alternating-users",
    "make drill",
    "tools/rotation status and recover",
    "tools/rotation preflight",
    "tools/rotation retire",
    "an error at the login",
    "an error of two users",
    "an error of declared rights",
];

#[test]
fn every_block_of_output_says_what_prints_it() {
    let mut shown = BTreeSet::new();
    for (name, text) in documents::all() {
        let blocks = Block::all(&text);
        let fences = text.lines().filter(|line| *line == "```text").count();
        assert_eq!(
            fences,
            blocks.len(),
            "{name}: a block of text without a comment that says which command prints it"
        );
        for block in blocks {
            assert!(
                COMMANDS.contains(&block.command.as_str()),
                "{name}: nothing prints the output of {:?}",
                block.command
            );
            shown.insert(block.command);
        }
    }
    for command in COMMANDS {
        assert!(shown.contains(command), "no document shows {command}");
    }
}

#[test]
fn only_what_changes_from_run_to_run_is_not_compared() {
    let differ = |shown: &str, printed: &str| {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        documents::difference(&lines(shown), &lines(printed)).is_some()
    };
    for (shown, printed, expected) in [
        ("in 14 ms", "in 9 ms", false),
        ("in  14 ms", "in 1.25 ms", true),
        ("setSecret  134 ms  done", "setSecret   9 ms  done", false),
        (
            "version 5f888f9e-ec58-4190-90aa-78095db833a7.",
            "version f514beaf-f93b-e0dc-24e1-2cee9a0496b0.",
            false,
        ),
        ("version f514beaf", "version 5f888f9e", false),
        ("on localhost:40895", "on localhost:5432", false),
        ("role \"shop\"", "role \"shop_clone\"", true),
        ("it could do less", "it could do more", true),
        ("one line", "one line\nand another", true),
        ("one line\nand another", "one line", true),
    ] {
        assert_eq!(differ(shown, printed), expected, "{shown:?} and {printed:?}");
    }
}

/// Holds what was printed against the documents, under the names that they use.
fn hold(command: &str, printed: &str, secret: &Application) {
    let host = format!("localhost:{}", world().postgres.port);
    let printed = printed.replace(&secret.name, "shop/app").replace(&host, "shop.internal:5432");
    documents::hold(command, &printed).unwrap_or_else(|problem| panic!("{problem}"));
}

/// A command as the documents show it, and what it prints.
fn rotation(function: &Function, secret: &Application, operation: &str, more: &[&str]) -> String {
    let venv = project().join(".deps/venv/bin");
    let Output { stdout, stderr, .. } = Command::new(project().join("tools/rotation"))
        .args([operation, &secret.name, "--function", &function.name])
        .args(more)
        .env_clear()
        .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", venv.display()))
        .envs([("HOME", "/nonexistent"), ("AWS_DEFAULT_REGION", REGION)])
        .envs([("AWS_ACCESS_KEY_ID", "testing"), ("AWS_SECRET_ACCESS_KEY", "testing")])
        .envs([
            ("AWS_ENDPOINT_URL_LAMBDA", &world().gateway.url),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &world().aws.url),
        ])
        .output()
        .expect("tools/rotation can be run");
    let typed = [&["$ tools/rotation", operation, "shop/app"][..], more].concat().join(" ");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    format!("{typed}\n{}{}", text(stdout), text(stderr))
}

fn message(failed: Result<Value, Failure>) -> String {
    let failed = failed.expect_err("it fails");
    format!("{}: {}", failed.kind, failed.message)
}

#[tokio::test]
async fn a_stuck_rotation_is_shown_as_it_is_and_as_it_is_recovered() {
    let function = Function::start(&[]);
    let application = Application::named("app", |_| {}).await;
    // The schedule is on from the first rotation on.
    assert_eq!(application.rotate(&function).await["state"], "succeeded");
    let token = application.begin().await;
    application.steps(&function, &STEPS[..2], &token).await;
    let status = rotation(&function, &application, "status", &[]);
    let recovered = rotation(&function, &application, "recover", &[]);
    hold("tools/rotation status and recover", &format!("{status}\n{recovered}"), &application);
}

#[tokio::test]
async fn a_preflight_is_shown_as_it_is() {
    let function = Function::start(&[]);
    let application = Application::named("orders", |_| {}).await;
    let printed = rotation(&function, &application, "preflight", &[]);
    hold("tools/rotation preflight", &printed, &application);
}

#[tokio::test]
async fn a_retirement_is_shown_as_it_is() {
    let policy = r#"{"defaults": {"retire_after": "0s"}}"#;
    let function = Function::start(&[("ROTATION_POLICY", policy)]);
    let pair = Pair::named("billing", |_| {}).await;
    pair.turn(&function).await;
    let _open = pair.session("AWSPREVIOUS").await;
    let kept = rotation(&function, &pair.application, "retire", &[]);
    let ended = rotation(&function, &pair.application, "retire", &["--terminate"]);
    hold("tools/rotation retire", &format!("{kept}\n{ended}"), &pair.application);
}

#[tokio::test]
async fn an_error_at_the_login_is_shown_as_it_is() {
    let function = Function::start(&[]);
    let closed = crate::world::postgres::free_port();
    let application = Application::named("mail", |document| document["port"] = json!(closed)).await;
    let token = application.begin().await;
    application.steps(&function, &STEPS[..1], &token).await;
    let printed = message(application.step(&function, "setSecret", &token).await);
    let printed = printed.replace(&format!("localhost:{closed}"), "shop.internal:5432");
    // A name may lead to this address or to the other one.
    let printed = printed.replace(&format!("127.0.0.1:{closed}"), "10.0.3.7:5432");
    let printed = printed.replace(&format!("[::1]:{closed}"), "10.0.3.7:5432");
    hold("an error at the login", &printed, &application);
}

#[tokio::test]
async fn an_error_of_two_users_is_shown_as_it_is() {
    let function = Function::start(&[]);
    let pair = Pair::named("store", |_| {}).await;
    pair.imitate_aws_function().await;
    pair.superuser(
        "GRANT CREATE ON SCHEMA :base TO :clone; CREATE TABLE store.invoices (id int); ALTER \
         TABLE store.invoices OWNER TO :clone; CREATE TABLE store.prices (id int); GRANT SELECT \
         ON store.prices TO :clone; REVOKE CREATE ON SCHEMA :base FROM :clone",
    )
    .await;
    let token = pair.application.begin().await;
    pair.application.steps(&function, &STEPS[..2], &token).await;
    let printed = message(pair.application.step(&function, "testSecret", &token).await);
    hold("an error of two users", &printed, &pair.application);
}

#[tokio::test]
async fn an_error_of_declared_rights_is_shown_as_it_is() {
    let function = Function::start(&[]);
    let grants = ["SELECT, UPDATE (total) ON TABLE reports.daily"];
    let probes = ["SELECT total FROM reports.daily WHERE id = $1"];
    let declare = |document: &mut Value| {
        document["rotation"] = json!({"grants": grants, "probes": probes});
    };
    let application = Application::named("report", declare).await;
    crate::world::postgres::admin()
        .await
        .batch_execute("CREATE SCHEMA reports; CREATE TABLE reports.daily (id int, total int)")
        .await
        .unwrap();
    let token = application.begin().await;
    application.steps(&function, &STEPS[..1], &token).await;
    let printed = message(application.step(&function, "setSecret", &token).await);
    hold("an error of declared rights", &printed, &application);
}
