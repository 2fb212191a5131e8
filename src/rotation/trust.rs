//! What a secret may decide: its role, strategy and admin secret, held against the policy.

use super::strategy::is_of_pair;
use crate::error::Problem;
use crate::policy::{Policy, Strategy};

/// Separates the account from the name in a secret's ARN.
const BEFORE_NAME: &str = ":secret:";
/// The random characters that Secrets Manager appends to the name in an ARN.
const SUFFIX: usize = 6;

/// Refuses a username that the policy's `role` does not allow.
///
/// # Errors
/// A [`Problem`] that names the role.
pub(super) fn bind(policy: &Policy, username: &str, next_username: &str) -> Result<(), Problem> {
    let Some(role) = &policy.role else { return Ok(()) };
    if is_of_pair(username, role) && is_of_pair(next_username, role) {
        return Ok(());
    }
    Err(format!(
        "ROTATION_POLICY binds this secret to role {role:?}. \"username\" names neither that role \
         nor its second user."
    )
    .into())
}

/// Sentences about what the secret asks for and does not get. A person should remove it.
/// `strategy` is the one that counts.
pub(super) fn warnings(
    policy: &Policy,
    strategy: Strategy,
    masterarn: Option<&str>,
) -> Vec<String> {
    let overruled = policy.overruled.map(|asked_for| {
        format!(
            "the secret asks for the strategy {}, but ROTATION_POLICY sets {}. Remove \"strategy\" \
             from the secret's \"rotation\".",
            asked_for.name(),
            strategy.name()
        )
    });
    let unused_masterarn = masterarn
        .zip(policy.admin_secret.as_deref())
        .filter(|(masterarn, admin)| !same_secret(masterarn, admin))
        .map(|(_, admin)| {
            format!(
                "the secret's \"masterarn\" is not the admin secret in ROTATION_POLICY, {admin}, \
                 which is used. Correct \"masterarn\"."
            )
        });
    overruled.into_iter().chain(unused_masterarn).collect()
}

/// Whether two ids name the same secret: an ARN, an ARN without its random suffix, or a name. This
/// only decides a warning, so it calls nothing.
fn same_secret(a: &str, b: &str) -> bool {
    let ((place_a, name_a), (place_b, name_b)) = (parts(a), parts(b));
    let same_place = place_a.is_none() || place_b.is_none() || place_a == place_b;
    let plain = |place: Option<&str>, name| place.and_then(|_| without_suffix(name));
    let same_name = name_a == name_b
        || plain(place_a, name_a) == Some(name_b)
        || plain(place_b, name_b) == Some(name_a);
    same_place && same_name
}

/// Splits an ARN at the secret's name.
fn parts(id: &str) -> (Option<&str>, &str) {
    id.split_once(BEFORE_NAME).map_or((None, id), |(place, name)| (Some(place), name))
}

fn without_suffix(name: &str) -> Option<&str> {
    let (plain, suffix) = name.split_at_checked(name.len().checked_sub(SUFFIX + 1)?)?;
    suffix.starts_with('-').then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_secret_has_several_ids() {
        let arn = |rest: &str| format!("arn:aws:secretsmanager:eu-central-1:1:secret:{rest}");
        for (a, b, same) in [
            (arn("db-AbCdEf"), arn("db-AbCdEf"), true),
            (arn("db-AbCdEf"), arn("db"), true),
            (arn("db"), arn("db-AbCdEf"), true),
            (arn("db-AbCdEf"), "db".to_owned(), true),
            ("db".to_owned(), "db".to_owned(), true),
            (arn("db-AbCdEf"), arn("db-UvWxYz"), false),
            (arn("db-AbCdEf"), arn("other-AbCdEf"), false),
            (arn("db-AbCdEf"), "other".to_owned(), false),
            (arn("db-AbCdEf"), arn("db-AbCdEf").replace("eu-", "us-"), false),
            ("db-master".to_owned(), "db".to_owned(), false),
            (arn("é"), "d".to_owned(), false),
        ] {
            assert_eq!(same_secret(&a, &b), same, "{a} {b}");
        }
    }
}
