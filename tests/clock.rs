//! A lease by the clock of a server, which the tests move away from the function's. The application
//! logs in at every moment, and the former credential until its lease ends.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::world::lambda::{Answer, Function};
use crate::world::pair::Pair;
use crate::world::postgres::{Cluster, Settings, Standby};
use crate::world::world;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// The shortest schedule with the shortest lease that it allows, on a server with a clock of its
/// own.
struct Clocked {
    server: &'static Cluster,
    pair: Pair,
    function: Function,
}

impl Clocked {
    async fn new(hours_ahead: i64) -> Self {
        let settings = Settings { clock: Some(hours_ahead * 3600), ..Settings::default() };
        // It runs until the tests end.
        let server: &'static Cluster = Box::leak(Box::new(Cluster::start(&settings)));
        let pair = Pair::on(server).await;
        let every = aws_sdk_secretsmanager::types::RotationRulesType::builder()
            .schedule_expression("rate(4 hours)")
            .build();
        pair.application.schedule(every).await;
        let function = function(server, &pair, &json!({"lease": "6h", "role": pair.base}));
        Self { server, pair, function }
    }

    async fn pass(&self, time: Duration) {
        self.pair.pass(time).await;
    }

    async fn logs_in(&self, label: &str) -> bool {
        let (user, password) = self.pair.credentials(label).await;
        self.server.login(&user, &password).await.is_ok()
    }

    async fn assert_logins(&self, current: bool, previous: bool, moment: &str) {
        assert_eq!(self.logs_in("AWSCURRENT").await, current, "AWSCURRENT, {moment}");
        assert_eq!(self.logs_in("AWSPREVIOUS").await, previous, "AWSPREVIOUS, {moment}");
    }

    /// A turn that Secrets Manager begins.
    async fn turn(&self) {
        let rotation = self.pair.application.rotate(&self.function).await;
        assert_eq!(rotation["state"], "succeeded", "{rotation}");
    }

    async fn ask(&self, event: Value) -> Answer {
        ask(&self.function, &self.pair, event).await
    }

    /// A run of `monitor` on a schedule of one hour.
    async fn monitor(&self) -> Value {
        monitor(&self.function, &self.pair).await
    }
}

fn function(server: &Cluster, pair: &Pair, fields: &Value) -> Function {
    let policy = json!({"secrets": {&pair.application.secret: fields}}).to_string();
    let root = server.ca_file.display().to_string();
    Function::start(&[("ROTATION_POLICY", &policy), ("CA_BUNDLE_FILE", &root)])
}

async fn ask(function: &Function, pair: &Pair, mut event: Value) -> Answer {
    event["SecretId"] = json!(pair.application.secret);
    function.invoke(event).await
}

async fn monitor(function: &Function, pair: &Pair) -> Value {
    let ids = [&pair.application.secret];
    let event = json!({"Operation": "monitor", "SecretIds": ids, "All": true, "EveryHours": 1});
    function.invoke(event).await.unwrap()["Secrets"][0].take()
}

#[tokio::test]
async fn a_lease_ends_by_the_servers_clock_and_never_while_it_is_needed() {
    // From far behind the function's clock to far ahead of it.
    let clocked = Clocked::new(-20).await;
    ten_turns(&clocked).await;
    an_hour_off(&clocked, 1).await;
    an_hour_off(&clocked, -1).await;
    missed_turns(&clocked).await;
    lease_removed(&clocked).await;
    rotation_switched_off(&clocked).await;
    restored_snapshot(&clocked).await;
    replica(&clocked).await;
}

async fn ten_turns(clocked: &Clocked) {
    clocked.turn().await;
    clocked.pass(HOUR * 2 + MINUTE).await;
    for turn in 2..=11 {
        clocked.pass(Duration::from_mins(119)).await;
        clocked.turn().await;
        clocked.assert_logins(true, true, &format!("turn {turn}")).await;
        clocked.pass(Duration::from_mins(119)).await;
        clocked.assert_logins(true, true, &format!("turn {turn}, the last minute")).await;
        clocked.pass(MINUTE * 2).await;
        clocked.assert_logins(true, false, &format!("turn {turn}, a minute later")).await;
    }
    assert!(clocked.server.seconds_ahead() > Some(19 * 3600));
}

/// What the server leaves of a lease counts, whatever the function's own clock says of the date.
async fn an_hour_off(clocked: &Clocked, hours_ahead: i64) {
    let (passes, half_an_hour) = (HOUR * 5 + MINUTE * 30, 1800);
    let at_the_look = hours_ahead * 3600;
    clocked.server.set_clock(at_the_look - i64::try_from(passes.as_secs()).unwrap());
    clocked.turn().await;
    clocked.pass(passes).await;
    // Nothing renews it, so the date alone decides.
    let no_lease = function(clocked.server, &clocked.pair, &json!({"role": clocked.pair.base}));
    let seen = monitor(&no_lease, &clocked.pair).await;
    let left = seen["ExpiresInSeconds"].as_i64().unwrap();
    assert!((half_an_hour - 60..=half_an_hour).contains(&left), "{hours_ahead}: {seen}");
    assert_eq!(seen["State"], "expiring", "{hours_ahead}: {seen}");
    assert!(clocked.logs_in("AWSCURRENT").await);

    clocked.pass(MINUTE * 31).await;
    assert!(!clocked.logs_in("AWSCURRENT").await);
    let seen = monitor(&no_lease, &clocked.pair).await;
    assert_eq!(seen["State"], "expired", "{hours_ahead}: {seen}");
    let recovered = clocked.ask(json!({"Operation": "recover"})).await.unwrap();
    assert_eq!(recovered["Done"], json!(["RenewLease"]), "{recovered}");
    assert!(clocked.logs_in("AWSCURRENT").await);
}

async fn missed_turns(clocked: &Clocked) {
    for missed in [1, 3] {
        clocked.pass(HOUR * 4).await;
        clocked.turn().await;
        for number in 1..=missed {
            clocked.pass(HOUR * 5).await;
            clocked.assert_logins(true, false, &format!("{number} of {missed} missed")).await;
            let seen = clocked.monitor().await;
            let renewed = seen["ExpiresInSeconds"].as_i64().unwrap() > 21_000;
            assert!(renewed, "{number} of {missed}: {seen}");
        }
        clocked.pass(HOUR).await;
        clocked.turn().await;
        clocked.assert_logins(true, true, &format!("after {missed} missed turns")).await;
    }
}

/// The turns after a lease was taken out of the policy leave no date of it. A person's date stays.
async fn lease_removed(clocked: &Clocked) {
    clocked.pass(HOUR * 4).await;
    clocked.turn().await;
    let no_lease = function(clocked.server, &clocked.pair, &json!({"role": clocked.pair.base}));
    let turn = async || {
        let rotation = clocked.pair.application.rotate(&no_lease).await;
        assert_eq!(rotation["state"], "succeeded", "{rotation}");
        ask(&no_lease, &clocked.pair, json!({"Operation": "status"})).await.unwrap()
    };
    for number in 1..=3 {
        clocked.pass(HOUR * 4).await;
        assert!(clocked.logs_in("AWSCURRENT").await, "before turn {number}");
        let status = turn().await;
        assert!(!status["Warnings"].to_string().contains("VALID UNTIL"), "{status}");
    }
    let told = no_lease.await_log_event("the end of the lease", |event| {
        event.to_string().contains("has no end from now on")
    });
    told.await;
    clocked.pass(HOUR * 24 * 30).await;
    clocked.assert_logins(true, true, "a month later").await;

    let (user, _) = clocked.pair.credentials("AWSCURRENT").await;
    let date = format!("ALTER ROLE {user} VALID UNTIL '2100-01-01 00:00:00Z'");
    clocked.pair.superuser(&date).await;
    let until = turn().await["ValidUntil"].take();
    let both = [&clocked.pair.base, &clocked.pair.clone].map(|user| &until[user]);
    assert_eq!(both, ["2100-01-01 00:00:00 UTC"; 2], "{until}");
}

/// `monitor` renews until four leases after the turn, says that this is the end, and then alarms.
async fn rotation_switched_off(clocked: &Clocked) {
    clocked.turn().await;
    let client = world().aws.client();
    client.cancel_rotate_secret().secret_id(&clocked.pair.application.secret).send().await.unwrap();
    for (passes, state, said) in [
        (Duration::from_mins(239), "disabled", "switched off"),
        (HOUR + MINUTE, "expiring", "was renewed until"),
        (HOUR * 5, "expiring", "was renewed until"),
        (HOUR * 5, "expiring", "was renewed until"),
        (HOUR * 5, "expiring", "was renewed until"),
        (HOUR * 3, "expiring", "Four leases after its turn, it is no longer renewed"),
        (HOUR + MINUTE, "expired", "Four leases after its turn, it is no longer renewed"),
    ] {
        clocked.pass(passes).await;
        assert_eq!(clocked.logs_in("AWSCURRENT").await, state != "expired", "{state} {said}");
        let seen = clocked.monitor().await;
        assert_eq!(seen["State"], state, "{seen}");
        assert!(seen["Reason"].as_str().unwrap().contains(said), "{seen}");
    }
    clocked.turn().await;
    clocked.assert_logins(true, false, "switched on again").await;
}

/// The server has the dates and the passwords of two turns ago.
async fn restored_snapshot(clocked: &Clocked) {
    clocked.turn().await;
    clocked.server.while_stopped(|data| copy(data, &data.with_extension("then")));
    for _ in 0..2 {
        clocked.pass(HOUR * 4).await;
        clocked.turn().await;
    }
    clocked.server.while_stopped(|data| {
        std::fs::remove_dir_all(data).unwrap();
        std::fs::rename(data.with_extension("then"), data).unwrap();
    });
    clocked.assert_logins(false, false, "restored").await;
    clocked.turn().await;
    clocked.assert_logins(true, false, "a turn later").await;
}

/// A standby has the primary's dates, by its own clock, and no lease can be renewed there.
async fn replica(clocked: &Clocked) {
    clocked.turn().await;
    clocked.server.become_standby(Standby::Readable);
    clocked.pass(HOUR * 5).await;
    assert!(clocked.logs_in("AWSCURRENT").await);
    let seen = clocked.monitor().await;
    assert_eq!(seen["State"], "expiring", "{seen}");
    assert!(seen["Reason"].as_str().unwrap().contains("read-only standby"), "{seen}");

    clocked.pass(HOUR + MINUTE).await;
    assert!(!clocked.logs_in("AWSCURRENT").await);
    let recover = json!({"Operation": "recover"});
    let refused = clocked.ask(recover.clone()).await.unwrap_err();
    assert!(refused.message.contains("read-only standby"), "{}", refused.message);
    clocked.server.promote();
    let recovered = clocked.ask(recover).await.unwrap();
    assert_eq!(recovered["Done"], json!(["RenewLease"]), "{recovered}");
    assert!(clocked.logs_in("AWSCURRENT").await);
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}
