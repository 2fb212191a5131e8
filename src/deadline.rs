//! The time that the invocation has left. It limits every wait, so that an error is reported before
//! Lambda kills the function.

use std::time::{Duration, Instant, SystemTime};

/// Time reserved for closing sessions, logging and answering.
const MARGIN: Duration = Duration::from_millis(500);

/// The moment at which every wait ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Instant);

/// No answer came in time.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("no answer within {:.1} s{}", .waited.as_secs_f32(), if *.cut_short { " because the \
    invocation ran out of time: set its time-out to at least 30 s" } else { "" })]
pub(crate) struct Elapsed {
    pub(crate) waited: Duration,
    /// The invocation's end cut the wait short.
    pub(crate) cut_short: bool,
}

impl Deadline {
    /// Lambda's deadline, less a margin to answer in.
    pub(crate) fn from_lambda(deadline: SystemTime) -> Self {
        let left = deadline.duration_since(SystemTime::now()).unwrap_or_default();
        Self::after(left.saturating_sub(MARGIN))
    }

    /// This long from now.
    pub(crate) fn after(duration: Duration) -> Self {
        Self(Instant::now() + duration)
    }

    /// A deadline that is earlier by this much, which keeps the time for what has to follow.
    pub(crate) fn earlier_by(self, duration: Duration) -> Self {
        Self(self.0.checked_sub(duration).unwrap_or(self.0))
    }

    /// A deadline that keeps this much time for what has to follow, at most half of what is left.
    /// With less time left than that, nothing can follow, and the deadline stays.
    pub(crate) fn keeping(self, duration: Duration) -> Self {
        if !self.leaves(duration) {
            return self;
        }
        self.earlier_by(duration.min(self.remaining(Duration::MAX) / 2))
    }

    /// This deadline, or one in this much time, whichever comes first.
    pub(crate) fn at_most(self, duration: Duration) -> Self {
        Instant::now().checked_add(duration).map_or(self, |then| Self(self.0.min(then)))
    }

    /// The time left, at most `cap`.
    pub(crate) fn remaining(&self, cap: Duration) -> Duration {
        self.0.saturating_duration_since(Instant::now()).min(cap)
    }

    /// Whether this much time is left.
    pub(crate) fn leaves(&self, duration: Duration) -> bool {
        self.remaining(duration) == duration
    }

    /// Waits for `future` until the deadline, at most `cap`.
    ///
    /// # Errors
    /// [`Elapsed`] if it takes longer.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_keeps_its_time_where_there_is_enough() {
        let kept = Duration::from_secs(10);
        for (left, waits) in [(900.0, 890.0), (60.0, 50.0), (30.0, 20.0), (12.0, 6.0), (9.0, 9.0)] {
            let deadline = Deadline::after(Duration::from_secs_f32(left));
            let found = deadline.keeping(kept).remaining(Duration::MAX).as_secs_f32();
            assert!((found - waits).abs() < 0.5, "{left} s: {found} s");
        }
    }
}
