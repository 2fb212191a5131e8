//! What Secrets Manager says of a secret, as types: its versions, their labels and their values.

use std::collections::HashMap;
use std::time::SystemTime;

use secrecy::SecretString;

pub(crate) const CURRENT: &str = "AWSCURRENT";
pub(crate) const PENDING: &str = "AWSPENDING";
pub(crate) const PREVIOUS: &str = "AWSPREVIOUS";

/// The part of `DescribeSecret` that a rotation needs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Description {
    pub(crate) rotation_enabled: Option<bool>,
    pub(crate) owning_service: Option<String>,
    /// The labels of every version that has one.
    pub(crate) stages: HashMap<String, Vec<String>>,
    /// The end of the last rotation.
    pub(crate) last_rotated: Option<SystemTime>,
    /// The latest time for the next rotation.
    pub(crate) next_rotation: Option<SystemTime>,
    /// The last change of the secret, also of a label.
    pub(crate) last_changed: Option<SystemTime>,
}

impl Description {
    /// The version that carries a label.
    pub(crate) fn holder(&self, label: &str) -> Option<&str> {
        self.stages
            .iter()
            .find(|(_, labels)| labels.iter().any(|known| known == label))
            .map(|(id, _)| id.as_str())
    }

    /// The version of a rotation that is under way or stuck: it carries AWSPENDING and not
    /// AWSCURRENT.
    pub(crate) fn under_way(&self) -> Option<&str> {
        self.holder(PENDING).filter(|pending| self.holder(CURRENT) != Some(pending))
    }
}

/// A version of a secret with its value.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) created: Option<SystemTime>,
    pub(crate) value: Value,
}

/// The value of a version.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(SecretString),
    Binary,
}

/// A version that was current or pending earlier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EarlierVersion {
    pub(crate) id: String,
    /// Whether it carries AWSPREVIOUS; otherwise it has no label.
    pub(crate) previous: bool,
}

/// Which version to read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum VersionSelector<'a> {
    Stage(&'a str),
    /// The version with this id.
    Id(&'a str),
    /// The version with this id, only if it carries this label.
    IdAtStage(&'a str, &'a str),
}

/// The outcome of storing a value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PutOutcome {
    Stored,
    /// The version already had another value, which stays.
    HadValue,
}
