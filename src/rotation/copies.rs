//! The warning that the server holds a copy of a role's password, which no rotation changes.

use super::Rotation;
use crate::database::Session;
use crate::database::copies::{self, StoredCopy};
use crate::error::clean;

/// The number of copies that are named.
const EXAMPLES: usize = 20;

impl Rotation {
    /// A warning for each object of the server that logs in as a user of this secret, as far as
    /// this session can see them. The session's `search_path` has to be `pg_catalog`.
    pub(crate) async fn copies(&self, session: &Session) -> Vec<String> {
        let mut users = self.users().to_vec();
        users.dedup();
        match copies::read(session, &users).await {
            Ok(copies) => warnings(&copies),
            Err(error) => {
                let reason = error.reason();
                vec![format!(
                    "whether the server holds a copy of the password is unknown: {reason}"
                )]
            }
        }
    }
}

fn warnings(copies: &[StoredCopy]) -> Vec<String> {
    let named = copies.iter().take(EXAMPLES).map(|StoredCopy { role, place, statement }| {
        clean::clause(&format!(
            "the {place} logs in as role {role:?} with a stored password. If it leads to this \
             server, it is refused once that password changes. Then run {statement} with the new \
             one."
        ))
    });
    let more = copies.len().saturating_sub(EXAMPLES);
    let more = (more > 0).then(|| format!("{more} more objects log in with a stored password."));
    named.chain(more).collect()
}
