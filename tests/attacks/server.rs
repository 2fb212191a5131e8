//! Attacks by a server whose certificate is trusted, by a session on the same server, and by an
//! event.

use std::time::{Duration, Instant};

use postgres_protocol::escape::escape_identifier;
use serde_json::{Value, json};

use super::function;
use crate::world::application::{Application, STEPS};
use crate::world::impostor::{Impostor, Trick};
use crate::world::lambda::{Answer, Function};
use crate::world::postgres::{admin, lock_role};
use crate::world::{random_hex, unique};

/// What 128 MB of memory leave to one invocation, with room for the runtime.
const MOST_MEMORY_KIB: u64 = 64 * 1024;

/// Has a function log in to the impostor by a step, and by `preflight`; both answers.
async fn visit(trick: Trick, format: &str) -> (Function, Vec<Answer>) {
    let impostor = Impostor::start(trick);
    let role = unique("app_");
    let application =
        Application::for_role(&role, "right", |document| document["port"] = json!(impostor.port))
            .await;
    let function = Function::start_exactly(&[
        ("CA_BUNDLE_FILE", &impostor.ca_file.display().to_string()),
        ("AWS_LAMBDA_LOG_FORMAT", format),
    ]);
    let token = application.begin().await;
    let step = application.step(&function, "testSecret", &token).await;
    let event = |operation: &str| json!({"Operation": operation, "SecretId": application.secret});
    let mut answers = vec![step];
    for operation in ["preflight", "status"] {
        answers.push(function.invoke(event(operation)).await);
    }
    (function, answers)
}

#[tokio::test]
async fn a_flood_costs_little_memory_and_time() {
    for trick in [
        Trick::FloodLogin { kind: b'N' },
        Trick::FloodLogin { kind: b'S' },
        Trick::FloodRows,
        Trick::FloodRow,
        Trick::Nulls { columns: 60_000 },
        Trick::Types,
    ] {
        let started = Instant::now();
        let (function, answers) = visit(trick, "JSON").await;
        assert!(started.elapsed() < Duration::from_secs(20), "{trick:?}: {:?}", started.elapsed());
        assert!(answers[0].is_err(), "{trick:?}: {answers:?}");
        let peak = function.usage().await.peak_memory_kib;
        assert!(peak < MOST_MEMORY_KIB, "{trick:?}: {peak} KiB");
    }
}

#[tokio::test]
async fn an_answer_of_other_types_is_an_error_and_no_panic() {
    let (function, answers) = visit(Trick::Nulls { columns: 8 }, "JSON").await;
    assert!(answers[0].is_err(), "{answers:?}");
    let answered = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(answered, 2, "preflight and status say what is wrong: {answers:?}");
    assert!(!function.output().contains("panicked"), "{}", function.output());
}

#[tokio::test]
async fn the_servers_words_do_not_act_on_a_terminal_or_forge_a_line() {
    for (format, bytes) in [("JSON", 20_000), ("Text", 20_000), ("Text", 10_000_000)] {
        let (function, answers) = visit(Trick::Curse { bytes }, format).await;
        let mut said: Vec<String> = answers
            .iter()
            .map(|answer| match answer {
                Ok(report) => texts(report).join("\n"),
                Err(failure) => failure.message.clone(),
            })
            .collect();
        for failure in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            assert!(!failure.message.contains('\n'), "{failure:?}");
            assert_eq!(failure.message.contains("XX000"), bytes == 20_000, "{failure:?}");
        }
        let log = function.output();
        said.push(log.clone());
        for text in &said {
            assert!(!text.contains('\u{1b}') && !text.contains("u001b"), "{text}");
            assert!(!text.contains('\u{202e}') && !text.contains('\r'), "{text}");
        }
        assert!(log.len() < 30_000, "{} bytes", log.len());
        let forged =
            log.lines().filter(|line| line.trim().starts_with("{\"level\":\"INFO\",\"mess"));
        assert_eq!(forged.count(), 0, "{log}");
        let failed = answers.iter().filter(|answer| answer.is_err()).count();
        let logged = log.lines().filter(|line| line.contains("ERROR")).count();
        assert_eq!(logged, failed, "each error is logged once: {log}");
    }
}

/// Names may have any characters: those of roles and databases, and the keys of a secret.
#[tokio::test]
async fn what_a_secret_names_does_not_act_on_a_terminal_or_forge_a_line() {
    const CURSE: &str = "\u{1b}[2J\r\n{\"level\":\"INFO\"}\u{202e}\u{2028}\u{9b}";
    let (role, database) = (unique("app_") + CURSE, unique("shop_") + CURSE);
    let create = format!("CREATE DATABASE {}", escape_identifier(&database));
    admin().await.batch_execute(&create).await.unwrap();
    for format in ["JSON", "Text"] {
        for (role, exists) in [(role.clone() + format, true), (unique("no_") + CURSE, false)] {
            let edit = |document: &mut Value| {
                document["dbname"] = json!(database);
                document[&format!("key{CURSE}")] = json!("x");
            };
            let application = if exists {
                Application::named(&role, edit).await
            } else {
                Application::for_role(&role, "wrong", edit).await
            };
            let function = Function::start_exactly(&[("AWS_LAMBDA_LOG_FORMAT", format)]);
            let ask = async |operation: &str, more: Value| {
                let mut event = json!({"Operation": operation, "SecretId": application.secret});
                if operation == "monitor" {
                    event = json!({"Operation": operation, "SecretIds": [application.secret]});
                }
                for (key, value) in more.as_object().unwrap() {
                    event[key] = value.clone();
                }
                function.invoke(event).await
            };
            let mut answers = vec![ask("preflight", json!({})).await];
            let token = application.begin().await;
            for step in STEPS {
                answers.push(application.step(&function, step, &token).await);
                answers.push(ask("status", json!({})).await);
            }
            for operation in ["status", "recover", "rotate", "retire", "preflight"] {
                answers.push(ask(operation, json!({})).await);
            }
            answers.push(ask("monitor", json!({"All": true})).await);
            let done = answers.iter().filter(|answer| answer.is_ok()).count();
            assert!(if exists { done > 13 } else { done < 13 }, "{answers:?}");
            let mut said: Vec<String> = answers
                .iter()
                .flat_map(|answer| match answer {
                    Ok(report) => texts(report),
                    Err(failure) => vec![failure.message.clone()],
                })
                .collect();
            said.extend(function.output().lines().map(str::to_owned));
            for text in &said {
                let acts = |c: char| c.is_control() || "\u{202e}\u{2028}".contains(c);
                assert!(!text.contains(acts), "{format}: {text:?}");
                assert!(!text.trim().starts_with("{\"level\":\"INFO\"}"), "{text}");
            }
        }
    }
}

/// All texts in an answer.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::Object(members) => members
            .iter()
            .flat_map(|(key, value)| [vec![key.clone()], texts(value)].concat())
            .collect(),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn the_holder_of_the_lock_is_named() {
    let application = Application::new().await;
    let function = function(&application, &json!({"strategy": "single-user"}));
    let holder = lock_role(&application.role).await;
    let pid: i32 = holder.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let token = application.begin().await;
    application.steps(&function, &["createSecret"], &token).await;
    let failed = application.step(&function, "setSecret", &token).await.unwrap_err();
    assert_eq!(failed.kind, "LockTimedOut", "{}", failed.message);
    let named = format!("pid {pid}, role postgres, application application");
    assert!(failed.message.contains(&named), "{}", failed.message);
}

#[tokio::test]
async fn a_huge_or_deep_event_costs_little() {
    let function = Function::start_exactly(&[]);
    let zeros = vec![0; 2_000_000];
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    for (event, said) in [
        (json!({"Operation": "status", "SecretId": zeros}), "more than any event"),
        (json!({"Operation": "x".repeat(10_000), "SecretId": "s"}), "there is no Operation"),
        (json!({"Step": deep}), "\"Step\" is not a string"),
    ] {
        let failed = function.invoke(event).await.unwrap_err();
        assert_eq!(failed.kind, "InvalidEvent");
        assert!(failed.message.contains(said), "{}", failed.message);
        assert!(failed.message.len() < 2_000, "{} bytes", failed.message.len());
    }
    let peak = function.usage().await.peak_memory_kib;
    assert!(peak < MOST_MEMORY_KIB, "{peak} KiB");
}

/// A secret holds 64 KB. Each of these members fills it, or is as odd as JSON can be.
#[tokio::test]
async fn no_shape_of_a_secret_costs_much() {
    let (long, names) = ("x".repeat(60_000), (0..3000).map(|n| format!("t{n}")));
    let names = names.collect::<Vec<_>>().join(", ");
    let keys: Vec<_> = (0..6000).map(|n| format!("\"k{n}\": 1")).collect();
    let brackets = format!("EXECUTE ON FUNCTION f({})", "(".repeat(50_000));
    let nested = |depth| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let url = format!("postgres://app:x@db/?{}", "user=app&".repeat(6000));
    let shapes = [
        (json!({"rotation": {"grants": [format!("ALL ({names}) ON {names}")]}}), "no more than"),
        (
            json!({"rotation": {"grants": vec!["ALL ON a, b, c, d, e, f, g, h"; 90]}}),
            "no more than",
        ),
        (json!({"rotation": {"grants": ["\"".repeat(29_000)]}}), "character"),
        (json!({"rotation": {"grants": [brackets]}}), "character"),
        (json!({"rotation": {"probes": vec!["SELECT 1"; 5000]}}), "at most 100"),
        (json!({"rotation": {"probes": [format!("SELECT {}", "(".repeat(59_000))]}}), ""),
        (json!({"rotation": {&long: 1}}), "only ROTATION_POLICY"),
        (json!({"masterarn": long}), "neither the ARN"),
        (json!({"u": url}), "another user"),
        (json!({&long: "\0"}), ""),
    ];
    let members = shapes.map(|(shape, said)| {
        let text = shape.to_string();
        (text[1..text.len() - 1].to_owned(), said)
    });
    let raw = [
        (keys.join(","), ""),
        (format!("\"{long}\":1,\"{long}\":2"), "appears twice"),
        (format!("\"data\":{}", nested(100)), ""),
        (format!("\"data\":{}", nested(30_000)), ""),
        (format!("\"data\":1e999999,\"more\":{}", "9".repeat(60_000)), ""),
        ("\"data\":\"\\ud800\"".to_owned(), ""),
        ("\"port\":-1".to_owned(), "\"port\""),
        ("\"engine\":\"\\ud800\"".to_owned(), "\"engine\""),
    ];
    let policy = json!({"defaults": {"connection_strings": ["u"]}}).to_string();
    let function = Function::start_exactly(&[("ROTATION_POLICY", &policy)]);
    for (member, said) in members.into_iter().chain(raw) {
        let shown = &member[..member.len().min(60)];
        let application = Application::new().await;
        let mut document = application.document.clone();
        let key = member.split('"').nth(1).unwrap_or_default();
        document.as_object_mut().unwrap().remove(key);
        let text = document.to_string().replacen('{', &format!("{{{member},"), 1);
        application.put(&random_hex(), &text, &["AWSCURRENT"]).await;
        let token = application.begin().await;
        let started = Instant::now();
        let answer = application.step(&function, "createSecret", &token).await;
        assert!(started.elapsed() < Duration::from_secs(2), "{shown} {:?}", started.elapsed());
        match answer {
            Ok(_) => assert_eq!(said, "", "{shown}"),
            Err(failed) => {
                assert_eq!(failed.kind, "InvalidSecret", "{shown} {}", failed.message);
                assert!(
                    failed.message.contains(said) && !said.is_empty(),
                    "{shown} {}",
                    failed.message
                );
                assert!(failed.message.len() < 2_000, "{shown} {} bytes", failed.message.len());
            }
        }
    }
    let peak = function.usage().await.peak_memory_kib;
    assert!(peak < MOST_MEMORY_KIB, "{peak} KiB");
}
