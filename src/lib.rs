//! Rotates PostgreSQL credentials kept in AWS Secrets Manager.
//!
//! # Layout
//!
//! ```text
//! event ─┬─> steps        Secrets Manager's door: one file per step ────────┐
//!        │                                                                  ├─> report
//!        └─> operations   a person's or a schedule's door: one file each ───┘
//!                │
//!                v
//!            rotation     the core that both doors share: valid states and decisions
//!                │
//!                v
//!            database     logins, sessions, SQL          secret   the document, its versions
//! ```
//!
//! `error` has a kind for every failure. `config` and `policy` hold the function's settings.
//! `deadline` limits every wait to the time that the invocation has left. `telemetry` logs.
//! `last_words` answers for a process that ends in a panic.
//! Modules import downwards only: `operations` > `steps` > `rotation` > `database`, `secret` >
//! `error`.

mod config;
mod context;
mod database;
mod deadline;
mod error;
mod event;
mod last_words;
mod operations;
mod policy;
mod report;
mod rotation;
mod secret;
mod steps;
mod telemetry;

use std::process::ExitCode;
use std::time::Instant;

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::value::RawValue;

use crate::config::{Config, LogFormat};
use crate::context::Context;
use crate::database::tls::Tls;
use crate::database::{RefusedLogins, SlowLogins};
use crate::deadline::Deadline;
use crate::error::Error;
use crate::event::Event;
use crate::last_words::UnansweredInvocation;
use crate::report::Answer;
use crate::secret::store::{self, Store};

/// Reads the environment once, then answers Lambda's events until Lambda ends the process.
///
/// The exit status is 0 after Lambda ended the process, 1 if the Runtime API failed, and 2 outside
/// Lambda.
pub async fn serve() -> ExitCode {
    let started = Instant::now();
    let log = LogFormat::from_env();
    telemetry::start(log);
    if config::runtime_api().is_none() {
        tracing::error!(
            "this is an AWS Lambda function (AWS_LAMBDA_RUNTIME_API is not set); `make demo` runs \
             it locally"
        );
        return ExitCode::from(2);
    }
    last_words::prepare();
    let app = Config::from_env().and_then(App::new);
    if let Err(error) = &app {
        telemetry::failure(None, error, 0, started.elapsed());
    }
    let app = &app;
    // The runtime does not parse the event: 6 MB of JSON would take some 100 MB as a `Value`.
    let handler = |event: LambdaEvent<Box<RawValue>>| async move {
        let deadline = Deadline::from_lambda(event.context.deadline());
        let _unanswered = UnansweredInvocation::begin(&event.context.request_id);
        answer(app, log, &event.payload, deadline, &event.context.invoked_function_arn).await
    };
    match Box::pin(lambda_runtime::run(service_fn(handler))).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("the Lambda runtime ended: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What the invocations of one process share.
#[derive(Debug)]
struct App {
    config: Config,
    tls: Tls,
    client: store::Client,
}

impl App {
    /// Reads the files that the configuration names and prepares the AWS client. It sends no
    /// request.
    fn new(config: Config) -> Result<Self, Error> {
        let tls = Tls::new(config.ca_bundle_file.as_deref(), config.aws.region.clone())?;
        let client = store::client(&config.aws)?;
        Ok(Self { config, tls, client })
    }
}

/// Answers, logs and measures one invocation. With an invalid configuration, every answer is that
/// error.
async fn answer(
    app: &Result<App, Error>,
    log: LogFormat,
    event: &RawValue,
    deadline: Deadline,
    function_arn: &str,
) -> Result<Answer, Diagnostic> {
    let started = Instant::now();
    let refused_logins = RefusedLogins::default();
    let event = Event::read(event);
    let result = match (app, &event) {
        (Err(error), _) | (_, Err(error)) => Err(error),
        (Ok(app), Ok(event)) => {
            match handle(app, event, deadline, function_arn, &refused_logins).await {
                Ok(answer) => Ok(answer),
                Err(error) => {
                    return Err(failed(log, Some(event), &error, refused_logins.so_far(), started));
                }
            }
        }
    };
    match result {
        Ok(answer) => {
            telemetry::answer(event.as_ref().ok(), &answer, started.elapsed());
            telemetry::metrics::write(log, event.as_ref().ok(), Ok(&answer), started.elapsed());
            Ok(answer)
        }
        Err(error) => Err(failed(log, event.as_ref().ok(), error, 0, started)),
    }
}

/// Does what the event asks for. The same event may be sent again after any error.
async fn handle(
    app: &App,
    event: &Event,
    deadline: Deadline,
    function_arn: &str,
    refused_logins: &RefusedLogins,
) -> Result<Answer, Error> {
    let store = Store::new(app.client.clone(), deadline);
    let (config, tls, slow_logins) = (&app.config, &app.tls, &SlowLogins::default());
    let context =
        Context { config, tls, store, deadline, refused_logins, function_arn, slow_logins };
    match event {
        Event::Step(request) => steps::run(&context, request).await.map(Answer::Step),
        Event::Operation(request) => {
            operations::run(&context, request).await.map(Answer::Operation)
        }
        Event::Monitor(request) => {
            Box::pin(operations::monitor::run(&context, request)).await.map(Answer::Fleet)
        }
    }
}

fn failed(
    log: LogFormat,
    event: Option<&Event>,
    error: &Error,
    refused: u32,
    started: Instant,
) -> Diagnostic {
    telemetry::failure(event, error, refused, started.elapsed());
    telemetry::metrics::write(log, event, Err(error), started.elapsed());
    Diagnostic::from(error)
}
