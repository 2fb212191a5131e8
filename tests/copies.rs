//! Copies of the password on the server itself: user mappings and subscriptions. They are named
//! before the change, and no password in them is shown.

use serde_json::{Value, json};

use crate::world::application::{Application, STEPS};
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::{unique, world};

/// The warnings of `status`, of `preflight` and of `setSecret`.
async fn warnings(function: &Function, application: &Application) -> [String; 3] {
    let operate = async |operation: &str| {
        let event = json!({"Operation": operation, "SecretId": application.secret});
        function.invoke(event).await.unwrap()
    };
    let (status, preflight) = (operate("status").await, operate("preflight").await);
    assert_eq!(preflight["Ready"], true, "{preflight}");
    let token = application.abandon_and_begin().await;
    application.steps(function, &STEPS[..1], &token).await;
    let step: Value = application.step(function, "setSecret", &token).await.unwrap();
    application.steps(function, &STEPS[2..], &token).await;
    let texts = [&status["Warnings"], &preflight["Checks"], &step["Warnings"]];
    let texts = texts.map(Value::to_string);
    assert!(texts.iter().all(|text| !text.contains("canary")), "a password is shown: {texts:?}");
    texts
}

#[tokio::test]
async fn user_mappings_and_subscriptions_are_named_before_the_change() {
    let function = Function::start(&[]);
    let (dbname, odd) = (unique("copies_"), unique("od.d \"app"));
    let postgres = &world().postgres;
    let admin = postgres.admin().await;
    admin.batch_execute(&format!("CREATE DATABASE {dbname}")).await.unwrap();
    // Its owner could have our own patterns read in another way.
    let setting = format!("ALTER DATABASE {dbname} SET standard_conforming_strings = off");
    admin.batch_execute(&setting).await.unwrap();
    let inside = postgres.login_to(&dbname, "postgres", &postgres.admin_password).await.unwrap();
    let one = Application::named(&odd, |document| document["dbname"] = json!(dbname)).await;
    let pair = Pair::edited(|document| document["dbname"] = json!(dbname)).await;
    // The wrapper needs no handler to hold user mappings.
    let quoted = postgres_protocol::escape::escape_identifier(&odd);
    let literal = postgres_protocol::escape::escape_literal(&odd);
    let (base, login) = (&pair.base, &pair.admin);
    let sql = format!(
        "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER loop FOREIGN DATA WRAPPER w; \
         CREATE SERVER other FOREIGN DATA WRAPPER w; GRANT USAGE ON FOREIGN SERVER loop TO PUBLIC; \
         CREATE USER MAPPING FOR {quoted} SERVER loop OPTIONS (\"user\" {literal}, password \
         'canary'); CREATE USER MAPPING FOR {base} SERVER loop OPTIONS (\"user\" '{base}', \
         password 'canary'); CREATE USER MAPPING FOR {base} SERVER other OPTIONS (\"user\" \
         'someone', password 'canary'); CREATE USER MAPPING FOR {quoted} SERVER other OPTIONS \
         (\"user\" {literal}); GRANT SELECT (subconninfo) ON pg_subscription TO {login}"
    );
    inside.batch_execute(&sql).await.unwrap();
    for (name, conninfo) in [
        ("key_value", format!("host=db user={base} password=canary dbname=x")),
        ("as_url", format!("postgresql://{base}:canary@db/x")),
        ("of_another", format!("host=db user={base}x password=canary")),
        ("without", format!("host=db user={base}")),
    ] {
        let sql = format!(
            "CREATE SUBSCRIPTION {name} CONNECTION '{conninfo}' PUBLICATION p WITH (connect = \
             false, enabled = false, slot_name = NONE, create_slot = false)"
        );
        inside.batch_execute(&sql).await.unwrap();
    }
    for text in warnings(&function, &one).await {
        let shown = text.replace("\\\"", "\"").replace("\\\"", "\"").replace("\\\\", "\\");
        assert!(shown.contains("ALTER USER MAPPING FOR \"od.d"), "{shown}");
        assert!(shown.contains("SERVER loop OPTIONS (SET password"), "{shown}");
        assert!(!shown.contains("SERVER other"), "{shown}");
    }
    // The admin reads the subscriptions, and the user its own mapping.
    let [status, preflight, step] = warnings(&function, &pair.application).await;
    for text in [&status, &preflight, &step] {
        assert!(text.contains(&format!("ALTER USER MAPPING FOR {base} SERVER loop")), "{text}");
        assert!(!text.contains("SERVER other"), "{text}");
    }
    for text in [&preflight, &step] {
        for name in ["key_value", "as_url"] {
            assert!(text.contains(&format!("ALTER SUBSCRIPTION {name} CONNECTION")), "{text}");
        }
        assert!(!text.contains("of_another") && !text.contains("without in"), "{text}");
    }
    for (statement, new) in [
        (format!("ALTER USER MAPPING FOR {base} SERVER loop OPTIONS (SET password '...')"), "new"),
        ("ALTER SUBSCRIPTION key_value CONNECTION '...'".to_owned(), "host=db dbname=x"),
    ] {
        assert!(preflight.contains(&statement), "{statement}: {preflight}");
        inside.batch_execute(&statement.replace("...", new)).await.unwrap();
    }
    for name in ["key_value", "as_url", "of_another", "without"] {
        inside.batch_execute(&format!("DROP SUBSCRIPTION {name}")).await.unwrap();
    }
}
