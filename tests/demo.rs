//! `make demo`: rotations watched from the outside, and the proof of what they did. It fails if the
//! proof fails.

#![allow(clippy::disallowed_methods, reason = "the server of the tests sends what they asked for")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "it prints, and a panic ends it"
)]

#[path = "demo/fleet.rs"]
mod fleet;
#[path = "demo/lease.rs"]
mod lease;
mod world;

use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use world::application::{Application, STEPS};
use world::lambda::Function;
use world::pair::Pair;
use world::print::{Print, short};
use world::proxy::AwsProxy;
use world::window::Tap;
use world::{eventually, world};

/// The binary is not optimised, and the machine does other things too. `make bench` measures.
const LONGEST_WINDOW: Duration = Duration::from_secs(1);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if world::environment_variable("FLEET").is_some() {
        let print = Print::new();
        return if fleet::demo(&print).await && print.shown("make demo FLEET=1") {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    let Some(strategy) = world::environment_variable("STRATEGY") else { return each_of_them() };
    let print = Print::new();
    let proven = match strategy.as_str() {
        "single-user" => single_user(&print).await && print.shown("make demo"),
        "alternating-users" => {
            if let Some(lease) = world::environment_variable("LEASE") {
                let command = format!("make demo LEASE={lease} STRATEGY=alternating-users");
                lease::leased(&print, &lease).await && print.shown(&command)
            } else {
                let command = "make demo STRATEGY=alternating-users";
                alternating_users(&print).await && print.shown(command)
            }
        }
        other => {
            println!("STRATEGY={other:?} is neither single-user nor alternating-users.");
            return ExitCode::FAILURE;
        }
    };
    if proven { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Shows one after the other, each in a process of its own, since each counts the failed logins of
/// its own server.
fn each_of_them() -> ExitCode {
    let this = std::env::current_exe().expect("the demo knows where it is");
    let demos: [&[(&str, &str)]; 4] = [
        &[("STRATEGY", "single-user")],
        &[("STRATEGY", "alternating-users")],
        &[("STRATEGY", "alternating-users"), ("LEASE", "6h")],
        &[("FLEET", "1")],
    ];
    let shown = demos.map(|variables| {
        let demo = Command::new(&this).envs(variables.iter().copied()).status();
        demo.is_ok_and(|status| status.success())
    });
    if shown == [true; 4] { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One rotation, while a session stays open.
async fn single_user(print: &Print) -> bool {
    let started = Instant::now();
    let (tap, proxy) = (Tap::start(), AwsProxy::start());
    let function = Function::start(&[("AWS_ENDPOINT_URL", &proxy.url)]);
    let application =
        Application::named("shop", |document| document["port"] = tap.port.into()).await;
    let session = application.login(&application.password).await;
    session.batch_execute("INSERT INTO shop.orders VALUES (1), (2), (3)").await.unwrap();
    let old_version = application.version_with("AWSCURRENT").await.unwrap();
    print.world(started, &application.name, &old_version).await;
    print.line("application", "role \"shop\" holds a session open on its table shop.orders");

    let started = Instant::now();
    let succeeded = rotate(print, &application, &function).await;
    let took = started.elapsed();

    let window = tap.window(&proxy.effects_of("UpdateSecretVersionStage"));
    let new_version = application.version_with("AWSCURRENT").await.unwrap();
    let new = application.password_in("AWSCURRENT").await;
    let rows = session
        .query_one("SELECT count(*) FROM shop.orders", &[])
        .await
        .map(|row| row.get::<_, i64>(0));
    let accepts_new = application.accepts(&new).await;
    let failed_logins = refusals();
    let refuses_old = !application.accepts(&application.password).await;
    // The refusal above is the last line that the server logs.
    let log = eventually("the refused login in the server's log", async || {
        (refusals() > failed_logins).then(|| world().postgres.log())
    })
    .await;
    let changes = log
        .lines()
        .filter(|line| line.contains("ALTER ROLE \"shop\" PASSWORD 'SCRAM-SHA-256$"))
        .count();
    let unseen = |text: &str| !text.contains(&new) && !text.contains(&application.password);
    print.proofs(
        took,
        &[
            (succeeded, "Secrets Manager reports success".to_owned()),
            (
                new_version != old_version,
                format!("AWSCURRENT moved to version {}", short(&new_version)),
            ),
            (
                window < LONGEST_WINDOW,
                format!(
                    "a login with AWSCURRENT was refused for {} ms: from the answer to COMMIT to \
                     the move",
                    window.as_millis()
                ),
            ),
            (accepts_new, "the database accepts the new password".to_owned()),
            (refuses_old, "the database refuses the old one".to_owned()),
            (
                rows.is_ok_and(|rows| rows == 3),
                "the session that was open all the time still reads its 3 orders".to_owned(),
            ),
            (failed_logins == 0, "no login failed during the rotation".to_owned()),
            (
                changes == 2 && unseen(&log),
                format!(
                    "no password in the server's log: {} lines, both ALTER ROLE among them",
                    log.lines().count()
                ),
            ),
            (
                unseen(&function.output()),
                format!(
                    "no password in the function's log: {} lines",
                    function.output().lines().count()
                ),
            ),
        ],
    )
}

/// Two rotations of alternating users, while an application logs in all the time.
async fn alternating_users(print: &Print) -> bool {
    let started = Instant::now();
    let function = Function::start(&[]);
    let pair = Pair::named("shop", |_| {}).await;
    print
        .world(
            started,
            &pair.application.name,
            &pair.application.version_with("AWSCURRENT").await.unwrap(),
        )
        .await;
    print.line("admin", &format!("role {:?}: CREATEROLE, and no superuser", pair.admin));
    print.line("application", "reads AWSCURRENT, logs in and out, over and over");

    let busy = BusyApplication::start(&pair);
    let create = |table: &str| {
        format!(
            "CREATE TABLE shop.{table} (id serial, total int); INSERT INTO shop.{table} (total) \
             VALUES (7)"
        )
    };
    let mut logins = vec![pair.credentials("AWSCURRENT").await];
    let mut succeeded = true;
    let started = Instant::now();
    for table in ["orders", "invoices"] {
        let (user, _) = pair.credentials("AWSCURRENT").await;
        pair.session("AWSCURRENT").await.batch_execute(&create(table)).await.unwrap();
        print.title(&format!("CREATE TABLE shop.{table}"), &format!("by role {user:?}"));
        succeeded &= rotate(print, &pair.application, &function).await;
        logins.push(pair.credentials("AWSCURRENT").await);
    }
    let took = started.elapsed();
    let (tried, failed) = busy.stop().await;

    let users: Vec<_> = logins.iter().map(|(user, _)| user.as_str()).collect();
    let mut both_use_all = true;
    for stage in ["AWSCURRENT", "AWSPREVIOUS"] {
        for table in ["orders", "invoices"] {
            let use_it = format!(
                "INSERT INTO shop.{table} (total) SELECT total FROM shop.{table} LIMIT 1; ALTER \
                 TABLE shop.{table} ALTER total SET DEFAULT 1"
            );
            both_use_all &= pair.session(stage).await.batch_execute(&use_it).await.is_ok();
        }
    }
    let owners = "SELECT count(*) FROM pg_tables WHERE schemaname = 'shop' AND tableowner = 'shop'";
    let owned: i64 = world::postgres::admin().await.query_one(owners, &[]).await.unwrap().get(0);
    let log = world().postgres.log();
    let unseen = |text: &str| logins.iter().all(|(_, password)| !text.contains(password));
    let attempts = format!(
        "{tried} logins of the application, and its queries, during the two turns: {failed} failed"
    );
    print.proofs(
        took,
        &[
            (succeeded, "Secrets Manager reports success, twice".to_owned()),
            (
                users == ["shop", "shop_clone", "shop"],
                format!("AWSCURRENT was of {}", users.join(", then of ")),
            ),
            (tried > 0 && failed == 0, attempts),
            (
                both_use_all,
                "AWSCURRENT and AWSPREVIOUS both log in, and read, write and alter both tables"
                    .to_owned(),
            ),
            (
                owned == 2,
                "both tables belong to role \"shop\", whichever user has made them".to_owned(),
            ),
            (refusals() == 0, "no login failed at all".to_owned()),
            (
                unseen(&log),
                format!("no password in the server's log: {} lines", log.lines().count()),
            ),
            (
                unseen(&function.output()),
                format!(
                    "no password in the function's log: {} lines",
                    function.output().lines().count()
                ),
            ),
        ],
    )
}

/// Has Secrets Manager rotate the secret and prints the steps.
async fn rotate(print: &Print, application: &Application, function: &Function) -> bool {
    print.title("aws secretsmanager rotate-secret", "");
    let rotation = application.rotate(function).await;
    for step in STEPS {
        let Some(call) = rotation["steps"]
            .as_array()
            .and_then(|steps| steps.iter().find(|call| call["step"] == step))
        else {
            continue;
        };
        let of_this = |event: &serde_json::Value| {
            event["rotation.step"] == step
                && event["secret.version_id"] == rotation["token"]
                && event["level"] != "WARN"
        };
        let event = function.await_log_event(step, of_this).await;
        print.step(
            call["ms"].as_u64().unwrap_or_default(),
            step,
            event["message"].as_str().unwrap_or_default(),
            call["error"].is_null(),
        );
    }
    rotation["state"] == "succeeded"
}

/// An application that logs in with AWSCURRENT all the time and counts the failures.
struct BusyApplication {
    stopped: Arc<AtomicBool>,
    counts: JoinHandle<(usize, usize)>,
}

impl BusyApplication {
    fn start(pair: &Pair) -> Self {
        let stopped = Arc::<AtomicBool>::default();
        let (stop, secret) = (Arc::clone(&stopped), pair.application.secret.clone());
        let counts = tokio::spawn(async move {
            let (mut tried, mut failed) = (0, 0);
            let client = world().aws.client();
            while !stop.load(Ordering::SeqCst) {
                let value =
                    client.get_secret_value().secret_id(&secret).send().await.expect("AWSCURRENT");
                let login: serde_json::Value =
                    serde_json::from_str(value.secret_string().expect("text")).expect("JSON");
                let (user, password) = (
                    login["username"].as_str().expect("a user"),
                    login["password"].as_str().expect("a password"),
                );
                tried += 1;
                let done = async {
                    let session = world().postgres.login(user, password).await?;
                    session.query("SELECT has_schema_privilege('shop', 'CREATE')", &[]).await
                };
                failed += usize::from(done.await.is_err());
            }
            (tried, failed)
        });
        Self { stopped, counts }
    }

    /// Stops it; how often it logged in, and how often that failed.
    async fn stop(self) -> (usize, usize) {
        self.stopped.store(true, Ordering::SeqCst);
        self.counts.await.expect("the application does not panic")
    }
}

/// How many logins the server refused.
fn refusals() -> usize {
    world().postgres.log().matches("password authentication failed").count()
}
