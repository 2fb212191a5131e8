//! `make demo LEASE=6h STRATEGY=alternating-users`: two turns, the end of the old credential by the
//! clock, and a late rotation that is no outage.

use std::time::{Duration, Instant};

use aws_sdk_secretsmanager::types::RotationRulesType;
use serde_json::json;

use super::{refusals, rotate};
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::postgres::Settings;
use crate::world::print::Print;
use crate::world::{world, world_with};

const HOUR: Duration = Duration::from_hours(1);
/// Lets the hours be counted from a turn that took a while.
const A_MOMENT: Duration = Duration::from_mins(1);

/// Every four hours, which is the shortest schedule.
pub(crate) async fn leased(print: &Print, lease: &str) -> bool {
    if lease != "6h" {
        println!("LEASE={lease:?} is not 6h, the shortest one, which this demo shows.");
        return false;
    }
    let started = Instant::now();
    world_with(&Settings { clock: Some(0), ..Settings::default() });
    let policy = json!({"defaults": {"lease": lease, "role": "shop"}}).to_string();
    let function = Function::start(&[("ROTATION_POLICY", &policy)]);
    let pair = Pair::named("shop", |_| {}).await;
    let rules = RotationRulesType::builder().schedule_expression("rate(4 hours)").build();
    pair.application.schedule(rules).await;
    let application = &pair.application;
    let version = application.version_with("AWSCURRENT").await.expect("a version");
    print.world(started, &application.name, &version).await;
    print.line("schedule", "rate(4 hours)");
    print.line("lease", lease);

    let started = Instant::now();
    let mut succeeded = rotate(print, application, &function).await;
    print.title("4 hours pass", "");
    pair.pass(HOUR * 4).await;
    succeeded &= rotate(print, application, &function).await;
    let old = pair.credentials("AWSPREVIOUS").await;
    let logs_in = async |(user, password): &(String, String)| {
        world().postgres.login(user, password).await.is_ok()
    };
    let accepted_after_the_turn = logs_in(&old).await;

    print.title("2 hours pass", "nothing else happens");
    let refused_before = refusals();
    pair.pass(HOUR * 2 + A_MOMENT).await;
    let current = pair.credentials("AWSCURRENT").await;
    let (ended, current_works) = (!logs_in(&old).await, logs_in(&current).await);
    let said = |accepted: bool| if accepted { "accepted" } else { "refused" };
    let (old_is, current_is) = (said(!ended), said(current_works));
    print.line("logins", &format!("{:?} is {old_is}, {:?} is {current_is}", old.0, current.0));

    print.title("3 hours pass", "the rotation does not come");
    pair.pass(Duration::from_mins(3 * 60 - 2)).await;
    let event = json!({"Operation": "monitor", "SecretIds": [application.secret]});
    let answer = function.invoke(event).await.unwrap_or_default();
    let secret = &answer["Secrets"][0];
    let reason = secret["Reason"].as_str().unwrap_or_default();
    print.line("monitor", &format!("{}: {reason}", secret["State"].as_str().unwrap_or_default()));
    pair.pass(HOUR * 3).await;
    let late_works = logs_in(&pair.credentials("AWSCURRENT").await).await;
    let took = started.elapsed();
    let log = world().postgres.log();
    let unseen = |text: &str| !text.contains(&old.1);
    print.proofs(
        took,
        &[
            (succeeded, "Secrets Manager reports success, twice".to_owned()),
            (
                accepted_after_the_turn,
                format!("after the second turn, the password of {:?} is still accepted", old.0),
            ),
            (
                ended && refusals() > refused_before,
                "six hours after its own turn, the database refuses it".to_owned(),
            ),
            (current_works, "the database accepts AWSCURRENT".to_owned()),
            (
                reason.contains("renewed until"),
                "the next rotation is late: the lease of AWSCURRENT was renewed".to_owned(),
            ),
            (late_works, "two hours after it would have ended, AWSCURRENT logs in".to_owned()),
            (
                unseen(&log) && unseen(&function.output()),
                "no password in the server's log and the function's".to_owned(),
            ),
        ],
    )
}
