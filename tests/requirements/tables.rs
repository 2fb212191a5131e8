//! Declared grants on tables and columns.

use super::{Case, fails, judge, works};

const TABLES: &[Case] = &[
    works(
        &["SELECT ON TABLE :s.orders"],
        "GRANT SELECT ON :s.orders TO :r",
        "SELECT * FROM :s.orders",
    ),
    fails(
        &["SELECT ON TABLE :s.orders"],
        "",
        "SELECT * FROM :s.orders",
        "SELECT on table :s.orders (GRANT SELECT ON TABLE :s.orders TO \":r\")",
    ),
    fails(
        &["SELECT, INSERT ON :s.orders"],
        "GRANT SELECT, INSERT ON :s.orders TO :r; REVOKE INSERT ON :s.orders FROM :r",
        "INSERT INTO :s.orders VALUES (1)",
        "INSERT on table :s.orders",
    ),
    fails(
        &["UPDATE ON :s.orders"],
        "GRANT SELECT ON :s.orders TO :r",
        "UPDATE :s.orders SET total = 1",
        "UPDATE on table :s.orders",
    ),
    fails(
        &["DELETE ON :s.orders"],
        "GRANT SELECT ON :s.orders TO :r",
        "DELETE FROM :s.orders",
        "DELETE on table :s.orders",
    ),
    fails(
        &["TRUNCATE ON :s.orders"],
        "GRANT DELETE ON :s.orders TO :r",
        "TRUNCATE :s.orders",
        "TRUNCATE on table :s.orders",
    ),
    fails(
        &["REFERENCES ON :s.orders"],
        "GRANT SELECT ON :s.orders TO :r; CREATE SCHEMA own_:s AUTHORIZATION :r",
        "CREATE TABLE own_:s.items (order_id int REFERENCES :s.orders)",
        "REFERENCES on table :s.orders",
    ),
    fails(
        &["TRIGGER ON :s.orders"],
        "GRANT SELECT ON :s.orders TO :r",
        "CREATE TRIGGER t BEFORE UPDATE ON :s.orders EXECUTE FUNCTION \
         suppress_redundant_updates_trigger()",
        "TRIGGER on table :s.orders",
    ),
    works(&["ALL ON :s.orders"], "GRANT ALL ON :s.orders TO :r", "TRUNCATE :s.orders"),
    fails(
        &["ALL ON :s.orders"],
        "GRANT ALL ON :s.orders TO :r; REVOKE TRUNCATE ON :s.orders FROM :r",
        "TRUNCATE :s.orders",
        "TRUNCATE on table :s.orders",
    ),
    fails(&["SELECT ON :s.nope"], "", "SELECT * FROM :s.nope", "table :s.nope does not exist"),
    fails(
        &["SELECT ON :s.orders"],
        "GRANT SELECT ON :s.orders TO :r; REVOKE USAGE ON SCHEMA :s FROM :r",
        "SELECT * FROM :s.orders",
        "USAGE on schema :s (GRANT USAGE ON SCHEMA :s TO \":r\")",
    ),
    works(
        &["SELECT (\"Odd Column\") ON \":s\".\"Odd \"\"Table\"\"\""],
        "CREATE TABLE :s.\"Odd \"\"Table\"\"\" (\"Odd Column\" int); GRANT SELECT ON :s.\"Odd \
         \"\"Table\"\"\" TO :r",
        "SELECT \"Odd Column\" FROM :s.\"Odd \"\"Table\"\"\"",
    ),
    fails(
        &["USAGE ON SEQUENCE :s.orders", "SELECT ON :s.orders"],
        "",
        "SELECT * FROM :s.orders",
        "SELECT on table :s.orders",
    ),
    fails(
        &["SELECT ON :s.bare"],
        "CREATE TABLE :s.bare ()",
        "SELECT * FROM :s.bare",
        "SELECT on table :s.bare",
    ),
    works(
        &["SELECT ON :s.Éte"],
        "CREATE TABLE :s.Éte (); GRANT SELECT ON :s.Éte TO :r",
        "SELECT * FROM :s.Éte",
    ),
    fails(
        &["SELECT ON :s.orders WITH GRANT OPTION"],
        "GRANT SELECT ON :s.orders TO :r; ALTER SCHEMA :s OWNER TO :r; ALTER TABLE :s.orders OWNER \
         TO postgres",
        // GRANT only warns if the option is missing, and the statement has to fail.
        "DO $$ BEGIN IF NOT has_table_privilege(':s.orders', 'SELECT WITH GRANT OPTION') THEN \
         RAISE 'no option'; END IF; END $$",
        "SELECT WITH GRANT OPTION on table :s.orders",
    ),
];

const COLUMNS: &[Case] = &[
    works(
        &["SELECT (id, total) ON :s.orders"],
        "GRANT SELECT (id, total) ON :s.orders TO :r",
        "SELECT id, total FROM :s.orders",
    ),
    fails(
        &["SELECT (total) ON :s.orders"],
        "GRANT SELECT (id) ON :s.orders TO :r",
        "SELECT total FROM :s.orders",
        "SELECT on column :s.orders.total (GRANT SELECT (total) ON TABLE :s.orders TO \":r\")",
    ),
    works(
        &["SELECT ON :s.orders"],
        "GRANT SELECT (id, total, note) ON :s.orders TO :r",
        "SELECT * FROM :s.orders",
    ),
    fails(
        &["SELECT ON :s.orders"],
        "GRANT SELECT (id, total) ON :s.orders TO :r",
        "SELECT * FROM :s.orders",
        "SELECT on table :s.orders",
    ),
    works(
        &["UPDATE (total) ON :s.orders"],
        "GRANT UPDATE (total) ON :s.orders TO :r",
        "UPDATE :s.orders SET total = 1",
    ),
    fails(
        &["UPDATE (note) ON :s.orders"],
        "GRANT UPDATE (total) ON :s.orders TO :r",
        "UPDATE :s.orders SET note = ''",
        "UPDATE on column :s.orders.note",
    ),
    fails(
        &["SELECT (nope) ON :s.orders"],
        "GRANT SELECT ON :s.orders TO :r",
        "SELECT nope FROM :s.orders",
        "column :s.orders.nope does not exist",
    ),
    works(
        &["SELECT (xmin, id) ON :s.orders"],
        "GRANT SELECT ON :s.orders TO :r",
        "SELECT xmin, id FROM :s.orders",
    ),
];

/// Partitions, inheritance and foreign tables.
const KINDS_OF_TABLES: &[Case] = &[
    works(
        &["SELECT, INSERT ON :s.parent"],
        "CREATE TABLE :s.parent (id int) PARTITION BY RANGE (id); CREATE TABLE :s.part PARTITION \
         OF :s.parent DEFAULT; GRANT SELECT, INSERT ON :s.parent TO :r",
        "INSERT INTO :s.parent VALUES (1)",
    ),
    fails(
        &["SELECT ON :s.part"],
        "CREATE TABLE :s.parent (id int) PARTITION BY RANGE (id); CREATE TABLE :s.part PARTITION \
         OF :s.parent DEFAULT; GRANT SELECT ON :s.parent TO :r",
        "SELECT * FROM :s.part",
        "SELECT on table :s.part",
    ),
    works(
        &["SELECT ON :s.orders"],
        "CREATE TABLE :s.child () INHERITS (:s.orders); GRANT SELECT ON :s.orders TO :r",
        "SELECT * FROM :s.orders",
    ),
    fails(
        &["SELECT ON :s.child"],
        "CREATE TABLE :s.child () INHERITS (:s.orders); GRANT SELECT ON :s.orders TO :r",
        "SELECT * FROM :s.child",
        "SELECT on table :s.child",
    ),
    fails(
        &["SELECT ON :s.far"],
        "CREATE FOREIGN DATA WRAPPER w_:s; CREATE SERVER s_:s FOREIGN DATA WRAPPER w_:s; CREATE \
         FOREIGN TABLE :s.far (id int) SERVER s_:s",
        "SELECT * FROM :s.far",
        "SELECT on foreign table :s.far",
    ),
];

const ROW_LEVEL_SECURITY: &[Case] = &[
    fails(
        &["SELECT, INSERT ON :s.orders"],
        "GRANT ALL ON :s.orders TO :r; ALTER TABLE :s.orders ENABLE ROW LEVEL SECURITY",
        "INSERT INTO :s.orders VALUES (1)",
        "row-level security blocks every INSERT into table :s.orders",
    ),
    works(
        &["SELECT, INSERT ON :s.orders"],
        "GRANT ALL ON :s.orders TO :r; ALTER TABLE :s.orders ENABLE ROW LEVEL SECURITY; CREATE \
         POLICY p ON :s.orders FOR INSERT TO :r WITH CHECK (true)",
        "INSERT INTO :s.orders VALUES (1)",
    ),
    works(
        &["SELECT ON :s.orders"],
        "GRANT ALL ON :s.orders TO :r; ALTER TABLE :s.orders ENABLE ROW LEVEL SECURITY",
        "SELECT * FROM :s.orders",
    ),
];

#[tokio::test]
async fn grants_on_tables_say_what_the_statement_does() {
    judge("grants", TABLES).await;
}

#[tokio::test]
async fn grants_on_columns_say_what_the_statement_does() {
    judge("grants", COLUMNS).await;
}

#[tokio::test]
async fn grants_on_every_kind_of_table_say_what_the_statement_does() {
    judge("grants", KINDS_OF_TABLES).await;
}

#[tokio::test]
async fn grants_under_row_level_security_say_what_the_statement_does() {
    judge("grants", ROW_LEVEL_SECURITY).await;
}
