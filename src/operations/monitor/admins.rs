//! Asks an admin why a role is refused. The server gives the same answer for a wrong password and
//! for a role past its `VALID UNTIL`.

use std::collections::HashSet;

use tokio::sync::Mutex;

use crate::context::Context;
use crate::database::expiry::{self, PasswordEnd};
use crate::error::Error;
use crate::rotation::{Rotation, admin};

/// The admin secrets that did not work in this run. An admin with a wrong password is asked only
/// once: each time would be a failed login.
#[derive(Default)]
pub(super) struct Admins(Mutex<HashSet<String>>);

impl Admins {
    /// The `VALID UNTIL` of the secret's role. `None` if it has none, or no admin may say.
    pub(super) async fn valid_until(
        &self,
        context: &Context<'_>,
        rotation: &Rotation,
    ) -> Option<PasswordEnd> {
        let id = rotation.admin_secret()?;
        // Held while the admin is asked, so that no two are asked at once.
        let mut useless = self.0.lock().await;
        if useless.contains(id) {
            return None;
        }
        match admin::session(context, rotation, None).await {
            Ok(session) => {
                let role = &rotation.current.credentials.username;
                let end = expiry::of(&session, role).await.unwrap_or_default();
                session.close().await;
                end
            }
            // The admin works, but may not be used on this role.
            Err(Error::AdminRefused { .. }) => None,
            Err(_) => {
                useless.insert(id.to_owned());
                None
            }
        }
    }
}
