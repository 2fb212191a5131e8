//! The Lambda function's process: reads the environment once, then answers events until Lambda ends
//! it.

use std::process::ExitCode;

use lambda_runtime::{LambdaEvent, service_fn};
use postgres_secret_rotation::config::{self, Config, LogFormat};
use postgres_secret_rotation::deadline::Deadline;
use postgres_secret_rotation::{App, answer, telemetry};
use serde_json::Value;

// One invocation at a time is all that Lambda sends to a process.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let log = LogFormat::from_env();
    telemetry::start(log);
    if !config::on_lambda() {
        tracing::error!(
            "this is an AWS Lambda function (AWS_LAMBDA_RUNTIME_API is not set); `make demo` runs \
             it locally"
        );
        return ExitCode::from(2);
    }
    let app = match Config::from_env() {
        Ok(config) => App::new(config).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &app {
        telemetry::failure(None, error, std::time::Duration::ZERO);
    }
    let app = &app;
    let handler = |event: LambdaEvent<Value>| async move {
        let deadline = Deadline::from_lambda(event.context.deadline());
        answer(app, log, &event.payload, deadline).await
    };
    let served = lambda_runtime::run(service_fn(handler)).await;
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("the Lambda runtime ended: {error}");
            ExitCode::FAILURE
        }
    }
}
