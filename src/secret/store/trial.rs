//! Calls that change nothing and show whether the function's role may make them: Secrets Manager
//! checks IAM first.

use aws_sdk_secretsmanager::error::SdkError;
use aws_sdk_secretsmanager::operation::put_secret_value::PutSecretValueError;
use secrecy::ExposeSecret;

use super::{Store, Value, Version, fault};
use crate::error::{Error, StoreFault};

/// A label that no version has.
const TRIAL: &str = "postgres-secret-rotation-trial";

impl Store {
    /// Puts a version's own value again, which Secrets Manager treats as a retry and ignores. This
    /// shows whether the role may put a value.
    ///
    /// # Errors
    /// [`Error::SecretsManager`].
    pub(crate) async fn try_put(&self, secret: &str, version: &Version) -> Result<(), Error> {
        let Value::Text(value) = &version.value else { return Ok(()) };
        let request = self
            .client
            .put_secret_value()
            .secret_id(secret)
            .client_request_token(&version.id)
            .secret_string(value.expose_secret());
        // If it were not ignored, only a meaningless label would move.
        let call = Box::pin(request.version_stages(TRIAL).send());
        match self.limit("PutSecretValue", secret, call).await? {
            Err(SdkError::ServiceError(refusal))
                if matches!(refusal.err(), PutSecretValueError::ResourceExistsException(_)) =>
            {
                Ok(())
            }
            answer => {
                answer.map(drop).map_err(|error| fault::classify("PutSecretValue", secret, &error))
            }
        }
    }

    /// Removes a label that the version does not have. Secrets Manager refuses this, by IAM or
    /// because of the label.
    ///
    /// # Errors
    /// [`Error::SecretsManager`].
    pub(crate) async fn try_move(&self, secret: &str, version: &str) -> Result<(), Error> {
        let request = self
            .client
            .update_secret_version_stage()
            .secret_id(secret)
            .version_stage(TRIAL)
            .remove_from_version_id(version);
        let call = Box::pin(request.send());
        match self.answer("UpdateSecretVersionStage", secret, call).await {
            Err(Error::SecretsManager {
                fault: StoreFault::Refused(_) | StoreFault::NotFound(_),
                ..
            }) => Ok(()),
            answer => answer.map(drop),
        }
    }
}
