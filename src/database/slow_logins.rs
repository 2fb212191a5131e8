//! The logins that succeeded and took long: a person should know.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::fault::DatabaseFailure;

/// A login that takes this long is worth a warning. It usually takes a few hundredths of a second.
const LONG: Duration = Duration::from_secs(3);

/// Sentences about slow logins.
#[derive(Debug, Default)]
pub(crate) struct SlowLogins(Mutex<Vec<String>>);

impl SlowLogins {
    /// Notes a login that succeeded, if it took long. `refusal` is the server's last answer before
    /// it was ready, if it gave one.
    pub(super) fn note(
        &self,
        operation: &str,
        host: &str,
        took: Duration,
        refusal: Option<&DatabaseFailure>,
    ) {
        if took < LONG {
            return;
        }
        let why = match refusal {
            Some(refusal) => format!("Until then the server said: {}.", refusal.detail),
            None => "The server did not answer sooner.".to_owned(),
        };
        let text = format!(
            "{operation} to {host} took {:.1} s. {why} A database that pauses when idle, restarts \
             or fails over needs this time.",
            took.as_secs_f32()
        );
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    /// The sentences so far. The next call returns only newer ones.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
