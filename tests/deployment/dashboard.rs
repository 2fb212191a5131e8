//! The dashboard that Terraform has made, as CloudWatch would show it: each widget over the lines
//! that the deployed function has written.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use serde_json::{Value, json};

use crate::world::alarms::State;
use crate::world::metrics::{self, Metric};
use crate::world::{browser, project, world};

const PAGE: &str = "target/dashboard.html";
const PICTURE: &str = "docs/dashboard.png";
const SIZE: (u32, u32) = (1096, 1264);

/// What the function has written by a time in seconds since 1970, and the alarms at that time.
pub(crate) struct Moment<'a> {
    pub(crate) function: &'a str,
    pub(crate) lines: &'a [Value],
    pub(crate) now: i64,
    pub(crate) alarms: &'a BTreeMap<String, State>,
}

/// Every widget has something to show, and no name in it may be misspelt. Draws the dashboard with
/// secrets under the names that `names` gives them, and with `WRITE_DOCUMENTS` its picture, too.
pub(crate) async fn shows(moment: &Moment<'_>, names: &[(&str, &str)]) {
    let body = world().aws.look_up("dashboards", moment.function).await;
    let mut text = json!(moment.lines).to_string();
    for (name, shown) in names {
        text = text.replace(name, shown);
    }
    let lines: Vec<Value> = serde_json::from_str(&text).expect("lines");
    let moment = Moment { lines: &lines, ..*moment };
    let mut widgets = body["widgets"].as_array().expect("widgets").clone();
    for widget in &mut widgets {
        let found = evaluate(widget, &moment).await;
        widget["shown"] = found.unwrap_or_else(|problem| panic!("{problem}"));
        for (name, wrong) in misspelt(widget) {
            assert!(evaluate(&wrong, &moment).await.is_err(), "no test would notice {name}x");
        }
    }
    let page = include_str!("dashboard.html");
    let data = json!({"function": moment.function, "widgets": widgets});
    let page = page.replace("DATA", &data.to_string().replace('<', "\\u003c"));
    let file = project().join(PAGE);
    std::fs::write(&file, page).expect("the page can be written");
    browser::draw(&file, SIZE, PICTURE);
}

/// What a widget shows.
///
/// # Errors
/// A name that is in no line, or a part that shows nothing.
async fn evaluate(widget: &Value, moment: &Moment<'_>) -> Result<Value, String> {
    let properties = &widget["properties"];
    let shown = match widget["type"].as_str().expect("a type") {
        "alarm" => alarms(properties, moment),
        "log" => table(properties, moment).await,
        "metric" => series(properties, moment),
        other => panic!("the widget {other} is not known here"),
    };
    shown.map_err(|problem| format!("{}: {problem}", properties["title"]))
}

/// The names of the alarms, and whether each is on.
fn alarms(properties: &Value, moment: &Moment<'_>) -> Result<Value, String> {
    let state = |arn: &Value| {
        let name = arn.as_str().and_then(|arn| arn.split(":alarm:").nth(1)).expect("an alarm");
        let state = moment.alarms.get(name).ok_or(format!("there is no alarm {name}"))?;
        Ok(json!([name[moment.function.len() + 1..], *state == State::Alarm]))
    };
    properties["alarms"].as_array().expect("alarms").iter().map(state).collect()
}

/// The columns and rows of a query, and the fields of the log that it reads.
async fn table(properties: &Value, moment: &Moment<'_>) -> Result<Value, String> {
    let asked = json!({"query": properties["query"], "lines": moment.lines, "now": moment.now});
    let found = world().aws.exchange("PUT", "insights", moment.function, asked.to_string()).await;
    let all = |key: &str| found[key].as_array().expect("a list").iter();
    let written = |field: &str| moment.lines.iter().any(|line| !line[field].is_null());
    let mut fields = all("fields").filter_map(Value::as_str);
    if let Some(field) = fields.find(|field| !written(field)) {
        return Err(format!("no line has the field {field}"));
    }
    let has_value = |at: usize| all("rows").any(|row| !row[at].is_null());
    match all("columns").zip(0..).find(|(_, at)| !has_value(*at)) {
        Some((column, _)) => Err(format!("{column} is empty")),
        None => Ok(found),
    }
}

/// Each metric with its values by day.
fn series(properties: &Value, moment: &Moment<'_>) -> Result<Value, String> {
    let (mut all, mut hidden) = (Vec::new(), BTreeMap::<String, Metric>::new());
    for entry in properties["metrics"].as_array().expect("metrics") {
        let mut entry = entry.as_array().expect("an entry").clone();
        let last = entry.last().is_some_and(Value::is_object).then(|| entry.pop());
        let options = last.flatten().unwrap_or_default();
        let statistic = options["stat"].as_str().or(properties["stat"].as_str());
        let statistic = statistic.expect("a statistic");
        assert_eq!(properties["period"], json!(DAY));
        let expression = options["expression"].as_str();
        let filled = expression.and_then(|it| it.strip_prefix("FILL(")?.strip_suffix(", 0)"));
        let found = match filled.or(expression).map(|it| (it, hidden.get(it))) {
            Some((_, Some(metric))) => vec![(metric.clone(), String::new())],
            Some((expression, None)) => search(expression, moment.lines, statistic)?,
            None => vec![(metric(&entry), String::new())],
        };
        for (metric, open) in found {
            let value = |day| Some((day, metric.over(moment.lines, statistic, DAY, day)?));
            let mut points: BTreeMap<_, _> = days(moment).filter_map(value).collect();
            if points.is_empty() {
                return Err(format!("no line has {metric:?}"));
            }
            for day in days(moment).filter(|_| filled.is_some()) {
                points.entry(day).or_insert(0.0);
            }
            if options["visible"] == false {
                hidden.insert(options["id"].as_str().expect("an id").to_owned(), metric);
                continue;
            }
            let label = options["label"].as_str().unwrap_or(&metric.name).to_owned() + &open;
            let right = options["yAxis"] == "right";
            all.push(json!({"label": label, "colour": options["color"], "right": right,
                "points": points}));
        }
    }
    Ok(json!(all))
}

const DAY: i64 = 24 * 60 * 60;

/// The metric of `[namespace, name, dimension, value, ...]`.
fn metric(entry: &[Value]) -> Metric {
    let texts: Vec<_> = entry.iter().map(|text| text.as_str().expect("text").to_owned()).collect();
    let dimensions = texts[2..].chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    Metric { namespace: texts[0].clone(), name: texts[1].clone(), dimensions }
}

/// The metrics that `SEARCH('{namespace,dimensions} MetricName="..." dimension="..."', 'Sum', 60)`
/// finds, each with the value of the dimension that it leaves open.
fn search(
    expression: &str,
    lines: &[Value],
    statistic: &str,
) -> Result<Vec<(Metric, String)>, String> {
    let found = expression.strip_prefix("SEARCH('{").and_then(|it| it.split_once("} "));
    let (schema, rest) = found.expect("a search");
    let (terms, rest) = rest.split_once("', ").expect("a statistic");
    assert_eq!(rest, format!("'{statistic}', {DAY})"), "{expression}");
    let (namespace, dimensions) = schema.split_once(',').expect("dimensions");
    let dimensions: BTreeSet<_> = dimensions.split(',').collect();
    let terms = terms.split(' ').filter_map(|term| term.split_once('='));
    let mut terms: BTreeMap<_, _> = terms.map(|(key, it)| (key, it.trim_matches('"'))).collect();
    let name = terms.remove("MetricName").expect("a name");
    let wanted = |set: &BTreeMap<&str, &str>| {
        set.keys().copied().collect::<BTreeSet<_>>() == dimensions
            && terms.iter().all(|(key, value)| set.get(key) == Some(value))
    };
    let sets = lines.iter().flat_map(|line| metrics::sets(line, namespace, name));
    let sets: BTreeSet<_> = sets.filter(wanted).collect();
    if sets.is_empty() {
        return Err(format!("{expression} finds nothing"));
    }
    let metric = |set: BTreeMap<&str, &str>| {
        let open = set.iter().filter(|(key, _)| !terms.contains_key(*key));
        let label = open.map(|(_, value)| *value).collect::<Vec<_>>().join(" ");
        let dimensions = set.into_iter().map(|(key, it)| (key.to_owned(), it.to_owned())).collect();
        (Metric { namespace: namespace.to_owned(), name: name.to_owned(), dimensions }, label)
    };
    Ok(sets.into_iter().map(metric).collect())
}

/// The days of the lines, since 1970.
fn days(moment: &Moment<'_>) -> RangeInclusive<i64> {
    let times = moment.lines.iter().filter_map(|line| line["@timestamp"].as_i64());
    times.min().expect("a line") / 1000 / DAY..=moment.now / DAY
}

/// Each name of a field, a metric or a dimension, and the widget in which it is misspelt.
fn misspelt(widget: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    let mut with = |path: &str, name: &str| {
        let mut wrong = widget.clone();
        let place = wrong.pointer_mut(&format!("/properties/{path}")).expect("a place");
        *place = json!(place.as_str().expect("text").replace(name, &format!("{name}x")));
        all.push((name.to_owned(), wrong));
    };
    for field in widget["shown"]["fields"].as_array().into_iter().flatten() {
        with("query", field.as_str().expect("text"));
    }
    let metrics = widget["properties"]["metrics"].as_array().into_iter().flatten();
    for (entry, number) in metrics.zip(0..) {
        for (part, place) in entry.as_array().expect("an entry").iter().zip(0..) {
            let path = format!("metrics/{number}/{place}");
            if let Some(name) = part.as_str() {
                with(&path, name);
            } else if let Some(expression) = part["expression"].as_str() {
                let names = ["PostgresSecretRotation", "ErrorKind", "\"Failures"];
                let names = names.iter().filter(|name| expression.contains(*name));
                names.for_each(|name| with(&format!("{path}/expression"), name));
            }
        }
    }
    all
}
