//! Why the password of a single user was not promoted, and which one the role has now.

/// Which password the role has after a promotion that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Restoration {
    #[error("The role has AWSCURRENT's password again; a login with it worked.")]
    Restored,
    #[error("The role still has AWSCURRENT's password; a login with it worked.")]
    NothingToRestore,
    #[error("The role now has the password of version {0}, to which AWSCURRENT has moved.")]
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
        "Which password the role has is unknown: {0} AWSPENDING stays on its version. A retry, or \
         the operation \"recover\", finds out."
    )]
    Unknown(String),
}
