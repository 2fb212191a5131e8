//! What a turn makes equal and what it leaves alone: memberships, settings and attributes.

use postgres_protocol::escape::escape_identifier;

use super::{identity, settings};
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::postgres::{admin, version};
use crate::world::{random_hex, unique, world};

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
