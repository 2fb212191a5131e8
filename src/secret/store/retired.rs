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
        self.move_label(secret, RETIRED, from, Some(version)).await
    }
}
