//! Rotates PostgreSQL credentials kept in AWS Secrets Manager.
//!
//! # The way of the data
//!
//! ```text
//! event ──> event::Event ──> rotation: labels and values ──> database: login, ALTER ROLE ──┐
//!               │            become a valid Rotation,        secret::store: versions,      │
//!               │            one file per step acts on it    labels         report::Answer <┘
//!               └──────────> operations: one file per thing that a person asks for
//! ```
//!
//! `error` tells every failure apart, `config` and `policy` hold what the environment says,
//! `deadline` cuts every wait to what Lambda has left, `telemetry` logs.
//!
//! Modules import downwards only: `main` > `lib` > `operations` > `rotation` > {`database`,
//! `secret::store`} > {`secret::credentials`,
//! `secret::password`} > `error`. `tests/architecture.rs` keeps it true.

pub mod config;
pub mod database;
pub mod deadline;
pub mod error;
pub mod event;
pub mod operations;
pub mod policy;
pub mod report;
pub mod rotation;
pub mod secret;
pub mod telemetry;

use std::time::Instant;

use lambda_runtime::Diagnostic;
use serde_json::Value;

use crate::config::{Config, LogFormat};
use crate::database::tls::Tls;
use crate::deadline::Deadline;
use crate::error::Error;
use crate::event::Event;
use crate::report::Answer;
use crate::rotation::Context;
use crate::secret::store::{self, Store};

/// What outlives an invocation.
#[derive(Debug)]
pub struct App {
    config: Config,
    tls: Tls,
    client: store::Client,
}

impl App {
    /// Reads the files that the configuration names and prepares the AWS client; no request is
    /// sent.
    ///
    /// # Errors
    /// [`Error::Configuration`] when a file cannot be used.
    pub async fn new(config: Config) -> Result<Self, Error> {
        let tls = Tls::new(config.ca_bundle_file.as_deref(), config.region.clone())?;
        let client = store::client(config.endpoint.as_deref()).await;
        Ok(Self { config, tls, client })
    }
}

/// Does what an event asks for.
///
/// # Errors
/// Any [`Error`]; the same event may be sent again, whatever the error was.
pub async fn handle(app: &App, event: &Event, deadline: Deadline) -> Result<Answer, Error> {
    let store = Store::new(app.client.clone(), deadline);
    let context = Context { config: &app.config, tls: &app.tls, store, deadline };
    match event {
        Event::Step(request) => rotation::run(&context, request).await.map(Answer::Step),
        Event::Operation(operation) => {
            operations::run(&context, operation).await.map(Answer::Operation)
        }
    }
}

/// Answers one invocation, and logs and measures it. A function that could not start answers every
/// event with the reason.
///
/// # Errors
/// The error's kind and text, as Lambda hands them to the caller.
pub async fn answer(
    app: &Result<App, Error>,
    log: LogFormat,
    event: &Value,
    deadline: Deadline,
) -> Result<Answer, Diagnostic> {
    let started = Instant::now();
    let event = Event::parse(event);
    let result = match (app, &event) {
        (Err(error), _) | (_, Err(error)) => Err(error),
        (Ok(app), Ok(event)) => match handle(app, event, deadline).await {
            Ok(answer) => Ok(answer),
            Err(error) => return Err(failed(log, Some(event), &error, started)),
        },
    };
    match result {
        Ok(answer) => {
            telemetry::answer(&answer);
            telemetry::metric(log, event.as_ref().ok(), None, started.elapsed());
            Ok(answer)
        }
        Err(error) => Err(failed(log, event.as_ref().ok(), error, started)),
    }
}

fn failed(log: LogFormat, event: Option<&Event>, error: &Error, started: Instant) -> Diagnostic {
    telemetry::failure(event, error, started.elapsed());
    telemetry::metric(log, event, Some(error), started.elapsed());
    Diagnostic::from(error)
}
