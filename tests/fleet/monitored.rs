//! A fleet is looked at: 2,000 secrets, of which one invocation says what is wrong with two.
//! `MONITORED` is a percentage of that number.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use crate::world::application::Application;
use crate::world::lambda::Function;
use crate::world::{environment_variable, world};

const SECRETS: usize = 2_000;
/// For all of them, on two cores that also run the server and Secrets Manager.
const TIME: Duration = Duration::from_mins(1);
const MEMORY_KIB: u64 = 48 * 1024;
const MADE_AT_ONCE: usize = 20;
/// Many secrets share a role: to make 2,000 roles would take longer than the look.
const ROLES: usize = 10;

pub(crate) async fn two_thousand_secrets_are_looked_at_in_a_minute() {
    let percent: usize =
        environment_variable("MONITORED").map_or(10, |given| given.parse().expect("a percentage"));
    let count = (SECRETS * percent / 100).max(MADE_AT_ONCE);
    let function = Function::start(&[]);
    let mut roles = Vec::new();
    for _ in 0..ROLES {
        roles.push(Application::new().await);
    }
    let mut made = 0;
    while made < count {
        let mut some = JoinSet::new();
        for role in roles.iter().cycle().skip(made).take(MADE_AT_ONCE.min(count - made)) {
            let (name, document) = (role.role.clone(), role.document.clone());
            let (text, arn) = (document.to_string(), function.arn());
            some.spawn(async move {
                let copy = Application::storing(&name, "", document, &text, "many/").await;
                copy.pretend_rotated(&arn).await;
            });
        }
        made += some.join_all().await.len();
    }
    let broken = [&roles[0], &roles[1]];
    for application in broken {
        application.pretend_rotated(&function.arn()).await;
        let value = application.document_with("not the database's");
        application.put(&crate::world::random_hex(), &value, &["AWSCURRENT"]).await;
    }
    function.set_timeout(Duration::from_mins(5));
    let started = Instant::now();
    let answer = function.invoke(json!({"Operation": "monitor", "Part": [1, 1]})).await.unwrap();
    let took = started.elapsed();
    assert_eq!(answer["Counts"]["ok"], count, "{}", answer["Message"]);
    assert_eq!(answer["Counts"]["mismatch"], broken.len(), "{}", answer["Message"]);
    let memory = function.usage().await.peak_memory_kib;
    let _ = writeln!(
        std::io::stderr(),
        "{count} secrets looked at in {:.1} s, peak memory {} MiB",
        took.as_secs_f32(),
        memory / 1024
    );
    assert!(took <= TIME, "{took:?}");
    assert!(memory <= MEMORY_KIB, "{memory} KiB");
    let refused = world().postgres.log().matches("password authentication failed").count();
    assert_eq!(refused, 2 * broken.len());
}
