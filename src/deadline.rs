//! When the invocation has to have answered: every wait is cut to what is left, so that an error is
//! told before Lambda kills the function.

use std::time::{Duration, Instant, SystemTime};

/// Kept back from Lambda's own deadline for closing sessions, logging and answering.
const MARGIN: Duration = Duration::from_millis(500);

/// The moment after which nothing is waited for any more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Instant);

/// Nothing came within the time that was allowed.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("nothing within {:.1} s{}", .waited.as_secs_f32(), if *.cut_short { ", when the function's \
    own time was over: give it 30 s or more" } else { "" })]
pub(crate) struct Elapsed {
    pub(crate) waited: Duration,
    /// It was the end of the invocation that ended the wait.
    pub(crate) cut_short: bool,
}

impl Deadline {
    /// From the deadline in Lambda's context, less a margin to answer in.
    pub(crate) fn from_lambda(deadline: SystemTime) -> Self {
        let left = deadline.duration_since(SystemTime::now()).unwrap_or_default();
        Self::after(left.saturating_sub(MARGIN))
    }

    /// This long from now.
    pub(crate) fn after(duration: Duration) -> Self {
        Self(Instant::now() + duration)
    }

    /// What is left, at most `cap`.
    pub(crate) fn remaining(&self, cap: Duration) -> Duration {
        self.0.saturating_duration_since(Instant::now()).min(cap)
    }

    /// Waits for `future` as long as is left, at most `cap`.
    ///
    /// # Errors
    /// [`Elapsed`].
    pub(crate) async fn limit<T>(
        &self,
        cap: Duration,
        future: impl Future<Output = T>,
    ) -> Result<T, Elapsed> {
        let allowed = self.remaining(cap);
        tokio::time::timeout(allowed, future)
            .await
            .map_err(|_| Elapsed { waited: allowed, cut_short: allowed < cap })
    }
}
