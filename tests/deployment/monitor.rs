//! The schedule looks at the secrets, and each state raises its alarm: the alarms that Terraform
//! has made are evaluated over the lines that the deployed function has written.

use std::collections::{BTreeMap, BTreeSet};

use postgres_protocol::escape::escape_literal;
use serde_json::{Value, json};

use crate::rotate;
use crate::world::alarms::{Alarm, State};
use crate::world::application::Application;
use crate::world::lambda::arn;
use crate::world::pair::Pair;
use crate::world::postgres::{admin, free_port};
use crate::world::print::Print;
use crate::world::{project, random_hex, world};

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

/// The answer of a look that the schedule has begun, or why there is none.
pub(crate) async fn look(function: &str) -> Result<Value, String> {
    let name = format!("{function}-monitor-1");
    let begun = world().aws.look_up("schedules", &name).await;
    let problem = begun["refused"].as_str().or(begun["answer"]["errorMessage"].as_str());
    problem.map_or_else(|| Ok(begun.clone()), |problem| Err(problem.to_owned()))
}

/// The alarms of a function, and what they have seen.
struct Watch<'a> {
    function: &'a str,
    alarms: Vec<Alarm>,
    states: BTreeMap<String, State>,
    /// How many lines of the log were evaluated already.
    seen: usize,
}

impl<'a> Watch<'a> {
    async fn new(function: &'a str) -> Self {
        let found = world().aws.look_up("alarms", function).await;
        let alarms: Vec<Alarm> = serde_json::from_value(found).expect("alarms");
        assert_eq!(alarms.len(), ALARMS.len(), "{alarms:?}");
        let runbook = std::fs::read_to_string(project().join("RUNBOOK.md")).expect("the runbook");
        for alarm in ALARMS.map(|name| name.replace('_', "-")) {
            assert!(runbook.contains(&format!("<a id=\"alarm-{alarm}\">")), "{alarm} has a row");
        }
        let states = alarms.iter().map(|alarm| (alarm.name.clone(), State::Ok)).collect();
        Self { function, alarms, states, seen: 0 }
    }

    /// The lines that the function has written since the last time.
    async fn new_lines(&mut self) -> Vec<Value> {
        let log = world().aws.look_up("logs", self.function).await;
        let lines = log.as_array().expect("lines");
        let parsed = lines[self.seen..].iter().filter_map(|line| line.as_str());
        let parsed = parsed.filter_map(|line| serde_json::from_str(line).ok()).collect();
        self.seen = lines.len();
        parsed
    }

    /// Which alarms are on after these lines, at the time of the last one and some seconds more.
    fn on(&mut self, lines: &[Value], seconds: i64) -> BTreeSet<String> {
        let times = lines.iter().filter_map(|line| line["_aws"]["Timestamp"].as_i64());
        let now = times.max().expect("a line with a time") / 1000 + seconds;
        for alarm in &self.alarms {
            let state = self.states.get_mut(&alarm.name).expect("a state");
            *state = alarm.state(lines, now, *state);
        }
        let on = self.states.iter().filter(|(_, state)| **state == State::Alarm);
        let short = |name: &String| name[self.function.len() + 1..].to_owned();
        on.map(|(name, _)| short(name)).collect()
    }

    /// Has the schedule look, and says which alarms are on then.
    async fn look(&mut self) -> BTreeSet<String> {
        self.new_lines().await;
        look(self.function).await.expect("the schedule invokes the function");
        let lines = self.new_lines().await;
        self.on(&lines, 0)
    }

    /// One state has its alarm, and no other.
    async fn expect(&mut self, alarm: &str) {
        let on = self.look().await;
        assert_eq!(on, BTreeSet::from([alarm.to_owned()]), "{alarm}");
    }
}

pub(crate) async fn raises_the_alarms(
    print: &Print,
    function: &str,
    single: &Application,
    pair: &Pair,
) {
    let mut watch = Watch::new(function).await;
    watch.expect("never-rotated").await;
    for secret in [&single.secret, &pair.application.secret] {
        assert_eq!(rotate(secret).await["state"], "succeeded");
    }
    assert_eq!(watch.look().await, BTreeSet::new(), "all is in order");

    let role = &single.role;
    let password = single.password_in("AWSCURRENT").await;
    single.set_password(&random_hex()).await;
    watch.expect("mismatch").await;
    // A rotation that ends well is no look, so the alarm stays.
    let lines = vec![json!({"_aws": {"Timestamp": 1_000_000_000_000_i64}})];
    assert_eq!(watch.on(&lines, 0).len(), 2, "mismatch, and silent in 2001");
    single.set_password(&password).await;

    single.begin().await;
    single.name_function(&arn(function)).await;
    single.set_date("last_changed_date", -2 * HOUR).await;
    watch.expect("stuck").await;
    single.remove_pending_label().await;

    single.set_date("next_rotation_date", -5 * HOUR).await;
    watch.expect("overdue").await;
    single.set_date("next_rotation_date", 5 * HOUR).await;

    let until = async |role: &str, time: &str| {
        let alter = format!("ALTER ROLE {role} VALID UNTIL {}", escape_literal(time));
        admin().await.batch_execute(&alter).await.expect("the superuser may");
    };
    let days = async |days: i32| {
        let time = format!("SELECT (now() + {days} * interval '1 d')::text");
        admin().await.query_one(&time, &[]).await.expect("a time").get::<_, String>(0)
    };
    until(role, &days(2).await).await;
    watch.expect("expiring").await;
    until(role, "infinity").await;
    let (user, _) = pair.credentials("AWSCURRENT").await;
    until(&user, &days(-2).await).await;
    watch.expect("expired").await;
    until(&user, "infinity").await;

    let mut value: Value =
        serde_json::from_str(&single.value("AWSCURRENT").await.expect("a value")).expect("JSON");
    let good = value.to_string();
    value["port"] = json!(free_port());
    for (alarm, bad) in [("unreachable", value), ("unknown", json!({"engine": "postgres"}))] {
        single.put(&random_hex(), &bad.to_string(), &["AWSCURRENT"]).await;
        watch.expect(alarm).await;
    }
    single.put(&random_hex(), &good, &["AWSCURRENT"]).await;

    let client = world().aws.client();
    client.cancel_rotate_secret().secret_id(&single.secret).send().await.expect("it is off");
    watch.expect("disabled").await;
    let on = json!({"secret": single.secret, "rotation_enabled": true}).to_string();
    world().aws.exchange("PUT", "secrets", "now", on).await;
    single.set_date("next_rotation_date", 24 * HOUR).await;
    assert_eq!(watch.look().await, BTreeSet::new(), "all is in order again");

    thresholds(&mut watch).await;
    refused(function).await;
    print.proof(
        true,
        &format!(
            "monitor: the schedule looks, and each state raises its alarm and no other; {} alarms",
            ALARMS.len()
        ),
    );
}

/// The alarms that need time: the real line of a look, at other times and with other numbers.
async fn thresholds(watch: &mut Watch<'_>) {
    look(watch.function).await.expect("a look");
    let lines = watch.new_lines().await;
    let real = lines.iter().find(|line| line["Secrets"].is_number()).expect("a look's line");
    assert!(real["CertificateDaysLeft"].as_f64().is_some_and(|days| days > 30.0), "{real}");
    for (days, goes_off) in [(30.0, false), (29.9, true)] {
        let mut line = real.clone();
        line["CertificateDaysLeft"] = json!(days);
        assert_eq!(watch.on(&[line], 0).contains("certificate"), goes_off, "{days} days");
    }
    let mut incomplete = lines.clone();
    for line in incomplete.iter_mut().filter(|line| line["MonitorErrors"].is_number()) {
        line["MonitorErrors"] = json!(1);
    }
    assert!(watch.on(&incomplete, 0).contains("look"));
    assert_eq!(watch.on(&lines, 0), BTreeSet::new());
    for (hours, goes_off) in [(24, false), (25, true)] {
        assert_eq!(watch.on(&lines, hours * HOUR).contains("silent"), goes_off, "{hours} hours");
    }
    watch.on(&lines, 0);
    // A step that fails.
    let path = format!("/2015-03-31/functions/{}/invocations", watch.function);
    let event = json!({"Operation": "recover", "SecretId": "no/such-secret"}).to_string();
    world().aws.call("lambda", "testing", "POST", &path, event).await;
    let lines = [lines, watch.new_lines().await].concat();
    assert_eq!(watch.on(&lines, 0), BTreeSet::from(["failed".to_owned()]));
    assert_eq!(watch.on(&lines, 10 * 60), BTreeSet::new(), "it ends on its own");
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
