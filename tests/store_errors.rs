//! Every way in which Secrets Manager can fail: a passing failure is retried, a lasting one is
//! reported.

use std::time::{Duration, Instant};

use crate::world::application::{Application, STEPS};
use crate::world::lambda::Function;
use crate::world::postgres::free_port;
use crate::world::proxy::{AwsProxy, Fault};

const OPERATIONS: [&str; 4] =
    ["DescribeSecret", "GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"];

async fn setup() -> (AwsProxy, Function, Application, String) {
    let proxy = AwsProxy::start();
    let function = Function::start(&[("AWS_ENDPOINT_URL", &proxy.url)]);
    let application = Application::new().await;
    let token = application.begin().await;
    (proxy, function, application, token)
}

#[tokio::test]
async fn passing_throttling_and_server_errors_are_not_noticed() {
    for (status, code) in [
        (400, "ThrottlingException"),
        (400, "RequestLimitExceeded"),
        (429, "TooManyRequests"),
        (500, "InternalServiceError"),
        (503, "SlowDown"),
    ] {
        let (proxy, function, application, token) = setup().await;
        for operation in OPERATIONS {
            proxy.fail(operation, 2, Fault::Refuse(status, code));
        }
        application.steps(&function, &STEPS, &token).await;
        application.assert_rotated(&token, &application.password).await;
        let retried =
            proxy.calls().iter().filter(|(operation, _)| operation == "PutSecretValue").count();
        assert_eq!(retried, 3, "{code}");
    }
}

#[tokio::test]
async fn lasting_errors_are_told_apart_and_name_the_call() {
    for (status, code, kind, text) in [
        (400, "ThrottlingException", "SecretsManagerThrottled", "throttled every attempt"),
        (429, "TooManyRequests", "SecretsManagerThrottled", "throttled every attempt"),
        (
            500,
            "InternalServiceError",
            "SecretsManagerUnavailable",
            "internal error on every attempt",
        ),
        (
            400,
            "AccessDeniedException",
            "SecretsManagerAccessDenied",
            "Allow secretsmanager:PutSecretValue",
        ),
        (400, "DecryptionFailure", "DecryptionFailed", "kms:Decrypt"),
        (400, "EncryptionFailure", "DecryptionFailed", "kms:"),
        (
            400,
            "InvalidRequestException",
            "SecretsManagerRefused",
            "InvalidRequestException by the test",
        ),
        (400, "LimitExceededException", "SecretsManagerRefused", "LimitExceededException"),
    ] {
        let (proxy, function, application, token) = setup().await;
        proxy.fail("PutSecretValue", 99, Fault::Refuse(status, code));
        let before = application.snapshot().await;
        let failed = application.step(&function, "createSecret", &token).await.unwrap_err();
        assert_eq!(failed.kind, kind, "{}", failed.message);
        for text in [text, "PutSecretValue", &application.secret] {
            assert!(failed.message.contains(text), "{text:?} is missing: {}", failed.message);
        }
        assert_eq!(application.snapshot().await, before);
    }
}

#[tokio::test]
async fn an_answer_of_something_else_is_told_from_a_refusal() {
    for (status, operation) in [
        (200, "GetSecretValue"),
        (302, "DescribeSecret"),
        (403, "PutSecretValue"),
        (502, "GetSecretValue"),
    ] {
        let (proxy, function, application, token) = setup().await;
        proxy.fail(operation, 99, Fault::Page(status));
        let failed = application.step(&function, "createSecret", &token).await.unwrap_err();
        assert_eq!(failed.kind, "SecretsManagerAnswerUnreadable", "{}", failed.message);
        for text in ["something other than Secrets Manager", &status.to_string(), operation] {
            assert!(failed.message.contains(text), "{text:?} is missing: {}", failed.message);
        }
        assert!(!failed.message.contains("canary"), "{}", failed.message);
        proxy.fail_no_more();
        application.steps(&function, &STEPS, &token).await;
    }
    let (proxy, function, application, token) = setup().await;
    proxy.fail("GetSecretValue", 99, Fault::Refuse(400, "ExpiredTokenException"));
    let failed = application.step(&function, "createSecret", &token).await.unwrap_err();
    assert_eq!(failed.kind, "SecretsManagerCredentialsRefused", "{}", failed.message);
}

#[tokio::test]
async fn a_right_that_is_missing_is_named_for_every_call() {
    for (done, operation) in [
        (0, "DescribeSecret"),
        (0, "GetSecretValue"),
        (0, "PutSecretValue"),
        (3, "UpdateSecretVersionStage"),
    ] {
        let (proxy, function, application, token) = setup().await;
        application.steps(&function, &STEPS[..done], &token).await;
        proxy.fail(operation, 99, Fault::Refuse(400, "AccessDeniedException"));
        let failed = application.step(&function, STEPS[done], &token).await.unwrap_err();
        assert_eq!(failed.kind, "SecretsManagerAccessDenied", "{}", failed.message);
        assert!(
            failed.message.contains(&format!("Allow secretsmanager:{operation}")),
            "{}",
            failed.message
        );
    }
}

#[tokio::test]
async fn a_silent_endpoint_is_given_up_before_lambda_kills_the_function() {
    for operation in ["DescribeSecret", "GetSecretValue", "PutSecretValue"] {
        let (proxy, function, application, token) = setup().await;
        function.set_timeout(Duration::from_secs(3));
        proxy.fail(operation, 99, Fault::Hang);
        let started = Instant::now();
        let failed = application.step(&function, "createSecret", &token).await.unwrap_err();
        assert_eq!(failed.kind, "SecretsManagerTimedOut", "{}", failed.message);
        assert!(
            failed.message.contains(operation) && failed.message.contains("VPC endpoint"),
            "{}",
            failed.message
        );
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn a_call_that_hangs_once_is_sent_again() {
    let (proxy, function, application, token) = setup().await;
    proxy.fail("GetSecretValue", 1, Fault::Hang);
    application.steps(&function, &STEPS, &token).await;
    application.assert_rotated(&token, &application.password).await;
}

#[tokio::test]
async fn a_value_that_was_just_written_is_waited_for() {
    let (proxy, function, application, token) = setup().await;
    application.steps(&function, &["createSecret"], &token).await;
    for step in &STEPS[1..] {
        proxy.fail("GetSecretValue", 2, Fault::NotReadableYet);
        application.steps(&function, &[step], &token).await;
    }
    application.assert_rotated(&token, &application.password).await;
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_reached_is_reported() {
    let application = Application::new().await;
    let token = application.begin().await;
    let function =
        Function::start(&[("AWS_ENDPOINT_URL", &format!("http://127.0.0.1:{}", free_port()))]);
    let failed = application.step(&function, "createSecret", &token).await.unwrap_err();
    assert_eq!(failed.kind, "SecretsManagerUnavailable", "{}", failed.message);
    assert!(failed.message.contains("security group"), "{}", failed.message);
}
