//! The keys of a policy, in `ROTATION_POLICY` and in a secret's own `rotation` object.

use std::collections::BTreeMap;
use std::num::{NonZeroU8, NonZeroU16};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::check::MOST_CHECKS;
use super::grant::Grant;
use super::probe::Probe;
use super::strategy::Strategy;
use super::values::{DatabaseName, LeasePeriod, OnOverdue, Period, RoleName, StorageName, UrlKey};
use crate::error::{Problem, clean};

/// Grants or probes that a secret may declare: each costs round trips to the server.
const MOST_ENTRIES: usize = 100;

/// The fields of one entry. An absent field comes from a more general entry.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fields {
    pub(super) role: Option<RoleName>,
    pub(super) strategy: Option<Strategy>,
    pub(super) admin_secret: Option<String>,
    /// Only in `defaults`.
    pub(super) trust_masterarn: Option<bool>,
    pub(super) owner_role: Option<RoleName>,
    pub(super) databases: Option<Vec<DatabaseName>>,
    pub(super) connection_strings: Option<Vec<UrlKey>>,
    pub(super) create_users: Option<bool>,
    pub(super) grants: Option<Vec<Grant>>,
    pub(super) probes: Option<Vec<Probe>>,
    pub(super) retire_after: Option<Period>,
    pub(super) overlap: Option<Period>,
    pub(super) lease: Option<LeasePeriod>,
    pub(super) on_overdue: Option<OnOverdue>,
    pub(super) terminate_on_retire: Option<bool>,
    pub(super) max_refused_logins: Option<NonZeroU8>,
    pub(super) former_hosts: Option<Vec<String>>,
    pub(super) rotation_host: Option<String>,
    pub(super) rotation_port: Option<NonZeroU16>,
    pub(super) tls_server_name: Option<String>,
    pub(super) allow_plaintext: Option<bool>,
    pub(super) password_storage: Option<StorageName>,
    pub(super) admin_reset: Option<bool>,
    pub(super) metrics_per_secret: Option<bool>,
}

/// Parses the secret's own `rotation` object. Errors show only keys and places, since the rest is a
/// secret's value.
pub(super) fn own_fields(own: &RawValue) -> Result<Fields, Problem> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(own.get()).map_err(|_| {
        "\"rotation\" is not an object such as {\"strategy\": \"single-user\"}.".to_owned()
    })?;
    let mut fields = Fields::default();
    for (key, value) in members {
        match key.as_str() {
            "strategy" => {
                let problem = "\"strategy\" in \"rotation\" is neither \"single-user\" nor \
                    \"alternating-users\".";
                fields.strategy =
                    Some(serde_json::from_str(value.get()).map_err(|_| problem.to_owned())?);
            }
            "grants" => {
                let mut left = MOST_CHECKS;
                fields.grants = Some(own_list(value, "grants", |text| {
                    Grant::parse(text, &mut left).map_err(|mistake| mistake.place().into())
                })?);
            }
            "probes" => fields.probes = Some(own_list(value, "probes", Probe::parse)?),
            _ => {
                return Err(format!(
                    "\"rotation\" has the key {:?}, which only ROTATION_POLICY may set. The secret \
                     itself may set \"strategy\", \"grants\" and \"probes\".",
                    clean::name(&key)
                )
                .into());
            }
        }
    }
    Ok(fields)
}

fn own_list<T>(
    list: &RawValue,
    key: &str,
    mut parse: impl FnMut(&str) -> Result<T, Problem>,
) -> Result<Vec<T>, Problem> {
    let texts: Vec<String> = serde_json::from_str(list.get())
        .map_err(|_| format!("{key:?} in \"rotation\" is not a list of strings."))?;
    if texts.len() > MOST_ENTRIES {
        return Err(format!(
            "{key:?} in \"rotation\" has {} entries; expected at most {MOST_ENTRIES}.",
            texts.len()
        )
        .into());
    }
    let parsed = texts.iter().enumerate().map(|(n, text)| {
        parse(text).map_err(|problem| format!("{key}[{n}] in \"rotation\", {problem}"))
    });
    Ok(parsed.collect::<Result<_, String>>()?)
}
