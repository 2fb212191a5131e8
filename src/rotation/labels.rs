//! The state of a rotation: one pure decision over the labels, in the order of AWS's functions.

use crate::error::RotationFault;
use crate::secret::store::{CURRENT, Description, PENDING};

/// The state of the rotation to a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// The rotation is over. Every step succeeds and does nothing.
    AlreadyCurrent,
    /// The rotation is under way.
    Pending,
}

/// A version with its label, for messages.
pub(crate) fn version(label: &str, id: &str) -> String {
    format!("{label} ({id})")
}

/// Refuses a secret that another service rotates.
pub(crate) fn not_managed(description: &Description) -> Result<(), RotationFault> {
    description
        .owning_service
        .clone()
        .map_or(Ok(()), |service| Err(RotationFault::Managed(service)))
}

/// Refuses a secret that must not be rotated.
pub(crate) fn may_rotate(description: &Description) -> Result<(), RotationFault> {
    not_managed(description)?;
    // Secrets Manager omits the field until rotation is first configured.
    if description.rotation_enabled == Some(false) { Err(RotationFault::Disabled) } else { Ok(()) }
}

/// Refuses a secret whose rotation is under way or stuck.
pub(crate) fn at_rest(description: &Description) -> Result<(), RotationFault> {
    description
        .under_way()
        .map_or(Ok(()), |version| Err(RotationFault::UnderWay(version.to_owned())))
}

/// What the labels say about the version that `token` names, of a secret that may be rotated.
pub(crate) fn state(description: &Description, token: &str) -> Result<State, RotationFault> {
    may_rotate(description)?;
    progress(description, token)
}

/// What the labels say about the version that `token` names, also where rotation was switched off.
pub(crate) fn progress(description: &Description, token: &str) -> Result<State, RotationFault> {
    if !description.stages.contains_key(token) {
        return Err(RotationFault::UnknownVersion(token.to_owned()));
    }
    if description.holder(CURRENT) == Some(token) {
        return Ok(State::AlreadyCurrent);
    }
    match description.holder(PENDING) {
        Some(holder) if holder == token => {
            description.holder(CURRENT).map(|_| State::Pending).ok_or(RotationFault::NoCurrent)
        }
        Some(holder) => {
            Err(RotationFault::NotPending { token: token.to_owned(), holder: holder.to_owned() })
        }
        None => Err(RotationFault::Abandoned(token.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(versions: &[(&str, &[&str])]) -> Description {
        let stages = versions
            .iter()
            .map(|(id, labels)| {
                ((*id).to_owned(), labels.iter().map(|label| (*label).to_owned()).collect())
            })
            .collect();
        Description { rotation_enabled: Some(true), stages, ..Description::default() }
    }

    #[test]
    fn every_arrangement_of_labels_has_one_meaning() {
        for (versions, expected) in [
            (&[("a", &["AWSCURRENT"][..]), ("t", &["AWSPENDING"])][..], "Ok(Pending)"),
            (
                &[("a", &["AWSCURRENT"]), ("p", &["AWSPREVIOUS"]), ("t", &["AWSPENDING", "MINE"])],
                "Ok(Pending)",
            ),
            (&[("a", &["AWSPREVIOUS"]), ("t", &["AWSCURRENT"])], "Ok(AlreadyCurrent)"),
            (
                &[("a", &["AWSPREVIOUS"]), ("t", &["AWSCURRENT", "AWSPENDING"])],
                "Ok(AlreadyCurrent)",
            ),
            (&[("a", &["AWSCURRENT"])], "UnknownVersion(\"t\")"),
            (&[], "UnknownVersion(\"t\")"),
            (&[("a", &["AWSCURRENT"]), ("t", &[])], "Abandoned(\"t\")"),
            (&[("a", &["AWSCURRENT"]), ("t", &["AWSPREVIOUS"])], "Abandoned(\"t\")"),
            (
                &[("a", &["AWSCURRENT"]), ("b", &["AWSPENDING"]), ("t", &["MINE"])],
                "NotPending { token: \"t\", holder: \"b\" }",
            ),
            (&[("t", &["AWSPENDING"])], "NoCurrent"),
        ] {
            let state = format!("{:?}", state(&description(versions), "t"));
            assert!(state.contains(expected), "{versions:?}: {state}");
        }
    }

    #[test]
    fn a_rotation_that_is_switched_off_is_refused_before_anything_else_is_looked_at() {
        let mut description = description(&[("t", &["AWSCURRENT"])]);
        description.rotation_enabled = Some(false);
        assert!(matches!(state(&description, "t"), Err(RotationFault::Disabled)));
        description.rotation_enabled = None;
        assert_eq!(state(&description, "t").unwrap(), State::AlreadyCurrent);
    }

    #[test]
    fn a_secret_of_another_service_is_refused() {
        let mut description = description(&[("a", &["AWSCURRENT"]), ("t", &["AWSPENDING"])]);
        description.owning_service = Some("rds".to_owned());
        assert!(matches!(
            state(&description, "t"),
            Err(RotationFault::Managed(service)) if service == "rds"
        ));
    }
}
