//! Finds a second copy of the password in a document, plain or percent-encoded.

use serde_json::Value;

use super::connection_string::decoded;

/// A password of this length counts wherever it occurs. A shorter one counts only as a word of its
/// own: it may be part of a host's name.
const LONG_ENOUGH: usize = 12;

/// Whether a string in the value holds the password.
pub(super) fn holds(value: &Value, password: &str) -> bool {
    match value {
        Value::String(text) => {
            text_holds(text, password)
                || decoded(text).is_some_and(|text| text_holds(&text, password))
        }
        Value::Array(values) => values.iter().any(|value| holds(value, password)),
        Value::Object(members) => members.values().any(|value| holds(value, password)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn text_holds(text: &str, password: &str) -> bool {
    let ends_word = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    text.match_indices(password).any(|(at, found)| {
        let (before, after) = (&text[..at], &text[at + found.len()..]);
        found.len() >= LONG_ENOUGH
            || ends_word(before.chars().next_back()) && ends_word(after.chars().next())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_password_is_found_wherever_an_application_may_read_it() {
        let long = "aB3$e/f@h%j";
        for (value, password, found) in [
            (json!("aB3$e/f@h%j"), long, true),
            (json!("host=db password=aB3$e/f@h%j"), long, true),
            (json!("postgres://app:aB3%24e%2Ff%40h%25j@db"), long, true),
            (json!("postgres://app:aB3$e%2ff%40h%25j@db"), long, true),
            (json!({"deep": [1, {"x": "aB3$e/f@h%j"}]}), long, true),
            (json!("another"), long, false),
            (json!("xaB3$e/f@h%jx"), long, false),
            (json!("%3A0123456789ab@"), "0123456789ab", true),
            (json!("shop-writer.internal"), "shop", true),
            (json!("workshop.internal"), "shop", false),
            (json!(5432), "5432", false),
            (json!(null), "null", false),
            (json!(true), "true", false),
        ] {
            assert_eq!(holds(&value, password), found, "{value} {password}");
        }
    }
}
