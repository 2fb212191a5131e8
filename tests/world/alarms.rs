//! Alarms of CloudWatch, evaluated as the service does: over the function's own lines of metrics.

use serde::Deserialize;
use serde_json::Value;

use super::metrics::Metric;

/// What the service calls an alarm's settings.
#[derive(Debug, Clone, Deserialize)]
pub struct Alarm {
    pub name: String,
    #[serde(flatten)]
    pub metric: Metric,
    statistic: String,
    /// Seconds.
    pub period: i64,
    pub evaluation_periods: i64,
    pub threshold: f64,
    comparison_operator: String,
    pub treat_missing_data: String,
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
            .map(|period| self.metric.over(lines, &self.statistic, self.period, period))
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
}
