//! A rotation that ends while a secret is looked at.

use serde_json::json;

use super::{monitor, refusals};
use crate::world::application::Application;
use crate::world::eventually;
use crate::world::lambda::Function;

#[tokio::test]
async fn nobody_is_called_for_a_rotation_that_ends_between_the_two_looks() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let other = Function::start(&[]);
    let token = application.cut_off_after_commit(&other).await;
    // The database has the pending password, and AWSCURRENT is refused until its label has moved.
    let looking = monitor(&function, json!({"SecretIds": [application.name], "All": true}));
    let (answer, ()) = tokio::join!(looking, async {
        eventually("the first refusal", async || (refusals(&application.role) > 0).then_some(()))
            .await;
        application.steps(&other, &["finishSecret"], &token).await;
    });
    let secret = &answer["Secrets"][0];
    // Its function is the test's, which is another one.
    assert_eq!(secret["State"], "disabled", "{answer}");
    assert_eq!(answer["RefusedLogins"], 1, "{answer}");
    let recent = secret["AgeSeconds"].as_u64().unwrap();
    assert!(recent < 60, "{answer}");
}

#[tokio::test]
async fn a_value_that_a_person_stores_meanwhile_leaves_the_verdict_open() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    application.set_password("another").await;
    let before = refusals(&application.role);
    let looking = monitor(&function, json!({"SecretIds": [application.name]}));
    let (answer, ()) = tokio::join!(looking, async {
        eventually("the first refusal", async || {
            (refusals(&application.role) > before).then_some(())
        })
        .await;
        let value = application.document_with("stored by a person");
        application.put(&crate::world::random_hex(), &value, &["AWSCURRENT"]).await;
    });
    assert_ne!(answer["Secrets"][0]["State"], "mismatch", "{answer}");
    assert_eq!(refusals(&application.role) - before, 2, "two failed logins at most");
}
