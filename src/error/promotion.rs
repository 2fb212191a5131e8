//! Which password a single user's role has after a failed promotion.

/// The password that the role has after a failed promotion.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Restoration {
    #[error("The role has AWSCURRENT's password again; a login with it worked.")]
    Restored,
    #[error("The role still has AWSCURRENT's password: the server accepts it.")]
    NothingToRestore,
    #[error("The role now has the password of version {0}, to which AWSCURRENT moved.")]
    FollowedThirdVersion(String),
    #[error(
        "The role has the pending password. A retry of finishSecret, or the operation \"recover\", \
         moves AWSCURRENT to it."
    )]
    PendingStays,
    #[error(
        "The role has AWSPREVIOUS's password. The same operation again moves AWSCURRENT to it. The \
         operation \"recover\" without \"Prefer\" sets AWSCURRENT's password again."
    )]
    PreviousStays,
    #[error(
        "AWSCURRENT's password was set again, but a login with it fails too: {0} No label was \
         moved."
    )]
    NotProven(String),
    #[error(
        "The password of the role is unknown: {0} No label was moved. A retry, or the operation \
         \"recover\", finds out."
    )]
    Unknown(String),
}
