//! Our label, on the version whose credential was retired last.

use super::{RETIRED, Store};
use crate::error::Error;

impl Store {
    /// Moves the label of a retired credential to this version.
    ///
    /// # Errors
    /// [`Error::SecretsManager`].
    pub(crate) async fn mark_retired(
        &self,
        secret: &str,
        from: Option<&str>,
        version: &str,
    ) -> Result<(), Error> {
        let request = self
            .client
            .update_secret_version_stage()
            .secret_id(secret)
            .version_stage(RETIRED)
            .set_remove_from_version_id(from.map(str::to_owned))
            .move_to_version_id(version);
        let call = Box::pin(request.send());
        self.answer("UpdateSecretVersionStage", secret, call).await.map(drop)
    }
}
