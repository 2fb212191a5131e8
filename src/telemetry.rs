//! The function's own log and metrics: one log event per step and operation with all its fields,
//! and one metric per invocation in CloudWatch's embedded format.

use std::io::Write;
use std::time::{Duration, SystemTime};

use serde_json::json;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogFormat;
use crate::error::Error;
use crate::event::Event;
use crate::policy::Strategy;
use crate::report::{Answer, Details, StepReport};

const NAMESPACE: &str = "PostgresSecretRotation";

/// Starts logging. Libraries log at WARN at most: at finer levels they log requests and statements.
pub(crate) fn start(format: LogFormat) {
    let levels = Targets::new()
        .with_target(env!("CARGO_CRATE_NAME"), format.level)
        .with_default(format.level.min(LevelFilter::WARN))
        // It logs each error once more, without its fields.
        .with_target("lambda_runtime::layers::panic", LevelFilter::OFF);
    let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_target(false);
    let registry = tracing_subscriber::registry();
    // A second call changes nothing: the first one's subscriber is in place.
    let _ = if format.json {
        registry
            .with(layer.json().flatten_event(true).with_current_span(false).with_span_list(false))
            .with(levels)
            .try_init()
    } else {
        registry.with(layer).with(levels).try_init()
    };
}

/// Logs what was done: one event per step, and one more for an operation.
pub(crate) fn answer(answer: &Answer) {
    match answer {
        Answer::Step(step) => report(step),
        Answer::Operation(operation) => {
            let (steps, remedy) = match &operation.details {
                Details::Diagnosis(diagnosis) => {
                    (diagnosis.steps.as_slice(), Some(diagnosis.remedy))
                }
                Details::Rotation { steps } => (steps.as_slice(), None),
                Details::Preflight { .. } | Details::Retirement(_) => (&[][..], None),
            };
            steps.iter().for_each(report);
            tracing::info!(
                secret.arn = operation.secret,
                operation = operation.operation,
                db.refused_logins = operation.refused_logins,
                rotation.strategy = operation.strategy.map_or("", Strategy::name),
                remedy = remedy.map(tracing::field::debug),
                duration_ms = milliseconds(operation.duration),
                "{}",
                operation.message
            );
        }
    }
}

fn report(report: &StepReport) {
    let strategy = report.strategy.map_or("", Strategy::name);
    for warning in &report.warnings {
        tracing::warn!(
            secret.arn = report.secret,
            secret.version_id = report.version,
            rotation.step = report.step.name(),
            rotation.strategy = strategy,
            "{warning}"
        );
    }
    let checks = report.checks.as_ref();
    tracing::info!(
        test.grants = checks.map(|checks| checks.grants),
        test.probes = checks.map(|checks| checks.probes),
        test.duration_ms = checks.map(|checks| milliseconds(checks.duration)),
        secret.arn = report.secret,
        secret.version_id = report.version,
        rotation.step = report.step.name(),
        rotation.strategy = strategy,
        outcome = report.outcome.name(),
        db.refused_logins = report.refused_logins,
        duration_ms = milliseconds(report.duration),
        "{}",
        report.message
    );
}

/// Logs a failure with its fields.
pub(crate) fn failure(
    event: Option<&Event>,
    error: &Error,
    refused_logins: u32,
    duration: Duration,
) {
    let (role, host) = match error {
        Error::Database { role, host, .. } | Error::NoCredentialAccepted { role, host, .. } => {
            (role.as_str(), host.as_str())
        }
        _ => ("", ""),
    };
    let (step, operation) = match event {
        Some(Event::Step(request)) => (Some(request), None),
        Some(Event::Operation(request)) => (None, Some(request)),
        None => (None, None),
    };
    tracing::error!(
        secret.arn = event.map_or("", Event::secret_id),
        secret.version_id = step.map_or("", |request| request.token.as_str()),
        rotation.step = step.map_or("", |request| request.step.name()),
        operation = operation.map_or("", |request| request.operation.name()),
        db.role = role,
        db.host = host,
        error.kind = error.kind(),
        error.retryable = error.retryable(),
        db.refused_logins = refused_logins,
        duration_ms = milliseconds(duration),
        "{}",
        error.full_text()
    );
}

/// Writes the metrics of one invocation, `Duration` and `Failures`, by step and by kind of error.
///
/// Only with JSON logs: CloudWatch does not find metrics in text logs.
pub(crate) fn metric(
    format: LogFormat,
    event: Option<&Event>,
    error: Option<&Error>,
    duration: Duration,
) {
    if !format.json {
        return;
    }
    let timestamp = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let metrics = |dimensions: &[&[&str]]| {
        json!([{
            "Namespace": NAMESPACE,
            "Dimensions": dimensions,
            "Metrics": [{"Name": "Duration", "Unit": "Milliseconds"}, {"Name": "Failures",
            "Unit": "Count"}],
        }])
    };
    let mut line = json!({
        "_aws": {"Timestamp": milliseconds(timestamp),
        "CloudWatchMetrics": metrics(&[&[], &["Step"]])},
        "Step": event.map_or("none", Event::name),
        "Duration": milliseconds(duration),
        "Failures": u8::from(error.is_some()),
    });
    if let Some(error) = error {
        line["_aws"]["CloudWatchMetrics"] = metrics(&[&[], &["Step"], &["ErrorKind"]]);
        line["ErrorKind"] = json!(error.kind());
    }
    // An error here cannot be reported: standard output is gone.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
