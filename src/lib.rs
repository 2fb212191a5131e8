//! Rotates PostgreSQL credentials kept in AWS Secrets Manager.
//!
//! # The way of the data
//!
//! ```text
//! event ──> event::Request ──> rotation: labels and values ──> database: login, ALTER ROLE ──> event::Report
//!                              become a valid Rotation,        secret::store: versions,
//!                              one file per step acts on it    labels
//! ```
//!
//! `error` tells every failure apart, `config` and `policy` hold what the environment says, `deadline` cuts every wait to what Lambda
//! has left, `telemetry` logs.
//!
//! Modules import downwards only: `main` > `lib` > `rotation` > {`database`, `secret::store`} > {`secret::credentials`,
//! `secret::password`} > `error`. `tests/architecture.rs` keeps it true.

pub mod config;
pub mod database;
pub mod deadline;
pub mod error;
pub mod event;
pub mod policy;
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
use crate::event::{Report, Request};
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
    /// Reads the files that the configuration names and prepares the AWS client; no request is sent.
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
pub async fn handle(app: &App, request: &Request, deadline: Deadline) -> Result<Report, Error> {
    let store = Store::new(app.client.clone(), deadline);
    let context = Context { config: &app.config, tls: &app.tls, store, deadline };
    rotation::run(&context, request).await
}

/// Answers one invocation, and logs and measures it. A function that could not start answers every event with the reason.
///
/// # Errors
/// The error's kind and text, as Lambda hands them to the caller.
pub async fn answer(app: &Result<App, Error>, log: LogFormat, event: &Value, deadline: Deadline) -> Result<Report, Diagnostic> {
    let started = Instant::now();
    let request = Request::parse(event);
    let result = match (app, &request) {
        (Err(error), _) | (_, Err(error)) => Err(error),
        (Ok(app), Ok(request)) => match handle(app, request, deadline).await {
            Ok(report) => Ok(report),
            Err(error) => return Err(failed(log, Some(request), &error, started)),
        },
    };
    match result {
        Ok(report) => {
            telemetry::report(&report);
            telemetry::metric(log, request.as_ref().ok(), None, started.elapsed());
            Ok(report)
        }
        Err(error) => Err(failed(log, request.as_ref().ok(), error, started)),
    }
}

fn failed(log: LogFormat, request: Option<&Request>, error: &Error, started: Instant) -> Diagnostic {
    telemetry::failure(request, error, started.elapsed());
    telemetry::metric(log, request, Some(error), started.elapsed());
    Diagnostic::from(error)
}
