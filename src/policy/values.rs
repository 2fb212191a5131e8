//! The types of a policy's values: names, periods and forms of storage.

use std::time::Duration;

use serde::Deserialize;

use crate::error::Problem;
use crate::secret::credentials::{KEYS, MAX_NAME_BYTES};
use crate::secret::password::StorageForm;

/// The shortest schedule is every 4 hours. A lease outlasts it with its window and a quarter.
const SHORTEST_LEASE: Duration = Duration::from_hours(6);

/// A role's name, short enough that PostgreSQL keeps all of it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct RoleName(pub(super) String);

/// The same of a database.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct DatabaseName(pub(super) String);

/// A key of a document whose value is a URL with the login in it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct UrlKey(pub(super) String);

/// A whole number of seconds, minutes, hours or days, such as `24h`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Period(pub(super) Duration);

/// A period of at least 6 hours, in hours or days, such as `36h`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct LeasePeriod(pub(super) Duration);

/// What happens to a lease whose secret is not rotated in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnOverdue {
    /// It is renewed, so that a late rotation is no outage.
    #[default]
    Renew,
    /// It ends.
    Expire,
}

/// How the server stores a password. `Server` means its `password_encryption`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum StorageName {
    Server,
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    Md5,
    Cleartext,
}

impl TryFrom<String> for RoleName {
    type Error = Problem;

    fn try_from(name: String) -> Result<Self, Problem> {
        name_of("role", name).map(Self)
    }
}

impl TryFrom<String> for DatabaseName {
    type Error = Problem;

    fn try_from(name: String) -> Result<Self, Problem> {
        name_of("database", name).map(Self)
    }
}

impl TryFrom<String> for UrlKey {
    type Error = Problem;

    fn try_from(key: String) -> Result<Self, Problem> {
        if key.is_empty() || KEYS.contains(&key.as_str()) {
            return Err(format!("{key:?} in connection_strings is not the key of a URL").into());
        }
        Ok(Self(key))
    }
}

fn name_of(kind: &str, name: String) -> Result<String, Problem> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains('\0') {
        let problem =
            format!("a {kind}'s name has 1 to {MAX_NAME_BYTES} bytes, and no NUL among them");
        return Err(problem.into());
    }
    Ok(name)
}

impl TryFrom<String> for Period {
    type Error = Problem;

    fn try_from(text: String) -> Result<Self, Problem> {
        let split = text.len() - text.chars().next_back().map_or(0, char::len_utf8);
        let unit = match &text[split..] {
            "s" => 1,
            "m" => 60,
            "h" => 60 * 60,
            "d" => 24 * 60 * 60,
            _ => 0_u64,
        };
        let number = text[..split].parse::<u32>().ok().filter(|_| unit > 0);
        let number = number.ok_or_else(|| {
            format!("{text:?} is not a number followed by s, m, h or d, such as \"24h\"")
        })?;
        Ok(Self(Duration::from_secs(u64::from(number) * unit)))
    }
}

impl TryFrom<String> for LeasePeriod {
    type Error = Problem;

    fn try_from(text: String) -> Result<Self, Problem> {
        let period = Period::try_from(text.clone()).ok().map(|Period(period)| period);
        period
            .filter(|period| *period >= SHORTEST_LEASE && text.ends_with(['h', 'd']))
            .map(Self)
            .ok_or_else(|| format!("{text:?} is not a lease of 6h or more, such as \"36h\"").into())
    }
}

impl StorageName {
    /// `None` means the server's choice.
    pub(super) fn storage(self) -> Option<StorageForm> {
        match self {
            Self::Server => None,
            Self::ScramSha256 => Some(StorageForm::ScramSha256),
            Self::Md5 => Some(StorageForm::Md5),
            Self::Cleartext => Some(StorageForm::Cleartext),
        }
    }
}
