//! Privileges on every kind of object.

use super::{Situation, Unequal, situation};
use crate::world::postgres::admin;
use crate::world::world;

const TABLE: &str = "CREATE TABLE public.:thing (id int, total int);";

fn granted(create: &str, grant: &str, missing: &'static str) -> Situation {
    situation(format!("{create} GRANT {grant}"), missing)
}

fn without_public(create: &str, privilege_on: &str, missing: &'static str) -> Situation {
    let revoke = format!("REVOKE {privilege_on} FROM PUBLIC");
    situation(format!("{create} {revoke}; GRANT {privilege_on} TO :current"), missing)
}

#[tokio::test]
async fn every_kind_of_privilege_is_compared_and_can_be_fixed() {
    let server = "CREATE FOREIGN DATA WRAPPER :thing; CREATE SERVER :thing FOREIGN DATA WRAPPER \
        :thing;";
    let unequal = Unequal::new().await;
    unequal.set().await;
    let situations = vec![
        granted(TABLE, "SELECT ON public.:thing TO :current", "SELECT on table public.:thing"),
        granted(
            TABLE,
            "INSERT ON public.:thing TO :current WITH GRANT OPTION",
            "INSERT WITH GRANT OPTION on table public.:thing",
        ),
        granted(
            TABLE,
            "UPDATE (total) ON public.:thing TO :current",
            "UPDATE on column public.:thing.total",
        ),
        granted(TABLE, "TRUNCATE ON public.:thing TO :current", "TRUNCATE on table public.:thing"),
        granted(TABLE, "MAINTAIN ON public.:thing TO :current", "MAINTAIN on table public.:thing")
            .from(17),
        granted(
            "CREATE VIEW public.:thing AS SELECT 1;",
            "SELECT ON public.:thing TO :current",
            "SELECT on view public.:thing",
        ),
        granted(
            "CREATE MATERIALIZED VIEW public.:thing AS SELECT 1;",
            "SELECT ON public.:thing TO :current",
            "SELECT on materialized view public.:thing",
        ),
        granted(
            "CREATE TABLE public.:thing (id int) PARTITION BY RANGE (id);",
            "DELETE ON public.:thing TO :current",
            "DELETE on table public.:thing",
        ),
        granted(
            &format!("{server} CREATE FOREIGN TABLE public.:thing (id int) SERVER :thing;"),
            "SELECT ON public.:thing TO :current",
            "SELECT on foreign table public.:thing",
        ),
        granted(
            "CREATE SEQUENCE public.:thing;",
            "USAGE ON SEQUENCE public.:thing TO :current",
            "USAGE on sequence public.:thing",
        ),
        without_public(
            "CREATE FUNCTION public.:thing(int, text[]) RETURNS int LANGUAGE sql AS 'SELECT 1';",
            "EXECUTE ON FUNCTION public.:thing",
            "EXECUTE on function public.:thing(integer,pg_catalog.text[])",
        ),
        without_public(
            "CREATE PROCEDURE public.:thing() LANGUAGE sql AS 'SELECT 1';",
            "EXECUTE ON PROCEDURE public.:thing",
            "EXECUTE on procedure public.:thing()",
        ),
        without_public(
            "CREATE AGGREGATE public.:thing(int) (SFUNC = int4pl, STYPE = int);",
            "EXECUTE ON FUNCTION public.:thing",
            "EXECUTE on aggregate public.:thing(integer)",
        ),
        without_public(
            "CREATE AGGREGATE public.:thing(*) (SFUNC = int4inc, STYPE = int, INITCOND = 0);",
            "EXECUTE ON FUNCTION public.:thing",
            "EXECUTE on aggregate public.:thing()",
        ),
        granted(
            "CREATE SCHEMA :thing;",
            "USAGE ON SCHEMA :thing TO :current",
            "USAGE on schema :thing",
        ),
        granted("", "CREATE ON DATABASE :database TO :current", "CREATE on database :database"),
        granted(
            "CREATE DOMAIN public.:thing AS int; REVOKE USAGE ON DOMAIN public.:thing FROM PUBLIC;",
            "USAGE ON DOMAIN public.:thing TO :current",
            "USAGE on type public.:thing",
        ),
        without_public(
            "CREATE TYPE public.:thing AS ENUM ('a');",
            "USAGE ON TYPE public.:thing",
            "USAGE on type public.:thing",
        ),
        without_public(
            "CREATE TRUSTED LANGUAGE :thing HANDLER plpgsql_call_handler;",
            "USAGE ON LANGUAGE :thing",
            "USAGE on language :thing",
        ),
        granted(
            "CREATE FOREIGN DATA WRAPPER :thing;",
            "USAGE ON FOREIGN DATA WRAPPER :thing TO :current",
            "USAGE on foreign-data wrapper :thing",
        ),
        granted(server, "USAGE ON FOREIGN SERVER :thing TO :current", "USAGE on server :thing"),
        granted(
            "",
            "CREATE ON TABLESPACE pg_default TO :current",
            "CREATE on tablespace pg_default",
        ),
        granted(
            "SELECT lo_create(4711);",
            "SELECT ON LARGE OBJECT 4711 TO :current",
            "SELECT on large object 4711",
        ),
        granted("", "SET ON PARAMETER log_duration TO :current", "SET on parameter log_duration")
            .from(15),
        situation(
            "CREATE TABLE public.:thing (id int); CREATE ROLE :thing; CREATE POLICY p ON \
             public.:thing TO :thing, :current USING (true)",
            "the rows of policy p on public.:thing",
        ),
        situation(
            "CREATE TABLE public.\"Quoted :thing\" (\"Id\" int); GRANT SELECT (\"Id\") ON \
             public.\"Quoted :thing\" TO :current",
            "SELECT on column public.\"Quoted :thing\".\"Id\"",
        ),
    ];
    unequal.each("privileges", situations).await;
}

#[tokio::test]
async fn what_the_pending_user_can_do_by_another_way_is_not_missing() {
    let unequal = Unequal::new().await;
    unequal
        .superuser(
            "CREATE TABLE public.a (id int, total int); GRANT SELECT ON public.a TO :current, \
             PUBLIC; CREATE TABLE public.b (id int, total int); GRANT SELECT ON public.b TO \
             :current; GRANT SELECT ON public.b TO :next WITH GRANT OPTION; CREATE TABLE public.c \
             (id int, total int); ALTER TABLE public.c OWNER TO :next; GRANT SELECT ON public.c TO \
             :current; CREATE TABLE public.d (id int, total int); GRANT SELECT (id), UPDATE \
             (total) ON public.d TO :current; GRANT ALL ON public.d TO :next; CREATE FUNCTION \
             public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; GRANT EXECUTE ON FUNCTION public.f \
             TO :current; CREATE POLICY p ON public.a USING (true); CREATE POLICY q ON public.a TO \
             :current, :next USING (true)",
        )
        .await;
    // Through a role that both are members of.
    let group = crate::world::unique("group_");
    unequal
        .superuser(&format!(
            "CREATE ROLE {group}; CREATE TABLE public.e (id int); GRANT SELECT ON public.e TO \
             :current, {group}; CREATE POLICY r ON public.e TO {group} USING (true); GRANT {group} \
             TO :current, :next; GRANT {group} TO :admin WITH ADMIN OPTION"
        ))
        .await;
    unequal.set().await;
    unequal.passes("nothing is missing").await;
}

#[tokio::test]
async fn a_role_that_may_read_everything_needs_no_privilege_on_each_table() {
    if !crate::world::postgres::has("pg_read_all_data", 14).await {
        return;
    }
    let unequal = Unequal::new().await;
    unequal
        .superuser(
            "CREATE SCHEMA s; CREATE TABLE s.t (id int); GRANT USAGE ON SCHEMA s TO :current; \
             GRANT SELECT, INSERT, DELETE ON s.t TO :current; GRANT pg_read_all_data, \
             pg_write_all_data TO :next",
        )
        .await;
    unequal.set().await;
    unequal.passes("it may read and write everything").await;
    unequal.superuser("GRANT SELECT ON s.t TO :current WITH GRANT OPTION").await;
    let statement = unequal.missing("SELECT WITH GRANT OPTION on table s.t").await;
    unequal.superuser(&statement).await;
    unequal.passes(&statement).await;
}

#[tokio::test]
async fn a_policy_that_restricts_the_pending_user_alone_is_noticed() {
    let unequal = Unequal::new().await;
    unequal.set().await;
    // Else the current user has the base user's rights and limits, too.
    let admin = unequal.pair.admin_session().await;
    let _ = admin.batch_execute(&unequal.filled("REVOKE :next FROM :current")).await;
    unequal
        .superuser(
            "REVOKE :next FROM :current; ALTER ROLE :current NOINHERIT; GRANT :next TO :current",
        )
        .await;
    let situations = vec![
        situation(
            "CREATE TABLE public.:thing (id int); CREATE POLICY p ON public.:thing AS RESTRICTIVE \
             TO :next USING (false)",
            "the rows that policy p on public.:thing hides from :next",
        )
        .advised("to roles that :next does not inherit", "DROP POLICY p ON public.:thing"),
    ];
    unequal.each("policies that restrict", situations).await;
}

#[tokio::test]
async fn a_schema_that_only_the_current_users_name_leads_to_is_named() {
    let unequal = Unequal::new().await;
    unequal.set().await;
    unequal.superuser("CREATE SCHEMA :current").await;
    let schema = &unequal.pair.clone;
    let expected = format!("schema {schema}, which \"$user\" in search_path stands for");
    let statement = unequal.missing(&expected).await;
    unequal.superuser(&statement).await;
    // It is a setting of the current user, which the next attempt gives to the other one.
    unequal.set().await;
    unequal.passes(&statement).await;
}

/// `SET search_path FROM CURRENT` keeps the list as the role wrote it, and such a name may hold a
/// statement.
#[tokio::test]
async fn a_search_path_brings_nothing_of_its_own_into_a_statement() {
    let unequal = Unequal::new().await;
    unequal.superuser("CREATE SCHEMA :current").await;
    let attack = unequal.filled(
        "SELECT set_config('search_path', 'Public , \"$user\",\"a\"\"b\",\
         x;ALTER/**/ROLE/**/:current/**/SUPERUSER;--', false); ALTER ROLE :current SET search_path \
         FROM CURRENT",
    );
    let (user, password) = unequal.pair.credentials("AWSCURRENT").await;
    let own = world().postgres.login_to(&unequal.database, &user, &password).await.unwrap();
    own.batch_execute(&attack).await.unwrap();
    unequal.set().await;
    let schema = &unequal.pair.clone;
    let expected = format!("schema {schema}, which \"$user\" in search_path stands for");
    let statement = unequal.missing(&expected).await;
    let quoted = format!("SET search_path = public, {schema}, \"a\"\"b\", \"x;alter/**/role/**/");
    assert!(statement.contains(&quoted), "{statement}");
    unequal.superuser(&statement).await;
    let superuser = "SELECT rolsuper FROM pg_roles WHERE rolname = $1";
    let powerful: bool = admin().await.query_one(superuser, &[&user]).await.unwrap().get(0);
    assert!(!powerful, "{statement}");
}

#[tokio::test]
async fn only_a_mapping_that_a_session_would_use_is_missing() {
    let unequal = Unequal::new().await;
    unequal.set().await;
    let server = "CREATE FOREIGN DATA WRAPPER :thing; CREATE SERVER :thing FOREIGN DATA WRAPPER \
        :thing;";
    let situations = vec![
        situation(
            format!("{server} CREATE USER MAPPING FOR :current SERVER :thing"),
            "the user mapping for server :thing",
        )
        .advised("with the options", "CREATE USER MAPPING FOR PUBLIC SERVER :thing"),
        situation(
            format!("{server} CREATE USER MAPPING FOR :current SERVER :thing"),
            "the user mapping for server :thing",
        )
        .advised("create one for :next", "CREATE USER MAPPING FOR :next SERVER :thing"),
    ];
    unequal.each("user mappings", situations).await;
    unequal
        .superuser(
            "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER w FOREIGN DATA WRAPPER w; CREATE USER \
             MAPPING FOR PUBLIC SERVER w",
        )
        .await;
    unequal.passes("both have that of PUBLIC").await;
}
