//! The commands that a person types at 2 a.m.: make, the real AWS CLI, and what is printed.

use std::process::{Command, Output};

use serde_json::json;

use crate::world::application::{Application, STEPS};
use crate::world::aws::REGION;
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::{project, world};

/// What a command printed, with the columns' widths taken out, and its exit status.
fn make(arguments: &[&str]) -> (String, i32) {
    let path = format!(
        "{}:{}",
        project().join(".deps/venv/bin").display(),
        "/usr/local/bin:/usr/bin:/bin"
    );
    let Output { status, stdout, stderr } = Command::new("make")
        .args(["--no-print-directory", "--silent"])
        .args(arguments)
        .current_dir(project())
        .env_clear()
        .envs([
            ("PATH", path.as_str()),
            ("HOME", "/nonexistent"),
            ("AWS_REGION", REGION),
            ("AWS_DEFAULT_REGION", REGION),
        ])
        .envs([("AWS_ACCESS_KEY_ID", "testing"), ("AWS_SECRET_ACCESS_KEY", "testing")])
        // What an environment may hold under these names is not what is asked about, nor how.
        .envs([("SECRET", "of-the-environment"), ("TERMINATE", "1"), ("DRY_RUN", "1")])
        .envs([
            ("AWS_ENDPOINT_URL_LAMBDA", &world().gateway.url),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &world().aws.url),
        ])
        .output()
        .expect("make runs");
    let printed = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    (
        printed.lines().map(words).collect::<Vec<_>>().join("\n"),
        status.code().expect("an exit status"),
    )
}

#[tokio::test]
async fn each_operation_is_one_command_with_a_table() {
    let (pair, function) = (
        Pair::new().await,
        Function::start(&[("ROTATION_POLICY", r#"{"defaults": {"retire_after": "0s"}}"#)]),
    );
    let (secret, function) =
        (format!("SECRET={}", pair.application.name), format!("FUNCTION={}", function.name));
    let run = |operation: &str, more: &[&str]| {
        make(&[&[operation, &secret, &function][..], more].concat())
    };

    let (printed, status) = run("preflight", &[]);
    assert_eq!(status, 0, "{printed}");
    assert!(printed.contains("Hop Passed ms\nsecretsmanager:DescribeSecret yes "), "{printed}");
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
    let _open = pair.session("AWSPREVIOUS").await;
    for more in [&[][..], &["TERMINATE=0"]] {
        let (printed, status) = run("retire", more);
        assert_ne!(status, 0, "not retired: {printed}");
        assert!(
            printed.contains("1 session of it open")
                && printed.contains("\napplication ")
                && printed.contains("Nothing was changed"),
            "{printed}"
        );
    }
    let token = pair.application.begin().await;
    let (printed, status) = run("recover", &["DRY_RUN=1"]);
    assert_eq!((status, printed.contains("Remove the label")), (0, true), "{printed}");
    assert_eq!(pair.application.version_with("AWSPENDING").await, Some(token));
    let (printed, status) = run("recover", &["PREFER=back"]);
    assert_eq!((status, printed.contains("AWSPENDING was removed")), (0, true), "{printed}");
}

#[tokio::test]
async fn secrets_manager_itself_may_be_asked_to_rotate() {
    let (application, function) = (Application::new().await, Function::start(&[]));
    assert_eq!(application.test(&function).await["state"], "succeeded");
    let secret = format!("SECRET={}", application.name);
    let before = application.password_in("AWSCURRENT").await;
    let (printed, status) = make(&["rotate", &secret, "VIA=secrets-manager"]);
    assert_eq!((status, printed.contains("Rotated: ")), (0, true), "{printed}");
    assert_ne!(application.password_in("AWSCURRENT").await, before);
    let (printed, status) = make(&["status", &secret, "VIA=secrets-manager"]);
    assert_eq!((status, printed.contains("for rotate alone")), (2, true), "{printed}");
}

#[tokio::test]
async fn what_is_refused_is_said_and_the_exit_status_says_so_too() {
    let (application, function) =
        (Application::edited(|document| document["port"] = json!(1)).await, Function::start(&[]));
    let (secret, name) =
        (format!("SECRET={}", application.name), format!("FUNCTION={}", function.name));
    for (arguments, expected) in [
        (vec!["rotate"], "which secret? make rotate SECRET="),
        (
            vec!["rotate", "SECRET=no-such-secret", &name],
            "SecretNotFound: DescribeSecret on secret no-such-secret failed",
        ),
        (vec!["preflight", &secret, &name], "A rotation would fail: TCP. "),
        (vec!["recover", &secret, &name, "PREFER=sideways"], "invalid choice: 'sideways'"),
        (vec!["retire", &secret, &name, "TERMINATE=1"], "DatabaseUnreachable: "),
        (vec!["retire", &secret, &name, "TERMINATE=maybe"], "'maybe' is neither 1 nor 0"),
        (vec!["rotate", &secret, &name, "DRY_RUN=1"], "DryRun is not for rotate"),
        (vec!["rotate", &secret, "VIA=secrets-manager", "DRY_RUN=1"], "DryRun is not for rotate"),
        (
            vec![
                "status",
                "SECRET=x'\"; touch made-by-a-secret; $(touch made-by-a-secret)$(shell touch \
                 made-by-a-secret)",
                &name,
            ],
            "SecretNotFound",
        ),
    ] {
        let (printed, status) = make(&arguments);
        assert!(status != 0 && printed.contains(expected), "{expected} in\n{printed}");
        assert!(!printed.contains("Traceback"), "{printed}");
    }
    assert!(!project().join("made-by-a-secret").exists());
}
