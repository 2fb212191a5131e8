//! Which password a single user's role has after a failed promotion.

/// The password that the role has after a failed promotion.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Restoration {
    #[error("The role has AWSCURRENT's password again; a login with it worked.")]
    Restored,
    #[error("The role still has AWSCURRENT's password; a login with it worked.")]
    NothingToRestore,
    #[error("The role now has the password of version {0}, to which AWSCURRENT moved.")]
    FollowedThirdVersion(String),
    #[error(
        "The role has the pending password. A retry of finishSecret, or the operation \"recover\", \
         moves AWSCURRENT to it."
    )]
    PendingStays,
    #[error(
        "AWSCURRENT's password was set again, but a login with it fails too: {0} AWSPENDING stays \
         on its version."
    )]
    NotProven(String),
    #[error(
        "The password of the role is unknown: {0} AWSPENDING stays on its version. A retry, or the \
         operation \"recover\", finds out."
    )]
    Unknown(String),
}
