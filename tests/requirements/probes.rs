//! Declared probes: what the check says of each, and what the real statement does.

use super::{Case, fails, judge, works};

const READS: &[Case] = &[
    fails(
        &["SELECT id FROM :s.orders WHERE id = $1 AND total > (SELECT max(x) FROM :s.other)"],
        "CREATE TABLE :s.other (x int); GRANT SELECT ON :s.orders TO :r",
        "SELECT id FROM :s.orders WHERE id = 1 AND total > (SELECT max(x) FROM :s.other)",
        "permission denied for table other",
    ),
    fails(
        &["SELECT id FROM :s.orders WHERE id = $1 AND :s.f(total) > 0"],
        "CREATE FUNCTION :s.f(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'; REVOKE \
         EXECUTE ON FUNCTION :s.f FROM PUBLIC; GRANT SELECT ON :s.orders TO :r; INSERT INTO \
         :s.orders VALUES (1, 1)",
        "SELECT id FROM :s.orders WHERE id = 1 AND :s.f(total) > 0",
        "permission denied for function f",
    ),
    works(
        &["SELECT id FROM :s.orders WHERE ($1 IS NULL OR id = $1) AND note LIKE $2 ESCAPE'\\' -- \
             by id"],
        "GRANT SELECT ON :s.orders TO :r",
        "SELECT id FROM :s.orders",
    ),
    works(
        &["(SELECT id FROM :s.orders) UNION (SELECT $1) ; ;", "TABLE :s.orders"],
        "GRANT SELECT ON :s.orders TO :r",
        "TABLE :s.orders",
    ),
    works(
        &["SELECT * FROM :s.orders WHERE id = $1"],
        "GRANT SELECT ON :s.orders TO :r",
        "SELECT * FROM :s.orders",
    ),
    fails(
        &["SELECT * FROM :s.orders WHERE id = $1"],
        "",
        "SELECT * FROM :s.orders",
        "probes[0] cannot be run (42501: permission denied for table orders)",
    ),
    fails(
        &["SELECT 1", "SELECT total FROM :s.orders"],
        "GRANT SELECT (id) ON :s.orders TO :r",
        "SELECT total FROM :s.orders",
        "probes[1] cannot be run (42501",
    ),
    fails(
        &["SELECT o.id FROM :s.orders AS o JOIN :s.more AS m USING (id) WHERE m.id = ANY($1) \
             LIMIT $2"],
        "CREATE TABLE :s.more (id int); GRANT SELECT ON :s.orders TO :r",
        "SELECT o.id FROM :s.orders AS o JOIN :s.more AS m USING (id)",
        "permission denied for table more",
    ),
    works(
        &["SELECT o.id FROM :s.orders AS o WHERE total = ANY($1) AND note = $2::text AND \
             $3::jsonb ? 'a' LIMIT $4"],
        "GRANT SELECT ON :s.orders TO :r",
        "SELECT id FROM :s.orders",
    ),
    fails(
        &["SELECT :s.f(total) FROM :s.orders"],
        "CREATE FUNCTION :s.f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE EXECUTE ON \
         FUNCTION :s.f FROM PUBLIC; GRANT SELECT ON :s.orders TO :r; INSERT INTO :s.orders VALUES \
         (1)",
        "SELECT :s.f(total) FROM :s.orders",
        "permission denied for function f",
    ),
    fails(
        &["SELECT * FROM :s.v"],
        "CREATE ROLE viewer_:s; CREATE VIEW :s.v AS SELECT * FROM :s.orders; ALTER VIEW :s.v OWNER \
         TO viewer_:s; GRANT SELECT ON :s.v TO :r",
        "SELECT * FROM :s.v",
        "permission denied",
    ),
    fails(
        &["SELECT * FROM :s.orders"],
        "GRANT SELECT ON :s.orders TO :r; REVOKE USAGE ON SCHEMA :s FROM :r",
        "SELECT * FROM :s.orders",
        "permission denied for schema",
    ),
    fails(
        &["SELECT * FROM :s.nope"],
        "",
        "SELECT * FROM :s.nope",
        "probes[0] cannot be run (42P01",
    ),
    fails(
        &["SELECT nope FROM :s.orders"],
        "GRANT SELECT ON :s.orders TO :r",
        "SELECT nope FROM :s.orders",
        "probes[0] cannot be run (42703",
    ),
    works(
        &["SELECT * FROM bills"],
        "CREATE TABLE :s.bills (); GRANT SELECT ON :s.bills TO :r; ALTER ROLE :r SET search_path = \
         :s",
        "SELECT * FROM bills",
    ),
    fails(
        &["SELECT * FROM bills"],
        "CREATE TABLE :s.bills (); GRANT SELECT ON :s.bills TO :r",
        "SELECT * FROM bills",
        "probes[0] cannot be run (42P01",
    ),
    fails(
        &["SELECT id FROM :s.orders WHERE id = $1 FOR UPDATE"],
        "GRANT SELECT ON :s.orders TO :r",
        "SELECT id FROM :s.orders FOR UPDATE",
        "probes[0] cannot be run (42501",
    ),
    works(
        &["SELECT id FROM :s.orders WHERE id = $1 FOR UPDATE"],
        "GRANT SELECT, UPDATE ON :s.orders TO :r",
        "SELECT id FROM :s.orders FOR UPDATE",
    ),
    fails(
        &["SELECT * FROM :s.orders"],
        "CREATE ROLE group_:s; GRANT SELECT ON :s.orders TO group_:s; ALTER ROLE :r NOINHERIT; \
         GRANT group_:s TO :r",
        "SELECT * FROM :s.orders",
        "probes[0] cannot be run (42501",
    ),
    works(&["VALUES ($1::int);"], "", "VALUES (1)"),
];

const WRITES: &[Case] = &[
    works(
        &["INSERT INTO :s.t VALUES ($1)"],
        "CREATE DOMAIN :s.d AS int NOT NULL CHECK (VALUE > 0); CREATE TABLE :s.t (d :s.d); GRANT \
         INSERT ON :s.t TO :r",
        "INSERT INTO :s.t VALUES (1)",
    ),
    fails(
        &["UPDATE :s.orders SET total = $1 WHERE id = $2"],
        "GRANT UPDATE ON :s.orders TO :r",
        "UPDATE :s.orders SET total = 1 WHERE id = 2",
        "probes[0] cannot be run (42501",
    ),
    works(
        &["UPDATE :s.orders SET total = $1 WHERE id = $2"],
        "GRANT UPDATE, SELECT ON :s.orders TO :r",
        "UPDATE :s.orders SET total = 1 WHERE id = 2",
    ),
    fails(
        &["INSERT INTO :s.orders (id, total) VALUES ($1, $2) RETURNING id"],
        "GRANT INSERT ON :s.orders TO :r",
        "INSERT INTO :s.orders (id, total) VALUES (1, 2) RETURNING id",
        "probes[0] cannot be run (42501",
    ),
    works(
        &["INSERT INTO :s.orders (id, total) VALUES ($1, $2) ON CONFLICT DO NOTHING"],
        "GRANT INSERT ON :s.orders TO :r",
        "INSERT INTO :s.orders (id, total) VALUES (1, 2) ON CONFLICT DO NOTHING",
    ),
    fails(
        &["WITH gone AS (DELETE FROM :s.orders WHERE id = $1 RETURNING *) SELECT count(*) FROM \
             gone"],
        "GRANT SELECT ON :s.orders TO :r",
        "WITH gone AS (DELETE FROM :s.orders WHERE id = 1 RETURNING *) SELECT count(*) FROM gone",
        "probes[0] cannot be run (42501",
    ),
    works(
        &["INSERT INTO :s.parent VALUES ($1)"],
        "CREATE TABLE :s.parent (id int) PARTITION BY RANGE (id); CREATE TABLE :s.part PARTITION \
         OF :s.parent DEFAULT; GRANT INSERT ON :s.parent TO :r",
        "INSERT INTO :s.parent VALUES (1)",
    ),
];

#[tokio::test]
async fn probes_say_what_the_statement_does() {
    judge("probes", READS).await;
}

#[tokio::test]
async fn probes_that_write_say_what_the_statement_does() {
    judge("probes", WRITES).await;
}
