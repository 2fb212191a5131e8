//! A pooler or a proxy between the function and the server. The function recognises it, and changes
//! nothing through it.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::json;
use tokio_postgres::NoTls;

use crate::database_errors::assert_set_secret_fails;
use crate::world::application::{Application, STEPS};
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::pooler::Pooler;
use crate::world::postgres::{HOST, PLAINTEXT_ROLES, admin};
use crate::world::wire::Wire;
use crate::world::{random_hex, unique, world};

#[tokio::test]
async fn a_proxy_that_refuses_start_up_options_is_reported() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = proxy.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut client, _)) = proxy.accept() {
            let _ = client.read(&mut [0; 1024]);
            let fields = "SFATAL\0VFATAL\0C0A000\0Mcommand-line options are not supported\0\0";
            let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
            let _ = client.write_all(&[b"E", &length[..], fields.as_bytes()].concat());
        }
    });
    let policy = json!({"defaults": {"allow_plaintext": true}}).to_string();
    let function = Function::start(&[("ROTATION_POLICY", &policy)]);
    let application = Application::edited(|document| {
        document["port"] = json!(port);
        document["ssl"] = json!(false);
    })
    .await;
    assert_set_secret_fails(&application, &function, "ProxyInTheWay", &["rotation_host"]).await;
}

#[tokio::test]
async fn a_role_is_not_changed_behind_a_pooler_that_drops_start_up_options() {
    let wire = Wire::without_options();
    let function = Function::start(&[(
        "ROTATION_POLICY",
        &json!({"defaults": {"allow_plaintext": true}}).to_string(),
    )]);
    let application = wire.application(|_| {}).await;
    let token = application.begin().await;
    application.steps(&function, &STEPS[..1], &token).await;
    let refused = application.step(&function, "setSecret", &token).await.unwrap_err();
    assert_eq!(refused.kind, "ProxyInTheWay", "{}", refused.message);
    assert!(application.accepts(&application.password).await);
}

#[tokio::test]
async fn an_admin_does_nothing_behind_a_pooler_that_drops_start_up_options() {
    let (wire, dbname) = (Wire::without_options(), unique("shop_"));
    admin().await.batch_execute(&format!("CREATE DATABASE {dbname}")).await.unwrap();
    let pair = Pair::through(&wire).await;
    pair.superuser(&format!("ALTER DATABASE {dbname} OWNER TO :base")).await;
    // A database's owner can decide what `=` means for every role there.
    let owner =
        world().postgres.login_to(&dbname, &pair.base, &pair.application.password).await.unwrap();
    let trap = format!(
        "CREATE SCHEMA trap; GRANT USAGE ON SCHEMA trap TO PUBLIC; CREATE FUNCTION \
         trap.equal(text, text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN IF current_user \
         OPERATOR(pg_catalog.=) '{}' THEN EXECUTE 'ALTER ROLE :base CREATEROLE'; END IF; RETURN $1 \
         OPERATOR(pg_catalog.=) $2; END $$; CREATE OPERATOR trap.= (LEFTARG = text, RIGHTARG = \
         text, FUNCTION = trap.equal); ALTER DATABASE {dbname} SET search_path = trap, pg_catalog",
        pair.admin
    );
    owner.batch_execute(&pair.filled(&trap)).await.unwrap();
    let mut document = pair.application.document.clone();
    document["dbname"] = json!(dbname);
    pair.application.put(&random_hex(), &document.to_string(), &["AWSCURRENT"]).await;
    let function = Function::start(&[(
        "ROTATION_POLICY",
        &json!({"defaults": {"allow_plaintext": true}}).to_string(),
    )]);
    let token = pair.application.begin().await;
    pair.application.steps(&function, &STEPS[..1], &token).await;
    let refused = pair.application.step(&function, "setSecret", &token).await.unwrap_err();
    assert_eq!(refused.kind, "ProxyInTheWay", "{}", refused.message);
    let powers = "SELECT rolcreaterole FROM pg_roles WHERE rolname = $1";
    assert!(
        !admin().await.query_one(powers, &[&pair.base]).await.unwrap().get::<_, bool>(0),
        "the database's own `=` ran as the admin"
    );
}

/// What the application's next statement would see of us: its process on the server, and what
/// decides about names, rights and time.
const LEFT_BEHIND: &str = "SELECT pg_backend_pid(), current_user, array_to_string(ARRAY[\
    current_setting('search_path'), current_setting('role'), current_setting('datestyle'), \
    current_setting('statement_timeout'), current_setting('lock_timeout'), \
    current_setting('default_transaction_read_only'), current_setting('quote_all_identifiers'), \
    current_setting('idle_in_transaction_session_timeout'), \
    current_setting('idle_session_timeout', true), current_setting('transaction_timeout', true), \
    coalesce(nullif(current_setting('postgres_secret_rotation.direct', true), ''), '-')], ' ', \
    '-')";

/// Behind a pooler that gives one session to all, `preflight` and the steps set nothing that the
/// application would find. Past it, by `rotation_host` and `rotation_port`, they work.
async fn leaves_nothing_behind(pooler: &Pooler, application: &Application) {
    let (role, password) = (&application.role, &application.password);
    let url = format!("host=127.0.0.1 port={} user={role} dbname=postgres", pooler.port);
    let mut config: tokio_postgres::Config = url.parse().unwrap();
    let (client, connection) = config.password(password).connect(NoTls).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    let look = async || {
        let row = client.query_typed(LEFT_BEHIND, &[]).await.unwrap().remove(0);
        (row.get::<_, i32>(0), row.get::<_, String>(1), row.get::<_, String>(2))
    };
    let before = look().await;
    assert!(before.1 != *role && before.2.contains("orders_of_"), "{before:?}");

    let policy = json!({"defaults": {"allow_plaintext": true}}).to_string();
    let function = Function::start(&[("ROTATION_POLICY", &policy)]);
    let event = |operation: &str| json!({"Operation": operation, "SecretId": application.name});
    let report = function.invoke(event("preflight")).await.unwrap();
    assert_eq!(report["Ready"], false, "{}: {report}", pooler.name);
    assert!(report.to_string().contains("ProxyInTheWay"), "{}: {report}", pooler.name);
    assert_eq!(look().await, before, "after preflight, {}", pooler.name);
    let report = function.invoke(event("status")).await.unwrap();
    assert_eq!(report["Remedy"], "Wait", "{}: {report}", pooler.name);
    assert_eq!(look().await, before, "after status, {}", pooler.name);
    let token = application.begin().await;
    for step in ["testSecret", "createSecret", "setSecret"] {
        let result = application.step(&function, step, &token).await;
        if step != "createSecret" {
            let refused = result.unwrap_err();
            assert_eq!(refused.kind, "ProxyInTheWay", "{}: {}", pooler.name, refused.message);
        }
        assert_eq!(look().await, before, "after {step}, {}", pooler.name);
    }

    let past_it = json!({"defaults": {"allow_plaintext": true, "rotation_host": HOST,
        "rotation_port": world().postgres.port}});
    let function = Function::start(&[("ROTATION_POLICY", &past_it.to_string())]);
    application.steps(&function, &STEPS, &token).await;
    application.assert_rotated(&token, password).await;
}

#[tokio::test]
async fn no_trace_of_a_session_stays_in_a_pool() {
    let mut behind = vec!["a pooler of the tests"];
    for real in [false, true] {
        let (role, acts_as) = (unique("app_"), unique("acts_as_"));
        let port = world().postgres.port;
        let mut application = Application::named(&role, |document| {
            document["ssl"] = json!(false);
            document["port"] = json!(port);
        })
        .await;
        let pooler = if real {
            let Some(pooler) = Pooler::pgbouncer(&role, &application.password).await else {
                continue;
            };
            behind.push(pooler.name);
            pooler
        } else {
            Pooler::emulated()
        };
        let sql = format!(
            "CREATE ROLE {acts_as}; GRANT {acts_as}, {PLAINTEXT_ROLES} TO {role}; ALTER ROLE \
             {role} SET role = {acts_as}; ALTER ROLE {role} SET search_path = orders_of_{role}; \
             ALTER ROLE {role} SET lock_timeout = '7s'"
        );
        admin().await.batch_execute(&sql).await.unwrap();
        application.document["port"] = json!(pooler.port);
        application.document["host"] = json!("127.0.0.1");
        application.put(&random_hex(), &application.document.to_string(), &["AWSCURRENT"]).await;
        leaves_nothing_behind(&pooler, &application).await;
    }
    let _ = writeln!(std::io::stderr(), "no trace was left behind {}", behind.join(" and "));
}
