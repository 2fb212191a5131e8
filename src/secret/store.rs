//! Secrets Manager: the only place that calls the SDK, with its errors turned into ours.

use std::collections::HashMap;
use std::time::Duration;

use aws_config::{AppName, BehaviorVersion};
pub use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::http::HttpResponse;
use aws_sdk_secretsmanager::config::retry::{ClassifyRetry, RetryAction, RetryConfig};
use aws_sdk_secretsmanager::config::timeout::TimeoutConfig;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use aws_sdk_secretsmanager::operation::put_secret_value::PutSecretValueError;
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use secrecy::{ExposeSecret, SecretString};

use crate::deadline::Deadline;
use crate::error::{Error, StoreFault, chain};

/// One operation with all its attempts; several fit into Lambda's usual 30 s.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(10);
/// A value that was just written may not be readable yet; `DescribeSecret` already lists it.
const READ_AGAIN_AFTER: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(300), Duration::from_millis(900)];

/// Attempts of one operation, the first included; the SDK waits between them with jitter.
const ATTEMPTS: u32 = 5;
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// The codes by which AWS services throttle: every one is retried before it becomes an error.
const THROTTLED: [&str; 5] = ["ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded", "SlowDown"];
const TOO_MANY_REQUESTS: u16 = 429;

pub const CURRENT: &str = "AWSCURRENT";
pub const PENDING: &str = "AWSPENDING";
pub const PREVIOUS: &str = "AWSPREVIOUS";

/// Secrets Manager, for one invocation.
#[derive(Debug, Clone)]
pub struct Store {
    client: Client,
    deadline: Deadline,
}

/// What `DescribeSecret` says that decides on a rotation.
#[derive(Debug, Clone, Default)]
pub struct Description {
    pub rotation_enabled: Option<bool>,
    pub owning_service: Option<String>,
    /// The labels of every version that has any.
    pub stages: HashMap<String, Vec<String>>,
}

/// A version of a secret with its value.
#[derive(Debug, Clone)]
pub struct Version {
    pub arn: String,
    pub name: String,
    pub id: String,
    pub value: Value,
}

/// What a version holds.
#[derive(Debug, Clone)]
pub enum Value {
    Text(SecretString),
    Binary,
}

/// Which version to read.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    Stage(&'a str),
    /// The version, whatever its labels.
    Id(&'a str),
    /// The version, and only while it carries the label.
    IdAtStage(&'a str, &'a str),
}

/// What became of a value that was put.
#[derive(Debug, PartialEq, Eq)]
pub enum Put {
    Stored,
    /// The version already had another value, which stays.
    HadValue,
}

/// The SDK's client, with the region and the credentials of the environment.
pub async fn client(endpoint: Option<&str>) -> Client {
    use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let shared = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(http).load().await;
    let mut config = aws_sdk_secretsmanager::config::Builder::from(&shared)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(FIRST_BACKOFF))
        .retry_classifier(TooManyRequests)
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(ATTEMPT_TIMEOUT).build());
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
            Some(response) if response.status().as_u16() == TOO_MANY_REQUESTS => RetryAction::throttling_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "HTTP 429"
    }
}

impl Store {
    #[must_use]
    pub fn new(client: Client, deadline: Deadline) -> Self {
        Self { client, deadline }
    }

    /// The labels of the secret and whether it may be rotated.
    ///
    /// # Errors
    /// [`Error::SecretsManager`].
    pub async fn describe(&self, secret: &str) -> Result<Description, Error> {
        let call = self.client.describe_secret().secret_id(secret).send();
        let output = self.answer("DescribeSecret", secret, call).await?;
        Ok(Description {
            rotation_enabled: output.rotation_enabled,
            owning_service: output.owning_service,
            stages: output.version_ids_to_stages.unwrap_or_default(),
        })
    }

    /// A version with its value; `None` when there is no such version, it has no value (yet), or the label is on another version.
    ///
    /// # Errors
    /// [`Error::SecretsManager`]; with `NotFound` when the secret itself does not exist.
    pub async fn read(&self, secret: &str, which: Which<'_>) -> Result<Option<Version>, Error> {
        let request = self.client.get_secret_value().secret_id(secret);
        let call = match which {
            Which::Stage(stage) => request.version_stage(stage),
            Which::Id(id) => request.version_id(id),
            Which::IdAtStage(id, stage) => request.version_id(id).version_stage(stage),
        }
        .send();
        let output = match self.limit("GetSecretValue", secret, call).await? {
            Err(SdkError::ServiceError(refusal)) if is_absent(refusal.err(), which) => return Ok(None),
            output => output.map_err(|error| failure("GetSecretValue", secret, &error))?,
        };
        Ok(Some(Version {
            arn: output.arn.unwrap_or_else(|| secret.to_owned()),
            name: output.name.unwrap_or_default(),
            id: output.version_id.unwrap_or_default(),
            value: output.secret_string.map_or(Value::Binary, |text| Value::Text(SecretString::from(text))),
        }))
    }

    /// Reads a version that is known to exist, again and again for a second: a read just after the write may miss it.
    ///
    /// # Errors
    /// [`Error::SecretsManager`].
    pub async fn read_again(&self, secret: &str, id: &str) -> Result<Option<Version>, Error> {
        for pause in READ_AGAIN_AFTER {
            if let Some(version) = self.read(secret, Which::Id(id)).await? {
                return Ok(Some(version));
            }
            tokio::time::sleep(self.deadline.remaining(pause)).await;
        }
        self.read(secret, Which::Id(id)).await
    }

    /// Stores the value of the version that the rotation's token names, labelled AWSPENDING and nothing else.
    ///
    /// # Errors
    /// [`Error::SecretsManager`].
    pub async fn put_pending(
        &self,
        secret: &str,
        token: &str,
        rotation_token: Option<&SecretString>,
        value: &SecretString,
    ) -> Result<Put, Error> {
        let call = self
            .client
            .put_secret_value()
            .secret_id(secret)
            .client_request_token(token)
            .set_rotation_token(rotation_token.map(|token| token.expose_secret().to_owned()))
            .secret_string(value.expose_secret())
            .version_stages(PENDING)
            .send();
        match self.limit("PutSecretValue", secret, call).await? {
            Ok(_) => Ok(Put::Stored),
            Err(SdkError::ServiceError(refusal)) if matches!(refusal.err(), PutSecretValueError::ResourceExistsException(_)) => {
                Ok(Put::HadValue)
            }
            Err(error) => Err(failure("PutSecretValue", secret, &error)),
        }
    }

    /// Moves AWSCURRENT between two versions; fails when it is no longer on `from`.
    ///
    /// # Errors
    /// [`Error::SecretsManager`].
    pub async fn move_current(&self, secret: &str, from: &str, to: &str) -> Result<(), Error> {
        let call = self
            .client
            .update_secret_version_stage()
            .secret_id(secret)
            .version_stage(CURRENT)
            .remove_from_version_id(from)
            .move_to_version_id(to)
            .send();
        self.answer("UpdateSecretVersionStage", secret, call).await.map(drop)
    }

    /// The ids of the versions that carry no label any more, newest first.
    ///
    /// # Errors
    /// [`Error::SecretsManager`].
    pub async fn unlabelled_versions(&self, secret: &str) -> Result<Vec<String>, Error> {
        // A page holds 100 versions, about as many as Secrets Manager keeps.
        let call = self.client.list_secret_version_ids().secret_id(secret).include_deprecated(true).max_results(100).send();
        let output = self.answer("ListSecretVersionIds", secret, call).await?;
        let mut versions: Vec<_> =
            output.versions.unwrap_or_default().into_iter().filter(|version| version.version_stages().is_empty()).collect();
        versions.sort_by_key(|version| std::cmp::Reverse(version.created_date));
        Ok(versions.into_iter().filter_map(|version| version.version_id).collect())
    }

    async fn answer<T, E>(
        &self,
        operation: &'static str,
        secret: &str,
        call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, Error>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        self.limit(operation, secret, call).await?.map_err(|error| failure(operation, secret, &error))
    }

    async fn limit<T>(&self, operation: &'static str, secret: &str, call: impl Future<Output = T>) -> Result<T, Error> {
        self.deadline.limit(OPERATION_TIMEOUT, call).await.map_err(|elapsed| Error::SecretsManager {
            operation,
            secret: secret.to_owned(),
            fault: StoreFault::TimedOut(elapsed.0),
        })
    }
}

/// A version without a value, or a label that is on another version: AWS answers the second with `InvalidRequestException`.
fn is_absent(refusal: &GetSecretValueError, which: Which<'_>) -> bool {
    match refusal {
        GetSecretValueError::ResourceNotFoundException(_) => true,
        GetSecretValueError::InvalidRequestException(_) => matches!(which, Which::IdAtStage(..)),
        _ => false,
    }
}

fn failure<E>(operation: &'static str, secret: &str, error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let fault = match error {
        SdkError::ServiceError(refusal) => {
            let status = refusal.raw().status().as_u16();
            service_fault(operation, status, refusal.err().code(), refusal.err().message())
        }
        SdkError::ResponseError(response) if response.raw().status().as_u16() == 403 => service_fault(operation, 403, None, None),
        // These carry no part of a response, so their text can hold nothing of a secret.
        SdkError::DispatchFailure(_) | SdkError::TimeoutError(_) => StoreFault::Unavailable(chain(error)),
        SdkError::ResponseError(response) => {
            StoreFault::Unavailable(format!("unreadable answer with HTTP status {}", response.raw().status().as_u16()))
        }
        _ => StoreFault::Refused("the request could not be built; are the function's credentials in place?".to_owned()),
    };
    Error::SecretsManager { operation, secret: secret.to_owned(), fault }
}

fn service_fault(operation: &str, status: u16, code: Option<&str>, message: Option<&str>) -> StoreFault {
    let detail = format!("{}: {}", code.unwrap_or("HTTP error"), message.unwrap_or("no message"));
    match (code.unwrap_or_default(), status) {
        ("AccessDeniedException" | "AccessDenied" | "UnauthorizedOperation", _) | (_, 401 | 403) => {
            StoreFault::AccessDenied { action: format!("secretsmanager:{operation}"), detail }
        }
        ("ResourceNotFoundException", _) => StoreFault::NotFound(detail),
        ("DecryptionFailure" | "EncryptionFailure", _) => StoreFault::Decryption(detail),
        (code, _) if THROTTLED.contains(&code) => StoreFault::Throttled(detail),
        (_, TOO_MANY_REQUESTS) => StoreFault::Throttled(detail),
        (_, 500..) => StoreFault::Unavailable(detail),
        _ => StoreFault::Refused(detail),
    }
}
