//! Security labels of a role: a turn never gives the application a user without them.

use crate::world::application::STEPS;
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::postgres::admin;
use crate::world::unique;

/// Labels a role, as a provider that is no longer loaded has left it.
async fn label(role: &str, provider: &str) {
    let sql = format!(
        "INSERT INTO pg_shseclabel SELECT oid, 'pg_authid'::regclass, '{provider}', 'MASKED' FROM \
         pg_roles WHERE rolname = '{role}'"
    );
    admin().await.batch_execute(&sql).await.unwrap();
}

#[tokio::test]
async fn a_user_without_the_labels_of_the_other_does_not_take_its_turn() {
    let (pair, function, provider) = (Pair::new().await, Function::start(&[]), unique("masking_"));
    label(&pair.base, &provider).await;
    let token = pair.application.begin().await;
    pair.application.steps(&function, &STEPS[..1], &token).await;
    let refused = pair.application.step(&function, STEPS[1], &token).await.unwrap_err();
    assert_eq!(refused.kind, "UsersNotReady", "{}", refused.message);
    let statement =
        format!("run: SECURITY LABEL FOR \"{provider}\" ON ROLE \"{}\" IS 'MASKED'.", pair.clone);
    for text in [statement.as_str(), "22023", "session_preload_libraries"] {
        assert!(refused.message.contains(text), "{text}: {}", refused.message);
    }
    let sql = "SELECT 1 FROM pg_roles WHERE rolname = $1";
    let made = admin().await.query_opt(sql, &[&pair.clone]).await.unwrap();
    assert!(made.is_none(), "the second user was rolled back");

    // Equal labels need no provider.
    let create = format!("CREATE ROLE {}", pair.clone);
    pair.admin_session().await.batch_execute(&create).await.unwrap();
    let owner = pair.filled("GRANT :base TO :clone; ALTER ROLE :clone SET role = ':base'");
    pair.admin_session().await.batch_execute(&owner.replace("':base'", &pair.base)).await.unwrap();
    label(&pair.clone, &provider).await;
    pair.application.remove_pending_label().await;
    pair.turn(&function).await;

    // What is taken away after setSecret is noticed.
    let token = pair.application.begin().await;
    pair.application.steps(&function, &STEPS[..2], &token).await;
    let remove = format!("DELETE FROM pg_shseclabel WHERE objoid = '{}'::regrole", pair.base);
    pair.superuser(&remove).await;
    let refused = pair.application.step(&function, "testSecret", &token).await.unwrap_err();
    let expected = format!("(1 differences): the same security label of provider {provider} (the");
    assert!(refused.message.contains(&expected), "{}", refused.message);
    label(&pair.base, &provider).await;
    pair.application.steps(&function, &STEPS[2..], &token).await;
}
