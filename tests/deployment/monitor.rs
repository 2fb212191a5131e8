//! The schedule looks at the secrets, and each state raises its alarm. The test evaluates
//! Terraform's alarms over the lines that the deployed function wrote.

use std::time::Duration;

use serde_json::{Value, json};

use crate::dashboard::Moment;
use crate::proof::operate;
use crate::watch::{DAY, HOUR, Watch, at, each_setting_counts, names};
use crate::world::application::Application;
use crate::world::lambda::arn;
use crate::world::pair::Pair;
use crate::world::postgres::{admin, free_port};
use crate::world::print::Print;
use crate::world::{random_hex, world};
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
const NEVER: &str = "timestamptz 'infinity'";

/// The answer of a look that the schedule has begun, or why there is none.
pub(crate) async fn look(function: &str) -> Result<Value, String> {
    let name = format!("{function}-monitor-1");
    let begun = world().aws.look_up("schedules", &name).await;
    let problem = begun["refused"].as_str().or(begun["answer"]["errorMessage"].as_str());
    problem.map_or_else(|| Ok(begun.clone()), |problem| Err(problem.to_owned()))
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
