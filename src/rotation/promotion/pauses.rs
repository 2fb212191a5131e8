//! The pauses between attempts at a login or a move.

use std::time::Duration;

/// Later pauses are longer, since a server that bans roles counts each attempt.
const LONGEST: Duration = Duration::from_secs(1);

/// The next pause. Each is twice as long as the one before.
pub(super) struct Pauses(Duration);

impl Pauses {
    pub(super) const FIRST: Duration = Duration::from_millis(100);

    pub(super) fn begin() -> Self {
        Self(Self::FIRST)
    }

    pub(super) async fn pause(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST);
    }
}
