//! The schedule looks at the secrets, and each state raises its alarm: the alarms that Terraform
//! has made are evaluated over the lines that the deployed function has written.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::dashboard::Moment;
use crate::proof::operate;
use crate::world::alarms::{Alarm, State};
use crate::world::application::Application;
use crate::world::lambda::arn;
use crate::world::pair::Pair;
use crate::world::postgres::{admin, free_port};
use crate::world::print::Print;
use crate::world::{project, random_hex, world};
use crate::{dashboard, rotate};

/// Every alarm that the module knows.
pub(crate) const ALARMS: [&str; 15] = [
    "errors",
    "throttles",
    "failed",
    "mismatch",
    "expired",
    "stuck",
    "overdue",
    "unreachable",
    "expiring",
    "disabled",
    "never_rotated",
    "unknown",
    "certificate",
    "look",
    "silent",
];
const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;
/// The days of the test before the dashboard is looked at.
const DAYS: i64 = 12;
/// The period of the alarms, in seconds.
const PERIOD: i64 = 300;
const NEVER: &str = "timestamptz 'infinity'";
/// The alarms that end without a look.
const TRANSIENT: [&str; 3] = ["errors", "failed", "throttles"];

/// The answer of a look that the schedule has begun, or why there is none.
pub(crate) async fn look(function: &str) -> Result<Value, String> {
    let name = format!("{function}-monitor-1");
    let begun = world().aws.look_up("schedules", &name).await;
    let problem = begun["refused"].as_str().or(begun["answer"]["errorMessage"].as_str());
    problem.map_or_else(|| Ok(begun.clone()), |problem| Err(problem.to_owned()))
}

/// What CloudWatch sees of a function: the lines of its log and Lambda's own metrics. A test takes
/// minutes, so each look counts as a day of its own.
struct Watch<'a> {
    function: &'a str,
    secrets: [&'a Application; 2],
    alarms: Vec<Alarm>,
    states: BTreeMap<String, State>,
    /// The start of the present day, in seconds since 1970.
    day: i64,
    /// All lines so far, each at its time.
    lines: Vec<Value>,
    /// How many lines of the log, and how many invocations, are among them.
    read: (usize, usize),
    /// What the alarms were evaluated over, and when.
    moments: Vec<(Vec<Value>, i64)>,
}

impl<'a> Watch<'a> {
    async fn new(function: &'a str, secrets: [&'a Application; 2]) -> Self {
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
    fn counted(&self, errors: u8, throttles: u8) -> Value {
        let metrics = json!({"Namespace": "AWS/Lambda", "Dimensions": [["FunctionName"]],
            "Metrics": [{"Name": "Errors"}, {"Name": "Throttles"}]});
        json!({"_aws": {"Timestamp": 0, "CloudWatchMetrics": [metrics]},
            "FunctionName": self.function, "Errors": errors, "Throttles": throttles})
    }

    /// Lets the schedule look: the lines since the last look, and those of this one.
    async fn look(&mut self) -> Vec<Value> {
        look(self.function).await.expect("the schedule invokes the function");
        self.news().await
    }

    /// Which alarms are on so many seconds after the start of the day, over some of its lines, too.
    fn on(&mut self, seconds: i64, lines: &[Value]) -> BTreeSet<String> {
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
    fn begins(&mut self, bad: &[Value], alarms: &[&str]) {
        self.day += DAY;
        assert_eq!(self.on(0, &at(self.day, bad)), names(alarms));
    }

    /// They end with good lines once the period of the bad ones is over. Without any line, only
    /// those end that look at no state.
    fn ends(&mut self, bad: &[Value], good: &[Value], alarms: &[&str]) {
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
    async fn expect(&mut self, alarms: &[&str], put_right: impl Future) {
        let bad = self.next_look().await;
        self.begins(&bad, alarms);
        put_right.await;
        let good = self.look().await;
        self.ends(&bad, &good, alarms);
        self.keep(&bad, &good);
    }

    fn keep(&mut self, first: &[Value], second: &[Value]) {
        self.lines.extend(at(self.day, first));
        self.lines.extend(at(self.day + PERIOD, second));
    }
}

/// These lines at a time in seconds since 1970, in their order.
fn at(seconds: i64, lines: &[Value]) -> Vec<Value> {
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

fn names(alarms: &[&str]) -> BTreeSet<String> {
    alarms.iter().map(|&name| name.to_owned()).collect()
}

pub(crate) async fn raises_the_alarms(
    print: &Print,
    function: &str,
    single: &Application,
    pair: &Pair,
) {
    let both = [single, &pair.application];
    let watch = &mut Watch::new(function, both).await;
    rotates(&pair.application).await;
    watch.expect(&["never-rotated"], rotates(single)).await;

    let (role, password) = (&single.role, single.password_in("AWSCURRENT").await);
    single.set_password(&random_hex()).await;
    watch.expect(&["mismatch"], single.set_password(&password)).await;

    single.begin().await;
    single.name_function(&arn(function)).await;
    single.set_date("last_changed_date", -2 * HOUR).await;
    watch.expect(&["stuck"], done("recover", single)).await;

    rotates(&pair.application).await;
    single.grow_older(Duration::from_hours(30 * 24)).await;
    watch.expect(&["overdue"], rotates(single)).await;

    until(role, "now() + interval '2 d'").await;
    watch.expect(&["expiring"], until(role, NEVER)).await;

    let good = single.value("AWSCURRENT").await.expect("a value");
    let store = async |value: String| single.put(&random_hex(), &value, &["AWSCURRENT"]).await;
    store(json!({"engine": "postgres"}).to_string()).await;
    watch.expect(&["unknown"], store(good.clone())).await;
    let mut value: Value = serde_json::from_str(&good).expect("JSON");
    value["port"] = json!(free_port());
    store(value.to_string()).await;
    watch.expect(&["unreachable"], store(good.clone())).await;

    let client = world().aws.client();
    client.cancel_rotate_secret().secret_id(&single.secret).send().await.expect("it is off");
    let switched_on = async {
        let on = json!({"secret": single.secret, "rotation_enabled": true}).to_string();
        world().aws.exchange("PUT", "secrets", "now", on).await;
        single.set_date("next_rotation_date", 30 * DAY).await;
    };
    watch.expect(&["disabled"], switched_on).await;
    watch.expect(&[], done("rotate", &pair.application)).await;

    // An operation that is no part of a rotation, and one that is.
    for (operation, alarms) in [("status", &["errors"][..]), ("recover", &["errors", "failed"])] {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        let event = json!({"Operation": operation, "SecretId": "no/such-secret"}).to_string();
        world().aws.call("lambda", "testing", "POST", &path, event).await;
        watch.expect(alarms, rotates(&pair.application)).await;
    }

    // Two at once, and a rotation that fails.
    let (user, _) = pair.credentials("AWSCURRENT").await;
    until(&user, "now() - interval '2 d'").await;
    store(value.to_string()).await;
    assert_eq!(rotate(&single.secret).await["state"], "failed");
    let alarms = ["errors", "expired", "failed", "unreachable"];
    // Not a day later: the rotation would be stuck.
    let bad = watch.look().await;
    watch.begins(&bad, &alarms);
    let shown = [
        (single.name.as_str(), "shop/app"),
        (&pair.application.name, "shop/billing"),
        (&pair.base, "billing"),
    ];
    let lines = [watch.lines.clone(), at(watch.day, &bad)].concat();
    let moment = Moment { function, lines: &lines, now: watch.day, alarms: &watch.states };
    dashboard::shows(&moment, &shown).await;
    until(&user, NEVER).await;
    store(good).await;
    done("recover", single).await;
    let good = watch.look().await;
    watch.ends(&bad, &good, &alarms);
    watch.keep(&bad, &good);

    thresholds(watch, &good);
    each_setting_counts(watch);
    refused(function).await;
    print.proof(
        true,
        &format!(
            "monitor: the schedule looks, and each state raises its alarm and no other; {} alarms",
            ALARMS.len()
        ),
    );
    print.proof(true, "the dashboard: each widget shows what the function has written");
}

async fn rotates(application: &Application) {
    assert_eq!(rotate(&application.secret).await["state"], "succeeded");
}

async fn done(operation: &str, application: &Application) {
    operate(operation, application).await.expect(operation);
}

/// Sets the role's `VALID UNTIL` to that expression.
async fn until(role: &str, time: &str) {
    let sql =
        format!("DO $$ BEGIN EXECUTE format('ALTER ROLE {role} VALID UNTIL %L', {time}); END $$");
    admin().await.batch_execute(&sql).await.expect("the superuser may");
}

/// The alarms that no state raises: the real lines of a look, at other times and with other
/// numbers.
fn thresholds(watch: &mut Watch<'_>, look: &[Value]) {
    let with = |metric: &str, value: Value| {
        let mut lines = look.to_vec();
        let of_it = lines.iter_mut().filter(|line| line[metric].is_number());
        assert_eq!(of_it.map(|line| line[metric] = value.clone()).count(), 1, "{metric}");
        lines
    };
    let throttled = [look.to_vec(), vec![watch.counted(0, 1)]].concat();
    for (alarm, bad, good) in [
        (
            "certificate",
            with("CertificateDaysLeft", json!(29.9)),
            with("CertificateDaysLeft", json!(30)),
        ),
        ("look", with("MonitorErrors", json!(1)), look.to_vec()),
        ("throttles", throttled, look.to_vec()),
    ] {
        watch.begins(&bad, &[alarm]);
        watch.ends(&bad, &good, &[alarm]);
    }
    watch.day += DAY;
    let look = at(watch.day, look);
    for (hours, on) in [(0, &[][..]), (24, &[]), (25, &["silent"])] {
        assert_eq!(watch.on(hours * HOUR, &look), names(on), "after {hours} hours");
    }
}

/// With any setting of an alarm changed, something of the above would have gone another way.
fn each_setting_counts(watch: &Watch<'_>) {
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

/// The schedule's role has one action, which it needs.
async fn refused(function: &str) {
    let name = format!("{function}-monitor-1");
    let role = world().aws.look_up("schedules", &name).await["role"].as_str().unwrap().to_owned();
    let whole = world().aws.look_up("policies", &role).await;
    let allowed: Vec<_> = whole.as_object().unwrap().values().collect();
    assert_eq!(allowed.len(), 1, "{whole}");
    assert_eq!(allowed[0]["Statement"][0]["Action"], json!(["lambda:InvokeFunction"]), "{whole}");
    assert_eq!(allowed[0]["Statement"][0]["Resource"], json!([arn(function)]), "{whole}");
    let mut cut = whole.clone();
    cut["monitor"]["Statement"][0]["Action"] = json!(["none:None"]);
    world().aws.exchange("PUT", "policies", &role, cut.to_string()).await;
    assert_eq!(look(function).await, Err("lambda:InvokeFunction".to_owned()));
    world().aws.exchange("PUT", "policies", &role, whole.to_string()).await;
}
