//! The two strategies of rotation.

use serde::Deserialize;

/// How a new password replaces the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Strategy {
    /// The password of the one role is changed.
    SingleUser,
    /// Two roles alternate, so that the old password works until the next rotation.
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
