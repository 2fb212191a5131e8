//! What every step and operation gets.

use crate::config::Config;
use crate::database::tls::Tls;
use crate::deadline::Deadline;
use crate::secret::store::Store;

/// What every step and operation of one invocation gets.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) config: &'a Config,
    pub(crate) tls: &'a Tls,
    pub(crate) store: Store,
    pub(crate) deadline: Deadline,
}
