//! Roles belong to the whole cluster: the two users are compared in every database where only one
//! of them has something.

use serde_json::json;

use super::Unequal;
use crate::world::pair::Pair;
use crate::world::postgres::admin;
use crate::world::{unique, world};

async fn create() -> String {
    let name = unique("elsewhere_");
    admin().await.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    name
}

async fn drop(name: &str) {
    admin().await.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
}

#[tokio::test]
async fn what_the_current_user_has_in_another_database_is_missing_too() {
    let unequal = Unequal::new().await;
    let elsewhere = create().await;
    unequal.set().await;
    for (prepare, missing) in [
        (
            "CREATE TABLE public.owned (id int); ALTER TABLE public.owned OWNER TO :current",
            "ownership of table public.owned",
        ),
        (
            "CREATE TABLE public.granted (id int); GRANT SELECT ON public.granted TO :current",
            "SELECT on table public.granted",
        ),
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE :admin GRANT SELECT ON TABLES TO :current",
            "SELECT for :next on tables that role :admin creates later",
        ),
        (
            "CREATE POLICY p ON public.granted TO :current USING (true)",
            "the rows of policy p on public.granted",
        ),
    ] {
        unequal.superuser_in(&elsewhere, prepare).await;
        let statement = unequal.missing(&format!("in database {elsewhere}, {missing}")).await;
        unequal.superuser_in(&elsewhere, &statement).await;
        unequal.passes(missing).await;
    }
    drop(&elsewhere).await;
}

#[tokio::test]
async fn a_database_that_the_pending_user_may_not_enter_is_named() {
    let unequal = Unequal::new().await;
    let elsewhere = create().await;
    unequal.set().await;
    unequal
        .superuser_in(
            &elsewhere,
            &format!(
                "REVOKE CONNECT ON DATABASE {elsewhere} FROM PUBLIC; GRANT CONNECT ON DATABASE \
                 {elsewhere} TO :current; CREATE TABLE public.t (id int); ALTER TABLE public.t \
                 OWNER TO :current"
            ),
        )
        .await;
    // Where it may not even enter, there is nothing more to say.
    let statement = unequal.missing(&format!("CONNECT on database {elsewhere}")).await;
    unequal.superuser(&statement).await;
    let owner = format!("in database {elsewhere}, ownership of table public.t");
    let statement = unequal.missing(&owner).await;
    unequal.superuser_in(&elsewhere, &statement).await;
    unequal.passes(&owner).await;
    drop(&elsewhere).await;
}

#[tokio::test]
async fn a_database_that_the_current_user_may_not_enter_is_no_difference() {
    let unequal = Unequal::new().await;
    let elsewhere = create().await;
    unequal.set().await;
    let owned = "CREATE TABLE public.t (id int); ALTER TABLE public.t OWNER TO :current";
    unequal.superuser_in(&elsewhere, owned).await;
    unequal.superuser(&format!("REVOKE CONNECT ON DATABASE {elsewhere} FROM PUBLIC")).await;
    unequal.passes("neither may enter").await;
    unequal
        .superuser(&format!(
            "GRANT CONNECT ON DATABASE {elsewhere} TO PUBLIC; ALTER DATABASE {elsewhere} \
             ALLOW_CONNECTIONS false"
        ))
        .await;
    unequal.passes("no role may enter").await;
    unequal.superuser(&format!("ALTER DATABASE {elsewhere} ALLOW_CONNECTIONS true")).await;
    unequal.missing(&format!("in database {elsewhere}, ownership of table public.t")).await;
    drop(&elsewhere).await;
}

#[tokio::test]
async fn a_database_that_cannot_be_compared_halts_the_turn_unless_the_policy_leaves_it_out() {
    let elsewhere = create().await;
    let prepare = format!(
        "CREATE TABLE public.t (id int); ALTER TABLE public.t OWNER TO :current; ALTER DATABASE \
         {elsewhere} CONNECTION LIMIT 0"
    );
    let unequal = Unequal::new().await;
    unequal.set().await;
    unequal.superuser_in(&elsewhere, &prepare).await;
    let failed = unequal.refused().await;
    assert_eq!(failed.kind, "DatabaseNotCompared", "{}", failed.message);
    for part in [
        format!("in database \"{elsewhere}\""),
        "53300".to_owned(),
        "list those that it uses as databases in ROTATION_POLICY".to_owned(),
    ] {
        assert!(failed.message.contains(&part), "{part}: {}", failed.message);
    }

    for (databases, compared) in
        [(json!([]), false), (json!(["postgres"]), false), (json!([elsewhere]), true)]
    {
        let policy = json!({"defaults": {"databases": databases}}).to_string();
        let unequal = Unequal::with(&[("ROTATION_POLICY", &policy)]).await;
        unequal.set().await;
        unequal
            .superuser_in("postgres", &format!("ALTER DATABASE {elsewhere} CONNECTION LIMIT -1"))
            .await;
        unequal
            .superuser_in(
                &elsewhere,
                "DROP TABLE public.t; CREATE TABLE public.t (id int); ALTER TABLE public.t OWNER \
                 TO :current",
            )
            .await;
        let tested = unequal.step("testSecret").await;
        assert_eq!(tested.is_err(), compared, "{databases}: {tested:?}");
    }
    drop(&elsewhere).await;
}

#[tokio::test]
async fn what_is_set_for_one_database_is_compared_for_that() {
    let unequal = Unequal::new().await;
    let elsewhere = create().await;
    unequal.set().await;
    for setting in ["work_mem = '1MB'", "search_path = public", "role = 'pg_monitor'"] {
        let name = setting.split(' ').next().unwrap();
        unequal.superuser(&format!("ALTER ROLE :next IN DATABASE {elsewhere} SET {setting}")).await;
        let missing = format!("the same setting {name} in database {elsewhere}");
        let remedy = unequal.missing(&missing).await;
        assert!(remedy.contains("the next attempt"), "{remedy}");
        unequal.set().await;
        unequal.passes(&missing).await;
    }
    drop(&elsewhere).await;
}

/// In one database the current user acts as another role than everywhere else.
#[tokio::test]
async fn a_user_that_acts_as_itself_in_one_database_is_compared_as_itself_there() {
    let database = unique("parity_");
    admin().await.batch_execute(&format!("CREATE DATABASE {database}")).await.unwrap();
    let elsewhere = create().await;
    let pair = Pair::edited(|document| document["dbname"] = json!(database)).await;
    let function = crate::world::lambda::Function::start(&[]);
    pair.turn(&function).await;
    pair.superuser(&format!("ALTER ROLE :clone IN DATABASE {elsewhere} SET role = 'none'")).await;
    let postgres = &world().postgres;
    let session =
        async || postgres.login_to(&elsewhere, "postgres", &postgres.admin_password).await.unwrap();
    let sql = pair.filled("CREATE TABLE public.t (id int); ALTER TABLE public.t OWNER TO :clone");
    session().await.batch_execute(&sql).await.unwrap();
    let token = pair.application.begin().await;
    pair.application.steps(&function, &["createSecret", "setSecret"], &token).await;
    let failed = pair.application.step(&function, "testSecret", &token).await.unwrap_err();
    let statement = pair.filled("ALTER TABLE public.t OWNER TO :base");
    let expected = format!(
        "(1 differences): in database {elsewhere}, ownership of table public.t ({statement})"
    );
    assert!(failed.message.contains(&expected), "{}", failed.message);
    session().await.batch_execute(&statement).await.unwrap();
    pair.application.steps(&function, &["testSecret", "finishSecret"], &token).await;
    drop(&elsewhere).await;
}

#[tokio::test]
async fn many_databases_are_compared_and_each_is_named() {
    let unequal = Unequal::new().await;
    unequal.set().await;
    let mut names = Vec::new();
    for _ in 0..6 {
        let name = create().await;
        let owned = "CREATE TABLE public.t (id int); ALTER TABLE public.t OWNER TO :current";
        unequal.superuser_in(&name, owned).await;
        names.push(name);
    }
    let failed = unequal.refused().await;
    for name in &names {
        let expected = format!("in database {name}, ownership of table public.t (ALTER TABLE");
        assert!(failed.message.contains(&expected), "{name}: {}", failed.message);
        unequal.superuser_in(name, "REASSIGN OWNED BY :current TO :next").await;
    }
    unequal.passes("all of them").await;
    for name in names {
        drop(&name).await;
    }
}
