//! Calls that change nothing and show whether the function's role may make them: Secrets Manager
//! asks IAM before it looks at anything else.

use aws_sdk_secretsmanager::error::SdkError;
use aws_sdk_secretsmanager::operation::put_secret_value::PutSecretValueError;
use secrecy::ExposeSecret;

use super::{Store, Value, Version, fault};
use crate::error::{Error, StoreFault};

/// A label that no version has.
const TRIAL: &str = "postgres-secret-rotation-trial";

impl Store {
    /// Puts into a version the value that it has, which Secrets Manager takes for a repetition and
    /// ignores: it shows whether the role may put one.
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
        // Were it not ignored, no label that means anything would move.
        let call = Box::pin(request.version_stages(TRIAL).send());
        match self.limit("PutSecretValue", secret, call).await? {
            Err(SdkError::ServiceError(refusal))
                if matches!(refusal.err(), PutSecretValueError::ResourceExistsException(_)) =>
            {
                Ok(())
            }
            answer => answer.map(drop).map_err(|error| fault::of("PutSecretValue", secret, &error)),
        }
    }

    /// Takes off a version a label that it does not have, which is refused: as not permitted, or
    /// for that.
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
