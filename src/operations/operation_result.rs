//! The result of an operation, before it becomes a report.

use crate::policy::Strategy;
use crate::report::Details;

/// What an operation found or did.
pub(super) struct OperationResult {
    /// Absent if the secret could not be read.
    pub(super) strategy: Option<Strategy>,
    pub(super) message: String,
    pub(super) details: Details,
}
