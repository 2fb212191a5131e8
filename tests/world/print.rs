//! Lines for a person, in colour on a terminal unless `NO_COLOR` is set.
#![allow(clippy::print_stdout, reason = "the demo and the drill print")]

use std::cell::RefCell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use super::documents;
use super::lambda;
use super::postgres::admin;

pub fn short(version: &str) -> &str {
    version.get(..8).unwrap_or(version)
}

pub struct Print {
    colour: bool,
    /// All of it, without colours.
    printed: RefCell<String>,
}

impl Print {
    pub fn new() -> Self {
        let colour =
            std::io::stdout().is_terminal() && super::environment_variable("NO_COLOR").is_none();
        Self { colour, printed: RefCell::default() }
    }

    pub fn title(&self, title: &str, aside: &str) {
        self.say("");
        self.say(format!("{}  {}", self.paint("1", title), self.paint("2", aside)).trim_end());
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
        self.say(&format!("  {}  {text}", self.paint("2", &format!("{name:<11}"))));
    }

    pub fn step(&self, ms: u64, step: &str, message: &str, succeeded: bool) {
        let mark = if succeeded { self.paint("32", "✓") } else { self.paint("31", "✗") };
        let step = self.paint("36", &format!("{step:<12}"));
        self.say(&format!("  {mark} {step}  {ms:>5} ms  {message}"));
    }

    pub fn proof(&self, seen: bool, what: &str) {
        let mark = if seen { self.paint("32", "✓") } else { self.paint("31", "✗ NOT SEEN:") };
        self.say(&format!("  {mark} {what}"));
    }

    /// Prints a line, and keeps it.
    pub fn say(&self, line: &str) {
        println!("{line}");
        // A colour is ESC [ code m.
        let mut parts = line.split('\x1b');
        let mut plain = parts.next().unwrap_or_default().to_owned();
        parts.for_each(|part| plain.push_str(part.split_once('m').map_or("", |(_, text)| text)));
        self.printed.borrow_mut().push_str(&(plain + "\n"));
    }

    /// Whether the documents show what that command has printed; says where they do not.
    pub fn shown(&self, command: &str) -> bool {
        let held = documents::hold(command, &self.printed.borrow());
        if let Err(problem) = &held {
            println!("\n{problem}");
        }
        held.is_ok()
    }

    pub fn paint(&self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}
