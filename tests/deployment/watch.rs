//! What CloudWatch sees of a deployed function, and its alarms over that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::monitor::{ALARMS, look};
use crate::world::alarms::{Alarm, State};
use crate::world::application::Application;
use crate::world::{project, world};

pub(crate) const HOUR: i64 = 60 * 60;
pub(crate) const DAY: i64 = 24 * HOUR;
/// The days of the test before the dashboard is looked at.
const DAYS: i64 = 12;
/// The period of the alarms, in seconds.
const PERIOD: i64 = 300;
/// The alarms that end without a look.
const TRANSIENT: [&str; 3] = ["errors", "failed", "throttles"];

/// What CloudWatch sees of a function: the lines of its log and Lambda's own metrics. A test takes
/// minutes, so each look counts as a day of its own.
pub(crate) struct Watch<'a> {
    function: &'a str,
    secrets: [&'a Application; 2],
    alarms: Vec<Alarm>,
    pub(crate) states: BTreeMap<String, State>,
    /// The start of the present day, in seconds since 1970.
    pub(crate) day: i64,
    /// All lines so far, each at its time.
    pub(crate) lines: Vec<Value>,
    /// How many lines of the log, and how many invocations, are among them.
    read: (usize, usize),
    /// What the alarms were evaluated over, and when.
    moments: Vec<(Vec<Value>, i64)>,
}

impl<'a> Watch<'a> {
    pub(crate) async fn new(function: &'a str, secrets: [&'a Application; 2]) -> Self {
        let found = world().aws.look_up("alarms", function).await;
        let alarms: Vec<Alarm> = serde_json::from_value(found).expect("alarms");
        assert_eq!(alarms.len(), ALARMS.len(), "{alarms:?}");
        let runbook = std::fs::read_to_string(project().join("RUNBOOK.md")).expect("the runbook");
        for alarm in ALARMS.map(|name| name.replace('_', "-")) {
            assert!(runbook.contains(&format!("<a id=\"alarm-{alarm}\">")), "{alarm} has a row");
        }
        let states = alarms.iter().map(|alarm| (alarm.name.clone(), State::Ok)).collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let today = i64::try_from(now).expect("a date") / DAY * DAY;
        let (day, lines, moments) = (today - DAYS * DAY, Vec::new(), Vec::new());
        Self { function, secrets, alarms, states, day, lines, read: (0, 0), moments }
    }

    /// The lines that have come since the last time.
    async fn news(&mut self) -> Vec<Value> {
        let log = world().aws.look_up("logs", self.function).await;
        let log = log.as_array().expect("lines");
        let counted = world().aws.look_up("counted", self.function).await;
        let counted: Vec<u8> = serde_json::from_value(counted).expect("invocations");
        let written = log[self.read.0..].iter().filter_map(Value::as_str);
        let written = written.filter_map(|line| serde_json::from_str(line).ok());
        let invocations = counted[self.read.1..].iter().map(|failed| self.counted(*failed, 0));
        let news = written.chain(invocations).collect();
        self.read = (log.len(), counted.len());
        news
    }

    /// What Lambda itself counts of an invocation, like a line of the function.
    pub(crate) fn counted(&self, errors: u8, throttles: u8) -> Value {
        let metrics = json!({"Namespace": "AWS/Lambda", "Dimensions": [["FunctionName"]],
            "Metrics": [{"Name": "Errors"}, {"Name": "Throttles"}]});
        json!({"_aws": {"Timestamp": 0, "CloudWatchMetrics": [metrics]},
            "FunctionName": self.function, "Errors": errors, "Throttles": throttles})
    }

    /// Lets the schedule look: the lines since the last look, and those of this one.
    pub(crate) async fn look(&mut self) -> Vec<Value> {
        look(self.function).await.expect("the schedule invokes the function");
        self.news().await
    }

    /// Which alarms are on so many seconds after the start of the day, over some of its lines, too.
    pub(crate) fn on(&mut self, seconds: i64, lines: &[Value]) -> BTreeSet<String> {
        let metrics = self.lines.iter().chain(lines).filter(|line| line["_aws"].is_object());
        let (lines, now): (Vec<_>, _) = (metrics.cloned().collect(), self.day + seconds);
        for alarm in &self.alarms {
            let state = self.states.get_mut(&alarm.name).expect("a state");
            *state = alarm.state(&lines, now, *state);
        }
        self.moments.push((lines, now));
        let on = self.states.iter().filter(|(_, state)| **state == State::Alarm);
        let short = |name: &String| name[self.function.len() + 1..].to_owned();
        on.map(|(name, _)| short(name)).collect()
    }

    /// These alarms and no others are on after these lines.
    pub(crate) fn begins(&mut self, bad: &[Value], alarms: &[&str]) {
        self.day += DAY;
        assert_eq!(self.on(0, &at(self.day, bad)), names(alarms));
    }

    /// They end with good lines once the period of the bad ones is over. Without any line, only
    /// those end that look at no state.
    pub(crate) fn ends(&mut self, bad: &[Value], good: &[Value], alarms: &[&str]) {
        let bad = at(self.day, bad);
        let both = |seconds| [bad.clone(), at(self.day + seconds, good)].concat();
        let (early, late) = (both(PERIOD - 1), both(PERIOD));
        assert_eq!(self.on(PERIOD - 1, &early), names(alarms), "in the same period");
        let lasting = alarms.iter().filter(|alarm| !TRANSIENT.contains(alarm));
        let lasting: Vec<_> = lasting.copied().collect();
        assert_eq!(self.on(PERIOD, &bad), names(&lasting), "without a line");
        assert_eq!(self.on(PERIOD, &late), BTreeSet::new(), "after {alarms:?}");
    }

    /// A day later, a look.
    async fn next_look(&mut self) -> Vec<Value> {
        for secret in self.secrets {
            secret.grow_older(Duration::from_hours(24)).await;
        }
        self.look().await
    }

    /// These alarms and no others are on after the next look, until the secret is put right.
    pub(crate) async fn expect(&mut self, alarms: &[&str], put_right: impl Future) {
        let bad = self.next_look().await;
        self.begins(&bad, alarms);
        put_right.await;
        let good = self.look().await;
        self.ends(&bad, &good, alarms);
        self.lines.extend(at(self.day, &bad));
        self.lines.extend(at(self.day + PERIOD, &good));
    }
}

/// These lines at a time in seconds since 1970, in their order.
pub(crate) fn at(seconds: i64, lines: &[Value]) -> Vec<Value> {
    let line = |(line, milliseconds): (&Value, i64)| {
        let (mut line, time) = (line.clone(), json!(seconds * 1000 + milliseconds));
        if line["_aws"].is_object() {
            line["_aws"]["Timestamp"] = time.clone();
        }
        line["@timestamp"] = time;
        line
    };
    lines.iter().zip(0..).map(line).collect()
}

pub(crate) fn names(alarms: &[&str]) -> BTreeSet<String> {
    alarms.iter().map(|&name| name.to_owned()).collect()
}

/// With any setting of an alarm changed, something of the above would have gone another way.
pub(crate) fn each_setting_counts(watch: &Watch<'_>) {
    let noticed = |alarm: &Alarm, other: &Alarm| {
        let mut states = (State::Ok, State::Ok);
        watch.moments.iter().any(|(lines, now)| {
            states = (alarm.state(lines, *now, states.0), other.state(lines, *now, states.1));
            states.0 != states.1
        })
    };
    for alarm in &watch.alarms {
        let changed = |change: &dyn Fn(&mut Alarm)| {
            let mut other = alarm.clone();
            change(&mut other);
            other
        };
        let mut others = vec![
            changed(&|it| it.threshold += 1.0),
            changed(&|it| it.period *= 2),
            changed(&|it| it.period /= 2),
            changed(&|it| it.evaluation_periods += 1),
            changed(&|it| it.metric.namespace.push('x')),
            changed(&|it| it.metric.name.push('x')),
            changed(&|it| *it.metric.dimensions.get_mut("FunctionName").unwrap() += "x"),
            changed(&|it| drop(it.metric.dimensions.insert("Step".into(), "monitor".into()))),
        ];
        // It only counts lines. There are no fewer than none, and each metric of a look has one.
        if !alarm.name.ends_with("silent") {
            others.push(changed(&|it| it.threshold -= 1.0));
            let metrics = watch.alarms.iter().map(|other| &other.metric.name);
            for name in metrics.filter(|name| **name != alarm.metric.name) {
                others.push(changed(&|it| it.metric.name.clone_from(name)));
            }
        }
        let treatments = ["breaching", "notBreaching", "ignore", "missing"];
        for other in treatments.into_iter().filter(|other| *other != alarm.treat_missing_data) {
            others.push(changed(&|it| other.clone_into(&mut it.treat_missing_data)));
        }
        for other in others {
            assert!(noticed(alarm, &other), "no test would notice {other:?}");
        }
    }
}
