//! The warning that the server holds a role's password a second time, where no rotation changes it.

use super::Rotation;
use crate::database::Session;
use crate::database::copies::{self, StoredCopy};
use crate::error::clean;

/// The number of copies that are named.
const EXAMPLES: usize = 20;

impl Rotation {
    /// A warning for each object of the server that logs in as a user of this secret, as far as
    /// this session may see it. Where nothing can be seen, nothing is said. The session's
    /// `search_path` has to be `pg_catalog`.
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
            "the {place} logs in as role {role:?} with a stored password, and is refused once that \
             password changes, if it leads to this server. Then run {statement} with the new one."
        ))
    });
    let more = copies.len().saturating_sub(EXAMPLES);
    let more = (more > 0).then(|| format!("{more} more objects log in with a stored password."));
    named.chain(more).collect()
}
