//! The policy of a secret: the function's `ROTATION_POLICY`, and what that leaves to the secret's
//! own `rotation` object.
//!
//! Only the function's policy can widen power. The writer of a secret is trusted with its own role
//! and no more.

pub(crate) mod check;
mod fields;
mod grammar;
pub(crate) mod grant;
mod lexer;
mod parser;
mod pattern;
pub(crate) mod probe;
mod strategy;
mod values;

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use self::fields::{Fields, own_fields};
use self::grant::Grant;
use self::probe::Probe;
pub(crate) use self::strategy::Strategy;
pub(crate) use self::values::OnOverdue;
use self::values::{DatabaseName, LeasePeriod, Period, RoleName, StorageName, UrlKey};
use crate::error::Problem;
use crate::secret::password::StorageForm;

/// Longer than most applications keep a secret.
const RETIRE_AFTER: Duration = Duration::from_hours(24);
/// Longer than a person needs to press the button twice, shorter than any schedule.
const OVERLAP: Duration = Duration::from_mins(5);
/// Enough for every state that a rotation leaves. Extensions may ban a role after three.
const MAX_REFUSED_LOGINS: usize = 5;

/// `ROTATION_POLICY`, parsed once at cold start.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policies {
    #[serde(default)]
    defaults: Fields,
    /// By ARN, by name, or by a prefix of either, followed by `*`.
    #[serde(default)]
    secrets: BTreeMap<String, Fields>,
}

/// The entry of the policy for one secret.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a>(Option<&'a Fields>);

/// The policy of one secret.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent switches")]
pub(crate) struct Policy {
    /// The role that the secret may name, with its second user. `None` means any.
    pub(crate) role: Option<String>,
    /// `None` means alternating users if an admin secret is named, else a single user.
    strategy: Option<Strategy>,
    /// The strategy that the secret asks for, if the policy sets another.
    pub(crate) overruled: Option<Strategy>,
    /// The admin secret, which overrides the secret's own `masterarn`.
    pub(crate) admin_secret: Option<String>,
    /// Whether the secret's own `masterarn` counts if `admin_secret` is not set.
    trust_masterarn: bool,
    /// The role that both users of a pair act as. `None` means the role that the current user acts
    /// as.
    pub(crate) owner_role: Option<String>,
    /// The databases beside the secret's in which both users of a pair must be equal. `None` means
    /// all.
    pub(crate) databases: Option<Vec<String>>,
    /// The keys of the document whose values are URLs with the login in them.
    pub(crate) connection_strings: Vec<String>,
    /// What the application needs, checked before a credential is promoted.
    pub(crate) grants: Vec<Grant>,
    /// Statements that the application runs, planned before a credential is promoted.
    pub(crate) probes: Vec<Probe>,
    /// Whether the probes come from the secret itself.
    pub(crate) probes_of_secret: bool,
    /// Whether the secret itself has set the grants.
    pub(crate) grants_of_secret: bool,
    /// Whether the admin may create the second user and grant it memberships.
    pub(crate) create_users: bool,
    /// The time that a previous user keeps its password, at least.
    pub(crate) retire_after: Duration,
    /// Whether the policy itself names `retire_after`, so that `monitor` may retire.
    pub(crate) retires: bool,
    /// The time that a previous user keeps its password before its own next turn, at least.
    pub(crate) overlap: Duration,
    /// How long a password is valid after its turn. `None` means without end.
    pub(crate) lease: Option<Duration>,
    /// What happens to a lease whose secret is not rotated in time.
    pub(crate) on_overdue: OnOverdue,
    /// Whether `monitor` ends the sessions that an ended credential has opened.
    pub(crate) terminate_on_retire: bool,
    /// The most refused logins of one invocation, in search of a working password.
    pub(crate) max_refused_logins: usize,
    /// Hosts that earlier versions may name although the database is now at the secret's host.
    pub(crate) former_hosts: Vec<String>,
    /// Where the rotation connects in place of the secret's host, e.g. past a proxy.
    pub(crate) rotation_host: Option<String>,
    /// The port of `rotation_host`. `None` means the secret's.
    pub(crate) rotation_port: Option<u16>,
    /// The name that the server's certificate must carry instead of the host's.
    pub(crate) tls_server_name: Option<String>,
    /// Whether a secret with `"ssl": false` is rotated without TLS.
    pub(crate) allow_plaintext: bool,
    /// `None` means the server's `password_encryption`.
    pub(crate) password_storage: Option<StorageForm>,
    /// Whether the admin may set the password of a role for which the secret holds none that works.
    pub(crate) admin_reset: bool,
    /// Whether `monitor` writes metrics with the secret's name, each of which costs money.
    pub(crate) metrics_per_secret: bool,
}

impl Policies {
    /// Parses the value of `ROTATION_POLICY`.
    ///
    /// # Errors
    /// A [`Problem`] that names the wrong key or value.
    pub(crate) fn parse(json: &str) -> Result<Self, Problem> {
        // serde would accept a list of the members in order.
        if !json.trim_start().starts_with('{') {
            return Err(
                "it is not a JSON object. Expected {\"defaults\": {...}, \"secrets\": {\"<ARN, \
                 name or prefix*>\": {...}}}."
                    .into(),
            );
        }
        let policies: Self = serde_json::from_str(json).map_err(|error| format!("{error}."))?;
        policies.check_entry("defaults", &Fields::default())?;
        for (pattern, entry) in &policies.secrets {
            pattern::check(pattern)?;
            if entry.trust_masterarn.is_some() {
                return Err(format!(
                    "secrets: {pattern:?}: trust_masterarn can be set in \"defaults\" only. Set \
                     admin_secret here."
                )
                .into());
            }
            policies.check_entry(&format!("secrets: {pattern:?}"), entry)?;
        }
        Ok(policies)
    }

    /// Refuses an entry that, with the defaults, sets a key without another that it needs.
    fn check_entry(&self, place: &str, entry: &Fields) -> Result<(), Problem> {
        let base = &self.defaults;
        let reset = entry.admin_reset.or(base.admin_reset) == Some(true);
        if reset && entry.role.is_none() && base.role.is_none() {
            return Err(format!(
                "{place}: admin_reset needs \"role\", the role whose password the admin may set."
            )
            .into());
        }
        if entry.on_overdue.or(base.on_overdue).is_some() && entry.lease.or(base.lease).is_none() {
            return Err(format!("{place}: on_overdue needs lease.").into());
        }
        if rotation_port(entry, base).is_some()
            && entry.rotation_host.is_none()
            && base.rotation_host.is_none()
        {
            return Err(format!("{place}: rotation_port needs rotation_host.").into());
        }
        Ok(())
    }

    /// The entry that fits a secret best.
    ///
    /// # Errors
    /// A [`Problem`] that names two entries of the same rank.
    pub(crate) fn entry(&self, arn: &str, name: &str) -> Result<Entry<'_>, Problem> {
        let best = pattern::best(self.secrets.keys(), arn, name)?;
        Ok(Entry(best.and_then(|pattern| self.secrets.get(pattern))))
    }

    /// The ARNs and names of the secrets that have an entry of their own.
    pub(crate) fn named_whole(&self) -> impl Iterator<Item = &str> {
        self.secrets.keys().map(String::as_str).filter(|pattern| !pattern.ends_with('*'))
    }

    /// The policy of a secret: its entry overrides the defaults. `own` is the secret's `rotation`
    /// object. Its strategy counts if the policy sets none. Its grants and probes replace the
    /// policy's.
    ///
    /// # Errors
    /// A [`Problem`] that names the wrong key of the secret's own object.
    pub(crate) fn resolve(
        &self,
        entry: Entry<'_>,
        own: Option<&RawValue>,
    ) -> Result<Policy, Problem> {
        let own = own.map(own_fields).transpose()?.unwrap_or_default();
        let best = entry.0.cloned().unwrap_or_default();
        let base = self.defaults.clone();
        let rotation_port = rotation_port(&best, &base);
        let fixed = best.strategy.or(base.strategy);
        Ok(Policy {
            role: best.role.or(base.role).map(|RoleName(name)| name),
            overruled: own.strategy.filter(|own| fixed.is_some_and(|fixed| fixed != *own)),
            strategy: fixed.or(own.strategy),
            admin_secret: best.admin_secret.or(base.admin_secret),
            trust_masterarn: base.trust_masterarn.unwrap_or(false),
            owner_role: best.owner_role.or(base.owner_role).map(|RoleName(name)| name),
            databases: best
                .databases
                .or(base.databases)
                .map(|names| names.into_iter().map(|DatabaseName(name)| name).collect()),
            connection_strings: best
                .connection_strings
                .or(base.connection_strings)
                .map(|keys| keys.into_iter().map(|UrlKey(key)| key).collect())
                .unwrap_or_default(),
            grants_of_secret: own.grants.is_some(),
            grants: own.grants.or(best.grants).or(base.grants).unwrap_or_default(),
            probes_of_secret: own.probes.is_some(),
            probes: own.probes.or(best.probes).or(base.probes).unwrap_or_default(),
            create_users: best.create_users.or(base.create_users).unwrap_or(true),
            max_refused_logins: best
                .max_refused_logins
                .or(base.max_refused_logins)
                .map_or(MAX_REFUSED_LOGINS, |most| usize::from(most.get())),
            retires: best.retire_after.or(base.retire_after).is_some(),
            retire_after: best
                .retire_after
                .or(base.retire_after)
                .map_or(RETIRE_AFTER, |Period(period)| period),
            lease: best.lease.or(base.lease).map(|LeasePeriod(period)| period),
            on_overdue: best.on_overdue.or(base.on_overdue).unwrap_or_default(),
            terminate_on_retire: best
                .terminate_on_retire
                .or(base.terminate_on_retire)
                .unwrap_or(false),
            overlap: best.overlap.or(base.overlap).map_or(OVERLAP, |Period(period)| period),
            former_hosts: best.former_hosts.or(base.former_hosts).unwrap_or_default(),
            rotation_host: best.rotation_host.or(base.rotation_host),
            rotation_port,
            tls_server_name: best.tls_server_name.or(base.tls_server_name),
            allow_plaintext: best.allow_plaintext.or(base.allow_plaintext).unwrap_or(false),
            password_storage: best
                .password_storage
                .or(base.password_storage)
                .and_then(StorageName::storage),
            admin_reset: best.admin_reset.or(base.admin_reset).unwrap_or(false),
            metrics_per_secret: best
                .metrics_per_secret
                .or(base.metrics_per_secret)
                .unwrap_or(false),
        })
    }
}

/// The port from the entry that sets `rotation_host`: another host has another port.
fn rotation_port(entry: &Fields, base: &Fields) -> Option<u16> {
    let port = match entry.rotation_host {
        Some(_) => entry.rotation_port,
        None => entry.rotation_port.or(base.rotation_port),
    };
    port.map(NonZeroU16::get)
}

impl Policy {
    /// The lease of the role that the policy names. Without `role` there is none: the secret's
    /// writer could have another role's password prolonged.
    pub(crate) fn lease(&self) -> Option<Duration> {
        self.lease.filter(|_| self.role.is_some())
    }

    /// The strategy for a secret with this `masterarn`. Even an untrusted `masterarn` means
    /// alternating users.
    pub(crate) fn strategy(&self, masterarn: Option<&str>) -> Strategy {
        match (self.strategy, self.admin_secret.as_deref().or(masterarn)) {
            (Some(strategy), _) => strategy,
            (None, Some(_)) => Strategy::AlternatingUsers,
            (None, None) => Strategy::SingleUser,
        }
    }

    /// The admin secret: the policy's, else the secret's `masterarn` if the policy trusts it.
    pub(crate) fn admin<'a>(&'a self, masterarn: Option<&'a str>) -> Option<&'a str> {
        self.admin_secret.as_deref().or(masterarn.filter(|_| self.trust_masterarn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:shop/app-AbCdEf";

    fn resolve(policies: &str, own: Option<&str>) -> Result<Policy, Problem> {
        let own = own.map(|text| RawValue::from_string(text.to_owned()).unwrap());
        let policies = Policies::parse(policies)?;
        policies.resolve(policies.entry(ARN, "shop/app")?, own.as_deref())
    }

    #[test]
    fn the_defaults_are_the_safest_choice() {
        let policy = resolve("{}", None).unwrap();
        assert!(policy.create_users && policy.owner_role.is_none());
        assert!(
            !policy.allow_plaintext && !policy.admin_reset && policy.password_storage.is_none()
        );
        assert_eq!(policy.strategy(None), Strategy::SingleUser);
        assert_eq!(policy.strategy(Some("arn")), Strategy::AlternatingUsers);
        assert_eq!(policy.admin(Some("the secret's")), None);
        assert_eq!(policy.retire_after, Duration::from_hours(24));
        assert_eq!(policy.overlap, Duration::from_mins(5));
        for (period, seconds) in
            [("0s", 0), ("90s", 90), ("15m", 900), ("36h", 129_600), ("7d", 604_800)]
        {
            let policy =
                resolve(&format!(r#"{{"defaults":{{"retire_after":"{period}"}}}}"#), None).unwrap();
            assert_eq!(policy.retire_after.as_secs(), seconds, "{period}");
        }
        for (defaults, expected) in [
            (r#"{"trust_masterarn":true}"#, "the secret's"),
            (r#"{"admin_secret":"the function's"}"#, "the function's"),
            (r#"{"admin_secret":"the function's","trust_masterarn":true}"#, "the function's"),
        ] {
            let policy = resolve(&format!(r#"{{"defaults":{defaults}}}"#), None).unwrap();
            assert_eq!(policy.admin(Some("the secret's")), Some(expected), "{defaults}");
        }
    }

    #[test]
    fn the_entry_that_fits_best_wins_over_the_defaults() {
        let host = |secrets: &str| {
            resolve(
                &format!(r#"{{"defaults":{{"rotation_host":"d"}},"secrets":{{{secrets}}}}}"#),
                None,
            )
            .unwrap()
            .rotation_host
            .unwrap()
        };
        assert_eq!(host(""), "d");
        assert_eq!(host(r#""other":{"rotation_host":"o"}"#), "d");
        assert_eq!(host(r#""sho*":{"rotation_host":"p"}"#), "p");
        assert_eq!(host(r#""sho*":{"rotation_host":"p"},"shop/*":{"rotation_host":"q"}"#), "q");
        assert_eq!(host(r#""shop/*":{"rotation_host":"q"},"shop/app":{"rotation_host":"n"}"#), "n");
        assert_eq!(
            host(&format!(
                r#""{ARN}":{{"rotation_host":"a"}},"shop/app*":{{"rotation_host":"q"}}"#
            )),
            "a"
        );
        assert_eq!(
            host(r#""shop/app":{"create_users":true}"#),
            "d",
            "what an entry leaves out comes from the defaults"
        );
    }

    #[test]
    fn another_host_has_another_port() {
        for (secrets, expected) in [
            ("", Some(6001)),
            (r#""shop/app":{"rotation_host":"e"}"#, None),
            (r#""shop/app":{"rotation_host":"e","rotation_port":6002}"#, Some(6002)),
            (r#""shop/app":{"rotation_port":6003}"#, Some(6003)),
        ] {
            let defaults = r#"{"rotation_host":"d","rotation_port":6001}"#;
            let policies = format!(r#"{{"defaults":{defaults},"secrets":{{{secrets}}}}}"#);
            assert_eq!(resolve(&policies, None).unwrap().rotation_port, expected, "{secrets}");
        }
    }

    #[test]
    fn the_secret_chooses_a_strategy_only_where_the_policy_does_not() {
        let two = r#"{"strategy":"alternating-users"}"#;
        let one = Some(r#"{"strategy":"single-user"}"#);
        for (policies, own, strategy, overruled) in [
            ("{}".to_owned(), one, Strategy::SingleUser, None),
            ("{}".to_owned(), Some(two), Strategy::AlternatingUsers, None),
            (format!(r#"{{"defaults":{two}}}"#), None, Strategy::AlternatingUsers, None),
            (format!(r#"{{"defaults":{two}}}"#), Some(two), Strategy::AlternatingUsers, None),
            (
                format!(r#"{{"defaults":{two}}}"#),
                one,
                Strategy::AlternatingUsers,
                Some(Strategy::SingleUser),
            ),
            (
                format!(r#"{{"secrets":{{"shop/*":{two}}}}}"#),
                one,
                Strategy::AlternatingUsers,
                Some(Strategy::SingleUser),
            ),
        ] {
            let policy = resolve(&policies, own).unwrap();
            assert_eq!(
                (policy.strategy(None), policy.overruled),
                (strategy, overruled),
                "{policies} {own:?}"
            );
        }
    }

    #[test]
    fn the_secret_may_set_nothing_that_widens_power() {
        for key in [
            "role",
            "admin_secret",
            "trust_masterarn",
            "owner_role",
            "databases",
            "connection_strings",
            "create_users",
            "retire_after",
            "overlap",
            "lease",
            "on_overdue",
            "terminate_on_retire",
            "max_refused_logins",
            "admin_reset",
            "allow_plaintext",
            "former_hosts",
            "rotation_host",
            "rotation_port",
            "tls_server_name",
            "password_storage",
        ] {
            let error =
                resolve("{}", Some(&format!(r#"{{"{key}":"canary"}}"#))).unwrap_err().to_string();
            assert!(
                error.contains(key)
                    && error.contains("ROTATION_POLICY")
                    && !error.contains("canary"),
                "{error}"
            );
        }
        for own in [
            r#""canary""#,
            r#"["canary"]"#,
            r#"{"strategy":"canary"}"#,
            r#"{"strategy":{"canary":1}}"#,
        ] {
            let error = resolve("{}", Some(own)).unwrap_err().to_string();
            assert!(error.contains("single-user") && !error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (json, expected) in [
            ("", "not a JSON object"),
            ("[]", "not a JSON object"),
            ("{", "EOF"),
            (r#"{"defaults":[]}"#, "invalid length"),
            (r#"{"default":{}}"#, "unknown field `default`"),
            (r#"{"defaults":{"strateggy":"single-user"}}"#, "unknown field `strateggy`"),
            (r#"{"secrets":{"a":{"strategy":"both"}}}"#, "unknown variant `both`"),
            (r#"{"secrets":{"a":{"allow_plaintext":"yes"}}}"#, "invalid type"),
            (r#"{"secrets":{"*":{}}}"#, "\"*\" is neither"),
            (r#"{"secrets":{"a*b":{}}}"#, "\"a*b\" is neither"),
            (r#"{"defaults":{"max_refused_logins":0}}"#, "nonzero"),
            (r#"{"defaults":{"max_refused_logins":300}}"#, "300"),
            (r#"{"defaults":{"retire_after":24}}"#, "invalid type"),
            (r#"{"defaults":{"retire_after":""}}"#, "such as \"24h\""),
            (r#"{"defaults":{"retire_after":"-1h"}}"#, "such as \"24h\""),
            (r#"{"defaults":{"retire_after":"24"}}"#, "such as \"24h\""),
            (r#"{"defaults":{"retire_after":"1 Tag ü"}}"#, "such as \"24h\""),
            (r#"{"defaults":{"lease":"5h"}}"#, "not a lease of 6h or more"),
            (r#"{"defaults":{"lease":"720m"}}"#, "such as \"36h\""),
            (r#"{"defaults":{"lease":"6h","on_overdue":"end"}}"#, "unknown variant `end`"),
            (r#"{"secrets":{"a":{"on_overdue":"expire"}}}"#, "\"a\": on_overdue needs lease"),
            (r#"{"defaults":{"owner_role":""}}"#, "a role's name has 1 to 63 bytes"),
            (r#"{"defaults":{"databases":[""]}}"#, "a database's name has 1 to 63 bytes"),
            (r#"{"defaults":{"connection_strings":["url",""]}}"#, "\"\" in connection_strings"),
            (r#"{"defaults":{"connection_strings":["password"]}}"#, "is not the key of a URL"),
            (r#"{"defaults":{"databases":"shop"}}"#, "expected a sequence"),
            (r#"{"defaults":{"create_users":"no"}}"#, "invalid type"),
            (r#"{"defaults":{"password_storage":"plain"}}"#, "unknown variant `plain`"),
            (r#"{"defaults":{"admin_reset":true}}"#, "defaults: admin_reset needs \"role\""),
            (
                r#"{"secrets":{"a":{"admin_reset":true}}}"#,
                "secrets: \"a\": admin_reset needs \"role\"",
            ),
            (r#"{"secrets":{"a":{"rotation_port":1}}}"#, "rotation_port needs rotation_host"),
            (r#"{"defaults":{"rotation_host":"h","rotation_port":0}}"#, "nonzero"),
            (r#"{"secrets":{"a":{"trust_masterarn":true}}}"#, "in \"defaults\" only"),
        ] {
            let error = Policies::parse(json).unwrap_err().to_string();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }
}
