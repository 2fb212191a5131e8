//! Documents that hold the login twice: URLs under `connection_strings` follow every rotation, and
//! a second password that no policy names is refused before anything changes.

use postgres_protocol::escape::escape_literal;
use serde_json::{Value, json};
use tokio_postgres::Config;

use crate::world::application::{Application, STEPS};
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::postgres::admin;
use crate::world::{unique, world};

/// A password of the characters that a URL gives a meaning.
const ODD: &str = "o:l/d@%?#& é+";
const ODD_ENCODED: &str = "o%3Al%2fd%40%25%3F%23%26%20%C3%A9%2B";

fn policy(fields: &Value) -> [(&'static str, String); 2] {
    // No character is excluded, so that new passwords need the encoding too.
    [
        ("ROTATION_POLICY", json!({"defaults": fields}).to_string()),
        ("EXCLUDE_CHARACTERS", "é".to_owned()),
    ]
}

fn function(fields: &Value) -> Function {
    let variables = policy(fields);
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Function::start(&variables)
}

/// The document of that label, and the login in its URL as a driver reads it.
async fn url_login(application: &Application, label: &str) -> (Value, String, String) {
    let document: Value = serde_json::from_str(&application.value(label).await.unwrap()).unwrap();
    let config: Config = document["DATABASE_URL"].as_str().unwrap().parse().unwrap();
    let password = String::from_utf8(config.get_password().unwrap().to_vec()).unwrap();
    let user = config.get_user().unwrap().to_owned();
    assert_eq!(document["username"], user, "{label}");
    assert_eq!(document["password"], password, "{label}");
    world().postgres.login(&user, &password).await.expect("the URL's login works");
    (document, user, password)
}

fn urls(document: &mut Value, username: &str, password: &str) {
    let place = format!("localhost:{}/postgres", document["port"]);
    document["DATABASE_URL"] = json!(format!(
        "postgres://{username}:{password}@{place}?sslmode=require&connect_timeout=9"
    ));
    document["JDBC_URL"] =
        json!(format!("jdbc:postgresql://{place}?user={username}&password={password}&ssl=true"));
    document["SYNC_URL"] = Value::Null;
    document["other"] = json!({"n": [1, "x"]});
}

#[tokio::test]
async fn urls_follow_the_rotations_of_a_single_user() {
    let role = unique("url_");
    let sql = format!("CREATE ROLE {role} LOGIN PASSWORD {}", escape_literal(ODD));
    admin().await.batch_execute(&sql).await.unwrap();
    let edit = |document: &mut Value| urls(document, &role, ODD_ENCODED);
    let application = Application::for_role(&role, ODD, edit).await;
    let function = function(
        &json!({"connection_strings": ["DATABASE_URL", "JDBC_URL", "SYNC_URL", "ABSENT"]}),
    );
    assert_eq!(application.test(&function).await["state"], "succeeded");
    let (mut seen, mut before) = (Vec::new(), application.document.clone());
    for _ in 0..3 {
        let rotation = application.rotate(&function).await;
        assert_eq!(rotation["state"], "succeeded", "{rotation}");
        let (document, _, password) = url_login(&application, "AWSCURRENT").await;
        let jdbc = document["JDBC_URL"].as_str().unwrap();
        let url = document["DATABASE_URL"].as_str().unwrap();
        let encoded = url.split([':', '@']).nth(2).unwrap();
        let place = url.split('@').nth(1).unwrap();
        assert!(
            place.ends_with("/postgres?sslmode=require&connect_timeout=9"),
            "the rest of the URL stays"
        );
        assert!(jdbc.ends_with(&format!("?user={role}&password={encoded}&ssl=true")));
        for key in ["host", "port", "dbname", "other", "SYNC_URL"] {
            assert_eq!(document[key], before[key], "{key}");
        }
        assert!(!seen.contains(&password));
        seen.push(password);
        before = document;
    }
    // A cut between the change and the label: every operation takes the pending value for one.
    let token = application.cut_off_after_commit(&function).await;
    let recover = json!({"Operation": "recover", "SecretId": application.name});
    let report = function.invoke(recover).await.unwrap();
    assert_eq!(report["Done"], json!(["RollForward"]), "{report}");
    assert_eq!(application.version_with("AWSCURRENT").await, Some(token));
    url_login(&application, "AWSCURRENT").await;
    let event = json!({"Operation": "recover", "SecretId": application.name, "Prefer": "previous"});
    function.invoke(event).await.unwrap();
    url_login(&application, "AWSCURRENT").await;
}

#[tokio::test]
async fn urls_follow_the_turns_of_two_users() {
    let pair = Pair::edited(|document| {
        let user = document["username"].as_str().unwrap().to_owned();
        let password = document["password"].as_str().unwrap().to_owned();
        urls(document, &user, &password);
    })
    .await;
    let fields = json!({
        "connection_strings": ["DATABASE_URL", "JDBC_URL"], "trust_masterarn": true,
    });
    let function = function(&fields);
    for user in [&pair.clone, &pair.base, &pair.clone] {
        pair.turn(&function).await;
        let (_, known, _) = url_login(&pair.application, "AWSCURRENT").await;
        assert_eq!(known, *user);
        url_login(&pair.application, "AWSPREVIOUS").await;
    }
}

async fn refused(application: &Application, function: &Function, token: &str, texts: &[&str]) {
    let before = application.snapshot().await;
    let refused = application.step(function, "createSecret", token).await.unwrap_err();
    assert_eq!(refused.kind, "InvalidSecret", "{}", refused.message);
    for text in texts {
        assert!(refused.message.contains(text), "{text}: {}", refused.message);
    }
    let password = application.document["password"].as_str().unwrap();
    assert!(!refused.message.contains(password), "a value was shown");
    assert_eq!(application.snapshot().await, before);
}

#[tokio::test]
async fn a_second_password_that_no_policy_names_is_refused() {
    let (plain, declared) =
        (function(&json!({})), function(&json!({"connection_strings": ["DATABASE_URL"]})));
    let add = "add \"DATABASE_URL\" to connection_strings in ROTATION_POLICY";
    for (function, key, value, texts) in [
        (&plain, "DATABASE_URL", json!("postgres://USER:PASSWORD@db/shop"), &[add][..]),
        (&plain, "nested", json!({"a": ["x", {"b": "p=PASSWORD;"}]}), &["the key \"nested\""]),
        (&plain, "pw", json!("PASSWORD"), &["the key \"pw\"", "\"password\""]),
        (&declared, "OTHER_URL", json!("postgres://USER:PASSWORD@db/shop"), &["\"OTHER_URL\""]),
        (&declared, "DATABASE_URL", json!("postgres://other:x@db"), &["names another user"]),
        (&declared, "DATABASE_URL", json!("postgres://db/shop"), &["no username"]),
        (&declared, "DATABASE_URL", json!("mysql://USER:PASSWORD@db"), &["postgres://"]),
        (&declared, "DATABASE_URL", json!(7), &["is not a string"]),
        (
            &declared,
            "DATABASE_URL",
            json!("postgres://USER:PASSWORD@db?sslpassword=PASSWORD"),
            &["outside the login"],
        ),
    ] {
        let application = Application::edited(|document| {
            let text = value.to_string();
            let text = text.replace("USER", document["username"].as_str().unwrap());
            let text = text.replace("PASSWORD", document["password"].as_str().unwrap());
            document[key] = serde_json::from_str(&text).unwrap();
        })
        .await;
        let preflight = json!({"Operation": "preflight", "SecretId": application.name});
        let report = function.invoke(preflight).await.unwrap();
        assert_eq!(report["Ready"], false, "{key}: {report}");
        let token = application.begin().await;
        refused(&application, function, &token, texts).await;
    }
}

#[tokio::test]
async fn a_pending_value_with_a_stale_url_is_not_kept() {
    let application = Application::edited(|document| {
        let user = document["username"].as_str().unwrap().to_owned();
        let password = document["password"].as_str().unwrap().to_owned();
        urls(document, &user, &password);
        document["JDBC_URL"].take();
    })
    .await;
    let function = function(&json!({"connection_strings": ["DATABASE_URL"]}));
    let token = application.begin().await;
    application.put(&token, &application.document_with("another one"), &["AWSPENDING"]).await;
    let text = "\"DATABASE_URL\" does not hold the username and the password of its own version";
    refused(&application, &function, &token, &[text]).await;
    let recover = json!({"Operation": "recover", "SecretId": application.name});
    let report = function.invoke(recover).await.unwrap();
    assert_eq!(report["Done"], json!(["RemovePendingLabel"]), "{report}");
    let token = application.abandon_and_begin().await;
    application.steps(&function, &STEPS, &token).await;
    url_login(&application, "AWSCURRENT").await;
}

#[tokio::test]
async fn keys_that_are_almost_ours_are_a_warning_everywhere() {
    let application = Application::edited(|document| {
        for key in ["masterArn", "database", "dbName", "user"] {
            document[key] = json!("x");
        }
    })
    .await;
    let function = function(&json!({}));
    let expected = |text: &str| {
        for (key, ours) in
            [("masterArn", "masterarn"), ("database", "dbname"), ("user", "username")]
        {
            let sentence = format!(
                "key {key:?} is not read and keeps its value. The name that \
                                    counts is {ours:?}."
            );
            assert!(text.contains(&sentence), "{key}: {text}");
        }
    };
    for operation in ["status", "preflight"] {
        let event = json!({"Operation": operation, "SecretId": application.name});
        let report = function.invoke(event).await.unwrap();
        let warnings = match operation {
            "status" => report["Warnings"].clone(),
            _ => report["Checks"][3]["Message"].clone(),
        };
        let texts = warnings.as_array().map_or_else(
            || warnings.as_str().unwrap_or_default().to_owned(),
            |texts| texts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        );
        expected(&texts);
    }
    let token = application.begin().await;
    let answer = application.step(&function, "createSecret", &token).await.unwrap();
    let warnings = answer["Warnings"].as_array().unwrap();
    expected(&warnings.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "));
}
