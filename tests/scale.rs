//! How long each step takes on a server with many roles, memberships, grants, objects and
//! databases.
//! `SCALE` is a percentage of the figures in `FULL`.

#![allow(clippy::disallowed_methods, reason = "the server of the tests sends what they asked for")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic fails the test")]

mod world;

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::json;

use world::application::STEPS;
use world::lambda::Function;
use world::pair::Pair;
use world::postgres::{admin, version};
use world::{environment_variable, unique, world};

struct Figures {
    roles: usize,
    memberships: usize,
    grants: usize,
    objects: usize,
    databases: usize,
    /// Databases that hold something of the pair, beside the secret's.
    with_something: usize,
}

const FULL: Figures = Figures {
    roles: 10_000,
    memberships: 10_000,
    grants: 100_000,
    objects: 50_000,
    databases: 200,
    with_something: 10,
};
/// Of one step.
const TIME: Duration = Duration::from_secs(2);
/// Of one further database, since four are asked at a time.
const DATABASE_TIME: Duration = Duration::from_millis(50);
const MEMORY_KIB: u64 = 32 * 1024;
/// A machine that does other work must not decide.
const ATTEMPTS: usize = 3;

fn figures() -> Figures {
    let percent: usize =
        environment_variable("SCALE").map_or(10, |scale| scale.parse().expect("a percentage"));
    let of = |figure: usize| (figure * percent / 100).max(1);
    Figures {
        roles: of(FULL.roles),
        memberships: of(FULL.memberships),
        grants: of(FULL.grants),
        objects: of(FULL.objects),
        databases: of(FULL.databases),
        with_something: FULL.with_something.min(of(FULL.databases)),
    }
}

fn say(line: &str) {
    // The test runner swallows what println! prints.
    writeln!(std::io::stdout().lock(), "{line}").unwrap();
}

async fn superuser(database: &str, sql: &str) {
    let postgres = &world().postgres;
    let session = postgres.login_to(database, "postgres", &postgres.admin_password).await.unwrap();
    session.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// Repeats a statement for each number up to `count`, in transactions that the lock table can hold.
async fn repeat(database: &str, count: usize, statement: &str) {
    let body = format!(
        "DO $$ BEGIN FOR n IN 1..{count} LOOP EXECUTE format('{statement}', n); \
         IF n % 500 = 0 THEN COMMIT; END IF; END LOOP; END $$"
    );
    superuser(database, &body).await;
}

/// Vacuums and analyzes as autovacuum has done on a server that has run for a while. Where
/// `pg_hba.conf` names a group, the server's first login after that reads all memberships without
/// an index, which takes seconds.
async fn settle(database: &str) {
    for database in ["postgres", database] {
        superuser(database, "VACUUM ANALYZE").await;
    }
}

/// The shortest of some attempts at a step, which has the same end each time.
async fn fastest(pair: &Pair, function: &Function, step: &str, token: &str) -> (Duration, String) {
    let mut best = Duration::MAX;
    let mut end = String::new();
    for _ in 0..ATTEMPTS {
        let started = Instant::now();
        let answer = pair.application.step(function, step, token).await;
        best = best.min(started.elapsed());
        end = answer.map_or_else(|failure| failure.message, |report| report["Outcome"].to_string());
        if best < TIME / 2 {
            break;
        }
    }
    (best, end)
}

fn kept(what: &str, took: Duration, limit: Duration) {
    say(&format!("  {what:<58} {:>6} ms of {:>5}", took.as_millis(), limit.as_millis()));
    assert!(took <= limit, "{what}: {took:?}");
}

async fn memory(function: &Function) {
    let peak = function.usage().await.peak_memory_kib;
    say(&format!("  {:<58} {:>6} MiB of {:>4}", "peak memory", peak / 1024, MEMORY_KIB / 1024));
    assert!(peak <= MEMORY_KIB, "{peak} KiB");
}

#[tokio::test]
async fn each_step_is_fast_and_small_however_much_there_is() {
    let figures = figures();
    let version = version().await;
    let database = unique("shop_");
    // It would come at any time.
    superuser("postgres", "ALTER SYSTEM SET autovacuum = off").await;
    superuser("postgres", "SELECT pg_reload_conf()").await;
    admin().await.batch_execute(&format!("CREATE DATABASE {database}")).await.unwrap();
    let pair = Pair::edited(|document| document["dbname"] = json!(database)).await;
    say(&format!(
        "PostgreSQL {}: {} roles, {} memberships, {} grants, {} objects, {} databases, {} of them \
         with something of the pair",
        version / 10_000,
        figures.roles,
        figures.memberships,
        figures.grants,
        figures.objects,
        figures.databases,
        figures.with_something
    ));
    let tenants = unique("tenant_");
    // From PostgreSQL 16 on, the role that creates another one gets ADMIN OPTION on it.
    let grant = if version < 160_000 {
        format!("; GRANT {tenants}_%1$s TO {} WITH ADMIN OPTION", pair.admin)
    } else {
        String::new()
    };
    let create = format!("SET ROLE {}; CREATE ROLE {tenants}_%1$s; RESET ROLE{grant}", pair.admin);
    repeat("postgres", figures.roles, &create).await;
    let mut others = Vec::new();
    for n in 0..figures.databases {
        let name = unique("other_");
        admin().await.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        if n < figures.with_something {
            others.push(name);
        }
    }

    // Both users act as one role, and are members of many.
    let function = Function::start(&[]);
    repeat("postgres", figures.memberships, &format!("GRANT {tenants}_%s TO {}", pair.base)).await;
    settle(&database).await;
    drop(pair.session("AWSCURRENT").await);
    for turn in ["first", "second"] {
        let token = pair.application.begin().await;
        for step in STEPS {
            let started = Instant::now();
            pair.application.steps(&function, &[step], &token).await;
            kept(
                &format!("{turn} turn of a member of all of them, {step}"),
                started.elapsed(),
                TIME,
            );
        }
    }
    memory(&function).await;

    // As AWS's function leaves a pair: all that the clone has is missing.
    let unequal = Pair::edited(|document| document["dbname"] = json!(database)).await;
    unequal.imitate_aws_function().await;
    superuser(&database, &unequal.filled("CREATE SCHEMA s; GRANT USAGE ON SCHEMA s TO :clone"))
        .await;
    let per_object = (figures.grants / figures.objects).clamp(1, 4);
    let privileges = ["SELECT", "INSERT", "UPDATE", "DELETE"][..per_object].join(", ");
    let clone = &unequal.clone;
    repeat(
        &database,
        figures.objects,
        &format!("CREATE TABLE s.t%1$s (id int); GRANT {privileges} ON s.t%1$s TO {clone}"),
    )
    .await;
    for name in &others {
        repeat(
            name,
            10,
            &format!(
                "CREATE TABLE public.t%1$s (id int); ALTER TABLE public.t%1$s OWNER TO {clone}"
            ),
        )
        .await;
    }
    settle(&database).await;
    let token = unequal.application.begin().await;
    let here = json!({"defaults": {"databases": []}}).to_string();
    let (everywhere, here) =
        (Function::start(&[]), Function::start(&[("ROTATION_POLICY", here.as_str())]));
    unequal.application.steps(&here, &["createSecret"], &token).await;
    let (took, end) = fastest(&unequal, &here, "setSecret", &token).await;
    assert!(end.contains("PasswordSet"), "{end}");
    kept("setSecret of an unequal pair", took, TIME);
    let (alone, end) = fastest(&unequal, &here, "testSecret", &token).await;
    let missing = figures.objects * per_object + 1;
    assert!(end.contains(&format!("({missing} differences)")), "{end}");
    kept("testSecret of an unequal pair, in one database", alone, TIME);
    let (all, end) = fastest(&unequal, &everywhere, "testSecret", &token).await;
    let missing = missing + 10 * others.len();
    assert!(end.contains(&format!("({missing} differences)")), "{end}");
    kept("testSecret of an unequal pair, in all databases", all, TIME);
    let count = u32::try_from(others.len()).unwrap();
    kept("for each further database", all.saturating_sub(alone) / count, DATABASE_TIME);
    memory(&everywhere).await;
}
