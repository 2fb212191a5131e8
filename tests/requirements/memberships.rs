//! Declared memberships, and roles that the application acts as.

use super::{Case, fails, judge, works};
use crate::world::application::Application;
use crate::world::lambda::Function;
use crate::world::postgres::admin;
use crate::world::unique;

const MEMBERSHIPS: &[Case] = &[
    fails(
        &["SELECT ON :s.orders", "group_:s"],
        "CREATE ROLE group_:s; GRANT SELECT ON :s.orders TO group_:s; ALTER ROLE :r NOINHERIT; \
         GRANT group_:s TO :r",
        "SELECT * FROM :s.orders",
        "SELECT on table :s.orders",
    ),
    works(
        &["SELECT ON :s.orders", "group_:s"],
        "CREATE ROLE group_:s; GRANT SELECT ON :s.orders TO group_:s; GRANT group_:s TO :r",
        "SELECT * FROM :s.orders",
    ),
    works(
        &["group_:s"],
        "CREATE ROLE group_:s; ALTER ROLE :r NOINHERIT; GRANT group_:s TO :r",
        "SET ROLE group_:s",
    ),
    fails(
        &["group_:s"],
        "CREATE ROLE group_:s",
        "SET ROLE group_:s",
        "membership in role group_:s (GRANT \"group_:s\" TO \":r\")",
    ),
    fails(&["no_group_:s"], "", "SET ROLE no_group_:s", "role no_group_:s does not exist"),
];

#[tokio::test]
async fn memberships_say_what_the_statement_does() {
    judge("grants", MEMBERSHIPS).await;
}

#[tokio::test]
async fn a_role_that_may_not_be_assumed_is_noticed() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let (role, owner) = (&application.role, unique("owner_"));
    let sql = format!(
        "CREATE ROLE {owner}; GRANT {owner} TO {role}; ALTER ROLE {role} SET role = {owner}; \
         REVOKE {owner} FROM {role}"
    );
    admin().await.batch_execute(&sql).await.unwrap();
    let token = application.begin().await;
    let failed = application.step(&function, "testSecret", &token).await.unwrap_err();
    assert!(
        failed.message.contains(&format!(
            "setting is \"{owner}\", which it may not assume (no statement is shown: only a"
        )),
        "{}",
        failed.message
    );
}
