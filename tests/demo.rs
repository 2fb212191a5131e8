//! `make demo`: one rotation, watched from the outside, and the proof that it did what it says. It fails when the proof does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "it prints, and stops where it cannot go on")]

mod world;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Instant;

use world::application::{Application, STEPS};
use world::lambda::{self, Function};
use world::{eventually, world};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let print = Print::new();
    let started = Instant::now();
    let version: String = world::postgres::admin().await.query_one("SHOW server_version", &[]).await.unwrap().get(0);
    let function = Function::start(&[]);
    let application = Application::with("shop", |_| {}).await;
    let session = application.login(&application.password).await;
    session.batch_execute("INSERT INTO shop.orders VALUES (1), (2), (3)").await.unwrap();
    let old_version = application.holder("AWSCURRENT").await.unwrap();

    print.title("The world", &format!("started in {:.1} s", started.elapsed().as_secs_f32()));
    print.line("PostgreSQL", &format!("{version}, TLS and SCRAM, log_statement = all"));
    print.line("AWS", "Secrets Manager, emulated by moto over HTTP");
    print.line("Lambda", &format!("{} under the Runtime API", lambda::binary().display()));
    print.line("secret", &format!("{}, AWSCURRENT is version {}", application.name, short(&old_version)));
    print.line("application", "role \"shop\" holds a session open on its table shop.orders");

    print.title("aws secretsmanager rotate-secret", "");
    let started = Instant::now();
    let rotation = application.rotate(&function).await;
    let took = started.elapsed();
    for step in STEPS {
        let Some(call) = rotation["steps"].as_array().and_then(|steps| steps.iter().find(|call| call["step"] == step)) else { continue };
        let event = function.logged(step, |event| event["rotation.step"] == step).await;
        print.step(call["ms"].as_u64().unwrap_or_default(), step, event["message"].as_str().unwrap_or_default(), call["error"].is_null());
    }

    let new_version = application.holder("AWSCURRENT").await.unwrap();
    let new = application.password_in("AWSCURRENT").await;
    let rows = session.query_one("SELECT count(*) FROM shop.orders", &[]).await.map(|row| row.get::<_, i64>(0));
    let accepts_new = application.accepts(&new).await;
    let failed_logins = world().postgres.log().matches("password authentication failed").count();
    let refuses_old = !application.accepts(&application.password).await;
    // The refusal just above is the last thing that the server has to log.
    let log = eventually("the refused login in the server's log", async || {
        let log = world().postgres.log();
        log.contains("password authentication failed").then_some(log)
    })
    .await;
    let changes = log.lines().filter(|line| line.contains("ALTER ROLE \"shop\" PASSWORD 'SCRAM-SHA-256$")).count();
    let unseen = |text: &str| !text.contains(&new) && !text.contains(&application.password);

    print.title("The proof", "");
    let proofs = [
        (rotation["state"] == "succeeded", "Secrets Manager reports success".to_owned()),
        (new_version != old_version, format!("AWSCURRENT moved to version {}", short(&new_version))),
        (accepts_new, "the database accepts the new password".to_owned()),
        (refuses_old, "the database refuses the old one".to_owned()),
        (rows.is_ok_and(|rows| rows == 3), "the session that was open all the time still reads its 3 orders".to_owned()),
        (failed_logins == 0, "no login failed during the rotation".to_owned()),
        (
            changes == 1 && unseen(&log),
            format!("no password in the server's log: {} lines, the ALTER ROLE among them", log.lines().count()),
        ),
        (unseen(&function.output()), format!("no password in the function's log: {} lines", function.output().lines().count())),
    ];
    for (seen, what) in &proofs {
        print.proof(*seen, what);
    }
    if proofs.iter().all(|(seen, _)| *seen) {
        print.title(&format!("Rotated in {} ms.", took.as_millis()), "");
        ExitCode::SUCCESS
    } else {
        print.title("The proof failed.", "");
        ExitCode::FAILURE
    }
}

fn short(version: &str) -> &str {
    version.get(..8).unwrap_or(version)
}

/// Lines for a person: in colour on a terminal, unless `NO_COLOR` is set.
struct Print {
    colour: bool,
}

impl Print {
    fn new() -> Self {
        Self { colour: std::io::stdout().is_terminal() && world::setting("NO_COLOR").is_none() }
    }

    fn title(&self, title: &str, aside: &str) {
        println!("\n{}", format!("{}  {}", self.paint("1", title), self.paint("2", aside)).trim_end());
    }

    fn line(&self, name: &str, text: &str) {
        println!("  {}  {text}", self.paint("2", &format!("{name:<11}")));
    }

    fn step(&self, ms: u64, step: &str, message: &str, succeeded: bool) {
        let mark = if succeeded { self.paint("32", "✓") } else { self.paint("31", "✗") };
        println!("  {mark} {}  {:>5} ms  {message}", self.paint("36", &format!("{step:<12}")), ms);
    }

    fn proof(&self, seen: bool, what: &str) {
        let mark = if seen { self.paint("32", "✓") } else { self.paint("31", "✗ NOT SEEN:") };
        println!("  {mark} {what}");
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
