//! Which role a rotation works on: what the strategy makes of the current username, and what it
//! lets a pending value change.

use crate::error::Problem;
use crate::policy::Strategy;
use crate::secret::credentials::MAX_NAME_BYTES;
use crate::secret::document::Document;

/// What AWS's own functions call the second user of a pair.
const CLONE: &str = "_clone";

/// The username of the next version; a sentence when PostgreSQL would cut it off, and so take the
/// one user for the other.
pub(crate) fn next_username(strategy: Strategy, current: &str) -> Result<String, Problem> {
    let base = base(current);
    match strategy {
        Strategy::SingleUser => Ok(current.to_owned()),
        Strategy::AlternatingUsers if base != current => Ok(base.to_owned()),
        Strategy::AlternatingUsers if base.len() + CLONE.len() > MAX_NAME_BYTES => {
            Err(Problem::from(format!(
                "\"username\" has {} bytes, and with {CLONE:?} for its second user more than the \
             {MAX_NAME_BYTES} after which PostgreSQL cuts names off. Rename the role to at most {} \
             bytes, or set strategy to \"single-user\".",
                base.len(),
                MAX_NAME_BYTES - CLONE.len()
            )))
        }
        Strategy::AlternatingUsers => Ok(format!("{base}{CLONE}")),
    }
}

/// The pair's base user: the name without `_clone`.
pub(crate) fn base(username: &str) -> &str {
    username.strip_suffix(CLONE).filter(|base| !base.is_empty()).unwrap_or(username)
}

/// The key in which a pending value, which a person may have written, differs from the current one
/// although it may not.
///
/// Every key counts: what the application reads from the secret would change with the password, or
/// go back to what it was.
pub(crate) fn mismatch(current: &Document, pending: &Document) -> Option<String> {
    current.difference(pending, &["username", "password"]).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_users_take_turns() {
        let ascii = "a".repeat(57);
        let umlauts = format!("{}a", "é".repeat(28));
        for (current, next) in [
            ("app", "app_clone"),
            ("app_clone", "app"),
            ("app_clone_clone", "app_clone"),
            ("_clone", "_clone_clone"),
            ("App Clone", "App Clone_clone"),
            (&ascii, &format!("{ascii}_clone")),
            (&umlauts, &format!("{umlauts}_clone")),
        ] {
            assert_eq!(next_username(Strategy::AlternatingUsers, current).unwrap(), next);
            assert_eq!(next_username(Strategy::SingleUser, current).as_deref(), Ok(current));
        }
    }

    #[test]
    fn a_name_that_would_be_cut_off_is_refused_by_its_bytes() {
        for current in ["a".repeat(58), "é".repeat(29), "a".repeat(63)] {
            let error =
                next_username(Strategy::AlternatingUsers, &current).unwrap_err().to_string();
            assert!(
                error.contains(&format!("{} bytes", current.len()))
                    && error.contains("at most 57 bytes"),
                "{error}"
            );
            assert_eq!(next_username(Strategy::SingleUser, &current), Ok(current));
        }
        let clone = format!("{}_clone", "a".repeat(57));
        assert_eq!(next_username(Strategy::AlternatingUsers, &clone), Ok("a".repeat(57)));
    }
}
