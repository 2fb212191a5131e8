//! `testSecret` with two users: whatever the current one can do and the pending one cannot is named, with the statement that mends it.

use serde_json::json;

use crate::world::application::STEPS;
use crate::world::lambda::{Answer, Function};
use crate::world::pair::Pair;
use crate::world::postgres::{admin, version};
use crate::world::{unique, world};

/// A pair whose base user acts as itself, while the policy has the second one act as an owner role that has nothing yet: whatever is
/// granted to the base user is missing.
struct Unequal {
    pair: Pair,
    function: Function,
    owner: String,
    /// A name for objects.
    thing: String,
    token: String,
}

impl Unequal {
    async fn new() -> Self {
        let (pair, owner) = (Pair::new().await, unique("owner_"));
        let policy = json!({"secrets": {&pair.application.secret: {"owner_role": owner}}}).to_string();
        let function = Function::start(&[("ROTATION_POLICY", &policy)]);
        let token = pair.application.begin().await;
        let unequal = Self { pair, function, owner, thing: unique("thing_"), token };
        unequal
            .superuser(
                "CREATE ROLE :owner; GRANT :owner TO :base; GRANT :owner TO :admin WITH ADMIN OPTION; ALTER SCHEMA :base OWNER TO :owner; \
                 ALTER ROLE :admin CREATEDB REPLICATION BYPASSRLS",
            )
            .await;
        unequal
    }

    async fn superuser(&self, sql: &str) {
        self.pair.superuser(&self.filled(sql)).await;
    }

    fn filled(&self, sql: &str) -> String {
        self.pair.filled(&sql.replace(":owner", &self.owner).replace(":thing", &self.thing))
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
        assert!(failed.message.contains(&format!("(1 in all): {expected} (")), "{expected}: {}", failed.message);
        assert!(failed.message.ends_with("AWSCURRENT stays as it is; once this is mended, start the rotation anew."), "{}", failed.message);
        self.pair.session("AWSCURRENT").await;
    }

    async fn statement(&self) -> String {
        let message = self.step("testSecret").await.unwrap_err().message;
        let start = ["(GRANT ", "(ALTER ", "(CREATE "].iter().filter_map(|verb| message.find(verb)).min().expect("a statement");
        message[start + 1..message.rfind("). AWSCURRENT").expect("its end")].to_owned()
    }
}

#[tokio::test]
async fn every_kind_of_privilege_is_compared_and_can_be_mended() {
    let table = "CREATE TABLE public.:thing (id int, total int);";
    let cases = [
        (format!("{table} GRANT SELECT ON public.:thing TO :base"), "SELECT on table public.:thing"),
        (format!("{table} GRANT INSERT ON public.:thing TO :base WITH GRANT OPTION"), "INSERT WITH GRANT OPTION on table public.:thing"),
        (format!("{table} GRANT UPDATE (total) ON public.:thing TO :base"), "UPDATE on column public.:thing.total"),
        (format!("{table} CREATE VIEW public.:thing_v AS SELECT 1; GRANT SELECT ON public.:thing_v TO :base"), "SELECT on view public.:thing_v"),
        (
            "CREATE MATERIALIZED VIEW public.:thing AS SELECT 1; GRANT SELECT ON public.:thing TO :base".to_owned(),
            "SELECT on materialized view public.:thing",
        ),
        (
            "CREATE TABLE public.:thing (id int) PARTITION BY RANGE (id); GRANT DELETE ON public.:thing TO :base".to_owned(),
            "DELETE on table public.:thing",
        ),
        (
            "CREATE FOREIGN DATA WRAPPER :thing; CREATE SERVER :thing FOREIGN DATA WRAPPER :thing; \
             CREATE FOREIGN TABLE public.:thing (id int) SERVER :thing; GRANT SELECT ON public.:thing TO :base"
                .to_owned(),
            "SELECT on foreign table public.:thing",
        ),
        ("CREATE SEQUENCE public.:thing; GRANT USAGE ON SEQUENCE public.:thing TO :base".to_owned(), "USAGE on sequence public.:thing"),
        (
            "CREATE FUNCTION public.:thing(int, text[]) RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE EXECUTE ON FUNCTION public.:thing FROM PUBLIC; \
             GRANT EXECUTE ON FUNCTION public.:thing TO :base"
                .to_owned(),
            "EXECUTE on function public.:thing(integer,pg_catalog.text[])",
        ),
        (
            "CREATE PROCEDURE public.:thing() LANGUAGE sql AS 'SELECT 1'; REVOKE EXECUTE ON PROCEDURE public.:thing FROM PUBLIC; \
             GRANT EXECUTE ON PROCEDURE public.:thing TO :base"
                .to_owned(),
            "EXECUTE on procedure public.:thing()",
        ),
        (
            "CREATE AGGREGATE public.:thing(int) (SFUNC = int4pl, STYPE = int); REVOKE EXECUTE ON FUNCTION public.:thing FROM PUBLIC; \
             GRANT EXECUTE ON FUNCTION public.:thing TO :base"
                .to_owned(),
            "EXECUTE on aggregate public.:thing(integer)",
        ),
        ("CREATE SCHEMA :thing; GRANT USAGE ON SCHEMA :thing TO :base".to_owned(), "USAGE on schema :thing"),
        ("GRANT CREATE ON DATABASE postgres TO :base".to_owned(), "CREATE on database postgres"),
        (
            "CREATE TYPE public.:thing AS ENUM ('a'); REVOKE USAGE ON TYPE public.:thing FROM PUBLIC; GRANT USAGE ON TYPE public.:thing TO :base".to_owned(),
            "USAGE on type public.:thing",
        ),
        (
            "CREATE DOMAIN public.:thing AS int; REVOKE USAGE ON DOMAIN public.:thing FROM PUBLIC; GRANT USAGE ON DOMAIN public.:thing TO :base".to_owned(),
            "USAGE on type public.:thing",
        ),
        (
            "CREATE TRUSTED LANGUAGE :thing HANDLER plpgsql_call_handler; REVOKE USAGE ON LANGUAGE :thing FROM PUBLIC; \
             GRANT USAGE ON LANGUAGE :thing TO :base"
                .to_owned(),
            "USAGE on language :thing",
        ),
        ("CREATE FOREIGN DATA WRAPPER :thing; GRANT USAGE ON FOREIGN DATA WRAPPER :thing TO :base".to_owned(), "USAGE on foreign-data wrapper :thing"),
        (
            "CREATE FOREIGN DATA WRAPPER :thing; CREATE SERVER :thing FOREIGN DATA WRAPPER :thing; GRANT USAGE ON FOREIGN SERVER :thing TO :base".to_owned(),
            "USAGE on server :thing",
        ),
        ("GRANT CREATE ON TABLESPACE pg_default TO :base".to_owned(), "CREATE on tablespace pg_default"),
        ("SELECT lo_create(4711); GRANT SELECT ON LARGE OBJECT 4711 TO :base".to_owned(), "SELECT on large object 4711"),
        (format!("{table} ALTER TABLE public.:thing OWNER TO :base"), "ownership of table public.:thing"),
        ("CREATE SCHEMA :thing AUTHORIZATION :base".to_owned(), "ownership of schema :thing"),
        (
            "CREATE FUNCTION public.:thing() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION public.:thing OWNER TO :base".to_owned(),
            "ownership of function public.:thing()",
        ),
        ("SELECT lo_create(4712); ALTER LARGE OBJECT 4712 OWNER TO :base".to_owned(), "ownership of large object 4712"),
        (
            "CREATE FOREIGN DATA WRAPPER :thing; CREATE SERVER :thing FOREIGN DATA WRAPPER :thing; CREATE USER MAPPING FOR :base SERVER :thing".to_owned(),
            "the user mapping for server :thing",
        ),
        ("ALTER ROLE :base CREATEDB".to_owned(), "attribute CREATEDB"),
        ("ALTER ROLE :base BYPASSRLS".to_owned(), "attribute BYPASSRLS"),
        // What a group gives, the user that acts as an owner role does not inherit by being its member.
        (
            format!("{table} CREATE ROLE :thing; GRANT TRUNCATE ON public.:thing TO :thing; GRANT :thing TO :base, :admin WITH ADMIN OPTION"),
            "TRUNCATE on table public.:thing",
        ),
    ];
    let version = version().await;
    let from_15 = [("GRANT SET ON PARAMETER log_duration TO :base".to_owned(), "SET on parameter log_duration")];
    for (prepare, expected) in cases.into_iter().chain(from_15.into_iter().filter(|_| version >= 150_000)) {
        let unequal = Unequal::new().await;
        unequal.superuser(&prepare).await;
        if version < 160_000 && prepare.contains("BYPASSRLS") {
            unequal.superuser("ALTER ROLE :admin SUPERUSER").await;
        }
        unequal.set().await;
        unequal.assert_missing(expected).await;
        unequal.superuser(&unequal.statement().await).await;
        let report = unequal.step("testSecret").await;
        assert!(report.is_ok(), "{expected}: {report:?}");
    }
}

#[tokio::test]
async fn what_the_pending_user_can_do_by_another_way_is_not_missing() {
    let table = "CREATE TABLE public.:thing (id int, total int); GRANT SELECT ON public.:thing TO :base;";
    let function =
        "CREATE FUNCTION public.:thing() RETURNS int LANGUAGE sql AS 'SELECT 1'; GRANT EXECUTE ON FUNCTION public.:thing TO :base";
    for prepare in [
        format!("{table} GRANT SELECT ON public.:thing TO PUBLIC"),
        format!("{table} GRANT SELECT ON public.:thing TO :owner WITH GRANT OPTION"),
        format!("{table} CREATE ROLE :thing; GRANT SELECT ON public.:thing TO :thing; GRANT :thing TO :owner"),
        format!("{table} ALTER TABLE public.:thing OWNER TO :owner"),
        "CREATE TABLE public.:thing (id int, total int); GRANT SELECT (id), UPDATE (total) ON public.:thing TO :base; \
         GRANT ALL ON public.:thing TO :owner"
            .to_owned(),
        function.to_owned(),
        "CREATE POLICY p ON public.:thing USING (true)".replace("CREATE", "CREATE TABLE public.:thing (id int); CREATE"),
        "CREATE TABLE public.:thing (id int); CREATE POLICY p ON public.:thing TO :base, :owner USING (true)".to_owned(),
        "CREATE ROLE :thing; CREATE TABLE public.:thing (id int); CREATE POLICY p ON public.:thing TO :thing USING (true); GRANT :thing TO :base, :owner; GRANT :thing TO :admin WITH ADMIN OPTION"
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
async fn row_level_security_and_default_privileges_are_compared_too() {
    let table = "CREATE TABLE public.:thing (id int);";
    for (prepare, mend, expected) in [
        (
            format!("{table} CREATE POLICY p ON public.:thing TO :base USING (true)"),
            "ALTER POLICY p ON public.:thing TO :base, :owner",
            "the rows of permissive policy p on public.:thing",
        ),
        (
            // The base user is no such role's heir, and so does not come under what restricts it.
            format!(
                "{table} CREATE POLICY p ON public.:thing AS RESTRICTIVE TO :owner USING (false); \
                 REVOKE :owner FROM :base; ALTER ROLE :base NOINHERIT; GRANT :owner TO :base"
            ),
            "DROP POLICY p ON public.:thing",
            "the rows of restrictive policy p on public.:thing",
        ),
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE :base GRANT SELECT ON TABLES TO :admin".to_owned(),
            "ALTER DEFAULT PRIVILEGES FOR ROLE :base REVOKE SELECT ON TABLES FROM :admin",
            "default privileges for role :base on tables",
        ),
    ] {
        let unequal = Unequal::new().await;
        unequal.superuser(&prepare).await;
        unequal.set().await;
        let expected = expected.replace(":base", &unequal.pair.base);
        unequal.assert_missing(&expected).await;
        unequal.superuser(mend).await;
        let report = unequal.step("testSecret").await;
        assert!(report.is_ok(), "{expected}: {report:?}");
    }
}

#[tokio::test]
async fn what_somebody_takes_from_the_pending_user_is_noticed() {
    for (change, expected) in [
        ("ALTER ROLE :clone SET work_mem = '1MB'", "the same setting work_mem"),
        (
            "ALTER ROLE :clone IN DATABASE postgres SET default_transaction_read_only = on",
            "the same setting default_transaction_read_only in database postgres",
        ),
        ("ALTER ROLE :clone CONNECTION LIMIT 2", "attribute CONNECTION LIMIT -1"),
        ("ALTER ROLE :clone VALID UNTIL '2199-01-01'", "attribute VALID UNTIL 'infinity'"),
    ] {
        let unequal = Unequal::new().await;
        unequal.set().await;
        unequal.superuser(change).await;
        unequal.assert_missing(expected).await;
        unequal.set().await;
        let report = unequal.step("testSecret").await;
        assert!(report.is_ok(), "{change}: {report:?}");
    }
}

#[tokio::test]
async fn a_pending_user_that_does_not_act_as_the_owner_is_not_promoted() {
    let unequal = Unequal::new().await;
    unequal.set().await;
    unequal.superuser("ALTER ROLE :clone RESET role").await;
    let failed = unequal.step("testSecret").await.unwrap_err();
    assert_eq!(failed.kind, "UsersNotReady", "{}", failed.message);
    assert!(failed.message.contains(&unequal.filled("ALTER ROLE :clone SET role = ':owner'")), "{}", failed.message);
    assert!(failed.message.contains("AWSCURRENT stays as it is"), "{}", failed.message);
    unequal.superuser("ALTER ROLE :clone SET role = ':owner'").await;
    unequal.step("testSecret").await.unwrap();

    // From PostgreSQL 16 on, whoever granted it has to take it back.
    unequal.pair.as_admin().await.batch_execute(&unequal.filled("REVOKE :owner FROM :clone")).await.unwrap();
    let failed = unequal.step("testSecret").await.unwrap_err();
    assert_eq!(failed.kind, "UsersNotReady", "{}", failed.message);
    assert!(failed.message.contains(&unequal.filled("its sessions are to act as \":owner\", but it may not")), "{}", failed.message);
    let (_, statement) = failed.message.split_once("Run ").unwrap();
    unequal.superuser(statement.split_once(". ").unwrap().0).await;
    unequal.pair.application.steps(&unequal.function, &["testSecret", "finishSecret"], &unequal.token).await;
}

#[tokio::test]
async fn as_much_is_named_as_a_person_can_read() {
    let unequal = Unequal::new().await;
    for n in 0..25 {
        unequal.superuser(&format!("CREATE TABLE public.:thing_{n} (id int); GRANT SELECT, INSERT ON public.:thing_{n} TO :base")).await;
    }
    unequal.set().await;
    let failed = unequal.step("testSecret").await.unwrap_err();
    assert!(failed.message.contains("(50 in all)") && failed.message.contains("; and 40 more. AWSCURRENT"), "{}", failed.message);
    assert_eq!(failed.message.matches(" on table public.").count(), 10, "{}", failed.message);
}

#[tokio::test]
async fn a_pair_that_awss_function_has_made_is_halted_before_it_loses_a_table() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    // As AWS's function leaves it after its first turn, and what the application then made as the clone.
    let password = crate::world::random_hex();
    let admin = pair.as_admin().await;
    admin.batch_execute(&pair.filled(&format!("CREATE ROLE :clone LOGIN PASSWORD '{password}'; GRANT :base TO :clone"))).await.unwrap();
    let clone = world().postgres.login(&pair.clone, &password).await.unwrap();
    clone.batch_execute(&pair.filled("CREATE TABLE :base.of_the_clone (id int)")).await.unwrap();
    let mut document = pair.application.document.clone();
    document["username"] = json!(pair.clone);
    document["password"] = json!(password);
    pair.application.put(&crate::world::random_hex(), &document.to_string(), &["AWSCURRENT"]).await;

    let rotation = pair.application.rotate(&function).await;
    assert_eq!(rotation["state"], "failed", "{rotation}");
    let failure = function.logged("the refusal", |event| event["error.kind"] == "PrivilegesMissing").await;
    let statement = pair.filled(&format!("ALTER TABLE {}.of_the_clone OWNER TO :base", pair.base));
    assert!(failure["message"].as_str().unwrap().contains(&format!("({statement})")), "{failure}");
    assert_eq!(pair.login_in("AWSCURRENT").await.0, pair.clone, "AWSCURRENT stays");
    pair.session("AWSCURRENT").await;

    pair.superuser(&statement).await;
    pair.turn(&function).await;
    pair.turn(&function).await;
    pair.session("AWSCURRENT").await.batch_execute(&pair.filled("SELECT * FROM :base.of_the_clone")).await.unwrap();
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
        "CREATE TABLE public.:base (id int); ALTER TABLE public.:base OWNER TO :clone; CREATE SCHEMA :clone; GRANT USAGE ON SCHEMA :clone TO :clone",
    )
    .await;
    let token = pair.application.begin().await;
    pair.application.steps(&function, &STEPS[..2], &token).await;
    let report = pair.application.step(&function, "testSecret", &token).await.unwrap();
    let warnings: Vec<_> = report["Warnings"].as_array().unwrap().iter().map(|warning| warning.as_str().unwrap()).collect();
    let reassign = pair.filled("REASSIGN OWNED BY :clone TO :base");
    assert!(warnings[0].contains("owns 1 objects here, and 1 in other databases") && warnings[0].contains(&reassign), "{warnings:#?}");
    assert!(warnings[1].contains("privileges on 1 objects are granted to role"), "{warnings:#?}");
    pair.superuser(&format!("{reassign}; REVOKE USAGE ON SCHEMA :clone FROM :clone")).await;
    let report = pair.application.step(&function, "testSecret", &token).await.unwrap();
    assert_eq!(report["Warnings"].as_array().unwrap().len(), 1, "what is elsewhere is still there: {report}");
    admin().await.batch_execute(&format!("DROP DATABASE {elsewhere}")).await.unwrap();
    let report = pair.application.step(&function, "testSecret", &token).await.unwrap();
    assert_eq!(report["Warnings"], json!(null), "{report}");
}

#[tokio::test]
async fn many_tables_are_compared_quickly() {
    let unequal = Unequal::new().await;
    // 5,000 here, as they take seconds to make; `make bench` compares 50,000.
    unequal.pair.many_tables(&unequal.thing, 5_000).await;
    unequal.set().await;
    let started = std::time::Instant::now();
    let failed = unequal.step("testSecret").await.unwrap_err();
    assert!(failed.message.contains("(10001 in all)"), "{}", failed.message);
    assert!(started.elapsed() < std::time::Duration::from_secs(2), "{:?}", started.elapsed());
}
