//! A lease: the database itself ends a password, and never one that the application needs.
//!
//! Time passes by moving dates back: those of the roles and those of Secrets Manager. `clock.rs`
//! moves the server's clock.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_secretsmanager::types::RotationRulesType;
use serde_json::{Value, json};

use crate::world::application::STEPS;
use crate::world::lambda::{Answer, Function};
use crate::world::pair::Pair;
use crate::world::postgres::admin;
use crate::world::world;

const HOUR: Duration = Duration::from_hours(1);

fn every(expression: &str) -> RotationRulesType {
    RotationRulesType::builder().schedule_expression(expression).build()
}

/// A pair under the shortest schedule, and a function with the shortest lease that this allows.
struct Leased {
    pair: Pair,
    function: Function,
}

impl Leased {
    async fn new() -> Self {
        Self::with(json!({})).await
    }

    /// With more fields of the policy.
    async fn with(more: Value) -> Self {
        let pair = Pair::new().await;
        pair.application.schedule(every("rate(4 hours)")).await;
        let function = function(&pair, &more);
        Self { pair, function }
    }

    /// Time passes, for the database and for Secrets Manager.
    async fn pass(&self, time: Duration) {
        self.pair.pass(time).await;
    }

    /// The hours that are left of each user's password, rounded; users without an end are left out.
    async fn hours_left(&self) -> BTreeMap<String, i64> {
        let sql = "SELECT rolname::text, round(extract(epoch FROM rolvaliduntil - now()) / \
                   3600)::int8 FROM pg_roles WHERE rolname = ANY ($1) AND isfinite(rolvaliduntil)";
        let users = vec![self.pair.base.clone(), self.pair.clone.clone()];
        let rows = admin().await.query(sql, &[&users]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// The hours that are left of the user in AWSCURRENT.
    async fn current_hours(&self) -> Option<i64> {
        self.hours_left().await.remove(&self.pair.credentials("AWSCURRENT").await.0)
    }

    async fn logs_in(&self, label: &str) -> bool {
        let (user, password) = self.pair.credentials(label).await;
        world().postgres.login(&user, &password).await.is_ok()
    }

    async fn operate(&self, operation: &str, more: Value) -> Answer {
        self.pair.application.operate(&self.function, operation, more).await
    }

    async fn status(&self) -> Value {
        self.operate("status", json!({})).await.unwrap()
    }

    async fn turn(&self) {
        self.pair.turn(&self.function).await;
    }
}

fn function(pair: &Pair, more: &Value) -> Function {
    let mut fields = json!({"lease": "6h", "role": pair.base});
    for (key, value) in more.as_object().unwrap() {
        fields[key] = value.clone();
    }
    let policy = json!({"secrets": {&pair.application.secret: fields}}).to_string();
    Function::start(&[("ROTATION_POLICY", &policy)])
}

#[tokio::test]
async fn a_turn_sets_one_date_by_one_statement_and_every_report_names_it() {
    let leased = Leased::new().await;
    let (base, clone) = (leased.pair.base.clone(), leased.pair.clone.clone());
    let token = leased.pair.application.abandon_and_begin().await;
    for step in STEPS {
        let report = leased.pair.application.step(&leased.function, step, &token).await.unwrap();
        if step == "setSecret" {
            let until = report["ValidUntil"].as_str().unwrap();
            let message = report["Message"].as_str().unwrap();
            assert!(message.contains(&format!(", valid until {until}")), "{report}");
            let until = until.replace(" UTC", ".513726 UTC");
            let sql = format!("VALID UNTIL '{until}' PASSWORD 'SCRAM-SHA-256$");
            assert!(world().postgres.log().contains(&sql), "one statement");
            leased.function.await_log_event("the date", |event| event["message"] == message).await;
        }
    }
    // The user of the time before the policy had a lease keeps its password until its turn.
    assert_eq!(leased.hours_left().await, BTreeMap::from([(clone.clone(), 6)]));
    leased.pass(HOUR * 4).await;
    leased.turn().await;
    let lefts = BTreeMap::from([(base.clone(), 6), (clone.clone(), 2)]);
    assert_eq!(leased.hours_left().await, lefts, "a turn touches the other user's date never");
    let status = leased.status().await;
    let seconds = |user: &str| status["ExpiresInSeconds"][user].as_i64().unwrap();
    assert!((21_000..=21_600).contains(&seconds(&base)), "{status}");
    assert!((6_600..=7_200).contains(&seconds(&clone)), "{status}");
    assert!(status["ValidUntil"][&base].as_str().unwrap().ends_with(" UTC"), "{status}");
    assert_eq!(leased.status().await["Remedy"], "Nothing");
}

#[tokio::test]
async fn a_missed_turn_is_no_outage_and_three_are_the_limit() {
    let leased = Leased::new().await;
    leased.turn().await;
    for (passed, before, after) in [
        (HOUR * 4, 2, None),
        // One turn is missed, then three. 24 hours after the turn is the end.
        (HOUR, 1, Some(6)),
        (HOUR * 5, 1, Some(6)),
        (HOUR * 5, 1, Some(6)),
        (HOUR * 5, 1, Some(4)),
        (HOUR * 3, 1, None),
    ] {
        leased.pass(passed).await;
        assert_eq!(leased.current_hours().await, Some(before));
        let remedy = if after.is_some() { "RenewLease" } else { "Nothing" };
        assert_eq!(leased.status().await["Remedy"], remedy, "{before}");
        let report = leased.operate("recover", json!({})).await.unwrap();
        assert_eq!(report["Done"], json!(after.map(|_| remedy).as_slice()), "{report}");
        assert_eq!(leased.current_hours().await, Some(after.unwrap_or(before)), "{report}");
        assert!(leased.logs_in("AWSCURRENT").await);
    }
    leased.pass(HOUR * 2).await;
    assert!(!leased.logs_in("AWSCURRENT").await);
    let refused = leased.operate("recover", json!({})).await.unwrap_err();
    for expected in ["(VALID UNTIL)", "Four leases after it began", "needs no login of this user"] {
        assert!(refused.message.contains(expected), "{}", refused.message);
    }
    // The policy binds the secret to its role: no login has to prove that they belong together.
    leased.turn().await;
    assert_eq!(leased.current_hours().await, Some(6));
    assert!(leased.logs_in("AWSCURRENT").await);
}

#[tokio::test]
async fn a_lease_that_has_ended_is_named_and_renewed_without_a_new_password() {
    let leased = Leased::new().await;
    leased.turn().await;
    leased.pass(HOUR * 9).await;
    let (user, password) = leased.pair.credentials("AWSCURRENT").await;
    assert!(!leased.logs_in("AWSCURRENT").await);

    let status = leased.status().await;
    assert_eq!(status["Remedy"], "RenewLease", "{status}");
    let reason = status["Versions"][0]["Reason"].as_str().unwrap();
    for expected in [&user, "(VALID UNTIL)", "The next rotation brings a new lease", "\"recover\""]
    {
        assert!(reason.contains(expected), "{reason}");
    }
    let report = leased.operate("recover", json!({})).await.unwrap();
    assert_eq!(report["Done"], json!(["RenewLease"]), "{report}");
    assert_eq!(leased.pair.credentials("AWSCURRENT").await, (user.clone(), password));
    assert!(leased.logs_in("AWSCURRENT").await);
    assert_eq!(leased.current_hours().await, Some(6));

    // The next turn needs no person either.
    leased.pass(HOUR * 8).await;
    assert!(!leased.logs_in("AWSCURRENT").await);
    let rotation = leased.pair.application.rotate(&leased.function).await;
    assert_eq!(rotation["state"], "succeeded", "{rotation}");
    assert_eq!(leased.current_hours().await, Some(6));
    assert_eq!(leased.hours_left().await[&user], -2, "the date of the user before stays");
    let warning = leased.function.await_log_event("the warning", |event| {
        event.to_string().contains("the lease of AWSCURRENT had ended at")
    });
    warning.await;
}

#[tokio::test]
async fn a_password_that_is_wrong_too_is_not_revived() {
    let leased = Leased::new().await;
    leased.turn().await;
    // As after the restoration of a snapshot: the dates and the passwords are old.
    leased.pass(HOUR * 7).await;
    leased.pair.superuser("ALTER ROLE :clone PASSWORD 'another'").await;
    let refused = leased.operate("recover", json!({})).await.unwrap_err();
    assert_eq!(refused.kind, "LoginRejected", "{}", refused.message);
    assert_eq!(leased.current_hours().await, Some(-1), "the old date is set again");
    let token = leased.pair.application.abandon_and_begin().await;
    leased.pair.application.steps(&leased.function, &STEPS, &token).await;
    assert!(leased.logs_in("AWSCURRENT").await);
}

#[tokio::test]
async fn a_rotation_that_fails_leaves_time_and_going_back_does_too() {
    let leased = Leased::new().await;
    leased.turn().await;
    leased.pass(HOUR * 5).await;
    let strict = function(&leased.pair, &json!({"grants": ["SELECT ON TABLE no.such"]}));
    let event = json!({"Operation": "rotate", "SecretId": leased.pair.application.secret});
    let refused = strict.invoke(event).await.unwrap_err();
    assert_eq!(refused.kind, "DeclaredRightsMissing", "{}", refused.message);
    assert_eq!(leased.current_hours().await, Some(6));

    leased.operate("recover", json!({"Prefer": "back"})).await.unwrap();
    leased.turn().await;
    leased.pass(HOUR * 5).await;
    leased.operate("recover", json!({"Prefer": "previous"})).await.unwrap();
    assert_eq!(leased.pair.credentials("AWSCURRENT").await.0, leased.pair.clone);
    assert_eq!(leased.current_hours().await, Some(6));
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_anything_changes() {
    let refuse = async |pair: &Pair, function: &Function, expected: &[&str]| {
        let before = pair.application.snapshot().await;
        let rotation = pair.application.rotate(function).await;
        assert_eq!(rotation["state"], "failed", "{rotation}");
        let error = rotation["steps"][0]["error"].as_str().unwrap();
        for expected in expected {
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!(pair.application.snapshot().await, before, "{error}");
        // The test of a new rotation says it as well, before the first turn.
        let test = pair.application.test(function).await;
        assert_eq!(test["state"], "failed", "{test}");
        assert!(test["steps"][0]["error"].as_str().unwrap().contains(expected[0]), "{test}");
        let event = json!({"Operation": "preflight", "SecretId": pair.application.secret});
        let preflight = function.invoke(event).await.unwrap();
        let message = preflight["Message"].as_str().unwrap();
        assert!(message.contains(expected[expected.len() - 1]), "{preflight}");
    };
    let pair = Pair::new().await;
    refuse(&pair, &function(&pair, &json!({})), &["lease needs a schedule"]).await;
    for (expression, expected) in [
        ("rate(5 hours)", "needs 8h or more: 5h from turn to turn, 1h of window"),
        ("rate(1 day)", "needs 54h or more: 24h from turn to turn, 24h of window"),
        ("cron(0 8 ? * MON-FRI *)", "needs 114h or more: 72h from turn to turn"),
    ] {
        pair.application.schedule(every(expression)).await;
        refuse(&pair, &function(&pair, &json!({})), &["InvalidConfiguration", expected]).await;
    }
    pair.application.schedule(every("rate(4 hours)")).await;
    let long = function(&pair, &json!({"overlap": "80m"}));
    refuse(&pair, &long, &["overlap is 2h, and its schedule has a turn every 4h"]).await;
    let single = function(&pair, &json!({"strategy": "single-user"}));
    refuse(&pair, &single, &["lease needs two users"]).await;
    let unbound = function(&pair, &json!({"role": null}));
    refuse(&pair, &unbound, &["the admin sets VALID UNTIL for that role"]).await;
}

/// The admin prolongs the password of no role that only the secret names.
#[tokio::test]
async fn a_lease_prolongs_no_role_that_the_policy_does_not_name() {
    let leased = Leased::new().await;
    leased.turn().await;
    leased.pass(HOUR * 9).await;
    let unbound = function(&leased.pair, &json!({"role": null}));
    let ask = async |operation: &str| {
        let secret = leased.pair.application.secret.as_str();
        unbound.invoke(json!({"Operation": operation, "SecretId": secret})).await
    };
    let refused = ask("recover").await.unwrap_err();
    assert!(refused.message.contains("(VALID UNTIL)"), "{}", refused.message);
    let watched =
        json!({"Operation": "monitor", "SecretIds": [leased.pair.application.secret], "All": true});
    let watched = unbound.invoke(watched).await.unwrap();
    assert_eq!(watched["Secrets"][0]["State"], "expired", "{watched}");
    assert_eq!(leased.current_hours().await, Some(-3));
}

#[tokio::test]
async fn a_date_without_a_lease_is_named_and_nothing_else() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    pair.superuser("ALTER ROLE :base VALID UNTIL '2020-02-02 02:02:02Z'").await;
    let token = pair.application.begin().await;
    pair.application.steps(&function, &STEPS[..1], &token).await;
    let refused = pair.application.step(&function, "setSecret", &token).await.unwrap_err();
    assert_eq!(refused.kind, "NoCredentialAccepted");
    let ended = format!("\"{}\" ended at 2020-02-02 02:02:02 UTC (VALID UNTIL)", pair.base);
    let advice = format!("ALTER ROLE \"{}\" VALID UNTIL 'infinity'", pair.base);
    for expected in [&ended, &advice] {
        assert!(refused.message.contains(expected), "{}", refused.message);
    }
    let event = json!({"Operation": "status", "SecretId": pair.application.secret});
    let status = function.invoke(event).await.unwrap();
    assert!(status["Versions"][0]["Reason"].as_str().unwrap().contains(&ended), "{status}");
    assert_eq!(status["Remedy"], "TryOlderPasswords", "{status}");
    pair.superuser(&advice).await;
    pair.application.steps(&function, &STEPS[1..], &token).await;
}

async fn monitor(leased: &Leased, more: Value) -> Value {
    let mut event = json!({"Operation": "monitor", "SecretIds": [leased.pair.application.secret],
        "All": true});
    for (key, value) in more.as_object().unwrap() {
        event[key] = value.clone();
    }
    leased.function.invoke(event).await.unwrap()["Secrets"][0].take()
}

#[tokio::test]
async fn monitor_renews_what_no_turn_renews_and_says_so() {
    let leased = Leased::new().await;
    let rotation = leased.pair.application.rotate(&leased.function).await;
    assert_eq!(rotation["state"], "succeeded", "{rotation}");
    leased.pass(HOUR * 4).await;
    let seen = monitor(&leased, json!({})).await;
    assert_eq!((&seen["State"], leased.current_hours().await), (&json!("ok"), Some(2)), "{seen}");
    // Two runs of a schedule have to fit into what is left.
    let seen = monitor(&leased, json!({"EveryHours": 2})).await;
    assert_eq!(seen["State"], "expiring", "{seen}");
    let reason = seen["Reason"].as_str().unwrap();
    assert!(reason.contains("No rotation came in time") && reason.contains("renewed until"));
    assert!(seen["Command"].as_str().unwrap().contains("--via secrets-manager"), "{seen}");
    assert!(seen["ExpiresInSeconds"].as_i64().unwrap() > 21_000, "{seen}");
    assert_eq!(leased.current_hours().await, Some(6));

    // It failed for long, or was switched on late: the end has passed.
    leased.pass(HOUR * 7).await;
    assert!(!leased.logs_in("AWSCURRENT").await);
    let lets_it = function(&leased.pair, &json!({"on_overdue": "expire"}));
    let event = json!({"Operation": "monitor", "SecretIds": [leased.pair.application.secret]});
    let seen = lets_it.invoke(event).await.unwrap()["Secrets"][0].take();
    assert_eq!(seen["State"], "expired", "{seen}");
    assert!(seen["Reason"].as_str().unwrap().contains("as on_overdue in"), "{seen}");
    assert!(seen["Command"].as_str().unwrap().contains("recover"), "{seen}");
    assert!(!leased.logs_in("AWSCURRENT").await);
    let seen = monitor(&leased, json!({})).await;
    // Seven hours after the window, the rotation is overdue as well, which is worse.
    assert!(["expiring", "overdue"].contains(&seen["State"].as_str().unwrap()), "{seen}");
    assert!(leased.logs_in("AWSCURRENT").await);

    // Four leases after the turn is the end.
    leased.pass(HOUR * 13).await;
    let seen = monitor(&leased, json!({})).await;
    assert_eq!(seen["State"], "expired", "{seen}");
    assert!(seen["Reason"].as_str().unwrap().contains("no longer renewed"), "{seen}");
}

#[tokio::test]
async fn monitor_ends_the_sessions_of_an_ended_credential_where_the_policy_says_so() {
    let leased = Leased::with(json!({"terminate_on_retire": true})).await;
    leased.pair.superuser("GRANT pg_signal_backend TO :admin").await;
    leased.turn().await;
    leased.turn().await;
    let (old, new) =
        (leased.pair.session("AWSPREVIOUS").await, leased.pair.session("AWSCURRENT").await);
    // Any session may take our name.
    old.batch_execute("SET application_name = 'postgres-secret-rotation'").await.unwrap();
    leased.pass(HOUR * 5).await;
    monitor(&leased, json!({})).await;
    old.batch_execute("SELECT").await.expect("its password has not ended");
    leased.pair.superuser("ALTER ROLE :clone VALID UNTIL '2020-02-02 02:02:02Z'").await;
    let seen = monitor(&leased, json!({})).await;
    let warnings = seen["Warnings"].to_string();
    assert!(warnings.contains("1 session of role") && warnings.contains("2020-02-02"), "{seen}");
    old.batch_execute("SELECT").await.expect_err("its session was ended");
    new.batch_execute("SELECT").await.expect("the current user's session stays open");
}
