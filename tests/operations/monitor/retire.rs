//! Retiring without a person: only where the policy says after what time, and only once.

use serde_json::{Value, json};

use super::{monitor, refusals};
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::world;

fn with_policy(policy: &Value) -> Function {
    Function::start(&[("ROTATION_POLICY", &policy.to_string())])
}

#[tokio::test]
async fn a_credential_that_nobody_uses_is_retired_once() {
    let pair = Pair::new().await;
    let function = with_policy(&named(&pair, "0s"));
    pair.turn(&function).await;
    let (user, leaked) = pair.credentials("AWSPREVIOUS").await;
    let look = json!({"SecretIds": [pair.application.name], "Retire": true, "All": true});

    // An application still uses it.
    let open = pair.session("AWSPREVIOUS").await;
    let answer = monitor(&function, look.clone()).await;
    let secret = &answer["Secrets"][0];
    assert_eq!(secret["Retirement"]["Retired"], false, "{answer}");
    let warning = secret["Warnings"][0].as_str().unwrap();
    assert!(
        warning.contains("application \"application\" from 127.0.0.1, 1 session, the oldest for"),
        "{warning}"
    );
    pair.session("AWSPREVIOUS").await;
    drop(open);

    // Its sessions end a moment later.
    crate::world::eventually("the retirement", async || {
        let answer = monitor(&function, look.clone()).await;
        (answer["Secrets"][0]["Retirement"]["Retired"] == true).then_some(())
    })
    .await;
    assert!(world().postgres.login(&user, &leaked).await.is_err(), "the leaked password is dead");

    // A schedule finds our label, and leaves no failed login behind.
    let before = refusals(&user);
    for _ in 0..2 {
        let answer = monitor(&function, look.clone()).await;
        assert_eq!(answer["Secrets"][0]["Retirement"], Value::Null, "{answer}");
        assert_eq!(answer["Secrets"][0]["Warnings"], json!([]), "{answer}");
    }
    assert_eq!(refusals(&user), before, "no failed login");
    // A person is told so, whatever the time since our label was set.
    let later = with_policy(&named(&pair, "1h"));
    let asked = json!({"Operation": "retire", "SecretId": pair.application.name});
    let report = later.invoke(asked).await.unwrap();
    assert!(report["Message"].as_str().unwrap().contains("already retired"), "{report}");

    // The next turn revives the user, and the one after that retires the next version.
    for _ in 0..2 {
        pair.turn(&function).await;
        let answer = monitor(&function, look.clone()).await;
        assert_eq!(answer["Secrets"][0]["Retirement"]["Retired"], true, "{answer}");
        pair.session("AWSCURRENT").await;
    }
}

#[tokio::test]
async fn nothing_is_retired_that_nobody_asked_for() {
    let pair = Pair::new().await;
    let turning = with_policy(&json!({}));
    pair.turn(&turning).await;
    let at_once = json!({"defaults": {"retire_after": "0s"}});
    for (policy, retire) in [
        // The default time does not count.
        (json!({"secrets": {pair.application.name.clone(): {}}}), true),
        // The time has not passed.
        (named(&pair, "1h"), true),
        // Another function rotates the secret, and the policy does not name it.
        (at_once, true),
        // The event does not ask for it.
        (named(&pair, "0s"), false),
    ] {
        let function = with_policy(&policy);
        let look = json!({"SecretIds": [pair.application.name], "Retire": retire, "All": true});
        let answer = monitor(&function, look).await;
        assert_ne!(answer["Secrets"][0]["Retirement"]["Retired"], true, "{policy}: {answer}");
        pair.session("AWSPREVIOUS").await;
    }
}

/// A policy that names the pair's secret whole.
fn named(pair: &Pair, retire_after: &str) -> Value {
    json!({"secrets": {pair.application.name.clone(): {"retire_after": retire_after}}})
}
