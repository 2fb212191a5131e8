//! The SDK's client: no default features, short timeouts, and every way to throttle retried with
//! jitter.

use std::time::Duration;

use aws_config::{AppName, BehaviorVersion};
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::retry::{ClassifyRetry, RetryAction, RetryConfig};
use aws_sdk_secretsmanager::config::timeout::TimeoutConfig;
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;

/// Attempts of one operation, the first included; the SDK waits between them with jitter.
const ATTEMPTS: u32 = 5;
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
pub(super) const TOO_MANY_REQUESTS: u16 = 429;

/// The SDK's client, with the region and the credentials of the environment.
pub(crate) async fn client(endpoint: Option<&str>) -> Client {
    use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let shared =
        aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(http).load().await;
    let mut config = aws_sdk_secretsmanager::config::Builder::from(&shared)
        .retry_config(
            RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(FIRST_BACKOFF),
        )
        .retry_classifier(TooManyRequests)
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                .build(),
        );
    if let Ok(name) = AppName::new(env!("CARGO_PKG_NAME")) {
        config = config.app_name(name);
    }
    if let Some(endpoint) = endpoint {
        config = config.endpoint_url(endpoint);
    }
    Client::from_conf(config.build())
}

/// HTTP's own way to throttle, which the SDK retries only together with a code that it knows.
#[derive(Debug)]
struct TooManyRequests;

impl ClassifyRetry for TooManyRequests {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        match context.response() {
            Some(response) if response.status().as_u16() == TOO_MANY_REQUESTS => {
                RetryAction::throttling_error()
            }
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "HTTP 429"
    }
}
