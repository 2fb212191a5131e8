//! Two users that take turns: neither ever loses a login, a right, an object or a setting.

mod equality;
mod retries;

use postgres_protocol::escape::escape_identifier;
use serde_json::json;
use tokio_postgres::Client;

use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::postgres::admin;
use crate::world::proxy::AwsProxy;
use crate::world::{eventually, unique, world};

/// Who a session is, and whose rights it has.
async fn identity(session: &Client) -> (String, String) {
    let row =
        session.query_one("SELECT session_user::text, current_user::text", &[]).await.unwrap();
    (row.get(0), row.get(1))
}

/// Settings of a role, by database and name.
async fn settings(role: &str) -> Vec<String> {
    let sql = "SELECT COALESCE(d.datname, '') || ' ' || e AS entry \
               FROM pg_db_role_setting AS s CROSS JOIN unnest(s.setconfig) AS e LEFT JOIN \
               pg_database AS d ON d.oid = s.setdatabase WHERE s.setrole = (SELECT oid FROM \
               pg_roles WHERE rolname = $1) AND e NOT LIKE 'role=%' ORDER BY 1";
    admin().await.query(sql, &[&role]).await.unwrap().into_iter().map(|row| row.get(0)).collect()
}

fn owner_policy(pair: &Pair, owner: &str) -> String {
    json!({"secrets": {&pair.application.secret: {"owner_role": owner}}}).to_string()
}

/// Makes both users act as a role that cannot log in.
async fn move_to_owner(pair: &Pair, owner: &str) {
    let quoted = escape_identifier(owner);
    pair.superuser(&format!(
        "CREATE ROLE {quoted} NOLOGIN; GRANT {quoted} TO :base; GRANT {quoted} TO :admin WITH \
         ADMIN OPTION; ALTER ROLE :base SET role = {quoted}; ALTER SCHEMA :base OWNER TO {quoted}; \
         GRANT CREATE ON DATABASE postgres TO {quoted}"
    ))
    .await;
}

#[tokio::test]
async fn the_second_user_is_made_and_the_first_goes_on() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    let first = pair.credentials("AWSCURRENT").await;
    pair.turn(&function).await;
    assert_eq!(pair.credentials("AWSPREVIOUS").await, first);
    let second = pair.credentials("AWSCURRENT").await;
    assert_eq!(second.0, pair.clone);
    assert_eq!(
        identity(&pair.session("AWSCURRENT").await).await,
        (pair.clone.clone(), pair.base.clone())
    );
    assert_eq!(
        identity(&pair.session("AWSPREVIOUS").await).await,
        (pair.base.clone(), pair.base.clone())
    );

    pair.turn(&function).await;
    assert_eq!(pair.credentials("AWSPREVIOUS").await, second);
    let third = pair.credentials("AWSCURRENT").await;
    assert_eq!(third.0, pair.base);
    assert_ne!(third.1, first.1);
    pair.session("AWSCURRENT").await;
    pair.session("AWSPREVIOUS").await;
}

#[tokio::test]
async fn secrets_manager_rotates_a_secret_made_for_awss_functions() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    for user in [&pair.clone, &pair.base, &pair.clone] {
        let rotation = pair.application.rotate(&function).await;
        assert_eq!(rotation["state"], "succeeded", "{rotation}");
        assert_eq!(pair.credentials("AWSCURRENT").await.0, *user);
    }
}

/// What an application makes in the `n`th turn, in the schema `app`.
fn objects(schema: &str, n: usize) -> String {
    format!(
        "CREATE TABLE {schema}.t{n} (id serial PRIMARY KEY, kind int); CREATE VIEW {schema}.v{n} \
         AS SELECT id FROM {schema}.t{n}; CREATE MATERIALIZED VIEW {schema}.m{n} AS SELECT id FROM \
         {schema}.t{n}; CREATE SEQUENCE {schema}.s{n}; CREATE FUNCTION {schema}.f{n}() RETURNS \
         bigint LANGUAGE sql AS 'SELECT count(*) FROM {schema}.t{n}'; CREATE TYPE {schema}.e{n} AS \
         ENUM ('a'); REVOKE EXECUTE ON FUNCTION {schema}.f{n}() FROM PUBLIC; REVOKE USAGE ON TYPE \
         {schema}.e{n} FROM PUBLIC; ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} REVOKE EXECUTE ON \
         FUNCTIONS FROM PUBLIC; CREATE SCHEMA {schema}_{n} CREATE TABLE inner_{n} (id int); SELECT \
         lo_create(0)"
    )
}

/// Everything that an owner may do to it, and that therefore both users must be able to do.
fn uses(schema: &str, n: usize) -> String {
    format!(
        "INSERT INTO {schema}.t{n} (kind) VALUES (1); SELECT * FROM {schema}.v{n}; REFRESH \
         MATERIALIZED VIEW {schema}.m{n}; SELECT nextval('{schema}.s{n}'), {schema}.f{n}(), \
         'a'::{schema}.e{n}; ALTER TABLE {schema}.t{n} ALTER COLUMN kind SET DEFAULT 2; INSERT \
         INTO {schema}_{n}.inner_{n} VALUES (1); COMMENT ON TABLE {schema}.t{n} IS 'ours'"
    )
}

async fn twenty_turns(pair: &Pair, function: &Function) {
    let (schema, reader) = (escape_identifier(&pair.base), unique("reader_"));
    pair.superuser(&format!("CREATE ROLE {reader}")).await;
    for n in 0..20 {
        let current = pair.session("AWSCURRENT").await;
        current
            .batch_execute(&objects(&pair.base, n))
            .await
            .unwrap_or_else(|error| panic!("turn {n}: {error:?}"));
        pair.turn(function).await;
        for stage in ["AWSCURRENT", "AWSPREVIOUS"] {
            let session = pair.session(stage).await;
            for made in 0..=n {
                let used = session.batch_execute(&uses(&pair.base, made)).await;
                used.unwrap_or_else(|error| {
                    panic!("turn {n}, {stage}, objects of turn {made}: {error:?}")
                });
            }
        }
        if n == 0 {
            // Said once, by whichever user: both create as one role.
            let default = format!("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {reader}");
            pair.session("AWSCURRENT").await.batch_execute(&default).await.unwrap();
        } else {
            let may = admin()
                .await
                .query_one(
                    "SELECT has_table_privilege($1, $2, 'SELECT')",
                    &[&reader, &format!("{schema}.t{n}")],
                )
                .await;
            assert!(may.unwrap().get::<_, bool>(0), "turn {n}: default privileges");
        }
        // The session from before the turn still works, too.
        current.batch_execute(&uses(&pair.base, n)).await.unwrap();
    }
    let count = format!("SELECT count(*) FROM {schema}.t0");
    assert_eq!(
        pair.session("AWSCURRENT").await.query_one(&count, &[]).await.unwrap().get::<_, i64>(0),
        41
    );
}

#[tokio::test]
async fn twenty_turns_with_the_base_user_as_the_owner() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    pair.superuser("GRANT CREATE ON DATABASE postgres TO :base").await;
    twenty_turns(&pair, &function).await;
}

#[tokio::test]
async fn twenty_turns_with_an_owner_role() {
    let pair = Pair::new().await;
    let owner = unique("owner_");
    move_to_owner(&pair, &owner).await;
    let function = Function::start(&[("ROTATION_POLICY", &owner_policy(&pair, &owner))]);
    twenty_turns(&pair, &function).await;
    for stage in ["AWSCURRENT", "AWSPREVIOUS"] {
        assert_eq!(identity(&pair.session(stage).await).await.1, owner);
    }
}

#[tokio::test]
async fn the_role_that_the_current_user_acts_as_is_the_owner_without_a_word_in_the_policy() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    let owner = unique("owner_");
    move_to_owner(&pair, &owner).await;
    for _ in 0..2 {
        pair.turn(&function).await;
        assert_eq!(identity(&pair.session("AWSCURRENT").await).await.1, owner);
    }
}

#[tokio::test]
async fn every_name_that_postgresql_allows_takes_turns() {
    let function = Function::start(&[]);
    let longest = format!("{}é", "n".repeat(55));
    assert_eq!(longest.len(), 57);
    for name in [
        "Upper Pair",
        "dollar $settings$ $$",
        "quote'd \"pair\" \\",
        ":names :target :powerful",
        "名前",
        "tab\tnew\nline",
        &longest,
    ] {
        let pair = Pair::named(name, |_| {}).await;
        pair.superuser("ALTER ROLE :base SET search_path = :base").await;
        for user in [&pair.clone, &pair.base] {
            pair.turn(&function).await;
            assert_eq!(pair.credentials("AWSCURRENT").await.0, *user);
            assert_eq!(settings(user).await.len(), 1);
            pair.session("AWSPREVIOUS").await;
        }
    }
}

#[tokio::test]
async fn a_rotation_keeps_to_the_budget_and_fails_no_login() {
    let proxy = AwsProxy::start();
    let (pair, function) =
        (Pair::new().await, Function::start(&[("AWS_ENDPOINT_URL", &proxy.url)]));
    for turn in 1..=2 {
        let before = proxy.calls().len();
        pair.turn(&function).await;
        let calls: Vec<_> =
            proxy.calls().into_iter().skip(before).map(|(operation, _)| operation).collect();
        assert!(calls.len() <= 13, "{} calls: {calls:?}", calls.len());
        let of_ours = |line: &str| {
            [&pair.base, &pair.clone, &pair.admin]
                .iter()
                .any(|role| line.contains(&format!("|{role}|")))
        };
        let lines = eventually("the end of four sessions in the server's log", async || {
            let log = world().postgres.log();
            let lines: Vec<_> =
                log.lines().filter(|line| of_ours(line)).map(str::to_owned).collect();
            let ends = lines.iter().filter(|line| line.contains("disconnection")).count();
            // The admin's own session, in which it made the base user, is one more.
            (ends > turn * 4).then_some(lines)
        })
        .await;
        let sessions = lines.iter().filter(|line| line.contains("connection authorized")).count();
        assert_eq!(sessions, turn * 4 + 1, "{lines:#?}");
        let trouble = ["FATAL", "ERROR", "WARNING", "could not", "unexpected EOF"];
        assert!(
            lines.iter().all(|line| !trouble.iter().any(|text| line.contains(text))),
            "{lines:#?}"
        );
    }
}

#[tokio::test]
async fn a_master_secret_that_rds_manages_is_enough() {
    let pair =
        Pair::edited(|document| drop(document.as_object_mut().unwrap().remove("masterarn"))).await;
    let admin_secret = pair.create_managed_admin_secret().await;
    let policy =
        json!({"secrets": {&pair.application.secret: {"admin_secret": admin_secret}}}).to_string();
    let function = Function::start(&[("ROTATION_POLICY", &policy)]);
    for user in [&pair.clone, &pair.base] {
        pair.turn(&function).await;
        assert_eq!(pair.credentials("AWSCURRENT").await.0, *user);
    }
}

#[tokio::test]
async fn rotate_immediately_false_tests_what_there_is() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    let before = pair.application.snapshot().await;
    let rotation = pair.application.test(&function).await;
    assert_eq!(rotation["state"], "succeeded", "{rotation}");
    assert_eq!(pair.application.snapshot().await, before);

    // Some emulators, and people, put a copy of the current value there.
    let token = pair.application.abandon_and_begin().await;
    let copy = pair.application.value("AWSCURRENT").await.unwrap();
    pair.application.put(&token, &copy, &["AWSPENDING"]).await;
    let report = pair.application.step(&function, "testSecret", &token).await.unwrap();
    assert_eq!(report["Outcome"], "CurrentTested");
    for step in ["createSecret", "setSecret", "finishSecret"] {
        let refused = pair.application.step(&function, step, &token).await.unwrap_err();
        assert_eq!(refused.kind, "PendingMismatch", "{step}");
        assert!(
            refused.message.contains(&pair.clone) && refused.message.contains("alternating-users"),
            "{}",
            refused.message
        );
    }
}

#[tokio::test]
async fn an_application_that_creates_roles_of_its_own_takes_turns() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    pair.superuser("ALTER ROLE :base CREATEROLE").await;
    let tenants = [unique("tenant_"), unique("tenant_"), unique("tenant_")];
    for tenant in &tenants {
        pair.session("AWSCURRENT")
            .await
            .batch_execute(&format!("CREATE ROLE {tenant}"))
            .await
            .unwrap();
        pair.turn(&function).await;
        for stage in ["AWSCURRENT", "AWSPREVIOUS"] {
            pair.session(stage)
                .await
                .batch_execute(&format!("ALTER ROLE {tenant} CONNECTION LIMIT 3"))
                .await
                .unwrap();
        }
    }
}
