//! A pooler or a proxy between the function and the server: it is recognised, and nothing is
//! changed through it.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::json;

use crate::database_errors::assert_set_secret_fails;
use crate::world::application::{Application, STEPS};
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::postgres::admin;
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
