//! Declared grants on all other objects: sequences, databases, types, languages, servers,
//! parameters and large objects.

use super::{Case, Declared, fails, judge, works};
use crate::world::lambda::Function;
use crate::world::postgres::{admin, version};

const SEQUENCES: &[Case] = &[
    fails(
        &["INSERT ON :s.orders", "USAGE ON SEQUENCE :s.orders_id_seq"],
        "GRANT INSERT ON :s.orders TO :r",
        "INSERT INTO :s.orders (total) VALUES (1)",
        "USAGE on sequence :s.orders_id_seq (GRANT USAGE ON SEQUENCE :s.orders_id_seq",
    ),
    works(
        &["INSERT ON :s.orders", "USAGE ON SEQUENCE :s.orders_id_seq"],
        "GRANT INSERT ON :s.orders TO :r; GRANT USAGE ON SEQUENCE :s.orders_id_seq TO :r",
        "INSERT INTO :s.orders (total) VALUES (1)",
    ),
    fails(
        &["USAGE ON SEQUENCE :s.orders_id_seq"],
        "GRANT SELECT ON SEQUENCE :s.orders_id_seq TO :r",
        "SELECT nextval(':s.orders_id_seq')",
        "USAGE on sequence :s.orders_id_seq",
    ),
    works(
        &["INSERT ON :s.t"],
        "CREATE TABLE :s.t (id int GENERATED ALWAYS AS IDENTITY, a int); GRANT INSERT ON :s.t TO \
         :r",
        "INSERT INTO :s.t (a) VALUES (1)",
    ),
];

const OTHERS: &[Case] = &[
    works(&["CONNECT, TEMP ON DATABASE postgres"], "", "CREATE TEMP TABLE t ()"),
    fails(
        &["CREATE ON DATABASE postgres"],
        "",
        "CREATE SCHEMA more_:s",
        "CREATE on database postgres (GRANT CREATE ON DATABASE postgres",
    ),
    fails(
        &["USAGE ON TYPE :s.mood"],
        "CREATE TYPE :s.mood AS ENUM ('a'); REVOKE USAGE ON TYPE :s.mood FROM PUBLIC; CREATE \
         SCHEMA own_:s AUTHORIZATION :r",
        "CREATE TABLE own_:s.t (mood :s.mood)",
        "USAGE on type :s.mood",
    ),
    fails(
        &["USAGE ON LANGUAGE l_:s"],
        "CREATE TRUSTED LANGUAGE l_:s HANDLER plpgsql_call_handler; REVOKE USAGE ON LANGUAGE l_:s \
         FROM PUBLIC; GRANT CREATE ON SCHEMA :s TO :r",
        "CREATE FUNCTION :s.f() RETURNS int LANGUAGE l_:s AS 'BEGIN RETURN 1; END'",
        "USAGE on language l_:s",
    ),
    fails(
        &["USAGE ON FOREIGN SERVER s_:s"],
        "CREATE FOREIGN DATA WRAPPER w_:s; CREATE SERVER s_:s FOREIGN DATA WRAPPER w_:s; GRANT \
         CREATE ON SCHEMA :s TO :r",
        "CREATE FOREIGN TABLE :s.far (id int) SERVER s_:s",
        "USAGE on server s_:s (GRANT USAGE ON FOREIGN SERVER s_:s",
    ),
    fails(
        &["USAGE ON FOREIGN DATA WRAPPER w_:s"],
        "CREATE FOREIGN DATA WRAPPER w_:s",
        "CREATE SERVER s_:s FOREIGN DATA WRAPPER w_:s",
        "USAGE on foreign-data wrapper w_:s (GRANT USAGE ON FOREIGN DATA WRAPPER w_:s",
    ),
];

#[tokio::test]
async fn grants_on_sequences_say_what_the_statement_does() {
    judge("grants", SEQUENCES).await;
}

#[tokio::test]
async fn grants_on_other_objects_say_what_the_statement_does() {
    judge("grants", OTHERS).await;
}

#[tokio::test]
async fn large_objects_are_checked_too() {
    let function = Function::start(&[]);
    let oid: u32 = admin().await.query_one("SELECT lo_create(0)", &[]).await.unwrap().get(0);
    let grant = format!("SELECT ON LARGE OBJECT {oid}");
    let declared = Declared::new("grants", &[&grant, "UPDATE ON LARGE OBJECT 1"], "").await;
    let failed = declared.test(&function).await.unwrap_err();
    assert!(
        failed.message.contains(&format!(
            "SELECT on large object {oid} (GRANT SELECT ON LARGE OBJECT {oid} TO"
        )),
        "{}",
        failed.message
    );
    assert!(failed.message.contains("large object 1 does not exist"), "{}", failed.message);
    admin()
        .await
        .batch_execute(
            &declared
                .fill(&format!("GRANT SELECT ON LARGE OBJECT {oid} TO :r; SELECT lo_create(1)")),
        )
        .await
        .unwrap();
    let failed = declared.test(&function).await.unwrap_err();
    assert!(
        !failed.message.contains(&oid.to_string())
            && failed.message.contains("UPDATE on large object 1"),
        "{}",
        failed.message
    );
}

#[tokio::test]
async fn an_owner_whose_own_rights_were_revoked_is_noticed() {
    let function = Function::start(&[]);
    let oid: u32 = admin().await.query_one("SELECT lo_create(0)", &[]).await.unwrap().get(0);
    let grant = format!("SELECT ON LARGE OBJECT {oid}");
    let prepare = format!("ALTER LARGE OBJECT {oid} OWNER TO :r");
    let declared = Declared::new("grants", &[&grant], &prepare).await;
    declared.test(&function).await.unwrap();
    let revoke = format!("REVOKE ALL ON LARGE OBJECT {oid} FROM :r");
    admin().await.batch_execute(&declared.fill(&revoke)).await.unwrap();
    assert!(declared.test(&function).await.unwrap_err().message.contains("SELECT on large object"));
}

#[tokio::test]
async fn parameters_that_any_role_may_set_need_no_grant() {
    let function = Function::start(&[]);
    if version().await >= 150_000 {
        admin()
            .await
            .batch_execute(
                "CREATE ROLE with_a_parameter; GRANT SET ON PARAMETER \
                log_statement_stats TO with_a_parameter",
            )
            .await
            .unwrap();
        for (grants, missing) in [
            (
                vec![
                    "SET ON PARAMETER work_mem",
                    "SET ON PARAMETER DateStyle",
                    "SET ON PARAMETER my.setting",
                ],
                None,
            ),
            (
                vec!["SET ON PARAMETER session_preload_libraries"],
                Some("SET on parameter session_preload_libraries"),
            ),
            (
                vec!["ALTER SYSTEM ON PARAMETER work_mem"],
                Some("ALTER SYSTEM on parameter work_mem"),
            ),
        ] {
            let checked = Declared::new("grants", &grants, "").await.test(&function).await;
            match missing {
                None => assert!(checked.is_ok(), "{checked:?}"),
                Some(missing) => {
                    assert!(checked.unwrap_err().message.contains(missing), "{missing}");
                }
            }
        }
    } else {
        let failed = Declared::new("grants", &["SET ON PARAMETER work_mem"], "")
            .await
            .test(&function)
            .await
            .unwrap_err();
        assert!(failed.message.contains("exists only from PostgreSQL 15 on"), "{}", failed.message);
    }
}

#[tokio::test]
async fn rights_of_newer_servers_are_told_apart_from_missing_ones() {
    let function = Function::start(&[]);
    let version = version().await;
    for (grant, since, needs) in [
        ("MAINTAIN ON :s.orders", 17, "MAINTAIN on table :s.orders"),
        ("SET ON PARAMETER log_duration", 15, "SET on parameter log_duration"),
    ] {
        let declared = Declared::new("grants", &[grant], "").await;
        let failed = declared.test(&function).await.unwrap_err();
        let expected = if version / 10_000 >= since {
            declared.fill(needs)
        } else {
            format!("exists only from PostgreSQL {since} on")
        };
        assert!(failed.message.contains(&expected), "{}", failed.message);
    }
    // ALL means the privileges that this server knows.
    let declared =
        Declared::new("grants", &["ALL ON :s.orders"], "GRANT ALL ON :s.orders TO :r").await;
    declared.test(&function).await.unwrap();
    let merge = "MERGE INTO :s.orders AS o USING (VALUES ($1::int)) AS v (id) ON o.id = v.id WHEN \
        MATCHED THEN DELETE";
    let declared = Declared::new("probes", &[merge], "GRANT SELECT ON :s.orders TO :r").await;
    let failed = declared.test(&function).await.unwrap_err();
    assert!(
        failed.message.contains(if version >= 150_000 { "42501" } else { "42601" }),
        "{}",
        failed.message
    );
}
