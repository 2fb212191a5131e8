//! The sessions that an inspection opened.

use crate::database::Session;

/// The sessions that the inspection opened.
#[derive(Default)]
pub(super) struct Sessions {
    pub(super) current: Option<Session>,
    pub(super) pending: Option<Session>,
    /// A session of the current user with an older password.
    pub(super) older: Option<Session>,
}

impl Sessions {
    pub(super) async fn close(self) {
        for session in [self.current, self.pending, self.older].into_iter().flatten() {
            session.close().await;
        }
    }
}
