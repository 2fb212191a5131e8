//! `make drill`: a rotation is cut off after each step in turn, and one call repairs it. It fails
//! if a repair fails.

#![allow(clippy::disallowed_methods, reason = "the server of the tests sends what they asked for")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "it prints, and a panic ends it"
)]

mod world;

use std::process::ExitCode;
use std::time::Instant;

use serde_json::{Value, json};

use world::application::{Application, STEPS};
use world::lambda::Function;
use world::pair::Pair;
use world::print::Print;
use world::proxy::{AwsProxy, Fault};
use world::world;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let print = Print::new();
    let started = Instant::now();
    let proxy = AwsProxy::start();
    let function = Function::start(&[("AWS_ENDPOINT_URL", &proxy.url)]);
    let (single, pair) =
        (Application::named("shop", |_| {}).await, Pair::named("store", |_| {}).await);
    print.world(started, &single.name, &single.version_with("AWSCURRENT").await.unwrap()).await;
    let started = Instant::now();
    let mut proofs = Vec::new();
    for (title, application) in
        [("One user", &single), ("Two users that take turns", &pair.application)]
    {
        print.title(title, "the function is killed after the step, and recover is invoked");
        for done in 0..=STEPS.len() {
            let token = application.begin().await;
            if done < STEPS.len() {
                application.steps(&function, &STEPS[..done], &token).await;
                function.restart();
            } else {
                cut_off_before_the_move(&function, &proxy, application, &token).await;
            }
            let before = works(application).await;
            let status = report(&function, "status", application).await;
            let recovered = report(&function, "recover", application).await;
            let after = works(application).await
                && report(&function, "status", application).await["Remedy"] == "Nothing";
            let broken = match done {
                0 => "before createSecret",
                4 => "within finishSecret",
                done => STEPS[done - 1],
            };
            let login = |works: bool| if works { "works" } else { "is refused" };
            print.say(&format!(
                "  {broken:<20} AWSCURRENT {:<11} status says {:<19} recover: {}",
                login(before),
                text(&status["Remedy"]),
                done_by(&recovered)
            ));
            proofs.push((
                after,
                format!(
                    "{title}, broken off {}: AWSCURRENT works, and the next rotation can begin",
                    after_what(done)
                ),
            ));
        }
    }
    let proven = print.proofs(started.elapsed(), &proofs);
    if proven && print.shown("make drill") { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The report of an operation, or its error.
async fn report(function: &Function, operation: &str, application: &Application) -> Value {
    let answer = application.operate(function, operation, json!({})).await;
    answer.unwrap_or_else(|failure| json!({"Message": failure.message}))
}

/// Whether an application that reads the secret now can log in.
async fn works(application: &Application) -> bool {
    let value: Value =
        serde_json::from_str(&application.value("AWSCURRENT").await.unwrap()).unwrap();
    world().postgres.login(text(&value["username"]), text(&value["password"])).await.is_ok()
}

fn done_by(report: &Value) -> String {
    match report["Done"].as_array() {
        Some(done) => done.iter().map(text).collect::<Vec<_>>().join(", "),
        None => text(&report["Message"]).to_owned(),
    }
}

fn after_what(done: usize) -> String {
    match done {
        0 => "before createSecret".to_owned(),
        4 => "within finishSecret".to_owned(),
        done => format!("after {}", STEPS[done - 1]),
    }
}

/// Kills the function when all is done but the move of AWSCURRENT.
async fn cut_off_before_the_move(
    function: &Function,
    proxy: &AwsProxy,
    application: &Application,
    token: &str,
) {
    application.steps(function, &STEPS[..3], token).await;
    let before = proxy.calls().len();
    proxy.fail("UpdateSecretVersionStage", 1, Fault::Hang);
    tokio::join!(application.step(function, STEPS[3], token), async {
        proxy.await_request_after(before, "UpdateSecretVersionStage").await;
        function.restart();
    })
    .0
    .expect_err("the function was killed");
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
