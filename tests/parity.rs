//! `testSecret` with two users: whatever the current one can do and the pending one cannot is
//! named, with the statement that mends it.

use serde_json::json;

use crate::world::application::STEPS;
use crate::world::lambda::{Answer, Function};
use crate::world::pair::Pair;
use crate::world::postgres::{admin, version};
use crate::world::{unique, world};

/// A pair as AWS's function leaves it: the clone is the current user and acts as itself, so that
/// whatever is its own is not the base user's, which is next. `:current` and `:next` stand for the
/// two.
struct Unequal {
    pair: Pair,
    function: Function,
    /// A name for objects.
    thing: String,
    token: String,
}

impl Unequal {
    async fn new() -> Self {
        Self::of(Pair::new().await).await
    }

    async fn of(pair: Pair) -> Self {
        pair.imitate_aws_function().await;
        let token = pair.application.begin().await;
        Self { pair, function: Function::start(&[]), thing: unique("thing_"), token }
    }

    async fn superuser(&self, sql: &str) {
        self.pair.superuser(&self.filled(sql)).await;
    }

    fn filled(&self, sql: &str) -> String {
        self.pair.filled(
            &sql.replace(":current", ":clone")
                .replace(":next", ":base")
                .replace(":thing", &self.thing),
        )
    }

    async fn step(&self, step: &str) -> Answer {
        self.pair.application.step(&self.function, step, &self.token).await
    }

    async fn set(&self) {
        self.pair.application.steps(&self.function, &STEPS[..2], &self.token).await;
    }

    /// `testSecret` fails with that one thing missing, which the statement in the error mends.
    async fn assert_missing(&self, expected: &str) {
        let expected = self.filled(expected);
        let failed = self.step("testSecret").await.unwrap_err();
        assert_eq!(failed.kind, "PrivilegesMissing", "{expected}: {}", failed.message);
        assert!(
            failed.message.contains(&format!("(1 differences): {expected} (")),
            "{expected}: {}",
            failed.message
        );
        assert!(
            failed
                .message
                .ends_with("AWSCURRENT was not moved. Fix this, then start the rotation again."),
            "{}",
            failed.message
        );
        self.pair.session("AWSCURRENT").await;
    }

    async fn statement(&self) -> String {
        let message = self.step("testSecret").await.unwrap_err().message;
        let start = ["(GRANT ", "(ALTER ", "(CREATE "]
            .iter()
            .filter_map(|verb| message.find(verb))
            .min()
            .expect("a statement");
        message[start + 1..message.rfind("). AWSCURRENT").expect("its end")].to_owned()
    }
}

#[tokio::test]
async fn every_kind_of_privilege_is_compared_and_can_be_mended() {
    let table = "CREATE TABLE public.:thing (id int, total int);";
    let cases = [
        (format!("{table} GRANT SELECT ON public.:thing TO :current"), "SELECT on table \
            public.:thing"),
        (format!("{table} GRANT INSERT ON public.:thing TO :current WITH GRANT OPTION"), "INSERT \
            WITH GRANT OPTION on table public.:thing"),
        (format!("{table} GRANT UPDATE (total) ON public.:thing TO :current"), "UPDATE on column \
            public.:thing.total"),
        (format!("{table} CREATE VIEW public.:thing_v AS SELECT 1; GRANT SELECT ON public.:thing_v \
            TO :current"), "SELECT on view public.:thing_v"),
        (
            "CREATE MATERIALIZED VIEW public.:thing AS SELECT 1; GRANT SELECT ON public.:thing TO \
             :current".to_owned(),
            "SELECT on materialized view public.:thing",
        ),
        (
            "CREATE TABLE public.:thing (id int) PARTITION BY RANGE (id); GRANT DELETE ON \
             public.:thing TO :current".to_owned(),
            "DELETE on table public.:thing",
        ),
        (
            "CREATE FOREIGN DATA WRAPPER :thing; CREATE SERVER :thing FOREIGN DATA WRAPPER :thing; \
             CREATE FOREIGN TABLE public.:thing (id int) SERVER :thing; GRANT SELECT ON \
             public.:thing TO :current"
                .to_owned(),
            "SELECT on foreign table public.:thing",
        ),
        ("CREATE SEQUENCE public.:thing; GRANT USAGE ON SEQUENCE public.:thing TO \
            :current".to_owned(), "USAGE on sequence public.:thing"),
        (
            "CREATE FUNCTION public.:thing(int, text[]) RETURNS int LANGUAGE sql AS 'SELECT 1'; \
             REVOKE EXECUTE ON FUNCTION public.:thing FROM PUBLIC; GRANT EXECUTE ON FUNCTION \
             public.:thing TO :current"
                .to_owned(),
            "EXECUTE on function public.:thing(integer,pg_catalog.text[])",
        ),
        (
            "CREATE PROCEDURE public.:thing() LANGUAGE sql AS 'SELECT 1'; REVOKE EXECUTE ON \
             PROCEDURE public.:thing FROM PUBLIC; GRANT EXECUTE ON PROCEDURE public.:thing TO \
             :current"
                .to_owned(),
            "EXECUTE on procedure public.:thing()",
        ),
        (
            "CREATE AGGREGATE public.:thing(int) (SFUNC = int4pl, STYPE = int); REVOKE EXECUTE ON \
             FUNCTION public.:thing FROM PUBLIC; GRANT EXECUTE ON FUNCTION public.:thing TO \
             :current"
                .to_owned(),
            "EXECUTE on aggregate public.:thing(integer)",
        ),
        ("CREATE SCHEMA :thing; GRANT USAGE ON SCHEMA :thing TO :current".to_owned(), "USAGE on \
            schema :thing"),
        ("GRANT CREATE ON DATABASE postgres TO :current".to_owned(), "CREATE on database postgres"),
        (
            "CREATE TYPE public.:thing AS ENUM ('a'); REVOKE USAGE ON TYPE public.:thing FROM \
             PUBLIC; GRANT USAGE ON TYPE public.:thing TO :current".to_owned(),
            "USAGE on type public.:thing",
        ),
        (
            "CREATE DOMAIN public.:thing AS int; REVOKE USAGE ON DOMAIN public.:thing FROM PUBLIC; \
             GRANT USAGE ON DOMAIN public.:thing TO :current".to_owned(),
            "USAGE on type public.:thing",
        ),
        (
            "CREATE TRUSTED LANGUAGE :thing HANDLER plpgsql_call_handler; REVOKE USAGE ON LANGUAGE \
             :thing FROM PUBLIC; GRANT USAGE ON LANGUAGE :thing TO :current"
                .to_owned(),
            "USAGE on language :thing",
        ),
        ("CREATE FOREIGN DATA WRAPPER :thing; GRANT USAGE ON FOREIGN DATA WRAPPER :thing TO \
            :current".to_owned(), "USAGE on foreign-data wrapper :thing"),
        (
            "CREATE FOREIGN DATA WRAPPER :thing; CREATE SERVER :thing FOREIGN DATA WRAPPER :thing; \
             GRANT USAGE ON FOREIGN SERVER :thing TO :current".to_owned(),
            "USAGE on server :thing",
        ),
        ("GRANT CREATE ON TABLESPACE pg_default TO :current".to_owned(), "CREATE on tablespace \
            pg_default"),
        ("SELECT lo_create(4711); GRANT SELECT ON LARGE OBJECT 4711 TO \
            :current".to_owned(), "SELECT on large object 4711"),
        (format!("{table} ALTER TABLE public.:thing OWNER TO :current"), "ownership of table \
            public.:thing"),
        ("CREATE SCHEMA :thing AUTHORIZATION :current".to_owned(), "ownership of schema :thing"),
        (
            "CREATE FUNCTION public.:thing() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER \
             FUNCTION public.:thing OWNER TO :current".to_owned(),
            "ownership of function public.:thing()",
        ),
        ("SELECT lo_create(4712); ALTER LARGE OBJECT 4712 OWNER TO \
            :current".to_owned(), "ownership of large object 4712"),
        (
            "CREATE TABLE public.:thing (id int); CREATE ROLE :thing; CREATE POLICY p ON \
             public.:thing TO :thing, :current USING (true)".to_owned(),
            "the rows of policy p on public.:thing",
        ),
    ];
    let version = version().await;
    let from_15 = [(
        "GRANT SET ON PARAMETER log_duration TO :current".to_owned(),
        "SET on parameter log_duration",
    )];
    for (prepare, expected) in
        cases.into_iter().chain(from_15.into_iter().filter(|_| version >= 150_000))
    {
        let unequal = Unequal::new().await;
        unequal.superuser(&prepare).await;
        unequal.set().await;
        unequal.assert_missing(expected).await;
        unequal.superuser(&unequal.statement().await).await;
        let report = unequal.step("testSecret").await;
        assert!(report.is_ok(), "{expected}: {report:?}");
    }
}

#[tokio::test]
async fn what_the_pending_user_can_do_by_another_way_is_not_missing() {
    let table = "CREATE TABLE public.:thing (id int, total int); GRANT SELECT ON public.:thing TO \
        :current;";
    let function = "CREATE FUNCTION public.:thing() RETURNS int LANGUAGE sql AS 'SELECT 1'; GRANT \
        EXECUTE ON FUNCTION public.:thing TO :current";
    for prepare in [
        format!("{table} GRANT SELECT ON public.:thing TO PUBLIC"),
        format!("{table} GRANT SELECT ON public.:thing TO :next WITH GRANT OPTION"),
        format!("{table} CREATE ROLE :thing; GRANT SELECT ON public.:thing TO :thing; GRANT :thing \
            TO :next"),
        format!("{table} ALTER TABLE public.:thing OWNER TO :next"),
        "CREATE TABLE public.:thing (id int, total int); GRANT SELECT (id), UPDATE (total) ON \
         public.:thing TO :current; GRANT ALL ON public.:thing TO :next"
            .to_owned(),
        function.to_owned(),
        "CREATE POLICY p ON public.:thing USING (true)".replace("CREATE", "CREATE TABLE \
         public.:thing (id int); CREATE"),
        "CREATE TABLE public.:thing (id int); CREATE POLICY p ON public.:thing TO :current, :next \
         USING (true)".to_owned(),
        "CREATE ROLE :thing; CREATE TABLE public.:thing (id int); CREATE POLICY p ON public.:thing \
         TO :thing USING (true); GRANT :thing TO :current, :next; GRANT :thing TO :admin WITH \
         ADMIN OPTION"
            .to_owned(),
    ] {
        let unequal = Unequal::new().await;
        unequal.superuser(&prepare).await;
        unequal.set().await;
        let report = unequal.step("testSecret").await;
        assert!(report.is_ok(), "{prepare}: {report:?}");
    }
}

#[tokio::test]
async fn what_no_single_statement_mends_is_named_too() {
    let server =
        "CREATE FOREIGN DATA WRAPPER :thing; CREATE SERVER :thing FOREIGN DATA WRAPPER :thing;";
    for (prepare, mend, expected) in [
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE :current GRANT SELECT ON TABLES TO :admin"
                .to_owned(),
            "ALTER DEFAULT PRIVILEGES FOR ROLE :current REVOKE SELECT ON TABLES FROM :admin"
                .to_owned(),
            "default privileges for role CURRENT on tables",
        ),
        (
            format!("{server} CREATE USER MAPPING FOR :current SERVER :thing"),
            "CREATE USER MAPPING FOR PUBLIC SERVER :thing".to_owned(),
            "the user mapping for server :thing",
        ),
    ] {
        let unequal = Unequal::new().await;
        unequal.superuser(&prepare).await;
        unequal.set().await;
        unequal.assert_missing(&expected.replace("CURRENT", &unequal.pair.clone)).await;
        unequal.superuser(&mend).await;
        let report = unequal.step("testSecret").await;
        assert!(report.is_ok(), "{expected}: {report:?}");
    }
}

#[tokio::test]
async fn what_somebody_takes_from_the_pending_user_is_noticed() {
    let group =
        "CREATE ROLE :thing; GRANT :thing TO :admin WITH ADMIN OPTION; GRANT :thing TO :current;";
    for (prepare, change, expected) in [
        ("", "ALTER ROLE :next SET work_mem = '1MB'", "the same setting work_mem"),
        (
            "",
            "ALTER ROLE :next IN DATABASE postgres SET default_transaction_read_only = on",
            "the same setting default_transaction_read_only in database postgres",
        ),
        ("", "ALTER ROLE :next CONNECTION LIMIT 2", "attribute CONNECTION LIMIT -1"),
        ("", "ALTER ROLE :next VALID UNTIL '2199-01-01'", "attribute VALID UNTIL 'infinity'"),
        (
            "ALTER ROLE :current CREATEDB; ALTER ROLE :admin CREATEDB",
            "ALTER ROLE :next NOCREATEDB",
            "attribute CREATEDB",
        ),
        (group, "REVOKE :thing FROM :next", "membership in role :thing"),
        (
            "CREATE ROLE :thing; GRANT :thing TO :admin WITH ADMIN OPTION; GRANT :thing TO :next; \
             GRANT :thing TO :current WITH ADMIN OPTION",
            "REVOKE ADMIN OPTION FOR :thing FROM :next",
            "ADMIN OPTION on role :thing",
        ),
    ] {
        let unequal = Unequal::new().await;
        unequal.superuser(prepare).await;
        unequal.set().await;
        if change.starts_with("REVOKE") {
            // From PostgreSQL 16 on, whoever granted it has to take it back.
            unequal
                .pair
                .admin_session()
                .await
                .batch_execute(&unequal.filled(change))
                .await
                .unwrap();
        } else {
            unequal.superuser(change).await;
        }
        unequal.assert_missing(expected).await;
        unequal.set().await;
        let report = unequal.step("testSecret").await;
        assert!(report.is_ok(), "{change}: {report:?}");
    }
}

#[tokio::test]
async fn what_the_public_may_in_most_databases_is_compared_where_it_may_not() {
    let dbname = unique("shop_");
    for sql in [
        format!("CREATE DATABASE {dbname}"),
        format!("REVOKE ALL ON DATABASE {dbname} FROM PUBLIC"),
    ] {
        admin().await.batch_execute(&sql).await.unwrap();
    }
    let unequal =
        Unequal::of(Pair::edited(|document| document["dbname"] = json!(dbname)).await).await;
    unequal
        .superuser(&format!(
            "GRANT CONNECT ON DATABASE {dbname} TO :base, :admin; GRANT TEMPORARY \
            ON DATABASE {dbname} TO :clone"
        ))
        .await;
    unequal.set().await;
    unequal.assert_missing(&format!("TEMPORARY on database {dbname}")).await;
    unequal.superuser(&unequal.statement().await).await;
    unequal.pair.application.steps(&unequal.function, &STEPS[2..], &unequal.token).await;
}

#[tokio::test]
async fn roles_that_are_there_from_the_beginning_are_compared() {
    let unequal = Unequal::new().await;
    unequal
        .superuser("GRANT pg_monitor TO :current; GRANT pg_monitor TO :admin WITH ADMIN OPTION")
        .await;
    unequal.set().await;
    unequal.step("testSecret").await.unwrap();
    // It inherits no more what it still may act as.
    unequal
        .pair
        .admin_session()
        .await
        .batch_execute(&unequal.filled("REVOKE pg_monitor FROM :next"))
        .await
        .unwrap();
    let failed = unequal.step("testSecret").await.unwrap_err();
    let statement = unequal.filled("GRANT \"pg_monitor\" TO :next");
    assert!(
        failed.message.contains(&format!("the rights of role pg_monitor ({statement})")),
        "{}",
        failed.message
    );
    unequal.superuser(&statement).await;
    unequal.step("testSecret").await.unwrap();
}

#[tokio::test]
async fn a_policy_that_restricts_the_pending_user_alone_is_noticed() {
    let unequal = Unequal::new().await;
    unequal.set().await;
    let no_heir =
        "REVOKE :next FROM :current; ALTER ROLE :current NOINHERIT; GRANT :next TO :current";
    unequal
        .pair
        .admin_session()
        .await
        .batch_execute(&unequal.filled("REVOKE :next FROM :current"))
        .await
        .unwrap_or_default();
    unequal.superuser(no_heir).await;
    unequal
        .superuser(
            "CREATE TABLE public.:thing (id int); CREATE POLICY p ON public.:thing AS \
        RESTRICTIVE TO :next USING (false)",
        )
        .await;
    unequal.assert_missing("the rows that policy p on public.:thing hides from :next").await;
    unequal.superuser("DROP POLICY p ON public.:thing").await;
    unequal.step("testSecret").await.unwrap();
}

#[tokio::test]
async fn a_pending_user_that_does_not_act_as_the_owner_is_not_promoted() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    let token = pair.application.begin().await;
    pair.application.steps(&function, &STEPS[..2], &token).await;
    pair.superuser("ALTER ROLE :clone RESET role").await;
    let failed = pair.application.step(&function, "testSecret", &token).await.unwrap_err();
    assert_eq!(failed.kind, "UsersNotReady", "{}", failed.message);
    let statement = pair.filled(&format!("ALTER ROLE :clone SET role = '{}'", pair.base));
    assert!(
        failed.message.contains(&statement) && failed.message.contains("AWSCURRENT was not moved"),
        "{}",
        failed.message
    );
    pair.superuser(&statement).await;
    pair.application.steps(&function, &["testSecret"], &token).await;

    // From PostgreSQL 16 on, whoever granted it has to take it back.
    pair.admin_session()
        .await
        .batch_execute(&pair.filled("REVOKE :base FROM :clone"))
        .await
        .unwrap();
    let failed = pair.application.step(&function, "testSecret", &token).await.unwrap_err();
    assert_eq!(failed.kind, "UsersNotReady", "{}", failed.message);
    assert!(
        failed.message.contains(&pair.filled("setting is :base, which it may not assume")),
        "{}",
        failed.message
    );
    let (_, statement) = failed.message.split_once("Run ").unwrap();
    pair.superuser(statement.split_once(". ").unwrap().0).await;
    pair.application.steps(&function, &["testSecret", "finishSecret"], &token).await;
}

#[tokio::test]
async fn as_much_is_named_as_a_person_can_read() {
    let unequal = Unequal::new().await;
    for n in 0..25 {
        unequal
            .superuser(&format!(
                "CREATE TABLE public.:thing_{n} (id int); GRANT SELECT, INSERT \
            ON public.:thing_{n} TO :current"
            ))
            .await;
    }
    unequal.set().await;
    let failed = unequal.step("testSecret").await.unwrap_err();
    assert!(
        failed.message.contains("(50 differences)")
            && failed.message.contains("; and 40 more. AWSCURRENT"),
        "{}",
        failed.message
    );
    assert_eq!(failed.message.matches(" on table public.").count(), 10, "{}", failed.message);
}

#[tokio::test]
async fn a_pair_that_awss_function_has_made_is_halted_before_it_loses_a_table() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    pair.imitate_aws_function().await;
    pair.session("AWSCURRENT")
        .await
        .batch_execute(&pair.filled("CREATE TABLE :base.of_the_clone (id int)"))
        .await
        .unwrap();

    let rotation = pair.application.rotate(&function).await;
    assert_eq!(rotation["state"], "failed", "{rotation}");
    let failure = function
        .await_log_event("the refusal", |event| event["error.kind"] == "PrivilegesMissing")
        .await;
    let statement = pair.filled(&format!("ALTER TABLE {}.of_the_clone OWNER TO :base", pair.base));
    assert!(failure["message"].as_str().unwrap().contains(&format!("({statement})")), "{failure}");
    assert_eq!(pair.credentials("AWSCURRENT").await.0, pair.clone, "AWSCURRENT stays");
    pair.session("AWSCURRENT").await;

    pair.superuser(&statement).await;
    pair.turn(&function).await;
    pair.turn(&function).await;
    pair.session("AWSCURRENT")
        .await
        .batch_execute(&pair.filled("SELECT * FROM :base.of_the_clone"))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_a_user_itself_owns_or_was_granted_is_reported() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    pair.turn(&function).await;
    let elsewhere = unique("elsewhere_");
    pair.superuser(&format!("CREATE DATABASE {elsewhere}")).await;
    world()
        .postgres
        .login_to(&elsewhere, "postgres", &world().postgres.admin_password)
        .await
        .unwrap()
        .batch_execute(&pair.filled("CREATE SCHEMA stray AUTHORIZATION :clone"))
        .await
        .unwrap();
    pair.superuser(
        "CREATE TABLE public.:base (id int); ALTER TABLE public.:base OWNER TO :clone; CREATE \
         SCHEMA :clone; GRANT USAGE ON SCHEMA :clone TO :clone",
    )
    .await;
    let token = pair.application.begin().await;
    pair.application.steps(&function, &STEPS[..2], &token).await;
    let report = pair.application.step(&function, "testSecret", &token).await.unwrap();
    let warnings: Vec<_> = report["Warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|warning| warning.as_str().unwrap())
        .collect();
    let reassign = pair.filled("REASSIGN OWNED BY :clone TO :base");
    assert!(
        warnings[0].contains("owns 1 objects in this database and 1 in other databases")
            && warnings[0].contains(&reassign),
        "{warnings:#?}"
    );
    assert!(warnings[1].contains("itself has privileges on 1 objects"), "{warnings:#?}");
    pair.superuser(&format!("{reassign}; REVOKE USAGE ON SCHEMA :clone FROM :clone")).await;
    let report = pair.application.step(&function, "testSecret", &token).await.unwrap();
    assert_eq!(
        report["Warnings"].as_array().unwrap().len(),
        1,
        "what is elsewhere is still there: {report}"
    );
    admin().await.batch_execute(&format!("DROP DATABASE {elsewhere}")).await.unwrap();
    let report = pair.application.step(&function, "testSecret", &token).await.unwrap();
    assert_eq!(report["Warnings"], json!(null), "{report}");
}

#[tokio::test]
async fn many_tables_are_compared_quickly() {
    let unequal = Unequal::new().await;
    // 5,000 here, as they take seconds to make; `make bench` compares 50,000.
    unequal.pair.create_tables(&unequal.pair.clone, &unequal.thing, 5_000).await;
    unequal.set().await;
    let started = std::time::Instant::now();
    let failed = unequal.step("testSecret").await.unwrap_err();
    assert!(failed.message.contains("(10001 differences)"), "{}", failed.message);
    assert!(started.elapsed() < std::time::Duration::from_secs(2), "{:?}", started.elapsed());
}

#[tokio::test]
async fn many_memberships_are_compared_quickly() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    let prefix = unique("tenant_");
    pair.superuser(&format!(
        "DO $$ BEGIN FOR n IN 1..1000 LOOP EXECUTE format('CREATE ROLE {prefix}_%s', n); EXECUTE \
         format('GRANT {prefix}_%s TO %I', n, '{}'); END LOOP; END $$",
        pair.base
    ))
    .await;
    for _ in 0..2 {
        let started = std::time::Instant::now();
        pair.turn(&function).await;
        assert!(started.elapsed() < std::time::Duration::from_secs(3), "{:?}", started.elapsed());
    }
}
