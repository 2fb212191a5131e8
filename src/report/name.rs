//! The name of a secret, whatever an event calls it.

/// The name of a secret, from its ARN or its name. In an ARN, `-` and six random characters follow
/// the name.
pub(crate) fn secret_name(id: &str) -> &str {
    const RANDOM: usize = 6;
    let Some((_, name)) = id.split_once(":secret:") else { return id };
    match name.rsplit_once('-') {
        Some((name, random)) if random.len() == RANDOM => name,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_one_name_whatever_an_event_calls_it() {
        let arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/my-app";
        for (id, name) in [
            (format!("{arn}-AbCdEf").as_str(), "shop/my-app"),
            (arn, "shop/my-app"),
            ("shop/my-app", "shop/my-app"),
            ("shop/my-secret", "shop/my-secret"),
            ("", ""),
        ] {
            assert_eq!(secret_name(id), name, "{id}");
        }
    }
}
