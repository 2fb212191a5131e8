//! Asks an admin why a role is refused. The server gives the same answer for a wrong password and
//! for a role past its `VALID UNTIL`.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::context::Context;
use crate::database::expiry::{self, PasswordEnd};
use crate::error::DatabaseFault;
use crate::rotation::{Rotation, admin};

/// Whether a server has refused an admin in this run, by admin secret and the server's host and
/// port. An admin with a wrong password is asked only once: each time would be a failed login. What
/// the server of one secret says counts for no other server.
#[derive(Default)]
pub(super) struct Admins(Mutex<HashMap<(String, String, u16), Arc<Mutex<bool>>>>);

impl Admins {
    /// The `VALID UNTIL` of the secret's role. `None` if it has none, or no admin may say.
    pub(super) async fn valid_until(
        &self,
        context: &Context<'_>,
        rotation: &Rotation,
    ) -> Option<PasswordEnd> {
        let id = rotation.admin_secret()?;
        let current = &rotation.current.credentials;
        let server = (id.to_owned(), current.server.host.clone(), current.server.port);
        let of_server = Arc::clone(self.0.lock().await.entry(server).or_default());
        // Held while the admin is asked, so that no two ask one server at once.
        let mut refused = of_server.lock().await;
        if *refused {
            return None;
        }
        match admin::session(context, rotation, None).await {
            Ok(session) => {
                let end = expiry::of(&session, &current.username).await.unwrap_or_default();
                session.close().await;
                end
            }
            Err(error) => {
                *refused = error.is_database(DatabaseFault::LoginRejected);
                None
            }
        }
    }
}
