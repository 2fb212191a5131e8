//! `make day-one`: a first day with the module, as a platform engineer would spend it, on an
//! emulated AWS with a real PostgreSQL. It prints each command, what it says, and the clock, and
//! holds `docs/day-one.md` against them. With `WRITE_DOCUMENTS=1` it rewrites that page.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "it prints, and stops where it cannot go on"
)]

mod world;

use std::cell::RefCell;
use std::process::ExitCode;
use std::time::Instant;

use postgres_protocol::escape::escape_literal;
use postgres_protocol::password::scram_sha_256;
use serde_json::{Value, json};
use tokio::process::Command;

use world::aws::REGION;
use world::documents;
use world::postgres::{HOST, admin};
use world::terraform::{self, Module};
use world::{environment_variable, eventually, project, random_hex, world};

const FUNCTION: &str = "postgres-secret-rotation";
const SECRET: &str = "shop/app";
const PLATFORM: &str = "day-one-platform";
const NAME: &str = "day-one";
const ZIP: &str = "../../../target/lambda/postgres-secret-rotation/bootstrap.zip";

struct Day {
    module: Module,
    started: Instant,
    transcript: RefCell<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    if !terraform::available().await {
        println!("NOT RUN: Terraform is missing. Install Terraform 1.11 or newer.");
        return if environment_variable("CI").is_some() {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        };
    }
    let module = Module::copy().await;
    let arn = application().await;
    module.write(PLATFORM, &platform());
    module.apply(PLATFORM, &[]).await;
    let place = module.output(PLATFORM, "place").await;
    let day = Day { module, started: Instant::now(), transcript: RefCell::default() };

    day.say(
        "There are a database, a role `app` with the secret `shop/app`, a VPC and an SNS topic.",
    );
    let configuration = configuration(&place, &arn, ZIP);
    day.print(&format!("\n```hcl\n{configuration}```"));
    day.module.write_file(NAME, "main.tf", &configuration);
    // Another ZIP file, of nothing: the gateway runs the binary itself.
    let zip = ["PK\u{5}\u{6}", &"\0".repeat(18)].concat();
    day.module.write_file(NAME, "next.zip", &zip);
    day.terraform(&["init"]).await;
    day.terraform(&["apply"]).await;

    tested().await;

    day.say("Secrets Manager has tested the rotation. Is everything in place that one needs?");
    day.rotation(&["preflight", SECRET], 0).await;
    day.say("The first rotation, as the schedule would start it:");
    day.rotation(&["rotate", SECRET, "--via", "secrets-manager"], 0).await;
    day.rotation(&["status", SECRET], 0).await;

    day.say("A fire drill: the role may no longer log in, and the next rotation fails.");
    day.psql("ALTER ROLE app NOLOGIN").await;
    day.fails().await;
    day.print(&format!("\nThe alarm arrives:\n\n```json\n{}\n```", alarm(&place).await));
    day.say("What is wrong?");
    day.rotation(&["status", SECRET], 0).await;
    day.psql("ALTER ROLE app LOGIN").await;
    day.rotation(&["recover", SECRET], 0).await;

    day.say("The next version is deployed, and taken back again.");
    day.deploy(&place, &arn, "next.zip").await;
    day.deploy(&place, &arn, ZIP).await;
    day.rotation(&["rotate", SECRET], 0).await;
    day.say("The end.");
    day.hold();
    let destroy = ["destroy", "-auto-approve", "-no-color", "-input=false"];
    day.module.must(NAME, &destroy, &[]).await;
    day.module.must(PLATFORM, &destroy, &[]).await;
    ExitCode::SUCCESS
}

impl Day {
    fn print(&self, text: &str) {
        println!("{text}");
        self.transcript.borrow_mut().extend([text, "\n"]);
    }

    fn shown(&self, command: &str, output: &str) {
        let output = if output.is_empty() { String::new() } else { format!("{output}\n") };
        self.print(&format!("\n```console\n$ {command}\n{output}```"));
    }

    /// Holds the page against this day, or rewrites it. The page keeps its introduction.
    fn hold(&self) {
        let page = project().join("docs/day-one.md");
        let text = std::fs::read_to_string(&page).expect("the page");
        let (introduction, shown) = text.split_at(text.find("\n**0:00**").expect("a transcript"));
        let printed = self.transcript.borrow();
        if environment_variable("WRITE_DOCUMENTS").is_some() {
            std::fs::write(page, introduction.to_owned() + &printed).expect("the page");
        } else if let Some((shown, printed)) =
            documents::difference(&steady(shown), &steady(&printed))
        {
            panic!(
                "docs/day-one.md is not this day\n  shown:   {shown}\n  printed: {printed}\nIf \
                 the new output is right: WRITE_DOCUMENTS=1 make day-one"
            );
        }
    }

    fn say(&self, text: &str) {
        let seconds = self.started.elapsed().as_secs();
        self.print(&format!("\n**{}:{:02}** {text}", seconds / 60, seconds % 60));
    }

    /// Runs Terraform, and shows what it says at the end.
    async fn terraform(&self, arguments: &[&str]) {
        let approved: &[&str] = if arguments == ["apply"] { &["-auto-approve"] } else { &[] };
        let all = [arguments, approved, &["-no-color", "-input=false"]].concat();
        let output = self.module.must(NAME, &all, &[]).await;
        let end = |line: &&str| {
            ["Apply complete!", "Terraform has been", "Plan: "]
                .iter()
                .any(|end| line.starts_with(end))
        };
        let said: Vec<_> = output.lines().filter(end).collect();
        self.shown(&format!("terraform {}", arguments.join(" ")), &said.join("\n"));
    }

    /// Runs `tools/rotation`, which has to end with that status.
    async fn rotation(&self, arguments: &[&str], expected: i32) {
        let venv = project().join(".deps/venv/bin");
        let output = Command::new(project().join("tools/rotation"))
            .args(arguments)
            .env_clear()
            .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", venv.display()))
            .envs([
                ("HOME", "/nonexistent"),
                ("AWS_REGION", REGION),
                ("AWS_DEFAULT_REGION", REGION),
            ])
            .envs([("AWS_ACCESS_KEY_ID", "testing"), ("AWS_SECRET_ACCESS_KEY", "testing")])
            .env("AWS_ENDPOINT_URL_LAMBDA", &world().gateway.url)
            .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", &world().aws.url)
            .output()
            .await
            .expect("the command runs");
        let printed = String::from_utf8_lossy(&output.stdout);
        self.shown(&format!("rotation {}", arguments.join(" ")), printed.trim_end());
        let problem = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(expected), "{problem}");
    }

    async fn psql(&self, statement: &str) {
        admin().await.batch_execute(statement).await.expect("the statement runs");
        self.shown(&format!("psql --command '{statement}'"), "");
    }

    /// Secrets Manager rotates as the schedule says, and the rotation fails.
    async fn fails(&self) {
        let client = world().aws.client();
        let started = client.rotate_secret().secret_id(SECRET).send().await.expect("it begins");
        let token = started.version_id.expect("a version");
        let state = eventually("the end of the rotation", async || {
            let state = world().aws.rotation(&token).await["state"].clone();
            (state != "running").then_some(state)
        })
        .await;
        assert_eq!(state, "failed");
    }

    async fn deploy(&self, place: &Value, arn: &str, package: &str) {
        self.module.write_file(NAME, "main.tf", &configuration(place, arn, package));
        self.terraform(&["apply"]).await;
    }
}

/// The lines without the ids that AWS gives, and with each age in seconds.
fn steady(transcript: &str) -> Vec<String> {
    let given = |word: &str| {
        ["subnet-", "sg-", "arn:"]
            .iter()
            .any(|start| word.trim_matches(['[', '"']).starts_with(start))
    };
    let line = |line: &str| {
        let words = line.split([' ', ',']).map(|word| match word {
            "min" => "s",
            word if given(word) => "#",
            word => word,
        });
        words.collect::<Vec<_>>().join(" ")
    };
    transcript.lines().map(line).collect()
}

/// The database's side: a role, and a secret with its password; the secret's ARN.
async fn application() -> String {
    let password = random_hex();
    let verifier = escape_literal(&scram_sha_256(password.as_bytes()));
    let role = format!("CREATE ROLE app LOGIN PASSWORD {verifier}");
    admin().await.batch_execute(&role).await.expect("the role is made");
    let document = json!({"engine": "postgres", "host": HOST, "port": world().postgres.port,
        "username": "app", "password": password, "dbname": "postgres"});
    let client = world().aws.client();
    let secret = client.create_secret().name(SECRET).secret_string(document.to_string());
    secret.send().await.expect("the secret is made").arn.expect("an ARN")
}

/// Secrets Manager tests a rotation that was set up, on a version that it removes afterwards.
async fn tested() {
    let client = world().aws.client();
    eventually("the end of the test", async || {
        let secret = client.describe_secret().secret_id(SECRET).send().await.expect("a secret");
        let labels = secret.version_ids_to_stages?;
        (!labels.values().any(|labels| labels.contains(&"AWSPENDING".to_owned()))).then_some(())
    })
    .await;
}

/// What a platform has already.
fn platform() -> Value {
    json!({
        "module": {"network": {"source": "../modules/network", "name": PLATFORM}},
        "resource": {
            "aws_sns_topic": {"this": {"name": PLATFORM}},
            "aws_sqs_queue": {"this": {"name": PLATFORM}},
            "aws_sns_topic_subscription": {"this": {"topic_arn": "${aws_sns_topic.this.arn}",
                "protocol": "sqs", "endpoint": "${aws_sqs_queue.this.arn}",
                "raw_message_delivery": true}},
        },
        "output": {"place": {"value": {
            "subnets": "${module.network.subnet_ids}",
            "database": "${module.network.database_security_group_id}",
            "endpoint": "${module.network.endpoint_security_group_id}",
            "topic": "${aws_sns_topic.this.arn}", "queue": "${aws_sqs_queue.this.url}",
        }}},
    })
}

/// The module block.
fn configuration(place: &Value, arn: &str, package: &str) -> String {
    format!(
        r#"module "rotation" {{
  source        = "../.."
  package       = "{package}"
  subnet_ids    = {subnets}
  databases     = {{ shop = {{ security_group_id = {database}, port = {port} }} }}
  endpoint      = {{ security_group_ids = [{endpoint}] }}
  alarm_actions = [{topic}]
  secrets       = {{ app = {{ secret_arn = "{arn}" }} }}
}}
"#,
        subnets = place["subnets"],
        database = place["database"],
        port = world().postgres.port,
        endpoint = place["endpoint"],
        topic = place["topic"],
    )
}

/// The first message in the queue behind the topic.
async fn alarm(place: &Value) -> String {
    let queue = place["queue"].as_str().expect("a URL");
    let body = format!("Action=ReceiveMessage&Version=2012-11-05&QueueUrl={queue}");
    let text = eventually("the alarm", async || {
        let (_, answer) = world().aws.call("sqs", "testing", "POST", "/", body.clone()).await;
        let (_, rest) = answer.split_once("<Body>")?;
        Some(rest.split_once("</Body>")?.0.replace("&quot;", "\""))
    })
    .await;
    let message: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(message["AlarmName"], format!("{FUNCTION}-errors"));
    serde_json::to_string_pretty(&message).expect("JSON")
}
