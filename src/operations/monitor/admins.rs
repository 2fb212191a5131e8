//! Asks an admin why a role is refused. The server gives the same answer for a wrong password and
//! for a role past its `VALID UNTIL`.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::context::Context;
use crate::database::expiry::{self, PasswordEnd};
use crate::error::DatabaseFault;
use crate::rotation::{Rotation, admin};

/// Whether a server has refused an admin in this run. An admin with a wrong password is asked only
/// once: each time would be a failed login. What one server says counts for no other server.
#[derive(Default)]
pub(super) struct Admins(Mutex<HashMap<AdminAt, Arc<Mutex<bool>>>>);

/// An admin secret and the server that a rotated secret names.
#[derive(PartialEq, Eq, Hash)]
struct AdminAt {
    admin: String,
    host: String,
    port: u16,
}

impl Admins {
    /// The `VALID UNTIL` of the secret's role. `None` if it has none, or no admin may say.
    pub(super) async fn valid_until(
        &self,
        context: &Context<'_>,
        rotation: &Rotation,
    ) -> Option<PasswordEnd> {
        let id = rotation.admin_secret()?;
        let current = &rotation.current.credentials;
        let (host, port) = (current.server.host.clone(), current.server.port);
        let at = AdminAt { admin: id.to_owned(), host, port };
        let refused = Arc::clone(self.0.lock().await.entry(at).or_default());
        // Held while the admin is asked, so that no two ask one server at once.
        let mut refused = refused.lock().await;
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
