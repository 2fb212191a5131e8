//! `tools/rotation fleet`: the table, its colours, and the page in a real browser.

use std::process::{Command, Output};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::world::aws::REGION;
use crate::world::browser::{self, browse};
use crate::world::{project, serve, temporary_folder};

const SIZE: (u32, u32) = (1240, 1500);
const HOSTILE: &str = "<script>document.title='run'</script>\"'&<img src=x onerror=alert(1)>";

fn secret(name: &str, state: &str, more: &Value) -> Value {
    let arn = format!("arn:aws:secretsmanager:{REGION}:123456789012:secret:{name}-AbCdEf");
    let mut secret = json!({"SecretId": arn, "State": state, "Reason": format!("It is {state}."),
        "Warnings": []});
    secret.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    secret
}

/// An answer of `monitor`.
fn answer(secrets: &[Value], counts: &Value) -> Value {
    json!({"Operation": "monitor", "Message": "1 of 2", "Counts": counts, "Secrets": secrets})
}

/// A Lambda and a CloudWatch Logs that give these answers; their URL.
fn aws(pages: Vec<Value>, log: Option<Value>) -> String {
    serve(Router::new().fallback(move |headers: HeaderMap, body: String| {
        let (pages, log) = (pages.clone(), log.clone());
        async move {
            if headers.contains_key("x-amz-target") {
                return match log {
                    Some(log) => (StatusCode::OK, json!({"events": log}).to_string()),
                    None => (StatusCode::BAD_REQUEST, r#"{"__type": "AccessDenied"}"#.to_owned()),
                };
            }
            let asked: Value = serde_json::from_str(&body).expect("an event");
            assert_eq!(asked["Operation"], "monitor", "{asked}");
            let page = asked["NextToken"].as_str().map_or(0, |token| token.parse().unwrap());
            (StatusCode::OK, pages[page].to_string())
        }
    }))
}

fn environment(command: &mut Command, aws: &str) {
    let path =
        format!("{}:/usr/local/bin:/usr/bin:/bin", project().join(".deps/venv/bin").display());
    command.env_clear().envs([
        ("PATH", path.as_str()),
        ("HOME", "/nonexistent"),
        ("TERM", "xterm"),
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
        ("AWS_ENDPOINT_URL_LAMBDA", aws),
        ("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", aws),
    ]);
}

/// What `tools/rotation fleet` prints, and its exit status.
fn fleet(arguments: &[&str], aws: &str) -> (String, i32) {
    let mut command = Command::new(project().join("tools/rotation"));
    command.arg("fleet").args(arguments);
    environment(&mut command, aws);
    let Output { status, stdout, stderr } = command.output().expect("the command runs");
    let printed = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    (printed, status.code().expect("an exit status"))
}

#[tokio::test]
async fn the_table_has_the_worst_first_over_all_pages_and_the_command_for_each() {
    let late = secret(
        "shop/late",
        "overdue",
        &json!({"Since": "2026-11-22T03:04:05Z", "AgeSeconds": 2_851_200,
            "NextRotationInSeconds": -259_200, "Command": "tools/rotation preflight shop/late"}),
    );
    let refused = secret("shop/app", "mismatch", &json!({"Warnings": ["It is there twice."]}));
    let mut first = answer(&[late], &json!({"overdue": 1, "ok": 3, "mismatch": 0}));
    first["NextToken"] = json!("1");
    let second = answer(&[refused], &json!({"mismatch": 1, "ok": 4, "overdue": 0}));
    let (printed, status) = fleet(&[], &aws(vec![first, second], None));
    let expected = "\
postgres-secret-rotation  9 secrets: 1 mismatch, 1 overdue, 7 ok

  State     Secret     Since             Age   Next

  mismatch  shop/app
      It is mismatch.
      It is there twice.

  overdue   shop/late  2026-11-22 03:04  33 d  3 d late
      It is overdue.
      $ tools/rotation preflight shop/late
";
    assert_eq!((printed.as_str(), status), (expected, 1));

    let good = answer(&[secret("shop/app", "ok", &json!({}))], &json!({"ok": 1}));
    let (printed, status) = fleet(&["--all"], &aws(vec![good], None));
    assert!(
        printed.contains(
            "1 secrets: 1 ok\n\n  State  Secret    Since  Age  Next\n\n  ok     shop/app\n"
        ),
        "{printed}"
    );
    assert_eq!((status, printed.contains("It is ok")), (0, false), "{printed}");
}

/// Python's `pty` gives the command a terminal.
#[test]
fn the_table_has_colours_on_a_terminal_alone() {
    let hostile = "a\u{1b}[2Jz";
    let reason = json!({"Reason": hostile, "Since": hostile, "Command": hostile});
    let aws = aws(vec![answer(&[secret(hostile, "stuck", &reason)], &json!({"stuck": 1}))], None);
    let on_a_terminal = |no_colour: &str| {
        let tool = project().join("tools/rotation").display().to_string();
        let spawn = "import pty, sys; pty.spawn(sys.argv[1:])";
        let mut command = Command::new("python3");
        command.args(["-c", spawn, &tool, "fleet"]);
        environment(&mut command, &aws);
        command.env("NO_COLOR", no_colour);
        let output = command.output().expect("the command runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let coloured = on_a_terminal("");
    assert!(coloured.contains("\u{1b}[33mstuck\u{1b}[0m"), "{coloured:?}");
    for printed in [coloured, on_a_terminal("1"), fleet(&[], &aws).0] {
        assert_eq!(printed.matches(r"a\x1b[2Jz").count(), 4, "{printed:?}");
        assert!(!printed.contains(hostile), "{printed:?}");
    }
    assert!(!on_a_terminal("1").contains('\u{1b}'));
}

#[test]
fn the_page_shows_every_value_and_runs_none_of_them() {
    let more = json!({"Role": HOSTILE, "Host": HOSTILE, "Reason": HOSTILE, "Command": HOSTILE,
        "Since": HOSTILE, "Warnings": [HOSTILE], "AgeSeconds": 2_000_000,
        "NextRotationInSeconds": 600_000, "ExpiresInSeconds": 90_000,
        "CertificateExpiresInSeconds": 9_000_000});
    let secrets = [secret(HOSTILE, "mismatch", &more), secret("shop/app", HOSTILE, &more)];
    let finished = json!({"event.name": "rotation_finished", "rotation.door": HOSTILE,
        "secret.name": HOSTILE, "secret.version_id": HOSTILE, "secret.old_version_id": HOSTILE,
        "evidence.new": HOSTILE, "evidence.old": HOSTILE, "evidence.old_sessions": 2,
        "duration_ms": 112});
    let failed = json!({"level": "ERROR", "error.kind": HOSTILE, "message": HOSTILE,
        "secret.arn": HOSTILE, "rotation.step": HOSTILE, "duration_ms": 9});
    let line =
        |line: &Value| json!({"timestamp": 1_764_000_000_000_i64, "message": line.to_string()});
    let log = json!([line(&finished), line(&failed), {"timestamp": 1, "message": "no JSON"}]);
    let folder = temporary_folder("page");
    std::fs::create_dir_all(&folder).unwrap();
    let page = folder.join("page.html");
    let answers = vec![answer(&secrets, &json!({"mismatch": 1, "ok": 0}))];
    let (printed, status) = fleet(&["--html", page.to_str().unwrap()], &aws(answers, Some(log)));
    assert_eq!(status, 1, "{printed}");
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(!text.contains("<script") && !text.contains("<img"), "{text}");
    assert!(text.matches("&lt;script&gt;").count() >= 15, "{text}");
    assert!(!text.contains("://"), "it needs nothing from elsewhere");

    if let Some(chromium) = browser::chromium() {
        let (dom, picture) =
            (browse(&chromium, &page, SIZE, "--dump-dom"), folder.join("page.png"));
        let shown = String::from_utf8_lossy(&dom);
        assert!(shown.contains("<title>Rotation health of "), "{shown}");
        assert!(!shown.contains("<script") && !shown.contains("<img"), "{shown}");
        browser::picture(&chromium, &page, SIZE, &picture);
        let picture = std::fs::read(picture).expect("a picture");
        assert!(picture.starts_with(b"\x89PNG") && picture.len() > 20_000, "{}", picture.len());
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn without_the_log_the_page_says_why() {
    let folder = temporary_folder("page");
    std::fs::create_dir_all(&folder).unwrap();
    let page = folder.join("page.html");
    let good = answer(&[secret("shop/app", "ok", &json!({}))], &json!({"ok": 1}));
    let (printed, status) = fleet(&["--html", page.to_str().unwrap()], &aws(vec![good], None));
    assert_eq!(status, 0, "{printed}");
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(text.contains("Every secret is in order."), "{text}");
    assert!(text.contains("/aws/lambda/postgres-secret-rotation could not be read"), "{text}");
    std::fs::remove_dir_all(folder).unwrap();
}
