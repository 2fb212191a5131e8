//! Two secrets that hold the same role on the same server: each rotation of one breaks the other.

use std::collections::HashMap;

use super::look::Look;

/// Adds a warning to each secret that shares its role with another one of these.
pub(super) fn warn(looked: &mut [Look]) {
    let mut places: HashMap<(String, String), Vec<usize>> = HashMap::new();
    for (number, secret) in looked.iter().enumerate() {
        if let Some(place) = &secret.place {
            places.entry(place.clone()).or_default().push(number);
        }
    }
    for numbers in places.into_values().filter(|numbers| numbers.len() > 1) {
        for number in &numbers {
            let other = numbers.iter().find(|other| *other != number);
            let Some(other) = other.map(|other| looked[*other].health.secret_id.clone()) else {
                continue;
            };
            looked[*number].health.warnings.push(format!(
                "secret {other} holds the same role on the same host: a rotation of one makes the \
                 other's password wrong. Keep one of them."
            ));
        }
    }
}
