//! What every step and operation gets.

use std::time::Duration;

use crate::config::Config;
use crate::database::tls::Tls;
use crate::database::{Database, RefusedLogins, SlowLogins, Target};
use crate::deadline::Deadline;
use crate::secret::store::Store;

/// The time that must be left for a change of the password, its proof and its way back.
pub(crate) const TIME_TO_CHANGE: Duration = Duration::from_secs(10);
/// The longest wait for a login. A paused database wakes up within half of it.
const LONGEST_LOGIN: Duration = Duration::from_mins(1);

/// What every step and operation of one invocation gets.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) config: &'a Config,
    pub(crate) tls: &'a Tls,
    pub(crate) store: Store,
    pub(crate) deadline: Deadline,
    pub(crate) refused_logins: &'a RefusedLogins,
    /// The ARN by which the function was invoked.
    pub(crate) function_arn: &'a str,
    pub(crate) slow_logins: &'a SlowLogins,
}

impl<'a> Context<'a> {
    /// The database at `target`. A login waits as long as the invocation allows, but leaves the
    /// time for a change.
    pub(crate) fn database(&self, target: Target) -> Database<'a> {
        Database {
            tls: self.tls,
            slow_logins: self.slow_logins,
            refused_logins: self.refused_logins,
            target,
            deadline: self.deadline,
            login_until: self.deadline.keeping(TIME_TO_CHANGE).at_most(LONGEST_LOGIN),
        }
    }
}
