//! Secrets Manager: calls the SDK and turns its errors into ours. No other module calls it.

mod client;
mod fault;
mod list;
mod retired;
mod transport;
mod trial;
mod version;

use std::time::Duration;

pub(crate) use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::http::HttpResponse;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use aws_sdk_secretsmanager::operation::put_secret_value::PutSecretValueError;
use secrecy::{ExposeSecret, SecretString};

pub(crate) use self::client::{Access, Keys, client};
pub(crate) use self::version::{
    CURRENT, Description, EarlierVersion, PENDING, PREVIOUS, PutOutcome, RETIRED, RotationRules,
    Value, Version, VersionSelector,
};
use crate::deadline::Deadline;
use crate::error::{Error, StoreFault};

/// The time for one call with all its attempts. Several fit into Lambda's usual 30 s.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(10);
/// The pauses before another read of a value that was just written.
const READ_AGAIN_AFTER: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(300), Duration::from_millis(900)];

/// How many pages of 100 versions are searched for versions without a label.
const VERSION_PAGES: usize = 10;

/// Secrets Manager for one invocation. Its calls are boxed, since each of the SDK's futures takes
/// 16 KB.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    client: Client,
    deadline: Deadline,
}

impl Store {
    pub(crate) fn new(client: Client, deadline: Deadline) -> Self {
        Self { client, deadline }
    }

    /// The labels of the secret and whether it may be rotated.
    ///
    /// # Errors
    /// [`Error::SecretsManager`].
    pub(crate) async fn describe(&self, secret: &str) -> Result<Description, Error> {
        let call = Box::pin(self.client.describe_secret().secret_id(secret).send());
        let output = self.answer("DescribeSecret", secret, call).await?;
        Ok(Description {
            arn: output.arn.unwrap_or_else(|| secret.to_owned()),
            name: output.name.unwrap_or_default(),
            rotation_enabled: output.rotation_enabled,
            function: output.rotation_lambda_arn,
            scheduled: output.rotation_rules.is_some(),
            interval: output.rotation_rules.as_ref().and_then(version::interval),
            owning_service: output.owning_service,
            stages: output.version_ids_to_stages.unwrap_or_default(),
            created: output.created_date.and_then(|date| date.try_into().ok()),
            last_rotated: output.last_rotated_date.and_then(|date| date.try_into().ok()),
            last_changed: output.last_changed_date.and_then(|date| date.try_into().ok()),
            next_rotation: output.next_rotation_date.and_then(|date| date.try_into().ok()),
            rules: output.rotation_rules.as_ref().map(RotationRules::of),
        })
    }

    /// A version with its value. `None` if the version or its value does not exist, or the label is
    /// on another version.
    ///
    /// # Errors
    /// [`Error::SecretsManager`], with `NotFound` if the secret does not exist.
    pub(crate) async fn read(
        &self,
        secret: &str,
        selector: VersionSelector<'_>,
    ) -> Result<Option<Version>, Error> {
        let request = self.client.get_secret_value().secret_id(secret);
        let request = match selector {
            VersionSelector::Stage(stage) => request.version_stage(stage),
            VersionSelector::Id(id) => request.version_id(id),
            VersionSelector::IdAtStage(id, stage) => request.version_id(id).version_stage(stage),
        };
        let call = Box::pin(request.send());
        let output = match self.limit("GetSecretValue", secret, call).await? {
            Err(SdkError::ServiceError(refusal)) if is_absent(refusal.err(), selector) => {
                return Ok(None);
            }
            output => output.map_err(|error| fault::classify("GetSecretValue", secret, &error))?,
        };
        Ok(Some(Version {
            arn: output.arn.unwrap_or_else(|| secret.to_owned()),
            name: output.name.unwrap_or_default(),
            id: output.version_id.unwrap_or_default(),
            created: output.created_date.and_then(|date| date.try_into().ok()),
            value: output
                .secret_string
                .map_or(Value::Binary, |text| Value::Text(SecretString::from(text))),
        }))
    }

    /// Reads a version that exists, and retries for a second: a read just after the write may miss
    /// it.
    ///
    /// # Errors
    /// [`Error::SecretsManager`].
    pub(crate) async fn read_again(
        &self,
        secret: &str,
        selector: VersionSelector<'_>,
    ) -> Result<Option<Version>, Error> {
        for pause in READ_AGAIN_AFTER {
            if let Some(version) = self.read(secret, selector).await? {
                return Ok(Some(version));
            }
            tokio::time::sleep(self.deadline.remaining(pause)).await;
        }
        self.read(secret, selector).await
    }

    /// Stores the value of the rotation's version with the label AWSPENDING only.
    ///
    /// # Errors
    /// [`Error::SecretsManager`].
    pub(crate) async fn put_pending(
        &self,
        secret: &str,
        token: &str,
        rotation_token: Option<&SecretString>,
        value: &SecretString,
    ) -> Result<PutOutcome, Error> {
        let request = self
            .client
            .put_secret_value()
            .secret_id(secret)
            .client_request_token(token)
            .set_rotation_token(rotation_token.map(|token| token.expose_secret().to_owned()))
            .secret_string(value.expose_secret())
            .version_stages(PENDING);
        let call = Box::pin(request.send());
        match self.limit("PutSecretValue", secret, call).await? {
            Ok(_) => Ok(PutOutcome::Stored),
            Err(SdkError::ServiceError(refusal))
                if matches!(refusal.err(), PutSecretValueError::ResourceExistsException(_)) =>
            {
                Ok(PutOutcome::HadValue)
            }
            Err(error) => Err(fault::classify("PutSecretValue", secret, &error)),
        }
    }

    /// Moves AWSCURRENT between two versions. Fails if it is no longer on `from`.
    ///
    /// # Errors
    /// [`Error::SecretsManager`].
    pub(crate) async fn move_current(
        &self,
        secret: &str,
        from: &str,
        to: &str,
    ) -> Result<(), Error> {
        self.move_label(secret, CURRENT, Some(from), Some(to)).await
    }

    /// Removes AWSPENDING from a version. Fails if it is no longer on that version.
    ///
    /// # Errors
    /// [`Error::SecretsManager`].
    pub(crate) async fn remove_pending_label(
        &self,
        secret: &str,
        version: &str,
    ) -> Result<(), Error> {
        self.move_label(secret, PENDING, Some(version), None).await
    }

    async fn move_label(
        &self,
        secret: &str,
        label: &str,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<(), Error> {
        let request = self
            .client
            .update_secret_version_stage()
            .secret_id(secret)
            .version_stage(label)
            .set_remove_from_version_id(from.map(str::to_owned))
            .set_move_to_version_id(to.map(str::to_owned));
        let call = Box::pin(request.send());
        self.answer("UpdateSecretVersionStage", secret, call).await.map(drop)
    }

    /// AWSPREVIOUS and the versions without a label of AWS, newest first.
    ///
    /// # Errors
    /// [`Error::SecretsManager`].
    pub(crate) async fn earlier_versions(
        &self,
        secret: &str,
    ) -> Result<Vec<EarlierVersion>, Error> {
        let (mut versions, mut page) = (Vec::new(), None);
        // Secrets Manager keeps about 100 versions and all of the last 24 hours. No rotation left
        // more than these pages hold.
        for _ in 0..VERSION_PAGES {
            let request = self
                .client
                .list_secret_version_ids()
                .secret_id(secret)
                .include_deprecated(true)
                .max_results(100);
            let call = Box::pin(request.set_next_token(page.take()).send());
            let output = self.answer("ListSecretVersionIds", secret, call).await?;
            versions.extend(output.versions.unwrap_or_default());
            page = output.next_token;
            if page.is_none() {
                break;
            }
        }
        let previous = |labels: &[String]| labels.iter().any(|label| label == PREVIOUS);
        let ours = |label: &String| [PREVIOUS, RETIRED].contains(&label.as_str());
        versions.retain(|version| version.version_stages().iter().all(ours));
        // Dates may be whole seconds. Within a second, an abandoned version comes first.
        versions.sort_by_key(|version| {
            (std::cmp::Reverse(version.created_date), previous(version.version_stages()))
        });
        let earlier = versions.into_iter().filter_map(|version| {
            let previous = previous(version.version_stages());
            version.version_id.map(|id| EarlierVersion { id, previous })
        });
        Ok(earlier.collect())
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
        self.limit(operation, secret, call)
            .await?
            .map_err(|error| fault::classify(operation, secret, &error))
    }

    async fn limit<T>(
        &self,
        operation: &'static str,
        secret: &str,
        call: impl Future<Output = T>,
    ) -> Result<T, Error> {
        self.deadline.limit(OPERATION_TIMEOUT, call).await.map_err(|elapsed| {
            Error::SecretsManager {
                operation,
                secret: secret.to_owned(),
                fault: StoreFault::TimedOut(elapsed),
            }
        })
    }
}

/// Whether the version has no value, or the label is on another version. AWS answers the latter
/// with `InvalidRequestException`.
fn is_absent(refusal: &GetSecretValueError, selector: VersionSelector<'_>) -> bool {
    match refusal {
        GetSecretValueError::ResourceNotFoundException(_) => true,
        GetSecretValueError::InvalidRequestException(_) => {
            matches!(selector, VersionSelector::IdAtStage(..))
        }
        _ => false,
    }
}
