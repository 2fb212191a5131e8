//! The strategy: which username is next, and what a pending value may change.

use crate::error::{Problem, clean};
use crate::policy::Strategy;
use crate::secret::credentials::MAX_NAME_BYTES;
use crate::secret::document::Document;

/// The suffix by which AWS's functions name the second user of a pair.
const CLONE: &str = "_clone";

/// The username of the next version.
///
/// # Errors
/// A [`Problem`] if PostgreSQL would cut the name off, which would make both users one.
pub(crate) fn next_username(strategy: Strategy, current: &str) -> Result<String, Problem> {
    let base = base(current);
    match strategy {
        Strategy::SingleUser => Ok(current.to_owned()),
        Strategy::AlternatingUsers if base != current => Ok(base.to_owned()),
        Strategy::AlternatingUsers if base.len() + CLONE.len() > MAX_NAME_BYTES => {
            Err(Problem::from(format!(
                "\"username\" has {} bytes. The second user's name adds {CLONE:?}, and PostgreSQL \
                 cuts names off after {MAX_NAME_BYTES} bytes. Rename the role to at most {} bytes, \
                 or set strategy to \"single-user\".",
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

/// Whether a user is that role or its second user.
pub(crate) fn is_of_pair(username: &str, role: &str) -> bool {
    username == role || username.strip_suffix(CLONE) == Some(role)
}

/// A key other than the login in which a pending value differs from the current one.
///
/// Every key counts: the application reads them all, and a rotation must not change one unnoticed.
/// Only the URLs under `connection_strings` may hold another login too.
pub(crate) fn mismatch(
    current: &Document,
    pending: &Document,
    connection_strings: &[String],
) -> Option<String> {
    current.difference(pending, &["username", "password"], connection_strings).map(clean::name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_users_of_a_pair_alternate() {
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
