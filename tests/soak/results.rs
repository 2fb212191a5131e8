//! What the clients have seen: a table, the promises that were broken, and the figures of a plot.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::clients::{Access, Outcome, Record, Work};
use crate::rotations::{Rotation, Strategy};

/// For so long after an outage, what fails is still counted to it: pools find broken connections
/// only when they use them.
const AFTERMATH: Duration = Duration::from_secs(5);

pub(crate) struct Results {
    pub(crate) strategy: Strategy,
    pub(crate) began: Instant,
    pub(crate) rotations: Vec<Rotation>,
    pub(crate) records: Vec<Record>,
    /// The numbers of the rows that the server holds in the end.
    pub(crate) rows: HashSet<i64>,
    /// Whether AWSCURRENT logs in in the end.
    pub(crate) logs_in: bool,
}

/// One line of the table.
struct Tally {
    work: usize,
    logins: usize,
    refused: usize,
    denied: usize,
    lost: usize,
    lost_by_the_server: usize,
    window: Duration,
    wait: Duration,
    /// What else failed, without an outage.
    unexplained: Option<String>,
}

impl Results {
    fn outage_explains(&self, work: &Work) -> bool {
        let explains =
            |(from, to): (Instant, Instant)| work.ended >= from && work.began <= to + AFTERMATH;
        self.rotations.iter().filter_map(|rotation| rotation.outage).any(explains)
    }

    fn tally(&self, record: &Record) -> Tally {
        let with = |wanted: fn(&Outcome) -> bool| {
            record.work.iter().filter(move |work| wanted(&work.outcome))
        };
        let denied = with(|outcome| *outcome == Outcome::Denied).count();
        let given_up = with(|outcome| *outcome == Outcome::Refused).count();
        let failed = || with(|outcome| matches!(outcome, Outcome::Failed(_)));
        let lost_by_the_server = failed().filter(|work| self.outage_explains(work)).count();
        // Acknowledged, and gone.
        let gone = with(|outcome| matches!(outcome, Outcome::Done(_)))
            .filter(|work| !self.rows.contains(&work.row))
            .count();
        let unexplained = failed().find(|work| !self.outage_explains(work));
        let logins = record.logins();
        Tally {
            work: record.work.len(),
            logins: logins.len(),
            refused: record.refused.len(),
            denied,
            lost: denied + given_up + failed().count() - lost_by_the_server + gone,
            lost_by_the_server,
            window: longest_window(&record.refused, &logins),
            wait: record
                .work
                .iter()
                .filter(|work| matches!(work.outcome, Outcome::Done(_)))
                .map(|work| work.ended - work.began)
                .max()
                .unwrap_or_default(),
            unexplained: unexplained.map(|work| format!("{:?}", work.outcome)),
        }
    }

    /// The table, as Markdown.
    pub(crate) fn table(&self) -> String {
        let mut lines = vec![
            "| client | work | logins | refused logins | denied statements | lost work | \
             lost by the server | longest window | longest wait |"
                .to_owned(),
            "|---|--:|--:|--:|--:|--:|--:|--:|--:|".to_owned(),
        ];
        lines.extend(self.records.iter().map(|record| {
            let Tally {
                work, logins, refused, denied, lost, lost_by_the_server, window, wait, ..
            } = self.tally(record);
            format!(
                "| {} | {work} | {logins} | {refused} | {denied} | {lost} | \
                 {lost_by_the_server} | {} ms | {} ms |",
                record.access.name(),
                window.as_millis(),
                wait.as_millis()
            )
        }));
        lines.join("\n")
    }

    /// Each promise that was broken, in words.
    pub(crate) fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for (number, rotation) in self.rotations.iter().enumerate() {
            if let Some(failure) = &rotation.failure {
                broken.push(format!("rotation {} failed: {failure}", number + 1));
            }
        }
        if !self.logs_in {
            broken.push("AWSCURRENT does not log in in the end".to_owned());
        }
        for record in &self.records {
            let (tally, access) = (self.tally(record), record.access);
            let follows = matches!(access, Access::Example(_) | Access::OldConnection);
            let mut promise = |promised: bool, count: usize, what: &str| {
                if promised && count > 0 {
                    broken.push(format!("{}: {count} {what}", access.name()));
                }
            };
            let two_users = self.strategy == Strategy::AlternatingUsers;
            promise(tally.work == 0, 1, "workers did nothing");
            promise(two_users && access != Access::Stale, tally.refused, "refused logins");
            promise(two_users, tally.denied, "denied statements");
            promise(follows, tally.denied, "denied statements");
            promise(
                follows || two_users && access != Access::Stale,
                tally.lost,
                "units of work lost",
            );
            if let Some(text) = tally.unexplained {
                broken.push(format!("{}: failed without an outage: {text}", access.name()));
            }
        }
        broken
    }

    /// Times in seconds since the beginning.
    pub(crate) fn plot(&self, title: &str) -> Value {
        let at = |time: Instant| time.duration_since(self.began).as_secs_f64();
        let rotations: Vec<_> = self
            .rotations
            .iter()
            .map(|rotation| {
                json!({
                    "from": at(rotation.began), "to": at(rotation.ended),
                    "fault": rotation.fault.map(|fault| format!("{fault:?}")),
                    "outage": rotation.outage.map(|(from, to)| [at(from), at(to)]),
                })
            })
            .collect();
        let clients: Vec<_> = self
            .records
            .iter()
            .map(|record| {
                let lost = |by_the_server: bool| -> Vec<f64> {
                    let lost = record.work.iter().filter(|work| {
                        !matches!(work.outcome, Outcome::Done(_))
                            && (matches!(work.outcome, Outcome::Failed(_))
                                && self.outage_explains(work))
                                == by_the_server
                    });
                    lost.map(|work| at(work.ended)).collect()
                };
                let waits: Vec<_> = record
                    .work
                    .iter()
                    .map(|work| (at(work.ended), (work.ended - work.began).as_secs_f64()))
                    .collect();
                json!({
                    "name": record.access.name(), "waits": waits,
                    "refused": record.refused.iter().copied().map(at).collect::<Vec<_>>(),
                    "lost": lost(false), "lost by the server": lost(true),
                })
            })
            .collect();
        json!({"title": title, "rotations": rotations, "clients": clients})
    }
}

/// From a refused login to the next one that was accepted: the longest time.
fn longest_window(refused: &[Instant], accepted: &[Instant]) -> Duration {
    let mut events: Vec<_> = refused.iter().map(|at| (*at, false)).collect();
    events.extend(accepted.iter().map(|at| (*at, true)));
    events.sort();
    let (mut longest, mut open) = (Duration::ZERO, None);
    for (at, accepted) in events {
        if !accepted {
            open.get_or_insert(at);
        } else if let Some(from) = open.take() {
            longest = longest.max(at - from);
        }
    }
    longest
}
