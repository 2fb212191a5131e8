//! Finds the policy's best entry for a secret: by ARN, by name, or by a prefix of either.

use crate::error::Problem;

/// Separates the account from the name in a secret's ARN.
const BEFORE_NAME: &str = ":secret:";

/// Refuses a pattern that is neither an ARN nor a name nor a prefix.
///
/// # Errors
/// A [`Problem`] that names the pattern.
pub(super) fn check(pattern: &str) -> Result<(), Problem> {
    let fixed = pattern.strip_suffix('*').unwrap_or(pattern);
    if fixed.is_empty() || fixed.contains('*') {
        return Err(format!(
            "secrets: {pattern:?} is neither an ARN nor a name, nor a prefix followed by one \"*\"."
        )
        .into());
    }
    Ok(())
}

/// The pattern that fits best. A whole ARN or name beats a prefix. Between two prefixes, the one
/// that fixes more of the secret's name wins.
///
/// # Errors
/// A [`Problem`] that names an ARN and a name that fit equally well.
pub(super) fn best<'a>(
    patterns: impl Iterator<Item = &'a String>,
    arn: &str,
    name: &str,
) -> Result<Option<&'a str>, Problem> {
    let (mut by_arn, mut by_name) = (None, None);
    for pattern in patterns {
        let (text, best) =
            if pattern.starts_with("arn:") { (arn, &mut by_arn) } else { (name, &mut by_name) };
        // Two ARNs may fix as much of the name. The longer one also fixes the region or account.
        let found = fit(pattern, text).map(|fixed| (fixed, pattern.len(), pattern.as_str()));
        *best = found.max(*best);
    }
    match (by_arn, by_name) {
        (Some((fixed, _, arn)), Some((same, _, name))) if fixed == same => Err(format!(
            "secrets: {arn:?} and {name:?} both fit the secret {:?} equally well. Remove one of \
             them.",
            name.trim_end_matches('*')
        )
        .into()),
        (by_arn, by_name) => Ok(by_arn.max(by_name).map(|(_, _, pattern)| pattern)),
    }
}

/// The number of bytes of the secret's name that a fitting pattern fixes. `MAX` means all.
fn fit(pattern: &str, text: &str) -> Option<usize> {
    let Some(prefix) = pattern.strip_suffix('*') else {
        return (pattern == text).then_some(usize::MAX);
    };
    let of_name = match prefix.split_once(BEFORE_NAME) {
        Some((_, of_name)) => of_name.len(),
        None if prefix.starts_with("arn:") => 0,
        None => prefix.len(),
    };
    text.starts_with(prefix).then_some(of_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:shop/app-AbCdEf";

    #[test]
    fn the_pattern_that_fixes_more_of_the_name_wins() {
        let prefix = ARN.strip_suffix("shop/app-AbCdEf").unwrap();
        let with = |rest: &str| format!("{prefix}{rest}");
        for (patterns, expected) in [
            (vec![ARN.to_owned(), "shop/ap*".to_owned()], Some(ARN.to_owned())),
            (vec![with("*"), "s*".to_owned()], Some("s*".to_owned())),
            (vec!["arn:aws:*".to_owned(), "s*".to_owned()], Some("s*".to_owned())),
            (vec!["arn:aws:*".to_owned(), with("*")], Some(with("*"))),
            (vec![with("shop/app-*"), "shop/*".to_owned()], Some(with("shop/app-*"))),
            (vec![with("shop/*"), "shop/app".to_owned()], Some("shop/app".to_owned())),
            (vec![with("other*"), "other".to_owned()], None),
        ] {
            let best = best(patterns.iter(), ARN, "shop/app").unwrap();
            assert_eq!(best, expected.as_deref(), "{patterns:?}");
        }
    }

    #[test]
    fn a_name_and_an_arn_of_one_rank_are_refused_with_both_named() {
        let prefix = ARN.strip_suffix("app-AbCdEf").unwrap();
        for (arn, name) in [(ARN.to_owned(), "shop/app"), (format!("{prefix}*"), "shop/*")] {
            let patterns = [arn.clone(), name.to_owned()];
            let error = best(patterns.iter(), ARN, "shop/app").unwrap_err().to_string();
            assert!(error.contains(&arn) && error.contains(&format!("{name:?}")), "{error}");
        }
    }
}
