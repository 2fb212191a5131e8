//! `make bench`: what a rotation costs, as a deployed function pays for it: PostgreSQL and Secrets
//! Manager by TLS, and a system that trusts as many roots as provided.al2023.
//!
//! `BASELINE` names another bootstrap, with its arguments. Both are then measured in turns, and the
//! ratio comes first: it means more than times on a machine that does other things too. The bench
//! fails on counts and sizes, and prints times.

#![allow(clippy::disallowed_methods, reason = "the server of the tests sends what they asked for")]
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
use world::budget;
use world::https::{Authority, systems_roots};
use world::lambda::{Function, binary};
use world::pair::Pair;
use world::proxy::AwsProxy;
use world::window::windows;
use world::{environment_variable, eventually, world};

const ROTATIONS: usize = 11;
const TABLES: usize = 50_000;
/// Rotations whose window is measured, and its median at most, in milliseconds.
const WINDOWS: usize = 20;
const LONGEST_WINDOW_MS: f64 = 30.0;
const REGIONS_ROOTS: &str = include_str!("../src/database/rds_roots.pem");
const AMAZONS_ROOTS: &str = include_str!("../src/secret/store/amazon_roots.pem");

/// A program that is measured, and what it cost so far: each figure is of one rotation, or of one
/// process.
struct Side {
    command: Vec<String>,
    proxy: AwsProxy,
    function: Function,
    init: Vec<f64>,
    cold: Vec<f64>,
    first: Vec<f64>,
    warm: Vec<f64>,
    memory: Vec<f64>,
    calls: Vec<usize>,
    sessions: Vec<usize>,
    refused: Vec<usize>,
    handshakes_cold: Vec<usize>,
    handshakes_first: Vec<usize>,
    handshakes_warm: Vec<usize>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let authority = Authority::new();
    let mut sides = vec![Side::start(&[binary().display().to_string()], &authority).await];
    if let Some(baseline) = environment_variable("BASELINE") {
        let command: Vec<_> = baseline.split_whitespace().map(str::to_owned).collect();
        sides.push(Side::start(&command, &authority).await);
    }
    for rotation in 0..ROTATIONS {
        // Neither side is always the one that comes after the other.
        for turn in 0..sides.len() {
            let place = (turn + rotation) % sides.len();
            sides[place].measure().await;
        }
    }
    println!("{ROTATIONS} rotations of a single user by each way; PostgreSQL and Secrets Manager");
    println!("by TLS, {} roots in the system's bundle; medians\n", systems_roots().len());
    println!("{:<44} {:>7} {:>10} {:>10} {:>17}", "", "ratio", "this build", "baseline", "range");
    times("init of a cold start, ms", &sides, |side| &side.init);
    times("CPU of four cold starts, ms", &sides, |side| &side.cold);
    times("CPU of one cold start and three warm, ms", &sides, |side| &side.first);
    times("CPU of four warm steps, ms", &sides, |side| &side.warm);
    println!("\n{:<44} {:>10} {:>10} {:>8}", "", "this build", "baseline", "budget");
    let mut kept = counts("calls to Secrets Manager", &sides, budget::CALLS, |side| &side.calls);
    kept &= counts("handshakes, four cold starts", &sides, budget::HANDSHAKES_COLD, |side| {
        &side.handshakes_cold
    });
    kept &=
        counts("handshakes, one cold and three warm", &sides, budget::HANDSHAKES_WARM, |side| {
            &side.handshakes_first
        });
    kept &= counts("handshakes, four warm steps", &sides, 0, |side| &side.handshakes_warm);
    kept &= counts("sessions in the database", &sides, budget::SESSIONS, |side| &side.sessions);
    kept &= counts("refused logins", &sides, 0, |side| &side.refused);
    let peaks: Vec<_> = sides.iter().map(|side| Some(median(&side.memory))).collect();
    kept &= row("peak memory, MiB, median", &peaks, budget::PEAK_MEMORY_MIB);
    kept &= sizes(&sides).await;
    kept &= window().await;
    parity().await;
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Side {
    async fn start(command: &[String], authority: &Authority) -> Self {
        let proxy = AwsProxy::start_with(authority);
        let region: String = REGIONS_ROOTS
            .split("# ")
            .filter_map(|section| section.strip_prefix(world::aws::REGION))
            .collect();
        let root = std::fs::read_to_string(&world().postgres.ca_file).expect("a root");
        let database = authority.file(&format!("{region}{root}")).display().to_string();
        // As many as a deployed function trusts: Amazon's, and here the tests' own.
        let amazons = authority.bundle(&[AMAZONS_ROOTS.to_owned()]).display().to_string();
        let system = authority.bundle(&systems_roots()).display().to_string();
        let mut environment = vec![
            ("AWS_ENDPOINT_URL", proxy.url.as_str()),
            ("AWS_CA_BUNDLE", amazons.as_str()),
            ("CA_BUNDLE_FILE", database.as_str()),
        ];
        let mut function = Function::running(command, &environment);
        let application = Application::new().await;
        let token = application.begin().await;
        if application.step(&function, STEPS[0], &token).await.is_err() {
            // It does not know AWS_CA_BUNDLE, and looks into the system's bundle for the root.
            environment.push(("SSL_CERT_FILE", system.as_str()));
            function = Function::running(command, &environment);
            application.steps(&function, &STEPS[..1], &token).await;
        }
        Self {
            command: command.to_vec(),
            proxy,
            function,
            init: Vec::new(),
            cold: Vec::new(),
            first: Vec::new(),
            warm: Vec::new(),
            memory: Vec::new(),
            calls: Vec::new(),
            sessions: Vec::new(),
            refused: Vec::new(),
            handshakes_cold: Vec::new(),
            handshakes_first: Vec::new(),
            handshakes_warm: Vec::new(),
        }
    }

    /// One rotation with a process per step; then two with one process, of which the second one is
    /// warm from its first step on.
    async fn measure(&mut self) {
        let application = Application::new().await;
        let token = application.begin().await;
        let (calls, handshakes) = (self.proxy.calls().len(), self.proxy.handshakes());
        let mut cpu = 0.0;
        for step in STEPS {
            self.function.restart();
            application.steps(&self.function, &[step], &token).await;
            let usage = self.function.usage().await;
            cpu += usage.cpu.as_secs_f64() * 1e3;
            self.init.push(usage.init.as_secs_f64() * 1e3);
            self.memory.push(usage.peak_memory_kib as f64 / 1024.0);
        }
        self.cold.push(cpu);
        self.calls.push(self.proxy.calls().len() - calls);
        self.handshakes_cold.push(self.proxy.handshakes() - handshakes);
        let (sessions, refused) = logins(&application).await;
        self.sessions.push(sessions);
        self.refused.push(refused);

        self.function.restart();
        let handshakes = self.proxy.handshakes();
        let first = self.rotate().await;
        self.handshakes_first.push(self.proxy.handshakes() - handshakes);
        let handshakes = self.proxy.handshakes();
        let both = self.rotate().await;
        self.handshakes_warm.push(self.proxy.handshakes() - handshakes);
        self.first.push(first);
        self.warm.push(both - first);
    }

    /// The CPU time in milliseconds that the process has used after one rotation more.
    async fn rotate(&self) -> f64 {
        let application = Application::new().await;
        let token = application.begin().await;
        application.steps(&self.function, &STEPS, &token).await;
        self.function.usage().await.cpu.as_secs_f64() * 1e3
    }
}

/// The function's sessions of a role that the server has logged, and the refused logins.
async fn logins(application: &Application) -> (usize, usize) {
    let about = format!("|{}|", application.role);
    eventually("the end of the sessions in the server's log", async || {
        let log = world().postgres.log();
        let count = |text: &str| {
            log.lines().filter(|line| line.contains(&about) && line.contains(text)).count()
        };
        let (sessions, ended) = (count("connection authorized"), count("disconnection"));
        (sessions == ended).then(|| (sessions, count("FATAL")))
    })
    .await
}

/// Size of the archive, and instructions of an init.
async fn sizes(sides: &[Side]) -> bool {
    let size = |side: &Side| {
        let archive = std::path::Path::new(side.command.last()?).with_extension("zip");
        Some(archive.metadata().ok()?.len() as f64 / 1e6)
    };
    let archives: Vec<_> = sides.iter().map(size).collect();
    let kept = row("bootstrap.zip, MB", &archives, budget::ARCHIVE as f64 / 1e6);
    let mut counts = Vec::new();
    for side in sides {
        counts.push(budget::instructions_of_init(&side.command).await);
    }
    if let Some(Err(reason)) = counts.first() {
        println!("instructions of init: not counted, since {reason}");
        return kept;
    }
    let counts: Vec<_> =
        counts.iter().map(|count| Some(*count.as_ref().ok()? as f64 / 1e6)).collect();
    row("instructions of init, millions", &counts, budget::INSTRUCTIONS_OF_INIT as f64 / 1e6)
        && kept
}

/// How long AWSCURRENT is refused in a rotation of a single user.
async fn window() -> bool {
    let windows: Vec<_> =
        windows(WINDOWS).await.iter().map(|window| window.as_secs_f64() * 1e3).collect();
    let (least, most) = windows
        .iter()
        .fold((f64::MAX, 0.0_f64), |(least, most), window| (least.min(*window), most.max(*window)));
    println!(
        "\n{WINDOWS} rotations of a single user, 0.2 s between the events; AWSCURRENT is refused"
    );
    println!(
        "from the answer to COMMIT to the effect of the move, both taken at the wire. This is"
    );
    println!("the local world's window: on AWS, the network and Secrets Manager are other ones.");
    println!("{least:.1} to {most:.1} ms");
    row("window, median, ms", &[Some(median(&windows))], LONGEST_WINDOW_MS)
}

/// How long `testSecret` takes, in milliseconds, where the next user acts as the role that has all,
/// and where the current user has it itself.
async fn parity() {
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
    println!(
        "\ntestSecret of two users, {TABLES} tables with two privileges each: nothing missing \
         {equal:.0} ms, all missing {unequal:.0} ms"
    );
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn times(name: &str, sides: &[Side], of: impl Fn(&Side) -> &Vec<f64>) {
    let values: Vec<_> = sides.iter().map(of).collect();
    let own = median(values[0]);
    let (least, most) = values[0]
        .iter()
        .fold((own, own), |(least, most), value| (least.min(*value), most.max(*value)));
    let baseline = values.get(1).map(|values| median(values));
    println!(
        "{name:<44} {:>7} {own:>10.1} {:>10} {:>17}",
        baseline.map_or("-".to_owned(), |baseline| format!("{:.2}", own / baseline)),
        baseline.map_or("-".to_owned(), |baseline| format!("{baseline:.1}")),
        format!("{least:.1} to {most:.1}"),
    );
}

/// A count is the same in every rotation, or the highest one counts.
fn counts(name: &str, sides: &[Side], budget: usize, of: impl Fn(&Side) -> &Vec<usize>) -> bool {
    let most = |side| of(side).iter().max().map(|most| *most as f64);
    row(name, &sides.iter().map(most).collect::<Vec<_>>(), budget as f64)
}

fn row(name: &str, values: &[Option<f64>], budget: f64) -> bool {
    let text = |value: Option<f64>| match value {
        None => "-".to_owned(),
        Some(value) if value.fract() == 0.0 => format!("{value}"),
        Some(value) => format!("{value:.2}"),
    };
    let own = values.first().copied().flatten();
    let kept = own.is_some_and(|own| own <= budget);
    println!(
        "{name:<44} {:>10} {:>10} {:>8}{}",
        text(own),
        text(values.get(1).copied().flatten()),
        text(Some(budget)),
        if kept { "" } else { "  EXCEEDED" }
    );
    kept
}
