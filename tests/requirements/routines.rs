//! Declared grants on functions and procedures, in every spelling of their arguments.

use super::{Case, fails, judge, works};

const ROUTINES: &[Case] = &[
    fails(
        &["EXECUTE ON FUNCTION :s.f(int)"],
        "CREATE FUNCTION :s.f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE EXECUTE ON \
         FUNCTION :s.f FROM PUBLIC",
        "SELECT :s.f(1)",
        "EXECUTE on function :s.f(integer)",
    ),
    fails(
        &["EXECUTE ON FUNCTION :s.f(text)"],
        "CREATE FUNCTION :s.f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION \
         :s.f(text) RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE EXECUTE ON FUNCTION :s.f(text) \
         FROM PUBLIC",
        "SELECT :s.f('a'::text)",
        "EXECUTE on function :s.f(pg_catalog.text)",
    ),
    fails(
        &["EXECUTE ON FUNCTION :s.f(bigint, :s.mood[])"],
        "CREATE FUNCTION :s.f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TYPE :s.mood AS \
         ENUM ()",
        "SELECT :s.f(1::bigint, '{}':::s.mood[])",
        "function :s.f(bigint, :s.mood[]) does not exist",
    ),
    works(
        &["EXECUTE ON FUNCTION :s.f(int8, :s.mood[], :s.mood)"],
        "CREATE TYPE :s.mood AS ENUM ('a'); CREATE FUNCTION :s.f(bigint, :s.mood[], :s.mood) \
         RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "SELECT :s.f(1::bigint, '{}':::s.mood[], 'a':::s.mood)",
    ),
    fails(
        &["EXECUTE ON PROCEDURE :s.p()"],
        "CREATE PROCEDURE :s.p() LANGUAGE sql AS 'SELECT 1'; REVOKE EXECUTE ON PROCEDURE :s.p FROM \
         PUBLIC",
        "CALL :s.p()",
        "EXECUTE on procedure :s.p()",
    ),
    works(
        &["EXECUTE ON FUNCTION :s.f()"],
        "CREATE FUNCTION :s.f() RETURNS bigint SECURITY DEFINER LANGUAGE sql AS 'SELECT count(*) \
         FROM :s.orders'",
        "SELECT :s.f()",
    ),
    works(
        &["EXECUTE ON FUNCTION :s.f(order_id integer, IN name text, VARIADIC pg_catalog.int4[])"],
        "CREATE FUNCTION :s.f(order_id int, name text, VARIADIC more int[]) RETURNS int LANGUAGE \
         sql AS 'SELECT 1'",
        "SELECT :s.f(1, 'a', 2, 3)",
    ),
    works(
        &["EXECUTE ON FUNCTION :s.f(\":s\".\"My.Mood\"[], dec, text array)"],
        "CREATE TYPE :s.\"My.Mood\" AS ENUM ('a'); CREATE FUNCTION :s.f(:s.\"My.Mood\"[], numeric, \
         text[]) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "SELECT :s.f('{a}', 1, '{}')",
    ),
    works(
        &["EXECUTE ON FUNCTION :s.f(text)"],
        "CREATE FUNCTION :s.f(text) RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER ROLE :r SET \
         quote_all_identifiers = on",
        "SELECT :s.f('a')",
    ),
];

#[tokio::test]
async fn grants_on_routines_say_what_the_statement_does() {
    judge("grants", ROUTINES).await;
}
