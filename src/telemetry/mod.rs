//! The function's own log. Each step and operation has one log event with all its fields. So has
//! each finished rotation, and each secret that is not in order.

pub(crate) mod metrics;

use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogFormat;
use crate::error::{Error, clean};
use crate::event::Event;
use crate::policy::Strategy;
use crate::report::{
    Answer, Details, FleetReport, Health, OldCredential, StepReport, Timestamp, milliseconds,
    secret_name,
};

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

/// Logs what was done: one event per step, one for an operation, and the evidence of a rotation.
pub(crate) fn answer(event: Option<&Event>, answer: &Answer, duration: Duration) {
    answer.steps().iter().for_each(report);
    match answer {
        Answer::Step(_) => {}
        Answer::Operation(operation) => {
            let remedy = match &operation.details {
                Details::Diagnosis(diagnosis) => Some(diagnosis.remedy),
                _ => None,
            };
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
        Answer::Fleet(fleet) => monitored(fleet),
    }
    for step in answer.steps() {
        evidence(event, step, duration);
    }
}

/// Logs each secret that is not in order or has a warning, and the sum.
fn monitored(fleet: &FleetReport) {
    for secret in fleet.all() {
        let (arn, name) = (&secret.secret_id, &secret.name);
        for warning in &secret.warnings {
            tracing::warn!(secret.arn = arn, secret.name = name, "{warning}");
        }
        if secret.state == Health::Ok {
            continue;
        }
        tracing::warn!(
            secret.arn = arn,
            secret.name = name,
            monitor.state = secret.state.name(),
            monitor.since = secret.since.map(tracing::field::display),
            monitor.command = secret.command,
            monitor.age_days = secret.age_seconds.map(|age| age / (24 * 60 * 60)),
            db.role = secret.role,
            db.host = secret.host,
            "{}",
            secret.reason
        );
    }
    tracing::info!(
        operation = fleet.operation,
        db.refused_logins = fleet.refused_logins,
        duration_ms = milliseconds(fleet.duration),
        "{}",
        fleet.message
    );
}

/// Logs the end of a rotation, with all that an auditor asks for.
fn evidence(event: Option<&Event>, step: &StepReport, duration: Duration) {
    let Some(evidence) = &step.evidence else { return };
    let door = match event {
        Some(Event::Operation(request)) => request.operation.name(),
        _ => "secrets-manager",
    };
    let old = match evidence.old {
        OldCredential::Replaced => "replaced".to_owned(),
        OldCredential::Valid => "valid".to_owned(),
        OldCredential::ValidUntil(end) => format!("valid until {}", Timestamp(end)),
    };
    tracing::info!(
        event.name = "rotation_finished",
        secret.arn = evidence.secret,
        secret.name = evidence.name,
        secret.old_version_id = evidence.old_version,
        secret.version_id = step.version,
        rotation.door = door,
        rotation.strategy = step.strategy.map_or("", Strategy::name),
        evidence.new = "accepted",
        evidence.old = old,
        evidence.old_sessions = evidence.old_sessions,
        duration_ms = milliseconds(duration),
        "The rotation of secret {} ended.",
        evidence.name
    );
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
            (Some(clean::name(role)), Some(clean::name(host)))
        }
        _ => (None, None),
    };
    // A field without a value is left out: Logs Insights would count an empty one as a value.
    let secret = event.map(Event::secret_id).filter(|secret| !secret.is_empty());
    let secret = secret.map(clean::name);
    let secret = secret.as_deref();
    let (step, operation) = match event {
        Some(Event::Step(request)) => (Some(request), None),
        Some(event) => (None, Some(event.name())),
        None => (None, None),
    };
    tracing::error!(
        secret.arn = secret,
        secret.name = secret.map(secret_name),
        secret.version_id = step.map(|request| clean::name(&request.token)),
        rotation.step = step.map(|request| request.step.name()),
        operation = operation,
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
