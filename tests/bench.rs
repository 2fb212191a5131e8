//! `make bench`: what a rotation costs when each of its four steps is a cold start, against the
//! budget. It fails when the budget is exceeded.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "it prints, and stops where it cannot go on"
)]
#![allow(clippy::cast_precision_loss, reason = "kibibytes and bytes of a few megabytes")]

mod world;

use std::process::ExitCode;
use std::time::Instant;

use world::application::{Application, STEPS};
use world::lambda::{Function, Usage, binary};
use world::pair::Pair;

const ROTATIONS: usize = 11;
const TABLES: usize = 50_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let function = Function::start(&[]);
    let (mut init, mut cpu, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROTATIONS {
        let application = Application::new().await;
        let token = application.begin().await;
        let mut rotation = Vec::<Usage>::new();
        for step in STEPS {
            function.restart();
            application.steps(&function, &[step], &token).await;
            rotation.push(function.usage().await);
        }
        init.extend(rotation.iter().map(|usage| usage.init.as_secs_f64() * 1e3));
        cpu.push(rotation.iter().map(|usage| usage.cpu.as_secs_f64() * 1e3).sum());
        memory.extend(rotation.iter().map(|usage| usage.peak_memory_kib as f64 / 1024.0));
    }
    let archive = binary().with_extension("zip").metadata().map(|file| file.len() as f64 / 1e6);
    println!(
        "{ROTATIONS} rotations of a single user, a new process for each of the four steps, \
         medians\n"
    );
    println!("{:<34} {:>9} {:>9} {:>9} {:>9}", "", "median", "min", "max", "budget");
    let mut kept = row("init of a cold start, ms", &mut init, 12.0);
    kept &= row("CPU of a rotation (4 starts), ms", &mut cpu, 70.0);
    kept &= row("peak memory, MiB", &mut memory, 16.0);
    kept &= row("bootstrap.zip, MB", &mut archive.map(|size| vec![size]).unwrap_or_default(), 4.6);
    let (equal, unequal) = parity().await;
    println!(
        "\nthe comparison of two users in a database of {TABLES} tables, on each of which the \
         current one has two privileges\n"
    );
    kept &= row("testSecret, nothing missing, ms", &mut [equal], 2_000.0);
    kept &= row("testSecret, all missing, ms", &mut [unequal], 2_000.0);
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How long `testSecret` takes, in milliseconds, where the next user acts as the role that has all,
/// and where the current user has it itself.
async fn parity() -> (f64, f64) {
    let function = Function::start(&[]);
    let test = async |pair: &Pair| {
        let token = pair.application.abandon_and_begin().await;
        pair.application.steps(&function, &STEPS[..2], &token).await;
        let started = Instant::now();
        let tested = pair.application.step(&function, "testSecret", &token).await;
        (started.elapsed().as_secs_f64() * 1e3, tested)
    };
    let pair = Pair::new().await;
    pair.create_tables(&pair.base, "many", TABLES).await;
    let (equal, tested) = test(&pair).await;
    assert!(tested.is_ok(), "{tested:?}");
    let pair = Pair::new().await;
    pair.imitate_aws_function().await;
    pair.create_tables(&pair.clone, "more", TABLES).await;
    let (unequal, tested) = test(&pair).await;
    let total = format!("({} differences)", 2 * TABLES + 1);
    assert!(tested.as_ref().is_err_and(|failure| failure.message.contains(&total)), "{tested:?}");
    (equal, unequal)
}

fn row(name: &str, values: &mut [f64], budget: f64) -> bool {
    values.sort_by(f64::total_cmp);
    let (Some(min), Some(max)) = (values.first(), values.last()) else {
        println!("{name:<34} not measured");
        return false;
    };
    let median = values[values.len() / 2];
    println!(
        "{name:<34} {median:>9.1} {min:>9.1} {max:>9.1} {budget:>9.1}{}",
        if median > budget { "  EXCEEDED" } else { "" }
    );
    median <= budget
}
