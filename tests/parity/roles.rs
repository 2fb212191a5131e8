//! What belongs to the roles themselves: attributes, memberships, settings, and the role that a
//! session acts as.

use serde_json::json;

use super::{Unequal, tell};
use crate::world::application::STEPS;
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::postgres::admin;
use crate::world::{unique, world};

/// The next attempt of the rotation makes it equal again.
#[tokio::test]
async fn what_is_taken_from_the_pending_user_is_noticed() {
    let unequal = Unequal::new().await;
    let groups = unique("group_");
    unequal
        .superuser(&format!(
            "CREATE ROLE {groups}_a; GRANT {groups}_a TO :admin WITH ADMIN OPTION; GRANT \
             {groups}_a TO :current; CREATE ROLE {groups}_b; GRANT {groups}_b TO :admin WITH ADMIN \
             OPTION; GRANT {groups}_b TO :current WITH ADMIN OPTION; GRANT {groups}_b TO :next; \
             ALTER ROLE :current CREATEDB; ALTER ROLE :admin CREATEDB"
        ))
        .await;
    let situations = [
        ("ALTER ROLE :next SET work_mem = '1MB'", "the same setting work_mem"),
        (
            "ALTER ROLE :next IN DATABASE :database SET default_transaction_read_only = on",
            "the same setting default_transaction_read_only in database :database",
        ),
        ("ALTER ROLE :next CONNECTION LIMIT 2", "attribute CONNECTION LIMIT -1"),
        ("ALTER ROLE :next VALID UNTIL '2199-01-01'", "attribute VALID UNTIL 'infinity'"),
        ("ALTER ROLE :next NOCREATEDB", "attribute CREATEDB"),
        ("REVOKE :group_a FROM :next", "membership in role :group_a"),
        ("REVOKE ADMIN OPTION FOR :group_b FROM :next", "ADMIN OPTION on role :group_b"),
    ];
    for (change, missing) in situations {
        unequal.set().await;
        let change = unequal.filled(&change.replace(":group", &groups));
        if change.starts_with("REVOKE") {
            // From PostgreSQL 16 on, the role that granted it has to revoke it.
            unequal.pair.admin_session().await.batch_execute(&change).await.unwrap();
        } else {
            unequal.superuser(&change).await;
        }
        let remedy = unequal.missing(&missing.replace(":group", &groups)).await;
        assert!(remedy.contains("the next attempt of the rotation"), "{remedy}");
        unequal.set().await;
        unequal.passes(&change).await;
    }
    tell("what the next attempt makes equal", situations.len());
}

/// In a session that acts as another role than its user, that role's own attributes count.
#[tokio::test]
async fn what_the_owner_role_lacks_is_no_matter_of_the_next_attempt() {
    let unequal = Unequal::new().await;
    let owner = unique("owner_");
    unequal
        .superuser(&format!(
            "CREATE ROLE {owner}; GRANT {owner} TO :next, :current; GRANT {owner} TO :admin WITH \
             ADMIN OPTION"
        ))
        .await;
    unequal.set().await;
    // As if a policy's owner_role had made the pending user act as that.
    unequal.superuser(&format!("ALTER ROLE :next SET role = '{owner}'")).await;
    let failed = unequal.refused().await;
    assert_eq!(failed.kind, "UsersNotReady", "{}", failed.message);
}

#[tokio::test]
async fn what_roles_that_both_should_have_give_is_named_once() {
    let unequal = Unequal::new().await;
    unequal.set().await;
    let thing = unique("thing_");
    unequal
        .superuser(&format!(
            "CREATE SCHEMA {thing}; CREATE TABLE {thing}.a (id int); CREATE TABLE {thing}.b (id \
             int); CREATE ROLE {thing}; GRANT USAGE ON SCHEMA {thing} TO {thing}; GRANT SELECT ON \
             {thing}.a TO {thing}; ALTER TABLE {thing}.b OWNER TO {thing}; GRANT {thing} TO \
             :current"
        ))
        .await;
    // Both the membership and what it gives are missing; a single GRANT gives them back.
    let failed = unequal.refused().await;
    assert!(failed.message.contains("(2 differences)"), "{}", failed.message);
    for part in [
        format!("membership in role {thing} ("),
        format!("the rights of role {thing} (GRANT \"{thing}\" TO {})", unequal.filled(":next")),
    ] {
        assert!(failed.message.contains(&part), "{part}: {}", failed.message);
    }
    unequal.superuser(&format!("GRANT \"{thing}\" TO :next")).await;
    unequal.passes("the role was granted").await;
}

/// No advice gives power, or makes a circle.
#[tokio::test]
async fn no_statement_grants_what_must_not_or_cannot_be_granted() {
    let unequal = Unequal::new().await;
    unequal.set().await;
    for prepare in [
        "CREATE ROLE :thing BYPASSRLS",
        "CREATE ROLE :thing CREATEROLE",
        "CREATE ROLE :thing; GRANT pg_execute_server_program TO :thing",
        "CREATE ROLE :thing; GRANT :next TO :thing",
    ] {
        let thing = unique("thing_");
        unequal
            .superuser(
                &format!(
                    "{prepare}; CREATE TABLE public.:thing (id int); GRANT SELECT ON public.:thing \
                     TO :thing; GRANT :thing TO :current"
                )
                .replace(":thing", &thing),
            )
            .await;
        let failed = unequal.refused().await;
        assert!(
            failed.message.contains(&format!("the rights of role {thing} (no statement"))
                && !failed.message.contains(&format!("GRANT \"{thing}\"")),
            "{prepare}: {}",
            failed.message
        );
        unequal.superuser(&format!("REVOKE {thing} FROM :current")).await;
        unequal.passes(prepare).await;
    }
}

#[tokio::test]
async fn roles_that_are_there_from_the_beginning_are_compared() {
    let unequal = Unequal::new().await;
    unequal
        .superuser("GRANT pg_monitor TO :current; GRANT pg_monitor TO :admin WITH ADMIN OPTION")
        .await;
    unequal.set().await;
    unequal.passes("both are members").await;
    let revoke = unequal.filled("REVOKE pg_monitor FROM :next");
    unequal.pair.admin_session().await.batch_execute(&revoke).await.unwrap();
    let failed = unequal.refused().await;
    let statement = unequal.filled("GRANT \"pg_monitor\" TO :next");
    assert!(
        failed.message.contains(&format!("the rights of role pg_monitor ({statement})")),
        "{}",
        failed.message
    );
    unequal.superuser(&statement).await;
    unequal.passes(&statement).await;
}

#[tokio::test]
async fn what_the_public_may_in_most_databases_is_compared_where_it_may_not() {
    let dbname = unique("shop_");
    for sql in [
        format!("CREATE DATABASE {dbname}"),
        format!("REVOKE ALL ON DATABASE {dbname} FROM PUBLIC"),
    ] {
        admin().await.batch_execute(&sql).await.unwrap();
    }
    let (pair, function) =
        (Pair::edited(|document| document["dbname"] = json!(dbname)).await, Function::start(&[]));
    pair.imitate_aws_function().await;
    pair.superuser(&format!(
        "GRANT CONNECT ON DATABASE {dbname} TO :base, :admin; GRANT TEMPORARY ON DATABASE \
         {dbname} TO :clone"
    ))
    .await;
    let token = pair.application.begin().await;
    pair.application.steps(&function, &STEPS[..2], &token).await;
    let failed = pair.application.step(&function, "testSecret", &token).await.unwrap_err();
    let statement = pair.filled(&format!("GRANT TEMPORARY ON DATABASE {dbname} TO :base"));
    let expected = format!("(1 differences): TEMPORARY on database {dbname} ({statement})");
    assert!(failed.message.contains(&expected), "{}", failed.message);
    pair.superuser(&statement).await;
    pair.application.steps(&function, &STEPS[2..], &token).await;
}

#[tokio::test]
async fn a_pending_user_that_does_not_act_as_the_owner_is_not_promoted() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    let token = pair.application.begin().await;
    pair.application.steps(&function, &STEPS[..2], &token).await;
    pair.superuser("ALTER ROLE :clone RESET role").await;
    let failed = pair.application.step(&function, "testSecret", &token).await.unwrap_err();
    assert_eq!(failed.kind, "UsersNotReady", "{}", failed.message);
    let statement = pair.filled(&format!("ALTER ROLE :clone SET role = '{}'", pair.base));
    assert!(
        failed.message.contains(&statement) && failed.message.contains("AWSCURRENT was not moved"),
        "{}",
        failed.message
    );
    pair.superuser(&statement).await;
    pair.application.steps(&function, &["testSecret"], &token).await;

    // From PostgreSQL 16 on, the role that granted it has to revoke it.
    pair.admin_session()
        .await
        .batch_execute(&pair.filled("REVOKE :base FROM :clone"))
        .await
        .unwrap();
    let failed = pair.application.step(&function, "testSecret", &token).await.unwrap_err();
    assert_eq!(failed.kind, "UsersNotReady", "{}", failed.message);
    let expected = pair.filled("its \"role\" setting is :base, which it may not assume");
    assert!(failed.message.contains(&expected), "{}", failed.message);
    let (_, statement) = failed.message.split_once("Run ").unwrap();
    pair.superuser(statement.split_once(". ").unwrap().0).await;
    pair.application.steps(&function, &["testSecret", "finishSecret"], &token).await;
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
        "CREATE TABLE public.:base (id int); ALTER TABLE public.:base OWNER TO :clone; CREATE \
         SCHEMA :clone; GRANT USAGE ON SCHEMA :clone TO :clone",
    )
    .await;
    let token = pair.application.begin().await;
    pair.application.steps(&function, &STEPS[..2], &token).await;
    let warnings = async || {
        let report = pair.application.step(&function, "testSecret", &token).await.unwrap();
        let warnings = report["Warnings"].as_array().cloned().unwrap_or_default();
        warnings.iter().map(|warning| warning.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let said = warnings().await;
    let reassign = pair.filled("REASSIGN OWNED BY :clone TO :base");
    assert!(
        said[0].contains(&format!("in databases postgres (1), {elsewhere} (1)"))
            && said[0].contains(&reassign),
        "{said:#?}"
    );
    let advice = pair.filled("Grant them to :base, and revoke them from :clone.");
    assert!(said[1].contains("itself has privileges on 1 objects"), "{said:#?}");
    assert!(said[1].ends_with(&advice), "{said:#?}");
    pair.superuser(&format!(
        "{reassign}; GRANT USAGE ON SCHEMA :clone TO :base; REVOKE USAGE ON SCHEMA :clone FROM \
         :clone"
    ))
    .await;
    let said = warnings().await;
    assert!(said[0].contains(&format!("in databases {elsewhere} (1)")), "{said:#?}");
    admin().await.batch_execute(&format!("DROP DATABASE {elsewhere}")).await.unwrap();
    assert_eq!(warnings().await, [""; 0]);
}
