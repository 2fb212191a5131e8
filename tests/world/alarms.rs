//! Alarms of CloudWatch, evaluated as the service does: over the function's own lines of metrics.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// What the service calls an alarm's settings.
#[derive(Debug, Deserialize)]
pub struct Alarm {
    pub name: String,
    namespace: String,
    metric_name: String,
    statistic: String,
    /// Seconds.
    period: i64,
    evaluation_periods: i64,
    threshold: f64,
    comparison_operator: String,
    treat_missing_data: String,
    dimensions: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Ok,
    Alarm,
    InsufficientData,
}

impl Alarm {
    /// The state at a time in seconds since 1970, after the state before it. Each of the periods
    /// up to that time has to breach the threshold.
    pub fn state(&self, lines: &[Value], now: i64, before: State) -> State {
        let newest = now / self.period;
        let periods: Vec<_> = (newest - self.evaluation_periods + 1..=newest)
            .map(|period| self.value(lines, period))
            .collect();
        if periods.iter().all(Option::is_none) {
            return match self.treat_missing_data.as_str() {
                "breaching" => State::Alarm,
                "notBreaching" => State::Ok,
                "ignore" => before,
                _ => State::InsufficientData,
            };
        }
        let missing_breaches = self.treat_missing_data == "breaching";
        let breaches = |value: &Option<f64>| value.map_or(missing_breaches, |it| self.breached(it));
        if periods.iter().all(breaches) { State::Alarm } else { State::Ok }
    }

    fn breached(&self, value: f64) -> bool {
        match self.comparison_operator.as_str() {
            "GreaterThanOrEqualToThreshold" => value >= self.threshold,
            "LessThanThreshold" => value < self.threshold,
            other => panic!("{other} is not known here"),
        }
    }

    /// The statistic over the values of that period.
    fn value(&self, lines: &[Value], period: i64) -> Option<f64> {
        let in_it = |line: &&Value| {
            line["_aws"]["Timestamp"].as_i64().is_some_and(|at| at / 1000 / self.period == period)
        };
        let values: Vec<_> =
            lines.iter().filter(in_it).filter_map(|line| self.value_of(line)).collect();
        let first = *values.first()?;
        Some(match self.statistic.as_str() {
            "Sum" => values.iter().sum(),
            "Maximum" => values.iter().copied().fold(first, f64::max),
            "Minimum" => values.iter().copied().fold(first, f64::min),
            "SampleCount" => f64::from(u32::try_from(values.len()).expect("few lines")),
            other => panic!("{other} is not known here"),
        })
    }

    /// The value of the metric in a line of the embedded format, if it has exactly the alarm's
    /// dimensions.
    fn value_of(&self, line: &Value) -> Option<f64> {
        let groups = line["_aws"]["CloudWatchMetrics"].as_array()?;
        let meant = |group: &&Value| {
            let named = |set: &Value| {
                let keys = set.as_array().into_iter().flatten().filter_map(Value::as_str);
                let held: Option<BTreeMap<_, _>> =
                    keys.map(|key| Some((key, line[key].as_str()?))).collect();
                let own = self.dimensions.iter().map(|(key, value)| (key.as_str(), value.as_str()));
                held == Some(own.collect())
            };
            group["Namespace"] == self.namespace.as_str()
                && group["Dimensions"].as_array().is_some_and(|sets| sets.iter().any(named))
                && group["Metrics"].as_array().is_some_and(|metrics| {
                    metrics.iter().any(|metric| metric["Name"] == self.metric_name.as_str())
                })
        };
        groups.iter().find(meant)?;
        line[&self.metric_name].as_f64()
    }
}
