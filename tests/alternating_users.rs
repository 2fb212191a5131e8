//! Two users that take turns: neither ever loses a login, a right, an object or a setting.

use postgres_protocol::escape::escape_identifier;
use serde_json::json;
use tokio_postgres::Client;

use crate::world::application::STEPS;
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::postgres::{admin, version};
use crate::world::proxy::AwsProxy;
use crate::world::wire::{Fault, Wire};
use crate::world::{eventually, random_hex, unique, world};

/// Who a session is, and whose rights it has.
async fn identity(session: &Client) -> (String, String) {
    let row =
        session.query_one("SELECT session_user::text, current_user::text", &[]).await.unwrap();
    (row.get(0), row.get(1))
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
async fn what_is_granted_and_revoked_between_turns_holds_for_both() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    let table = unique("foreign_");
    let group = unique("group_");
    pair.superuser(&format!(
        "CREATE TABLE public.{table} (id int, secret int); CREATE ROLE {group}; GRANT SELECT ON \
         public.{table} TO {group}; GRANT {group} TO :admin WITH ADMIN OPTION"
    ))
    .await;
    let read = format!("SELECT id FROM public.{table}");
    let write = format!("INSERT INTO public.{table} (id) VALUES (1)");
    let check = async |sql: &str, allowed: bool| {
        for stage in ["AWSCURRENT", "AWSPREVIOUS"] {
            let done = pair.session(stage).await.batch_execute(sql).await;
            assert_eq!(done.is_ok(), allowed, "{stage}: {sql}: {done:?}");
        }
    };
    pair.turn(&function).await;
    check(&read, false).await;
    for (change, sql, allowed) in [
        (format!("GRANT INSERT (id) ON public.{table} TO :base"), &write, true),
        (format!("REVOKE INSERT (id) ON public.{table} FROM :base"), &write, false),
        (format!("GRANT {group} TO :base"), &read, true),
        (format!("REVOKE {group} FROM :base"), &read, false),
        (format!("GRANT SELECT ON public.{table} TO PUBLIC"), &read, true),
    ] {
        pair.superuser(&change).await;
        pair.turn(&function).await;
        check(sql, allowed).await;
    }
}

#[tokio::test]
async fn a_membership_of_the_current_user_is_given_to_the_other_one_with_its_options() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    pair.turn(&function).await;
    let groups = [unique("group_"), unique("group_"), unique("surplus_")];
    let [plain, with_admin, surplus] = &groups;
    for group in &groups {
        pair.admin_session().await.batch_execute(&format!("CREATE ROLE {group}")).await.unwrap();
    }
    // The clone is the current one: these are memberships that the base user has not.
    pair.superuser(&format!(
        "GRANT {plain} TO :clone; GRANT {with_admin} TO :clone WITH ADMIN OPTION"
    ))
    .await;
    pair.turn(&function).await;
    let sql =
        "SELECT pg_has_role($1, $2, 'MEMBER'), pg_has_role($1, $2, 'MEMBER WITH ADMIN OPTION')";
    for (group, expected) in [(plain, (true, false)), (with_admin, (true, true))] {
        let row = admin().await.query_one(sql, &[&pair.base, group]).await.unwrap();
        assert_eq!((row.get(0), row.get(1)), expected, "{group}");
    }

    // It may have been given to the wrong user, or taken from the other one on purpose. It stays,
    // and a warning names it.
    pair.superuser(&format!("GRANT {surplus} TO :clone")).await;
    let token = pair.application.begin().await;
    pair.application.steps(&function, &["createSecret"], &token).await;
    let report = pair.application.step(&function, "setSecret", &token).await.unwrap();
    let revoke = pair.filled(&format!("REVOKE \"{surplus}\" FROM :clone"));
    assert!(report["Warnings"][0].as_str().unwrap().contains(&revoke), "{report}");
    pair.application.steps(&function, &["testSecret", "finishSecret"], &token).await;
}

/// Settings of a role, by database and name.
async fn settings(role: &str) -> Vec<String> {
    let sql = "SELECT COALESCE(d.datname, '') || ' ' || e AS entry \
               FROM pg_db_role_setting AS s CROSS JOIN unnest(s.setconfig) AS e LEFT JOIN \
               pg_database AS d ON d.oid = s.setdatabase WHERE s.setrole = (SELECT oid FROM \
               pg_roles WHERE rolname = $1) AND e NOT LIKE 'role=%' ORDER BY 1";
    admin().await.query(sql, &[&role]).await.unwrap().into_iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn settings_follow_the_current_user_in_every_database() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    let database = unique("Data Base ");
    let quoted = escape_identifier(&database);
    pair.superuser(&format!("CREATE DATABASE {quoted}")).await;
    for change in [
        "ALTER ROLE :current SET search_path = \"$user\", \"Odd, Schema\", public".to_owned(),
        "ALTER ROLE :current SET statement_timeout = 5000; ALTER ROLE :current SET work_mem = \
         '64MB'"
            .to_owned(),
        format!(
            "ALTER ROLE :current IN DATABASE {quoted} SET search_path = one, two; ALTER ROLE \
             :current IN DATABASE {quoted} SET TimeZone = 'europe/berlin'"
        ),
        "ALTER ROLE :current SET statement_timeout = '6s'; ALTER ROLE :current SET DateStyle = \
         'german'"
            .to_owned(),
        "ALTER ROLE :current RESET work_mem; ALTER ROLE :current SET application_name = 'it''s \
         ours, \"really\" = 1'"
            .to_owned(),
        format!("ALTER ROLE :current IN DATABASE {quoted} RESET ALL"),
        "ALTER ROLE :current SET temp_tablespaces = ''; ALTER ROLE :current SET \
         default_transaction_read_only = off"
            .to_owned(),
    ] {
        let (current, _) = pair.credentials("AWSCURRENT").await;
        let other = if current == pair.base { &pair.clone } else { &pair.base };
        pair.superuser(&change.replace(":current", &escape_identifier(&current))).await;
        let expected = settings(&current).await;
        pair.turn(&function).await;
        assert_eq!(settings(other).await, expected, "{change}");
        assert_eq!(settings(&current).await, expected, "{change}");
    }
    pair.superuser(&format!("DROP DATABASE {quoted}")).await;
}

#[tokio::test]
async fn the_value_of_a_setting_is_seen_nowhere() {
    let (pair, function) =
        (Pair::new().await, Function::start(&[("AWS_LAMBDA_LOG_LEVEL", "TRACE")]));
    let key = random_hex();
    // Only a superuser may set what no extension has defined.
    pair.superuser("ALTER ROLE :admin SUPERUSER").await;
    let hidden = admin().await;
    hidden.batch_execute("SET log_statement = 'none'").await.unwrap();
    hidden
        .batch_execute(&pair.filled(&format!("ALTER ROLE :base SET app.jwt_secret = '{key}'")))
        .await
        .unwrap();
    pair.turn(&function).await;
    assert_eq!(settings(&pair.clone).await, [format!(" app.jwt_secret={key}")]);
    let seen = pair
        .session("AWSCURRENT")
        .await
        .query_one("SELECT current_setting('app.jwt_secret')", &[])
        .await
        .unwrap();
    assert_eq!(seen.get::<_, String>(0), key);
    let log = world().postgres.log();
    assert!(log.contains("FROM CURRENT") && !log.contains(&key), "the server's log");
    assert!(!function.output().contains(&key), "the function's log");
}

#[tokio::test]
async fn attributes_follow_the_current_user() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    // The admin's own way to write dates must not become another date.
    pair.superuser(
        "ALTER ROLE :admin SET DateStyle = 'SQL, DMY'; ALTER ROLE :admin SET TimeZone = \
        'Asia/Kolkata'",
    )
    .await;
    pair.superuser(
        "ALTER ROLE :admin CREATEDB; ALTER ROLE :base CREATEDB CONNECTION LIMIT 7 \
        NOINHERIT VALID UNTIL '2199-12-31 12:00+00'",
    )
    .await;
    let sql = "SELECT rolcreatedb, rolconnlimit, rolinherit, rolvaliduntil::text, rolcanlogin FROM \
        pg_roles WHERE rolname = $1";
    let attributes = async |role: &str| {
        let row = admin().await.query_one(sql, &[&role]).await.unwrap();
        (
            row.get::<_, bool>(0),
            row.get::<_, i32>(1),
            row.get::<_, bool>(2),
            row.get::<_, Option<String>>(3),
            row.get::<_, bool>(4),
        )
    };
    pair.turn(&function).await;
    assert_eq!(attributes(&pair.clone).await, attributes(&pair.base).await);
    pair.superuser(
        "ALTER ROLE :clone NOCREATEDB CONNECTION LIMIT -1 VALID UNTIL 'infinity'; ALTER \
        ROLE :base NOLOGIN",
    )
    .await;
    let token = pair.application.begin().await;
    pair.application.steps(&function, &["createSecret"], &token).await;
    let report = pair.application.step(&function, "setSecret", &token).await.unwrap();
    assert!(
        report["Warnings"]
            .to_string()
            .contains("NOCREATEDB, CONNECTION LIMIT -1, VALID UNTIL 'infinity'"),
        "{report}"
    );
    pair.application.steps(&function, &["testSecret", "finishSecret"], &token).await;
    let (create_db, limit, _, until, login) = attributes(&pair.base).await;
    assert_eq!((create_db, limit, until.as_deref(), login), (false, -1, Some("infinity"), true));
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
async fn every_step_may_be_sent_twice_and_run_twice_at_once() {
    let functions = [Function::start(&[]), Function::start(&[])];
    let pair = Pair::new().await;
    for turn in 0..4 {
        let token = pair.application.begin().await;
        for step in STEPS {
            let (one, two) = tokio::join!(
                pair.application.step(&functions[0], step, &token),
                pair.application.step(&functions[1], step, &token)
            );
            assert!(one.is_ok() && two.is_ok(), "turn {turn}, {step}: {one:?} {two:?}");
            let again = pair.application.step(&functions[0], step, &token).await;
            assert!(again.is_ok(), "turn {turn}, {step}: {again:?}");
            pair.session("AWSCURRENT").await;
        }
        assert_eq!(pair.application.version_with("AWSCURRENT").await, Some(token));
        pair.session("AWSPREVIOUS").await;
    }
}

#[tokio::test]
async fn the_whole_rotation_may_be_sent_again_after_every_step() {
    let function = Function::start(&[]);
    let pair = Pair::new().await;
    for done in 1..=STEPS.len() {
        let token = pair.application.begin().await;
        pair.application.steps(&function, &STEPS[..done], &token).await;
        pair.application.steps(&function, &STEPS, &token).await;
        pair.session("AWSCURRENT").await;
        pair.session("AWSPREVIOUS").await;
    }
}

#[tokio::test]
async fn a_rotation_that_was_abandoned_does_not_hurt_the_next_one() {
    let function = Function::start(&[]);
    let pair = Pair::new().await;
    for done in 1..STEPS.len() {
        let token = pair.application.begin().await;
        pair.application.steps(&function, &STEPS[..done], &token).await;
        let token = pair.application.abandon_and_begin().await;
        pair.application.steps(&function, &STEPS, &token).await;
        pair.session("AWSCURRENT").await;
        pair.session("AWSPREVIOUS").await;
    }
}

#[tokio::test]
async fn a_death_before_and_after_each_statement_is_repaired_by_a_retry() {
    let wire = Wire::idle();
    let pair = Pair::through(&wire).await;
    let policy = json!({"defaults": {"allow_plaintext": true}}).to_string();
    let function = Function::start(&[("ROTATION_POLICY", &policy)]);
    let (mut points, mut done) = (0, 0);
    for fault in [Fault::BreakBefore, Fault::BreakAfter] {
        for nth in 1.. {
            let (current, _) = pair.credentials("AWSCURRENT").await;
            // A setting that has changed has to be copied, which takes a statement of its own.
            pair.superuser(&format!(
                "ALTER ROLE {} SET work_mem = '{nth}MB'",
                escape_identifier(&current)
            ))
            .await;
            let token = pair.application.begin().await;
            pair.application.steps(&function, &["createSecret"], &token).await;
            wire.arm(nth, fault.clone());
            let died = pair.application.step(&function, "setSecret", &token).await;
            if wire.hits() == 0 {
                assert!(died.is_ok(), "{died:?}");
                wire.disarm();
                pair.application.steps(&function, &STEPS[2..], &token).await;
                break;
            }
            points += 1;
            // When all is done, it is of no interest that the lock could not be released.
            done += usize::from(died.is_ok());
            assert!(
                died.is_ok() || died.is_err_and(|failure| failure.kind == "ConnectionLost"),
                "{fault:?} {nth}"
            );
            pair.session("AWSCURRENT").await;
            function.restart();
            pair.application.steps(&function, &STEPS, &token).await;
            pair.session("AWSCURRENT").await;
            pair.session("AWSPREVIOUS").await;
            assert_eq!(settings(&pair.base).await, settings(&pair.clone).await, "{fault:?} {nth}");
        }
    }
    assert!(points >= 20 && done == 2, "{points} points, {done} of them after all was done");
}

#[tokio::test]
async fn a_role_that_a_user_acts_as_in_one_database_alone_is_kept_to_it() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    let (elsewhere, owner) = (unique("elsewhere_"), unique("owner_"));
    pair.superuser(&format!("CREATE DATABASE {elsewhere}")).await;
    pair.superuser(&format!(
        "CREATE ROLE {owner}; GRANT {owner} TO :base; GRANT {owner} TO :admin WITH ADMIN OPTION; \
         ALTER SCHEMA :base OWNER TO {owner}; ALTER ROLE :base IN DATABASE postgres SET role = \
         {owner}; GRANT CREATE ON DATABASE {elsewhere} TO :base"
    ))
    .await;
    for n in 0..4 {
        let (user, password) = pair.credentials("AWSCURRENT").await;
        let there = world().postgres.login_to(&elsewhere, &user, &password).await.unwrap();
        assert_eq!(identity(&there).await.1, pair.base);
        there.batch_execute(&format!("CREATE SCHEMA s{n} CREATE TABLE t (id int)")).await.unwrap();
        for made in 0..=n {
            there.batch_execute(&format!("INSERT INTO s{made}.t VALUES (1)")).await.unwrap();
        }
        assert_eq!(identity(&pair.session("AWSCURRENT").await).await.1, owner);
        pair.turn(&function).await;
    }
    pair.superuser(&format!("DROP DATABASE {elsewhere} WITH (FORCE)")).await;
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

#[tokio::test]
async fn admin_option_is_not_taken_away_by_a_turn() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    pair.turn(&function).await;
    let group = unique("group_");
    pair.admin_session().await.batch_execute(&format!("CREATE ROLE {group}")).await.unwrap();
    let sql =
        pair.filled(&format!("GRANT {group} TO :base WITH ADMIN OPTION; GRANT {group} TO :clone"));
    pair.admin_session().await.batch_execute(&sql).await.unwrap();
    if version().await >= 160_000 {
        pair.admin_session()
            .await
            .batch_execute(
                &pair.filled(&format!("GRANT {group} TO :base WITH INHERIT FALSE, SET FALSE")),
            )
            .await
            .unwrap();
    }
    pair.turn(&function).await;
    let admin_option = "SELECT pg_has_role($1, $2, 'MEMBER WITH ADMIN OPTION')";
    assert!(
        admin()
            .await
            .query_one(admin_option, &[&pair.base, &group])
            .await
            .unwrap()
            .get::<_, bool>(0)
    );
}

#[tokio::test]
async fn a_rotation_of_one_user_that_got_stuck_is_found_by_two() {
    let pair = Pair::new().await;
    let single =
        json!({"secrets": {&pair.application.secret: {"strategy": "single-user"}}}).to_string();
    let (one, two) = (Function::start(&[("ROTATION_POLICY", &single)]), Function::start(&[]));
    pair.application.cut_off_after_commit(&one).await;
    let token = pair.application.abandon_and_begin().await;
    pair.application.steps(&two, &["createSecret"], &token).await;
    let report = pair.application.step(&two, "setSecret", &token).await.unwrap();
    assert!(report["Warnings"].to_string().contains("an unlabelled version"), "{report}");
    pair.application.steps(&two, &["testSecret", "finishSecret"], &token).await;
    pair.session("AWSCURRENT").await;
}
