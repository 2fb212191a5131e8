//! `make soak`: applications at work while their secret rotates again and again. It fails when a
//! promise is broken.

#![allow(clippy::disallowed_methods, reason = "the server of the tests sends what they asked for")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "it prints, and stops where it cannot go on"
)]

#[path = "applications/client.rs"]
#[allow(dead_code, reason = "each test target uses a part")]
mod client;
#[path = "soak/clients.rs"]
mod clients;
#[path = "soak/results.rs"]
mod results;
#[path = "soak/rotations.rs"]
mod rotations;
mod world;

use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clients::{ACCESSES, Access, Crowd, Record};
use results::Results;
use rotations::{DISTANCE, Rotator, Strategy};
use world::print::Print;
use world::{environment_variable, eventually, project, world};

/// What the environment asks for.
struct Request {
    strategies: Vec<Strategy>,
    rotations: usize,
    workers: usize,
    faults: bool,
    plot: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let request = match Request::read() {
        Ok(request) => request,
        Err(problem) => {
            println!("{problem}");
            return ExitCode::FAILURE;
        }
    };
    let print = Print::new();
    let mut proven = true;
    for strategy in &request.strategies {
        let results = soak(*strategy, &request).await;
        proven &= report(&print, &request, &results);
    }
    if proven { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Request {
    fn read() -> Result<Self, String> {
        let number = |name: &str, default: usize| match environment_variable(name) {
            None => Ok(default),
            Some(text) => match text.parse() {
                Ok(number @ 1..) => Ok(number),
                _ => Err(format!("{name}={text:?} is no number from 1 on.")),
            },
        };
        let both = [Strategy::SingleUser, Strategy::AlternatingUsers];
        let strategies: Vec<_> = match environment_variable("STRATEGY") {
            None => both.to_vec(),
            Some(name) => both.into_iter().filter(|strategy| strategy.name() == name).collect(),
        };
        if strategies.is_empty() {
            return Err("STRATEGY is neither single-user nor alternating-users.".to_owned());
        }
        // `make test` names nothing, and has each kind of fault once.
        let short = environment_variable("ROTATIONS").is_none();
        Ok(Self {
            strategies,
            rotations: number("ROTATIONS", 4)?,
            workers: number("WORKERS", 2)?,
            faults: environment_variable("FAULTS").map_or(short, |faults| faults != "0"),
            plot: environment_variable("PLOT").is_some(),
        })
    }
}

async fn soak(strategy: Strategy, request: &Request) -> Results {
    let rotator = Rotator::new(strategy, request.faults).await;
    let stop = Arc::<AtomicBool>::default();
    let secret = &rotator.application.secret;
    client::install();
    let start = |access: Access| Crowd::start(access, request.workers, secret, &stop);
    let crowds: Vec<_> = ACCESSES.into_iter().map(start).collect();
    for crowd in &crowds {
        crowd.at_work().await;
    }
    let began = Instant::now();
    let mut rotations = Vec::new();
    for number in 0..request.rotations {
        rotations.push(rotator.rotate(number).await);
        tokio::time::sleep(DISTANCE).await;
        if (number + 1) % 20 == 0 {
            println!("  {} of {} rotations", number + 1, request.rotations);
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut records = Vec::<Record>::new();
    for crowd in crowds {
        records.push(crowd.end().await.since(began));
    }
    let password = rotator.application.value("AWSCURRENT").await.unwrap_or_default();
    let logs_in = eventually("a login with AWSCURRENT", async || {
        let value: serde_json::Value = serde_json::from_str(&password).ok()?;
        let (user, password) = (value["username"].as_str()?, value["password"].as_str()?);
        Some(world().postgres.login(user, password).await.is_ok())
    })
    .await;
    Results { strategy, began, rotations, records, rows: rotator.rows().await, logs_in }
}

/// Prints what was seen; whether every promise was kept.
fn report(print: &Print, request: &Request, results: &Results) -> bool {
    let faults = if request.faults { ", with faults" } else { "" };
    let title = format!("{}{faults}", results.strategy.name());
    let took: Duration = results.rotations.iter().map(|each| each.ended - each.began).sum();
    let count = results.rotations.len();
    let each = took / u32::try_from(count).expect("not that many rotations");
    print.title(&title, &format!("{count} rotations, {:.1} s each", each.as_secs_f64()));
    println!("{}", results.table());
    let broken = results.broken();
    for promise in &broken {
        print.proof(false, promise);
    }
    if broken.is_empty() {
        print.proof(true, "every promise was kept");
    }
    if request.plot {
        plot(&title.replace(", with ", "-"), &results.plot(&title));
    }
    broken.is_empty()
}

fn plot(name: &str, figures: &serde_json::Value) {
    let folder = project().join("target/soak");
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join(name).with_extension("json");
    std::fs::write(&file, figures.to_string()).expect("the figures are written");
    let drawn =
        Command::new("python3").arg(project().join("tests/soak/plot.py")).arg(&file).status();
    assert!(drawn.is_ok_and(|status| status.success()), "the plot can be drawn");
}
