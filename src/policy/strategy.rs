//! How a new password comes into use.

use serde::Deserialize;

/// How a new password comes into use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Strategy {
    /// The role's own password is changed.
    SingleUser,
    /// Two roles take turns, so that the old password works until the next turn.
    AlternatingUsers,
}

impl Strategy {
    /// The name used in policies, logs and reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SingleUser => "single-user",
            Self::AlternatingUsers => "alternating-users",
        }
    }
}
