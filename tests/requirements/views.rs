//! Declared grants on views, whose owner needs rights too.

use super::{Case, fails, judge, works};

const VIEWS: &[Case] = &[
    works(
        &["SELECT ON :s.v"],
        "CREATE VIEW :s.v AS SELECT * FROM :s.orders; GRANT SELECT ON :s.v TO :r",
        "SELECT * FROM :s.v",
    ),
    fails(
        &["SELECT ON :s.v"],
        "CREATE VIEW :s.v AS SELECT * FROM :s.orders",
        "SELECT * FROM :s.v",
        "SELECT on view :s.v (GRANT SELECT ON TABLE :s.v",
    ),
    fails(
        &["SELECT ON :s.v"],
        "CREATE ROLE viewer_:s; CREATE VIEW :s.v AS SELECT * FROM :s.orders; ALTER VIEW :s.v OWNER \
         TO viewer_:s; GRANT SELECT ON :s.v TO :r",
        "SELECT * FROM :s.v",
        "SELECT * FROM :s.v is refused behind the view (42501",
    ),
    fails(
        &["SELECT, DELETE ON :s.v"],
        "CREATE ROLE viewer_:s; GRANT USAGE ON SCHEMA :s TO viewer_:s; GRANT SELECT ON :s.orders \
         TO viewer_:s; CREATE VIEW :s.v AS SELECT * FROM :s.orders; ALTER VIEW :s.v OWNER TO \
         viewer_:s; GRANT ALL ON :s.v TO :r",
        "DELETE FROM :s.v",
        "DELETE FROM :s.v is refused behind the view",
    ),
    works(
        &["SELECT ON :s.m"],
        "CREATE MATERIALIZED VIEW :s.m AS SELECT * FROM :s.orders; GRANT SELECT ON :s.m TO :r",
        "SELECT * FROM :s.m",
    ),
    fails(
        &["UPDATE (total) ON :s.v"],
        "CREATE ROLE viewer_:s; GRANT USAGE ON SCHEMA :s TO viewer_:s; GRANT SELECT, UPDATE (id) \
         ON :s.orders TO viewer_:s; CREATE VIEW :s.v AS SELECT * FROM :s.orders; ALTER VIEW :s.v \
         OWNER TO viewer_:s; GRANT ALL ON :s.v TO :r",
        "UPDATE :s.v SET total = 1",
        "UPDATE :s.v SET total = DEFAULT is refused behind the view",
    ),
    fails(
        &["UPDATE ON :s.v"],
        "CREATE ROLE viewer_:s; GRANT USAGE ON SCHEMA :s TO viewer_:s; CREATE TABLE :s.t (id int \
         GENERATED ALWAYS AS IDENTITY, a int); GRANT SELECT ON :s.t TO viewer_:s; CREATE VIEW :s.v \
         AS SELECT id, a, 1 + a AS more FROM :s.t; ALTER VIEW :s.v OWNER TO viewer_:s; GRANT ALL \
         ON :s.v TO :r",
        "UPDATE :s.v SET a = 1",
        "is refused behind the view (42501",
    ),
    fails(
        &["INSERT ON :s.v"],
        "CREATE ROLE viewer_:s; GRANT USAGE ON SCHEMA :s TO viewer_:s; GRANT SELECT, INSERT (id) \
         ON :s.orders TO viewer_:s; CREATE VIEW :s.v AS SELECT * FROM :s.orders; ALTER VIEW :s.v \
         OWNER TO viewer_:s; GRANT ALL ON :s.v TO :r",
        "INSERT INTO :s.v (total) VALUES (1)",
        "INSERT INTO :s.v (id, total, note) VALUES (DEFAULT, DEFAULT, DEFAULT) is refused behind \
         the view",
    ),
    works(
        &["ALL ON :s.v"],
        "CREATE VIEW :s.v AS SELECT id, total, 1 AS one FROM :s.orders; GRANT ALL ON :s.v TO :r",
        "INSERT INTO :s.v (id, total) VALUES (1, 1)",
    ),
];

#[tokio::test]
async fn grants_on_views_say_what_the_statement_does() {
    judge("grants", VIEWS).await;
}
