//! Lines for a person, in colour on a terminal unless `NO_COLOR` is set.
#![allow(clippy::print_stdout, reason = "the demo and the drill print")]

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use super::lambda;
use super::postgres::admin;

pub fn short(version: &str) -> &str {
    version.get(..8).unwrap_or(version)
}

pub struct Print {
    colour: bool,
}

impl Print {
    pub fn new() -> Self {
        Self {
            colour: std::io::stdout().is_terminal()
                && super::environment_variable("NO_COLOR").is_none(),
        }
    }

    pub fn title(&self, title: &str, aside: &str) {
        println!(
            "\n{}",
            format!("{}  {}", self.paint("1", title), self.paint("2", aside)).trim_end()
        );
    }

    pub async fn world(&self, started: Instant, secret: &str, version: &str) {
        let server: String =
            admin().await.query_one("SHOW server_version", &[]).await.unwrap().get(0);
        self.title("The world", &format!("started in {:.1} s", started.elapsed().as_secs_f32()));
        self.line("PostgreSQL", &format!("{server}, TLS and SCRAM, log_statement = all"));
        self.line("AWS", "Secrets Manager, emulated by moto over HTTP");
        self.line("Lambda", &format!("{} under the Runtime API", lambda::binary().display()));
        self.line("secret", &format!("{secret}, AWSCURRENT is version {}", short(version)));
    }

    /// Prints the proofs; whether all of them hold.
    pub fn proofs(&self, took: Duration, proofs: &[(bool, String)]) -> bool {
        self.title("The proof", "");
        for (seen, what) in proofs {
            self.proof(*seen, what);
        }
        let proven = proofs.iter().all(|(seen, _)| *seen);
        let end = if proven {
            format!("Done in {} ms.", took.as_millis())
        } else {
            "The proof failed.".to_owned()
        };
        self.title(&end, "");
        proven
    }

    pub fn line(&self, name: &str, text: &str) {
        println!("  {}  {text}", self.paint("2", &format!("{name:<11}")));
    }

    pub fn step(&self, ms: u64, step: &str, message: &str, succeeded: bool) {
        let mark = if succeeded { self.paint("32", "✓") } else { self.paint("31", "✗") };
        println!("  {mark} {}  {:>5} ms  {message}", self.paint("36", &format!("{step:<12}")), ms);
    }

    pub fn proof(&self, seen: bool, what: &str) {
        let mark = if seen { self.paint("32", "✓") } else { self.paint("31", "✗ NOT SEEN:") };
        println!("  {mark} {what}");
    }

    pub fn paint(&self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}
