//! The SDK's client, with short time-outs and retries with jitter for every kind of throttling.

use std::path::PathBuf;
use std::time::Duration;

use aws_sdk_secretsmanager::config::retry::{ClassifyRetry, RetryAction, RetryConfig};
use aws_sdk_secretsmanager::config::timeout::TimeoutConfig;
use aws_sdk_secretsmanager::config::{AppName, BehaviorVersion, Credentials, Region};
use aws_sdk_secretsmanager::{Client, Config};
use aws_smithy_runtime_api::client::http::{SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use secrecy::{ExposeSecret, SecretString};

use super::transport::{CONNECT_TIMEOUT, Transport};
use crate::error::Error;

/// The attempts of one call, the first included. The SDK waits between them with jitter.
const ATTEMPTS: u32 = 5;
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
pub(super) const TOO_MANY_REQUESTS: u16 = 429;

/// The endpoint and the credentials for Secrets Manager, from Lambda's environment only. The SDK's
/// other sources, such as files, are not used.
#[derive(Debug, Default)]
pub(crate) struct Access {
    pub(crate) region: Option<String>,
    pub(crate) keys: Option<Keys>,
    /// The URL of an endpoint that replaces the region's.
    pub(crate) endpoint: Option<String>,
    pub(crate) fips: bool,
    pub(crate) dual_stack: bool,
    /// A PEM file whose certificates replace all other roots.
    pub(crate) ca_bundle: Option<PathBuf>,
}

/// The credentials of the function's role.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: SecretString,
    pub(crate) session_token: Option<SecretString>,
}

/// The SDK's client.
///
/// # Errors
/// [`Error::Configuration`] if `AWS_CA_BUNDLE` cannot be used.
pub(crate) fn client(access: &Access) -> Result<Client, Error> {
    let transport = SharedHttpConnector::new(Transport::new(access.ca_bundle.as_deref())?);
    let mut config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(http_client_fn(move |_, _| transport.clone()))
        .region(access.region.clone().map(Region::new))
        .use_fips(access.fips)
        .use_dual_stack(access.dual_stack)
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
    if let Some(keys) = &access.keys {
        config = config.credentials_provider(Credentials::new(
            &keys.access_key_id,
            keys.secret_access_key.expose_secret(),
            keys.session_token.as_ref().map(|token| token.expose_secret().to_owned()),
            None,
            "Environment",
        ));
    }
    config.set_endpoint_url(access.endpoint.clone());
    config.set_app_name(AppName::new(env!("CARGO_PKG_NAME")).ok());
    Ok(Client::from_conf(config.build()))
}

/// HTTP status 429, which the SDK retries only with an error code that it knows.
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
