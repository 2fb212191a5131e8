//! What an operation found and did, before it is put into a report.

use crate::policy::Strategy;
use crate::report::Details;

/// What an operation found and did.
pub(super) struct OperationResult {
    /// Absent where it could not be found out.
    pub(super) strategy: Option<Strategy>,
    pub(super) message: String,
    pub(super) details: Details,
}
