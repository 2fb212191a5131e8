//! Declared grants on schemas, on names that the search path resolves, and on ALL ... IN SCHEMA.

use super::{Case, fails, judge, works};

const SCHEMAS: &[Case] = &[
    fails(
        &["EXECUTE ON FUNCTION :s.f"],
        "CREATE FUNCTION :s.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE USAGE ON SCHEMA :s \
         FROM :r",
        "SELECT :s.f()",
        "USAGE on schema :s",
    ),
    works(&["CREATE ON SCHEMA :s"], "GRANT CREATE ON SCHEMA :s TO :r", "CREATE TABLE :s.more ()"),
    fails(&["USAGE, CREATE ON SCHEMA :s"], "", "CREATE TABLE :s.more ()", "CREATE on schema :s"),
    fails(
        &["USAGE ON SCHEMA no_:s"],
        "",
        "CREATE TABLE no_:s.more ()",
        "schema no_:s does not exist",
    ),
    works(
        &["SELECT ON bills"],
        "CREATE TABLE :s.bills (); GRANT SELECT ON :s.bills TO :r; ALTER ROLE :r SET search_path = \
         nowhere, :s",
        "SELECT * FROM bills",
    ),
    fails(
        &["SELECT ON bills"],
        "CREATE TABLE :s.bills (); GRANT SELECT ON :s.bills TO :r",
        "SELECT * FROM bills",
        "table bills does not exist",
    ),
];

const ALL_IN_SCHEMA: &[Case] = &[
    works(
        &["SELECT ON ALL TABLES IN SCHEMA :s"],
        "CREATE VIEW :s.v AS SELECT 1; GRANT SELECT ON ALL TABLES IN SCHEMA :s TO :r",
        "SELECT * FROM :s.v",
    ),
    fails(
        &["SELECT ON ALL TABLES IN SCHEMA :s"],
        "GRANT SELECT ON ALL TABLES IN SCHEMA :s TO :r; CREATE TABLE :s.new (id int)",
        "SELECT * FROM :s.new",
        "SELECT on table :s.new",
    ),
    fails(
        &["USAGE ON ALL SEQUENCES IN SCHEMA :s"],
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA :s TO :r; CREATE SEQUENCE :s.new",
        "SELECT nextval(':s.new')",
        "USAGE on sequence :s.new",
    ),
    fails(
        &["EXECUTE ON ALL FUNCTIONS IN SCHEMA :s"],
        "CREATE FUNCTION :s.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE EXECUTE ON FUNCTION \
         :s.f FROM PUBLIC",
        "SELECT :s.f()",
        "EXECUTE on function :s.f()",
    ),
    fails(
        &["SELECT ON ALL TABLES IN SCHEMA no_:s"],
        "",
        "SELECT * FROM no_:s.t",
        "schema no_:s does not exist",
    ),
    works(
        &["EXECUTE ON ALL FUNCTIONS IN SCHEMA :s"],
        "CREATE PROCEDURE :s.p() LANGUAGE sql AS 'SELECT 1'; REVOKE EXECUTE ON PROCEDURE :s.p FROM \
         PUBLIC; CREATE FUNCTION :s.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "SELECT :s.f()",
    ),
    fails(
        &["EXECUTE ON ALL ROUTINES IN SCHEMA :s"],
        "CREATE PROCEDURE :s.p() LANGUAGE sql AS 'SELECT 1'; REVOKE EXECUTE ON PROCEDURE :s.p FROM \
         PUBLIC",
        "CALL :s.p()",
        "EXECUTE on procedure :s.p()",
    ),
];

#[tokio::test]
async fn grants_on_schemas_say_what_the_statement_does() {
    judge("grants", SCHEMAS).await;
}

#[tokio::test]
async fn grants_on_all_in_a_schema_say_what_the_statement_does() {
    judge("grants", ALL_IN_SCHEMA).await;
}
