//! The sessions that an inspection opened.

use crate::database::Session;

/// Open sessions, by the password that opened each.
#[derive(Default)]
pub(super) struct InspectedSessions {
    pub(super) current: Option<Session>,
    pub(super) pending: Option<Session>,
    /// A session of the current user with an older password.
    pub(super) older: Option<Session>,
}

impl InspectedSessions {
    pub(super) async fn close(self) {
        for session in [self.current, self.pending, self.older].into_iter().flatten() {
            session.close().await;
        }
    }
}
