//! What belongs to the current user itself: every kind of object that has an owner.

use super::{Situation, Unequal, situation};
use crate::world::postgres::{admin, version};
use crate::world::{unique, world};

fn owned(create: &str, what: &str, missing: &'static str) -> Situation {
    situation(format!("{create}; ALTER {what} OWNER TO :current"), missing)
}

#[tokio::test]
async fn every_kind_of_object_can_be_given_to_the_owner_role() {
    let unequal = Unequal::new().await;
    unequal.superuser("CREATE SCHEMA s").await;
    unequal.set().await;
    let wrapper = "CREATE FOREIGN DATA WRAPPER :thing";
    let server = format!("{wrapper}; CREATE SERVER :thing FOREIGN DATA WRAPPER :thing");
    let foreign = format!("{server}; CREATE FOREIGN TABLE s.:thing (id int) SERVER :thing");
    let situations = vec![
        owned("CREATE TABLE s.:thing (id int)", "TABLE s.:thing", "ownership of table s.:thing"),
        owned(
            "CREATE TABLE s.:thing (id int) PARTITION BY RANGE (id)",
            "TABLE s.:thing",
            "ownership of table s.:thing",
        ),
        // The sequences go with their tables, and cannot be given away alone.
        owned(
            "CREATE TABLE s.:thing (id serial, more bigint GENERATED ALWAYS AS IDENTITY)",
            "TABLE s.:thing",
            "ownership of table s.:thing",
        ),
        owned("CREATE SEQUENCE s.:thing", "SEQUENCE s.:thing", "ownership of sequence s.:thing"),
        owned("CREATE VIEW s.:thing AS SELECT 1", "VIEW s.:thing", "ownership of view s.:thing"),
        owned(
            "CREATE MATERIALIZED VIEW s.:thing AS SELECT 1",
            "MATERIALIZED VIEW s.:thing",
            "ownership of materialized view s.:thing",
        ),
        owned(&foreign, "FOREIGN TABLE s.:thing", "ownership of foreign table s.:thing"),
        owned("CREATE SCHEMA :thing", "SCHEMA :thing", "ownership of schema :thing"),
        owned(
            "CREATE FUNCTION s.:thing(int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "FUNCTION s.:thing",
            "ownership of function s.:thing(integer)",
        ),
        owned(
            "CREATE PROCEDURE s.:thing() LANGUAGE sql AS 'SELECT 1'",
            "PROCEDURE s.:thing",
            "ownership of procedure s.:thing()",
        ),
        owned(
            "CREATE AGGREGATE s.:thing(*) (SFUNC = int4inc, STYPE = int, INITCOND = 0)",
            "AGGREGATE s.:thing(*)",
            "ownership of aggregate s.:thing()",
        ),
        owned(
            "CREATE AGGREGATE s.:thing(float8 ORDER BY float8) (SFUNC = ordered_set_transition, \
             STYPE = internal, FINALFUNC = percentile_cont_float8_final)",
            "AGGREGATE s.:thing(float8 ORDER BY float8)",
            "ownership of aggregate s.:thing(double precision,double precision)",
        ),
        owned("CREATE TYPE s.:thing AS ENUM ('a')", "TYPE s.:thing", "ownership of type s.:thing"),
        owned("CREATE TYPE s.:thing AS (a int)", "TYPE s.:thing", "ownership of type s.:thing"),
        owned("CREATE DOMAIN s.:thing AS int", "DOMAIN s.:thing", "ownership of type s.:thing"),
        owned(
            "CREATE OPERATOR s.&&& (LEFTARG = int, RIGHTARG = int, FUNCTION = int4pl)",
            "OPERATOR s.&&& (int, int)",
            "ownership of operator s.&&&(integer,integer)",
        ),
        owned(
            "CREATE OPERATOR s.!!! (RIGHTARG = int, FUNCTION = int4abs)",
            "OPERATOR s.!!! (NONE, int)",
            "ownership of operator s.!!!(NONE,integer)",
        ),
        owned(
            "CREATE OPERATOR FAMILY s.:thing USING btree",
            "OPERATOR FAMILY s.:thing USING btree",
            "ownership of operator family s.:thing USING btree",
        ),
        owned(
            "CREATE OPERATOR FAMILY s.f_:thing USING btree; CREATE OPERATOR CLASS s.:thing FOR \
             TYPE int USING btree FAMILY s.f_:thing AS STORAGE int",
            "OPERATOR CLASS s.:thing USING btree",
            "ownership of operator class s.:thing USING btree",
        ),
        owned(
            "CREATE COLLATION s.:thing (LOCALE = 'C')",
            "COLLATION s.:thing",
            "ownership of collation s.:thing",
        ),
        owned(
            "CREATE CONVERSION s.:thing FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8",
            "CONVERSION s.:thing",
            "ownership of conversion s.:thing",
        ),
        owned(
            "CREATE TEXT SEARCH DICTIONARY s.:thing (TEMPLATE = simple)",
            "TEXT SEARCH DICTIONARY s.:thing",
            "ownership of text search dictionary s.:thing",
        ),
        owned(
            "CREATE TEXT SEARCH CONFIGURATION s.:thing (COPY = simple)",
            "TEXT SEARCH CONFIGURATION s.:thing",
            "ownership of text search configuration s.:thing",
        ),
        owned(
            "CREATE TABLE s.t_:thing (a int, b int); CREATE STATISTICS s.:thing ON a, b FROM \
             s.t_:thing",
            "STATISTICS s.:thing",
            "ownership of statistics object s.:thing",
        ),
        owned(&server, "SERVER :thing", "ownership of server :thing"),
        owned("CREATE PUBLICATION :thing", "PUBLICATION :thing", "ownership of publication :thing"),
        owned("SELECT lo_create(4712)", "LARGE OBJECT 4712", "ownership of large object 4712"),
        owned(
            "CREATE TRUSTED LANGUAGE :thing HANDLER plpgsql_call_handler",
            "LANGUAGE :thing",
            "ownership of language :thing",
        ),
        owned(
            "CREATE TABLE s.\"Quoted \"\":thing\" (id int)",
            "TABLE s.\"Quoted \"\":thing\"",
            "ownership of table s.\"Quoted \"\":thing\"",
        ),
        // These were made by a role that was a superuser once.
        situation(
            format!(
                "{wrapper}; ALTER ROLE :current SUPERUSER; ALTER FOREIGN DATA WRAPPER :thing OWNER \
                 TO :current; ALTER ROLE :current NOSUPERUSER"
            ),
            "ownership of foreign-data wrapper :thing",
        )
        .advised(
            "only a superuser may own one: ALTER FOREIGN DATA WRAPPER :thing OWNER TO",
            "ALTER FOREIGN DATA WRAPPER :thing OWNER TO postgres",
        ),
        situation(
            "CREATE FUNCTION s.:thing() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; \
             CREATE EVENT TRIGGER :thing ON sql_drop EXECUTE FUNCTION s.:thing(); ALTER ROLE \
             :current SUPERUSER; ALTER EVENT TRIGGER :thing OWNER TO :current; ALTER ROLE :current \
             NOSUPERUSER",
            "ownership of event trigger :thing",
        )
        .advised(
            "only a superuser may own one: ALTER EVENT TRIGGER :thing OWNER TO",
            "ALTER EVENT TRIGGER :thing OWNER TO postgres",
        ),
    ];
    unequal.each("owned objects", situations).await;
}

#[tokio::test]
async fn a_type_goes_with_the_type_that_depends_on_it() {
    let unequal = Unequal::new().await;
    unequal.superuser("CREATE SCHEMA s").await;
    unequal.set().await;
    let situations = vec![owned(
        "CREATE TYPE s.:thing AS RANGE (SUBTYPE = float8)",
        "TYPE s.:thing",
        "ownership of type s.:thing",
    )];
    unequal.each("range types", situations).await;
}

/// Nothing but REASSIGN OWNED moves an extension, and it moves all else that the user owns there.
#[tokio::test]
async fn an_extension_is_moved_with_everything_else() {
    let unequal = Unequal::new().await;
    unequal.set().await;
    let situations = vec![situation(
        "GRANT CREATE ON DATABASE :database TO PUBLIC; CREATE SCHEMA :thing; GRANT CREATE, USAGE \
         ON SCHEMA :thing TO PUBLIC; SET ROLE :current; CREATE EXTENSION citext SCHEMA :thing; \
         RESET ROLE",
        "ownership of extension citext",
    )];
    unequal.each("extensions", situations).await;
}

#[tokio::test]
async fn what_the_whole_cluster_shares_is_compared_once() {
    let unequal = Unequal::new().await;
    unequal.set().await;
    let other = unique("owned_");
    admin().await.batch_execute(&format!("CREATE DATABASE {other}")).await.unwrap();
    unequal.superuser(&format!("ALTER DATABASE {other} OWNER TO :current")).await;
    let statement = unequal.missing(&format!("ownership of database {other}")).await;
    unequal.superuser(&statement).await;
    unequal.passes(&statement).await;
    admin().await.batch_execute(&format!("DROP DATABASE {other}")).await.unwrap();

    // The owner of the secret's database has more: public is the schema of pg_database_owner.
    unequal.superuser("ALTER DATABASE :database OWNER TO :current").await;
    let statement = unequal.missing("ownership of database :database").await;
    unequal.superuser(&statement).await;
    unequal.passes(&statement).await;

    let (tablespace, version) = (unique("space_"), version().await);
    if version >= 150_000 {
        let session = admin().await;
        session.batch_execute("SET allow_in_place_tablespaces = on").await.unwrap();
        session
            .batch_execute(&format!("CREATE TABLESPACE {tablespace} LOCATION ''"))
            .await
            .unwrap();
        unequal.superuser(&format!("ALTER TABLESPACE {tablespace} OWNER TO :current")).await;
        let statement = unequal.missing(&format!("ownership of tablespace {tablespace}")).await;
        unequal.superuser(&statement).await;
        unequal.passes(&statement).await;
    }

    // A subscription belongs to one database, and its entry to the cluster.
    let subscription = unique("subscription_");
    unequal
        .superuser(&format!(
            "CREATE SUBSCRIPTION {subscription} CONNECTION 'host=nowhere' PUBLICATION p WITH \
             (connect = false, slot_name = NONE); ALTER ROLE :current SUPERUSER"
        ))
        .await;
    unequal.superuser(&format!("ALTER SUBSCRIPTION {subscription} OWNER TO :current")).await;
    unequal.superuser("ALTER ROLE :current NOSUPERUSER").await;
    let remedy = unequal.missing(&format!("ownership of subscription {subscription}")).await;
    if version >= 160_000 {
        unequal.superuser(&remedy).await;
    } else {
        assert!(remedy.contains("only a superuser may own one"), "{remedy}");
        unequal.superuser(&format!("ALTER SUBSCRIPTION {subscription} OWNER TO postgres")).await;
    }
    unequal.passes(&remedy).await;
    unequal.superuser(&format!("DROP SUBSCRIPTION {subscription}")).await;
}

#[tokio::test]
async fn a_pair_that_awss_function_has_made_is_halted_before_it_loses_a_table() {
    let unequal = Unequal::new().await;
    let (pair, function) = (&unequal.pair, &unequal.function);
    unequal.superuser("CREATE SCHEMA :next AUTHORIZATION :next").await;
    let as_current = async |sql: &str| {
        let (user, password) = pair.credentials("AWSCURRENT").await;
        let session = world().postgres.login_to(&unequal.database, &user, &password).await.unwrap();
        session.batch_execute(&unequal.filled(sql)).await.unwrap();
    };
    as_current("CREATE TABLE :next.of_the_clone (id int)").await;

    pair.application.remove_pending_label().await;
    let rotation = pair.application.rotate(function).await;
    assert_eq!(rotation["state"], "failed", "{rotation}");
    let refused = |event: &serde_json::Value| event["error.kind"] == "PrivilegesMissing";
    let failure = function.await_log_event("the refusal", refused).await;
    let statement =
        unequal.filled(&format!("ALTER TABLE {}.of_the_clone OWNER TO :next", pair.base));
    assert!(failure["message"].as_str().unwrap().contains(&format!("({statement})")), "{failure}");
    assert_eq!(pair.credentials("AWSCURRENT").await.0, pair.clone, "AWSCURRENT stays");

    unequal.superuser(&statement).await;
    pair.turn(function).await;
    pair.turn(function).await;
    as_current("SELECT * FROM :next.of_the_clone").await;
}
