//! Metrics in CloudWatch's embedded format: one line per invocation, and those of `monitor`.

use std::io::Write;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use crate::config::{self, LogFormat};
use crate::error::Error;
use crate::event::{Event, Operation};
use crate::report::{Answer, FleetReport, Health, SecretHealth, milliseconds};

const NAMESPACE: &str = "PostgresSecretRotation";
const DAY: f64 = 24.0 * 60.0 * 60.0;
const HOUR: f64 = 60.0 * 60.0;

/// Writes the metrics of one invocation.
///
/// Only with JSON logs: CloudWatch does not find metrics in text logs.
pub(crate) fn write(
    format: LogFormat,
    event: Option<&Event>,
    result: Result<&Answer, &Error>,
    duration: Duration,
) {
    if !format.json {
        return;
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let function = config::function_name();
    let mut lines = vec![invocation(event, result, duration)];
    if let Ok(Answer::Fleet(report)) = result {
        if report.whole_fleet {
            lines.push(fleet(report));
        }
        lines.extend(report.all().filter(|secret| secret.metrics).map(one_secret));
    }
    let mut output = std::io::stdout().lock();
    for line in lines {
        // An error here cannot be reported: standard output is gone.
        let _ = writeln!(output, "{}", line.into_json(milliseconds(now), function.as_deref()));
    }
}

/// A line of metrics before it is written.
#[derive(Default)]
struct Line {
    values: Map<String, Value>,
    groups: Vec<Group>,
}

/// Metrics that have the same dimensions.
struct Group {
    dimensions: Vec<&'static [&'static str]>,
    /// Name and unit.
    metrics: Vec<(&'static str, &'static str)>,
}

const FUNCTION: &str = "FunctionName";

impl Line {
    fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.values.insert(name.to_owned(), value.into());
    }

    fn group(
        &mut self,
        dimensions: &[&'static [&'static str]],
        metrics: Vec<(&'static str, &'static str)>,
    ) {
        self.groups.push(Group { dimensions: dimensions.to_vec(), metrics });
    }

    /// The line as CloudWatch reads it. Without the function's name its dimensions are left out.
    fn into_json(mut self, timestamp: u64, function: Option<&str>) -> Value {
        if let Some(function) = function {
            self.set(FUNCTION, function);
        }
        let known = |dimensions: &&&[&str]| function.is_some() || !dimensions.contains(&FUNCTION);
        let groups = self.groups.iter().map(|group| {
            let metrics = group.metrics.iter();
            let metrics = metrics.map(|(name, unit)| json!({"Name": name, "Unit": unit}));
            json!({
                "Namespace": NAMESPACE,
                "Dimensions": group.dimensions.iter().filter(known).collect::<Vec<_>>(),
                "Metrics": metrics.collect::<Vec<_>>(),
            })
        });
        let groups: Vec<_> = groups.collect();
        self.values.insert(
            "_aws".to_owned(),
            json!({"Timestamp": timestamp, "CloudWatchMetrics": groups}),
        );
        Value::Object(self.values)
    }
}

/// Duration and failures, and how rotations ended.
fn invocation(event: Option<&Event>, result: Result<&Answer, &Error>, duration: Duration) -> Line {
    let mut line = Line::default();
    let took = ("Duration", "Milliseconds");
    line.set("Step", event.map_or("none", Event::name));
    line.set("Duration", milliseconds(duration));
    if let Some(Event::Monitor(_)) = event {
        // They must not count as errors and times of rotations.
        let incomplete = matches!(result, Ok(Answer::Fleet(report)) if report.left_out > 0);
        line.set("MonitorErrors", u8::from(result.is_err() || incomplete));
        line.group(&[&["Step"], &[FUNCTION, "Step"]], vec![took]);
        line.group(&[&[FUNCTION]], vec![("MonitorErrors", "Count")]);
        return line;
    }
    line.set("Failures", u8::from(result.is_err()));
    let mut dimensions: Vec<&'static [&'static str]> =
        vec![&[], &["Step"], &[FUNCTION], &[FUNCTION, "Step"]];
    if let Err(error) = result {
        line.set("ErrorKind", error.kind());
        dimensions
            .extend::<[&'static [&'static str]; 2]>([&["ErrorKind"], &[FUNCTION, "ErrorKind"]]);
    }
    line.group(&dimensions, vec![took, ("Failures", "Count")]);
    if rotates(event) {
        line.set("RotationsSucceeded", u8::from(result.is_ok_and(ends_a_rotation)));
        line.set("RotationsFailed", u8::from(result.is_err()));
        let metrics = vec![("RotationsSucceeded", "Count"), ("RotationsFailed", "Count")];
        line.group(&[&[FUNCTION]], metrics);
    }
    line
}

/// Whether the event is a part of a rotation.
fn rotates(event: Option<&Event>) -> bool {
    match event {
        Some(Event::Step(_)) => true,
        Some(Event::Operation(request)) => matches!(
            request.operation,
            Operation::Rotate { .. } | Operation::Recover { dry_run: false, .. }
        ),
        Some(Event::Monitor(_)) | None => false,
    }
}

/// Whether AWSCURRENT moved to a new version in this invocation.
fn ends_a_rotation(answer: &Answer) -> bool {
    answer.steps().iter().any(|step| step.evidence.is_some())
}

/// The numbers of the fleet.
fn fleet(report: &FleetReport) -> Line {
    let mut line = Line::default();
    let mut metrics = vec![("Secrets", "Count")];
    line.set("Secrets", report.counts.total());
    for state in Health::WORST_FIRST {
        line.set(state.metric(), report.counts.number(state));
        metrics.push((state.metric(), "Count"));
    }
    let ages = report.all().filter_map(|secret| secret.age_seconds).max();
    let lease = report.all().filter_map(|secret| secret.expires_in_seconds).min();
    let certificate = report.all().filter_map(|secret| secret.certificate_expires_in_seconds).min();
    for (name, value, unit) in [
        ("OldestAgeDays", ages.and_then(|age| i64::try_from(age).ok()), DAY),
        ("LeaseLeftHours", lease, HOUR),
        ("CertificateDaysLeft", certificate, DAY),
    ] {
        if let Some(value) = value {
            line.set(name, in_units(value, unit));
            metrics.push((name, "None"));
        }
    }
    line.group(&[&[FUNCTION]], metrics);
    line
}

/// The numbers of one secret. CloudWatch charges for each name.
fn one_secret(secret: &SecretHealth) -> Line {
    let mut line = Line::default();
    line.set("SecretName", secret.name.as_str());
    line.set("State", secret.state as u8);
    let mut metrics = vec![("State", "None")];
    if let Some(age) = secret.age_seconds.and_then(|age| i64::try_from(age).ok()) {
        line.set("AgeDays", in_units(age, DAY));
        metrics.push(("AgeDays", "None"));
    }
    line.group(&[&[FUNCTION, "SecretName"]], metrics);
    line
}

/// Seconds in another unit, with two digits after the point.
fn in_units(seconds: i64, unit: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "two digits after the point are enough")]
    let units = seconds as f64 / unit;
    (units * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::RotationFault;

    fn line(event: &Value, function: Option<&str>) -> Value {
        let event = Event::parse(event).unwrap();
        let error = RotationFault::Disabled.of("a secret");
        invocation(Some(&event), Err(&error), Duration::from_secs(1)).into_json(0, function)
    }

    fn dimensions(line: &Value, group: usize) -> String {
        line["_aws"]["CloudWatchMetrics"][group]["Dimensions"].to_string()
    }

    #[test]
    fn only_a_part_of_a_rotation_is_a_failed_rotation() {
        let operation = |name: &str| json!({"Operation": name, "SecretId": "s"});
        let dry = json!({"Operation": "recover", "SecretId": "s", "DryRun": true});
        let step = json!({"Step": "setSecret", "SecretId": "s", "ClientRequestToken": "t"});
        for (event, expected) in [
            (step, json!(1)),
            (operation("rotate"), json!(1)),
            (operation("recover"), json!(1)),
            (dry, Value::Null),
            (operation("status"), Value::Null),
            (operation("retire"), Value::Null),
        ] {
            let line = line(&event, Some("rotation"));
            assert_eq!(line["RotationsFailed"], expected, "{line}");
            assert_eq!((&line["Failures"], &line["FunctionName"]), (&json!(1), &json!("rotation")));
            let expected = [
                r#"[[],["Step"],["FunctionName"],["FunctionName","Step"],"#,
                r#"["ErrorKind"],["FunctionName","ErrorKind"]]"#,
            ]
            .concat();
            assert_eq!(dimensions(&line, 0), expected);
        }
    }

    #[test]
    fn a_monitor_that_fails_is_no_failed_rotation() {
        let line = line(&json!({"Operation": "monitor"}), Some("rotation"));
        assert_eq!(line["MonitorErrors"], 1);
        for name in ["Failures", "RotationsFailed", "ErrorKind"] {
            assert_eq!(line.get(name), None, "{line}");
        }
        assert_eq!(dimensions(&line, 1), r#"[["FunctionName"]]"#);
    }

    #[test]
    fn without_the_functions_name_its_dimensions_are_left_out() {
        let event = json!({"Step": "setSecret", "SecretId": "s", "ClientRequestToken": "t"});
        assert_eq!(dimensions(&line(&event, None), 0), r#"[[],["Step"],["ErrorKind"]]"#);
    }
}
