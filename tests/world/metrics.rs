//! Metrics of CloudWatch, read as the service reads them: from lines in the embedded format.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A metric, as an alarm or a widget names it.
#[derive(Debug, Clone, Deserialize)]
pub struct Metric {
    pub namespace: String,
    #[serde(rename = "metric_name")]
    pub name: String,
    pub dimensions: BTreeMap<String, String>,
}

impl Metric {
    /// The statistic over the values of one period of so many seconds, counted from 1970.
    pub fn over(&self, lines: &[Value], statistic: &str, seconds: i64, period: i64) -> Option<f64> {
        let in_it = |line: &&Value| {
            line["_aws"]["Timestamp"].as_i64().is_some_and(|at| at / 1000 / seconds == period)
        };
        let values = lines.iter().filter(in_it).filter_map(|line| self.value_of(line));
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        Some(match statistic {
            "Sum" => values.iter().sum(),
            "Maximum" => most,
            "Minimum" => least,
            "SampleCount" => f64::from(u32::try_from(values.len()).expect("few lines")),
            "p95" => values[(values.len() * 95).div_ceil(100) - 1],
            other => panic!("{other} is not known here"),
        })
    }

    /// The value in a line, if it has exactly the metric's dimensions.
    fn value_of(&self, line: &Value) -> Option<f64> {
        let own = self.dimensions.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let own: BTreeMap<_, _> = own.collect();
        let same = |set: &BTreeMap<&str, &str>| *set == own;
        let found = sets(line, &self.namespace, &self.name).iter().any(same);
        found.then(|| line[&self.name].as_f64())?
    }
}

/// The dimensions with which a line has a metric.
pub fn sets<'a>(line: &'a Value, namespace: &str, name: &str) -> Vec<BTreeMap<&'a str, &'a str>> {
    let groups = line["_aws"]["CloudWatchMetrics"].as_array().into_iter().flatten();
    let of_it = groups.filter(|group| {
        let metrics = group["Metrics"].as_array().into_iter().flatten();
        group["Namespace"] == namespace && metrics.into_iter().any(|one| one["Name"] == name)
    });
    let named = of_it.flat_map(|group| group["Dimensions"].as_array().into_iter().flatten());
    let held = |set: &'a Value| {
        let keys = set.as_array().into_iter().flatten().filter_map(Value::as_str);
        keys.map(|key| Some((key, line[key].as_str()?))).collect()
    };
    named.filter_map(held).collect()
}
