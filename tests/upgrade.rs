//! Moving over from AWS's sample functions, from a version before, and back, while an application
//! runs: `docs/upgrade.md` has the commands.

use postgres_protocol::escape::{escape_identifier, escape_literal};
use postgres_protocol::password::scram_sha_256;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::world::application::Application;
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::{random_hex, world};

/// An application's open session still works.
async fn works(session: &Client) {
    session.query_one("SELECT 1", &[]).await.expect("the open session works");
}

/// How far the former function came: it stored the pending value, and perhaps set it.
async fn half_done(application: &Application, set: bool) -> String {
    let (token, pending) = (application.begin().await, random_hex());
    application.put(&token, &application.document_with(&pending), &["AWSPENDING"]).await;
    if set {
        application.set_password(&pending).await;
    }
    token
}

#[tokio::test]
async fn a_secret_of_awss_single_user_function_moves_over_in_the_middle_of_a_rotation() {
    for set in [false, true] {
        let (application, function) = (Application::new().await, Function::start(&[]));
        let session = application.login(&application.password).await;
        half_done(&application, set).await;
        let client = world().aws.client();
        let attach = client.rotate_secret().secret_id(&application.secret);
        let refused = attach.rotation_lambda_arn(function.arn()).send().await.unwrap_err();
        assert!(format!("{refused:?}").contains("previous rotation isn't complete"), "{refused:?}");

        application.remove_pending_label().await;
        application.test(&function).await;
        let recovered =
            application.operate(&function, "recover", json!({})).await.expect("it recovers");
        let current = application.password_in("AWSCURRENT").await;
        assert!(application.accepts(&current).await, "set {set}: {recovered}");
        assert_eq!(application.rotate(&function).await["state"], "succeeded", "set {set}");
        assert_ne!(application.password_in("AWSCURRENT").await, current);
        works(&session).await;
    }
}

#[tokio::test]
async fn a_pair_of_awss_multi_user_function_moves_over_without_a_failed_login() {
    let (pair, function) = (Pair::new().await, Function::start(&[]));
    pair.imitate_aws_function().await;
    let session = pair.session("AWSCURRENT").await;
    assert_eq!(pair.application.test(&function).await["state"], "succeeded");
    for _ in 0..2 {
        let before = pair.credentials("AWSCURRENT").await;
        assert_eq!(pair.application.rotate(&function).await["state"], "succeeded");
        let after = pair.credentials("AWSCURRENT").await;
        assert_ne!(before.0, after.0);
        for (user, password) in [before, after] {
            world().postgres.login(&user, &password).await.expect("both users log in");
        }
        works(&session).await;
    }
}

/// A version before changed the password of a single user in `setSecret` already.
#[tokio::test]
async fn a_rotation_that_a_version_before_began_is_ended_by_the_next_one() {
    for steps in [
        &["createSecret", "setSecret", "testSecret", "finishSecret"][..],
        &["testSecret", "finishSecret"],
    ] {
        let (application, function) = (Application::new().await, Function::start(&[]));
        let token = half_done(&application, true).await;
        application.steps(&function, steps, &token).await;
        assert_eq!(application.version_with("AWSCURRENT").await, Some(token));
        assert!(application.accepts(&application.password_in("AWSCURRENT").await).await);
    }
}

#[tokio::test]
async fn awss_functions_can_take_a_secret_back() {
    let (application, pair, function) =
        (Application::new().await, Pair::new().await, Function::start(&[]));
    for each in [&application, &pair.application] {
        assert_eq!(each.rotate(&function).await["state"], "succeeded");
        assert_eq!(each.rotate(&function).await["state"], "succeeded");
    }
    let session = pair.session("AWSCURRENT").await;
    let as_itself = application.login(&application.password_in("AWSCURRENT").await).await;
    as_aws_does(&application, &as_itself, str::to_owned).await;
    as_aws_does(&pair.application, &pair.admin_session().await, |user| {
        user.strip_suffix("_clone").map_or_else(|| format!("{user}_clone"), str::to_owned)
    })
    .await;
    works(&session).await;
    let taken = pair.session("AWSCURRENT").await;
    taken.query_one("SELECT count(*) FROM information_schema.tables", &[]).await.expect("it works");
}

/// What AWS's functions do with a secret and a role: the next user's password is set by that
/// session, and AWSCURRENT moves.
async fn as_aws_does(application: &Application, by: &Client, next: impl Fn(&str) -> String) {
    let (token, password) = (application.begin().await, random_hex());
    let current = application.value("AWSCURRENT").await.expect("a value");
    let mut document: Value = serde_json::from_str(&current).expect("JSON");
    let user = next(document["username"].as_str().expect("a username"));
    (document["username"], document["password"]) = (json!(user), json!(password));
    application.put(&token, &document.to_string(), &["AWSPENDING"]).await;
    let verifier = escape_literal(&scram_sha_256(password.as_bytes()));
    let set = format!("ALTER USER {} WITH PASSWORD {verifier}", escape_identifier(&user));
    by.batch_execute(&set).await.expect("the password is set");
    world().postgres.login(&user, &password).await.expect("the pending password works");
    let client = world().aws.client();
    let call = client.update_secret_version_stage().secret_id(&application.secret);
    let from = application.version_with("AWSCURRENT").await.expect("a version");
    let call = call.version_stage("AWSCURRENT").move_to_version_id(&token);
    call.remove_from_version_id(from).send().await.expect("AWSCURRENT moves");
}
