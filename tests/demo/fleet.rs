//! `make demo FLEET=1`: one look finds a dozen secrets in every state, and what the table says puts
//! each right.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use postgres_protocol::escape::{escape_identifier, escape_literal};
use postgres_protocol::password::scram_sha_256;
use serde_json::{Value, json};

use crate::world::application::Application;
use crate::world::aws::REGION;
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::postgres::{HOST, free_port, superuser};
use crate::world::print::Print;
use crate::world::{browser, environment_variable, eventually, project, random_hex, world};

const DAY: i64 = 24 * 60 * 60;
const PAGE: &str = "target/fleet.html";

/// Who is in which state. The number says how many days ago it has rotated.
const STATES: [(&str, &str, i64); 12] = [
    ("shop", "mismatch", 3),
    ("reports", "expired", 12),
    ("billing", "stuck", 30),
    ("invoices", "overdue", 33),
    ("crm", "unreachable", 18),
    ("partners", "expiring", 25),
    ("mail", "disabled", 200),
    ("archive", "disabled", 9),
    ("search", "never_rotated", 2),
    ("stock", "unknown", 8),
    ("orders", "ok", 0),
    ("checkout", "ok", 15),
];

pub(crate) async fn demo(print: &Print) -> bool {
    let started = Instant::now();
    // The admin of the one with two users can say why a role is refused.
    let pair = Pair::named("reports", |_| {}).await;
    let mut fleet = Vec::new();
    for (role, _, _) in STATES {
        fleet.push(application(role, &pair).await);
    }
    let archive = fleet[7].name.as_str();
    let policy = json!({"secrets": {archive: {}}}).to_string();
    let function = Function::start(&[("ROTATION_POLICY", &policy)]);
    for (application, (_, state, days)) in fleet.iter().zip(STATES) {
        breaks(application, &function, state, days).await;
    }
    print.title("The fleet", &format!("made in {:.1} s", started.elapsed().as_secs_f32()));
    print.line("secrets", "12 of one function, 10 of them broken on purpose");
    keep_log(&function).await;

    let html = ["fleet", "--html", PAGE, "--function", &function.name];
    let (table, status) = rotation(&html);
    browser::draw(&project().join(PAGE), (1240, 1480), "docs/fleet.png");
    print.title("tools/rotation fleet", "the worst first");
    table.lines().for_each(|line| print.say(line));
    let line_of = |(role, state, _): &(&str, &str, i64)| {
        table.lines().any(|line| line.contains(state) && line.contains(&format!("prod/{role} ")))
    };
    let found = STATES.iter().filter(|(_, state, _)| *state != "ok").all(line_of);
    let metrics = function.await_log_event("the look", |line| line["Secrets"] == 12).await;
    print.title("The metrics that the alarms see", "");
    let shown = [
        "Mismatch",
        "Expired",
        "Stuck",
        "Overdue",
        "Unreachable",
        "Expiring",
        "Disabled",
        "NeverRotated",
        "Unknown",
        "Ok",
        "OldestAgeDays",
        "CertificateDaysLeft",
    ];
    let parts = shown.map(|name| format!("{name} {}", metrics[name]));
    print.say(&format!("  {}\n  {}", parts[..6].join(", "), parts[6..].join(", ")));

    print.title("Each is put right", "by its command, and where that only shows why, by a person");
    let answer = function.invoke(json!({"Operation": "monitor"})).await.expect("a look");
    let all = answer["Secrets"].as_array().expect("secrets").iter().map(|secret| {
        let of_it = |one: &&Application| secret["SecretId"] == one.secret.as_str();
        put_right(secret, fleet.iter().find(of_it).expect("one of ours"))
    });
    for (state, done) in futures_util::future::join_all(all).await {
        for (line, at) in done.iter().zip(0..) {
            print.line(if at == 0 { &state } else { "" }, line);
        }
    }
    eventually("order", async || {
        let answer = function.invoke(json!({"Operation": "monitor"})).await.expect("a look");
        (answer["Counts"]["ok"] == STATES.len()).then_some(())
    })
    .await;
    let (after, _) = rotation(&["fleet", "--function", &function.name]);
    print.title("tools/rotation fleet", "");
    print.say(after.trim_end());
    let unseen = |text: &str| fleet.iter().all(|one| !text.contains(&one.password));
    let page = std::fs::read_to_string(project().join(PAGE)).unwrap_or_default();
    print.proofs(
        started.elapsed(),
        &[
            (found && status == 1, "each state was found, with its reason".to_owned()),
            (after.contains("12 secrets: 12 ok"), "all 12 secrets are in order".to_owned()),
            (page.contains("invoices"), format!("the page is in {PAGE}: open it in a browser")),
            (
                unseen(&page) && unseen(&function.output()) && unseen(&table),
                "no password on the page, in the table or in the function's log".to_owned(),
            ),
        ],
    )
}

/// A role, and its secret under a name that says whose it is. `reports` is the pair's.
async fn application(role: &str, pair: &Pair) -> Application {
    let (password, document) = if role == pair.base {
        (pair.application.password.clone(), pair.application.document.clone())
    } else {
        let (password, quoted) = (random_hex(), escape_identifier(role));
        let verifier = escape_literal(&scram_sha_256(password.as_bytes()));
        superuser(&format!("CREATE ROLE {quoted} LOGIN PASSWORD {verifier}")).await;
        let document = json!({"engine": "postgres", "host": HOST, "port": world().postgres.port,
            "username": role, "password": password, "dbname": "postgres"});
        (password, document)
    };
    let name = format!("prod/{role}");
    let client = world().aws.client();
    let secret = client.create_secret().name(&name).secret_string(document.to_string());
    let secret = secret.send().await.expect("the secret is created").arn.expect("an ARN");
    Application { role: role.to_owned(), password, secret, name, document }
}

/// Brings a secret into its state.
async fn breaks(application: &Application, function: &Function, state: &str, days: i64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let now = i64::try_from(now).expect("a date");
    if days == 0 {
        application.rotate(function).await;
        return;
    }
    let mut dates = json!({"secret": application.secret, "created_date": now - 300 * DAY,
        "rotation_lambda_arn": function.arn(), "rotation_requested": true,
        "rotation_enabled": true, "last_rotation_date": now - days * DAY,
        "rotation_rules": {"ScheduleExpression": "rate(30 days)"},
        "next_rotation_date": now + (30 - days).max(1) * DAY});
    let role = escape_identifier(&application.role);
    match state {
        "mismatch" => {
            let (token, password) = (application.begin().await, random_hex());
            let value = application.document_with(&password);
            application.put(&token, &value, &["AWSPENDING"]).await;
            application.set_password(&password).await;
        }
        "expired" => superuser(&format!("ALTER ROLE {role} VALID UNTIL '2026-01-01'")).await,
        "stuck" => {
            application.begin().await;
            dates["last_changed_date"] = json!(now - DAY / 4);
        }
        "overdue" => dates["next_rotation_date"] = json!(now - 3 * DAY),
        "unreachable" => {
            let mut value = application.document.clone();
            value["port"] = json!(free_port());
            application.put(&random_hex(), &value.to_string(), &["AWSCURRENT"]).await;
        }
        "expiring" => {
            let sql = format!(
                "DO $$ BEGIN EXECUTE format('ALTER ROLE {role} VALID UNTIL %L', \
                 now() + interval '2 d'); END $$"
            );
            superuser(&sql).await;
        }
        "disabled" if days > 30 => dates["rotation_enabled"] = json!(false),
        "disabled" => {
            dates["rotation_enabled"] = json!(false);
            dates["rotation_lambda_arn"] = json!("");
        }
        "never_rotated" => {
            dates["created_date"] = json!(now - days * DAY);
            dates["last_rotation_date"] = Value::Null;
        }
        "unknown" => {
            application.put(&random_hex(), r#"{"engine": "postgres"}"#, &["AWSCURRENT"]).await;
        }
        _ => {}
    }
    let set = world().aws.exchange("PUT", "secrets", "now", dates.to_string()).await;
    assert!(set.is_object(), "the emulator keeps it");
}

/// Runs the command of the table. Where that only shows what is wrong, or there is none, does what
/// a person has to do. The state, and what was done.
async fn put_right(secret: &Value, application: &Application) -> (String, Vec<String>) {
    let state = secret["State"].as_str().unwrap_or_default();
    let mut done = Vec::new();
    let ended = match secret["Command"].as_str() {
        None => None,
        Some(command) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", command]);
            let ended = tokio::task::spawn_blocking(|| run(shell)).await.expect("no panic");
            done.push(command.to_owned());
            Some((command, ended))
        }
    };
    match (state, ended) {
        ("expired" | "expiring", None) => {
            let role = escape_identifier(secret["Role"].as_str().unwrap_or_default());
            let sql = format!("ALTER ROLE {role} VALID UNTIL 'infinity'");
            superuser(&sql).await;
            done.push(
                "a person decides how long the role may log in, and runs as an admin:".into(),
            );
            done.push(format!("psql --command {sql:?}"));
        }
        ("unreachable" | "unknown", Some((command, (printed, 1)))) => {
            let wrong = match state {
                "unknown" => "the key \"host\" is missing",
                _ => "the host refuses connections",
            };
            assert!(printed.contains(wrong), "{command}: {printed}");
            let value = application.document.to_string();
            application.put(&random_hex(), &value, &["AWSCURRENT"]).await;
            let name = &application.name;
            done.push(format!("it says: {wrong}. A person stores the right value:"));
            done.push(format!("aws secretsmanager put-secret-value --secret-id {name} ..."));
        }
        (_, Some((_, (_, 0)))) => {}
        (state, ended) => panic!("{state}: {ended:?}"),
    }
    (state.to_owned(), done)
}

/// Puts the function's log where AWS would have it.
async fn keep_log(function: &Function) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    let now = u64::try_from(now).expect("a date");
    let output = function.output();
    let events: Vec<_> =
        output.lines().map(|line| json!({"timestamp": now, "message": line})).collect();
    let group = format!("/aws/lambda/{}", function.name);
    for (action, more) in [
        ("CreateLogGroup", json!({})),
        ("CreateLogStream", json!({"logStreamName": "today"})),
        ("PutLogEvents", json!({"logStreamName": "today", "logEvents": events})),
    ] {
        let mut asked = more;
        asked["logGroupName"] = json!(group);
        let path = format!("/?Action={action}");
        let (status, answer) =
            world().aws.call("logs", "testing", "POST", &path, asked.to_string()).await;
        assert_eq!(status, 200, "{answer}");
    }
}

fn rotation(arguments: &[&str]) -> (String, i32) {
    let mut command = Command::new(project().join("tools/rotation"));
    command.args(arguments);
    run(command)
}

/// Runs a command in the project's folder with the real AWS CLI: what it prints, and its status.
fn run(mut command: Command) -> (String, i32) {
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", venv().display());
    command.current_dir(project()).env_clear().envs([
        ("PATH", path.as_str()),
        ("HOME", "/nonexistent"),
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
        ("AWS_ENDPOINT_URL", &world().aws.url),
        ("AWS_ENDPOINT_URL_LAMBDA", &world().gateway.url),
    ]);
    let Output { status, stdout, stderr } = command.output().expect("the command runs");
    let printed = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    (printed, status.code().unwrap_or(-1))
}

fn venv() -> std::path::PathBuf {
    environment_variable("PYTHON")
        .and_then(|python| Some(Path::new(&python).parent()?.to_path_buf()))
        .unwrap_or_else(|| project().join(".deps/venv/bin"))
}
