//! The commands that a person types at 2 a.m.: `tools/rotation`, its make targets, the real AWS
//! CLI, and what is printed.

use std::process::{Command, Output};

use axum::Router;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::world::application::{Application, STEPS};
use crate::world::aws::REGION;
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::{project, serve, temporary_folder, world};

const COMMANDS: [&str; 6] = ["status", "preflight", "rotate", "recover", "retire", "fleet"];

/// What the command prints, byte for byte, and its exit status. `lambda` is the URL of Lambda.
fn run_with(mut command: Command, arguments: &[&str], lambda: &str) -> (String, i32) {
    let path = format!(
        "{}:{}",
        project().join(".deps/venv/bin").display(),
        "/usr/local/bin:/usr/bin:/bin"
    );
    let Output { status, stdout, stderr } = command
        .args(arguments)
        .env_clear()
        .envs([
            ("PATH", path.as_str()),
            ("HOME", "/nonexistent"),
            ("AWS_REGION", REGION),
            ("AWS_DEFAULT_REGION", REGION),
        ])
        .envs([("AWS_ACCESS_KEY_ID", "testing"), ("AWS_SECRET_ACCESS_KEY", "testing")])
        // An environment may hold these names for reasons of its own.
        .envs([("SECRET", "of-the-environment"), ("FUNCTION", "of-the-environment")])
        .envs([("OPTIONS", "--terminate"), ("DRY_RUN", "1")])
        .envs([
            ("AWS_ENDPOINT_URL_LAMBDA", lambda),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &world().aws.url),
        ])
        .output()
        .expect("the command runs");
    let printed = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    (printed, status.code().expect("an exit status"))
}

/// The lines with the columns' widths taken out.
fn words((printed, status): (String, i32)) -> (String, i32) {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    (printed.lines().map(words).collect::<Vec<_>>().join("\n"), status)
}

fn make(arguments: &[&str]) -> (String, i32) {
    let mut command = Command::new("make");
    command.args(["--no-print-directory", "--silent"]).current_dir(project());
    words(run_with(command, arguments, &world().gateway.url))
}

/// `tools/rotation` from another folder.
fn rotation(arguments: &[&str]) -> (String, i32) {
    let mut command = Command::new(project().join("tools/rotation"));
    command.current_dir("/");
    words(run_with(command, arguments, &world().gateway.url))
}

#[tokio::test]
async fn each_operation_is_one_command_with_a_table() {
    let (pair, function) = (
        Pair::new().await,
        Function::start(&[("ROTATION_POLICY", r#"{"defaults": {"retire_after": "0s"}}"#)]),
    );
    let run = |operation: &str, more: &[&str]| {
        let arguments = [operation, &pair.application.name, "--function", &function.name];
        rotation(&[&arguments[..], more].concat())
    };

    let (printed, status) = run("preflight", &[]);
    assert_eq!(status, 0, "{printed}");
    assert!(printed.contains("Check Passed ms\nsecretsmanager:DescribeSecret yes "), "{printed}");
    let (printed, status) = run("rotate", &[]);
    assert_eq!(status, 0, "{printed}");
    assert!(
        STEPS.iter().all(|step| printed.contains(&format!("\n{step} ")))
            && printed.contains("Rotated: "),
        "{printed}"
    );
    let (printed, status) = run("status", &[]);
    assert_eq!(status, 0, "{printed}");
    for line in [
        format!("\n{} 0", pair.base),
        "\nAWSCURRENT ".to_owned(),
        format!("s {} accepted", pair.clone),
        "rotation off".to_owned(),
    ] {
        assert!(printed.contains(&line), "{line} in\n{printed}");
    }
    assert!(printed.ends_with("recover would do: Nothing"), "{printed}");
    for operation in ["preflight", "status"] {
        let (printed, status) = run(operation, &["--fix", "sql"]);
        assert_eq!((printed.as_str(), status), ("-- Nothing has to be run.", 0), "{operation}");
    }
    let _open = pair.session("AWSPREVIOUS").await;
    let (printed, status) = run("retire", &[]);
    assert_ne!(status, 0, "not retired: {printed}");
    assert!(
        printed.contains("1 session open on this server")
            && printed.contains("\napplication ")
            && printed.contains("Nothing was changed"),
        "{printed}"
    );
    let token = pair.application.begin().await;
    let (printed, status) = run("recover", &["--dry-run"]);
    assert_eq!(
        (status, printed.ends_with("recover would do: RemovePendingLabel")),
        (0, true),
        "{printed}"
    );
    assert_eq!(pair.application.version_with("AWSPENDING").await, Some(token));
    let (printed, status) = run("status", &[]);
    assert_eq!(
        (status, printed.ends_with("recover would do: RemovePendingLabel")),
        (0, true),
        "{printed}"
    );
    let (printed, status) = run("recover", &["--prefer", "back"]);
    assert_eq!(status, 0, "{printed}");
    assert_eq!(pair.application.version_with("AWSPENDING").await, None, "{printed}");
    let previous = pair.application.version_with("AWSPREVIOUS").await;
    let (printed, status) = run("recover", &["--prefer", "previous"]);
    assert_eq!(status, 0, "{printed}");
    assert_eq!(pair.application.version_with("AWSCURRENT").await, previous, "{printed}");
    let (printed, status) = run("retire", &["--terminate"]);
    assert_eq!(status, 0, "{printed}");
}

#[tokio::test]
async fn status_says_what_it_costs_and_tries_older_passwords_only_when_it_is_asked_to() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let run = |operation: &str, more: &[&str]| {
        let arguments = [operation, &application.name, "--function", &function.name];
        rotation(&[&arguments[..], more].concat())
    };
    // The database has the password of a version that an abandoned rotation left without a label.
    let token = application.begin().await;
    application.steps(&function, &STEPS[..1], &token).await;
    application.set_password(&application.password_in("AWSPENDING").await).await;
    application.remove_pending_label().await;
    for (more, remedy) in [(&[][..], "TryOlderPasswords"), (&["--deep"], "RestoreCurrent")] {
        let (printed, status) = run("status", more);
        assert_eq!(status, 0, "{printed}");
        assert!(printed.contains("\nfailed logins that this caused: 1\n"), "{printed}");
        assert!(printed.ends_with(&format!("recover would do: {remedy}")), "{printed}");
    }
    let (printed, status) = run("recover", &[]);
    assert_eq!(
        (status, printed.contains("failed logins that this caused: 1")),
        (0, true),
        "{printed}"
    );
    let (printed, status) = run("status", &[]);
    assert_eq!((status, printed.contains("failed logins")), (0, false), "{printed}");
}

#[tokio::test]
async fn a_single_user_goes_back_to_the_password_before_the_rotation() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let arguments = |operation: &'static str| {
        [operation, application.name.as_str(), "--function", function.name.as_str()]
    };
    let (before, version) =
        (&application.password, application.version_with("AWSCURRENT").await.unwrap());
    let (printed, status) = rotation(&arguments("rotate"));
    assert_eq!((status, application.accepts(before).await), (0, false), "{printed}");
    let back = [&arguments("recover")[..], &["--prefer", "previous"]].concat();
    let (printed, status) = rotation(&back);
    assert_eq!(status, 0, "{printed}");
    assert!(printed.contains(&format!("AWSCURRENT is version {version} again")), "{printed}");
    assert_eq!(application.version_with("AWSCURRENT").await, Some(version), "{printed}");
    assert!(application.accepts(before).await, "{printed}");
}

#[tokio::test]
async fn each_operation_is_a_make_target() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    let (secret, name) =
        (format!("SECRET={}", application.name), format!("FUNCTION={}", function.name));
    for operation in ["preflight", "rotate", "status"] {
        let (printed, status) = make(&[operation, &secret, &name]);
        assert_eq!(
            (status, printed.contains(&format!("single-user {operation} "))),
            (0, true),
            "{printed}"
        );
    }
    let token = application.begin().await;
    let (printed, status) = make(&["recover", &secret, &name, "OPTIONS=--dry-run"]);
    assert_eq!(status, 0, "{printed}");
    assert_eq!(application.version_with("AWSPENDING").await, Some(token), "{printed}");
    let (printed, status) = make(&["recover", &secret, &name, "OPTIONS=--prefer back"]);
    assert_eq!(status, 0, "{printed}");
    assert_eq!(application.version_with("AWSPENDING").await, None, "{printed}");
}

#[tokio::test]
async fn secrets_manager_itself_may_be_asked_to_rotate() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    assert_eq!(application.test(&function).await["state"], "succeeded");
    let before = application.password_in("AWSCURRENT").await;
    let (printed, status) = rotation(&["rotate", &application.name, "--via", "secrets-manager"]);
    assert_eq!((status, printed.contains("Rotated: ")), (0, true), "{printed}");
    assert_ne!(application.password_in("AWSCURRENT").await, before);
}

#[tokio::test]
async fn what_is_refused_is_said_and_the_exit_status_says_so_too() {
    let (application, function) =
        (Application::edited(|document| document["port"] = json!(1)).await, Function::start(&[]));
    let (secret, name) = (application.name.as_str(), function.name.as_str());
    for (arguments, expected, status) in [
        (vec![], "the following arguments are required: COMMAND", 2),
        (vec!["rotate"], "the following arguments are required: SECRET", 2),
        (vec!["rotate", ""], "which secret?", 2),
        (
            vec!["rotate", "no-such-secret", "--function", name],
            "SecretNotFound: DescribeSecret on secret no-such-secret failed",
            1,
        ),
        (vec!["preflight", secret, "--function", name], "A rotation would fail: TCP. ", 1),
        (vec!["retire", secret, "--function", name, "--terminate"], "DatabaseUnreachable: ", 1),
        (vec!["recover", secret, "--prefer", "sideways"], "invalid choice: 'sideways'", 2),
        (vec!["rotate", secret, "--dry-run"], "unrecognized arguments: --dry-run", 2),
        (vec!["recover", secret, "--dry"], "unrecognized arguments: --dry", 2),
        (vec!["status", secret, "--via", "secrets-manager"], "unrecognized arguments: --via", 2),
        (
            vec!["rotate", secret, "--via", "secrets-manager", "--function", name],
            "--function does not go with --via secrets-manager",
            2,
        ),
    ] {
        let (printed, ended) = rotation(&arguments);
        assert!(printed.contains(expected), "{expected} in\n{printed}");
        assert_eq!(ended, status, "{printed}");
        assert!(!printed.contains("Traceback"), "{printed}");
    }
}

#[test]
fn make_takes_the_secret_from_its_own_command_line_and_nothing_in_it_is_run() {
    let function = Function::start(&[]);
    let name = format!("FUNCTION={}", function.name);
    let hostile = "x'\"; touch made-by-a-secret; $(touch made-by-a-secret)$(shell touch \
                   made-by-a-secret)\ntouch made-by-a-secret";
    let (secret, options) = (format!("SECRET={hostile}"), format!("OPTIONS=--dry-run {hostile}"));
    for (arguments, expected) in [
        (vec!["recover"], "which secret?"),
        (vec!["status", secret.as_str(), name.as_str()], "SecretNotFound"),
        (vec!["recover", secret.as_str(), options.as_str()], "unrecognized arguments"),
        (vec!["recover", "SECRET=x", "DRY_RUN=1"], "OPTIONS=--dry-run"),
    ] {
        let (printed, status) = make(&arguments);
        assert!(status != 0 && printed.contains(expected), "{expected} in\n{printed}");
    }
    assert!(!project().join("made-by-a-secret").exists());
}

#[test]
fn each_command_explains_itself() {
    let (printed, status) = rotation(&["--help"]);
    assert_eq!(status, 0, "{printed}");
    for command in COMMANDS {
        assert!(printed.contains(&format!("\n{command}")), "{command} in\n{printed}");
    }
    for (command, options) in COMMANDS.into_iter().zip([
        &["--deep", "--fix {sql}"][..],
        &["--fix {sql}"],
        &["--via {lambda,secrets-manager}"],
        &["--dry-run", "--prefer {forward,back,previous}"],
        &["--terminate"],
        &["--all", "--prefix NAME", "--html FILE"],
    ]) {
        let (printed, status) = rotation(&[command, "--help"]);
        assert_eq!(status, 0, "{printed}");
        let of_a_secret = (command != "fleet").then_some("SECRET");
        let common = of_a_secret.into_iter().chain(["--function NAME", "exit status:"]);
        for option in common.chain(options.iter().copied()) {
            assert!(printed.contains(option), "{command}: {option} in\n{printed}");
        }
    }
}

/// A database server, or a role's name, may hold what a terminal would act on.
#[test]
fn nothing_that_is_printed_acts_on_a_terminal() {
    let hostile = "a\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31mb\r\nforged line\u{202e}\u{2028}\u{0}z";
    let answer = json!({
        "SecretId": hostile, "Strategy": hostile, "Operation": "status", "DurationMs": 1,
        "Message": hostile, "Remedy": hostile, "PasswordStoredAs": {hostile: hostile},
        "Sessions": {hostile: 1}, "NotVisible": {hostile: hostile}, "RefusedLogins": hostile,
        "Versions": [{"Label": hostile, "VersionId": hostile, "AgeSeconds": 1, "Role": hostile,
            "Database": hostile, "Reason": hostile}],
        "Steps": [{"Step": hostile, "DurationMs": 1, "Message": hostile}],
        "Checks": [{"Check": hostile, "Passed": true, "DurationMs": 1, "Message": hostile}],
        "Clients": [{"ApplicationName": hostile, "Address": hostile, "Sessions": 1}],
    });
    let shown = r"a\x1b[2J\x1b]0;x\x07\x9b31mb\r\nforged line\u202e\u2028\x00z";
    for (answer, failed, values, lines) in [
        (answer, false, 20, 23),
        (json!({"errorType": hostile, "errorMessage": hostile}), true, 2, 1),
        (json!(hostile), true, 1, 1),
        (json!({"Operation": hostile}), false, 0, 1),
    ] {
        let (printed, _) = words(run_with(
            Command::new(project().join("tools/rotation")),
            &["status", "x"],
            &lambda_that_answers(&answer, failed),
        ));
        assert_eq!(printed.matches(shown).count(), values, "{printed:?}");
        assert_eq!(printed.lines().count(), lines, "{printed}");
        let printable =
            |char: char| char == '\n' || !(char.is_control() || "\u{202e}\u{2028}".contains(char));
        assert!(printed.chars().all(printable), "{printed:?}");
    }
}

#[test]
fn a_script_reaches_a_file_as_the_function_wrote_it() {
    let script = "GRANT SELECT ON \"a\u{2028}b\u{c}c\r\nd\" TO \"app\";\n";
    let answer = json!({"Operation": "status", "Script": script});
    let command = Command::new(project().join("tools/rotation"));
    let lambda = lambda_that_answers(&answer, false);
    let (printed, status) = run_with(command, &["status", "x", "--fix", "sql"], &lambda);
    assert_eq!((printed.as_str(), status), (script, 0));
}

/// A Lambda whose every function gives that answer; its URL.
fn lambda_that_answers(answer: &Value, failed: bool) -> String {
    let headers = failed.then_some([("x-amz-function-error", "Unhandled")]);
    let text = answer.to_string();
    serve(Router::new().fallback(move || {
        let text = text.clone();
        async move {
            match headers {
                Some(headers) => (headers, text).into_response(),
                None => text.into_response(),
            }
        }
    }))
}

#[test]
fn a_release_is_made_of_a_commit_with_its_version_and_its_notes() {
    let folder = temporary_folder("release");
    for path in ["tools/release", "Cargo.toml"] {
        std::fs::create_dir_all(folder.join("tools")).unwrap();
        std::fs::copy(project().join(path), folder.join(path)).unwrap();
    }
    std::fs::write(folder.join("CHANGELOG.md"), "## [Unreleased]\n\n- all\n").unwrap();
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.current_dir(&folder).args(["-c", "user.name=test", "-c", "user.email=test"]);
        assert!(command.args(arguments).status().unwrap().success(), "git {arguments:?}");
    };
    let release = |version: &str| {
        let mut command = Command::new(folder.join("tools/release"));
        let Output { status, stderr, .. } = command.arg(version).output().unwrap();
        (String::from_utf8(stderr).unwrap(), status.success())
    };
    git(&["init", "--quiet"]);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        release(version),
        ("make: the work tree has changes: commit or remove them\n".to_owned(), false)
    );
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "--message=all"]);
    for (wrong, expected) in [
        ("99.0.0", format!("make: Cargo.toml has version {version}\n")),
        (version, format!("make: CHANGELOG.md has no section [{version}]\n")),
    ] {
        assert_eq!(release(wrong), (expected, false));
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_bill_of_materials_names_what_is_in_the_binary() {
    let bill = || {
        let output = Command::new(project().join("tools/sbom")).arg("x86_64").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = bill();
    assert_eq!(text, bill(), "the same commit gives the same bill");
    assert!(!text.contains(project().to_str().unwrap()), "it names no path of this machine");
    let bill: Value = serde_json::from_str(&text).unwrap();
    let scope = |name: &str| {
        let components = bill["components"].as_array().unwrap();
        let found = components.iter().find(|component| component["name"] == name);
        found.map(|component| component["scope"].as_str().unwrap().to_owned())
    };
    assert_eq!(scope("tokio-postgres").as_deref(), Some("required"));
    assert_eq!(scope("serde_derive").as_deref(), Some("excluded"), "it is in the build alone");
    assert_eq!(scope("axum"), None, "it is in the tests alone");
    let lock = std::fs::read_to_string(project().join("Cargo.lock")).unwrap();
    assert_eq!(
        scope("openssl").as_deref(),
        lock.contains("name = \"openssl-src\"").then_some("required"),
        "a crate brings the library"
    );
}
