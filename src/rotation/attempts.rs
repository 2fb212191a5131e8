//! The passwords that an invocation tried, and those that it left out.

use std::collections::BTreeSet;
use std::fmt;

use super::login::Origin;
use super::{Rotation, SecretVersion};
use crate::context::Context;
use crate::database::{Login, Purpose, Session};
use crate::error::Error;
use crate::secret::credentials::Credentials;
use crate::secret::password::Password;

/// What to do so that versions for another server are tried.
pub(crate) const ALLOW: &str = "If this database was there before, as one restored from a \
    snapshot was, list that host in former_hosts in ROTATION_POLICY";

/// The passwords that the database refused. None is sent twice: a failed login may raise an alarm
/// or get the role banned.
#[derive(Debug)]
pub(crate) struct LoginAttempts {
    refused: Vec<(Origin, String, Password)>,
    /// The servers of versions that were not tried because they name another one.
    pub(super) other_servers: BTreeSet<String>,
    /// Whether IAM forbids listing the versions without a label.
    pub(super) unlisted: bool,
    /// The most refused logins that the policy allows one invocation.
    most: usize,
    /// Whether a password was left out because of that limit.
    stopped: bool,
}

impl LoginAttempts {
    pub(crate) fn new(rotation: &Rotation) -> Self {
        let most = rotation.policy.max_refused_logins;
        let (refused, other_servers) = (Vec::new(), BTreeSet::new());
        Self { refused, other_servers, unlisted: false, most, stopped: false }
    }

    /// The attempts after the database refused these passwords.
    pub(crate) fn after<'a>(
        rotation: &Rotation,
        refused: impl Iterator<Item = (Origin, &'a SecretVersion)>,
    ) -> Self {
        let mut attempts = Self::new(rotation);
        refused.for_each(|(origin, version)| attempts.note(origin, version));
        attempts
    }

    /// What was left out, and why.
    pub(crate) fn left_out(&self) -> Option<String> {
        let mut sentences = Vec::new();
        if self.stopped {
            sentences.push(format!(
                "Older passwords were not tried: max_refused_logins allows {} refused logins.",
                self.most
            ));
        } else if self.unlisted {
            sentences.push(
                "Unlabelled versions were not tried: that needs \
                 secretsmanager:ListSecretVersionIds."
                    .to_owned(),
            );
        }
        if !self.other_servers.is_empty() {
            sentences.push(format!("Versions for {} were not tried. {ALLOW}.", self.servers()));
        }
        Some(sentences.join(" ")).filter(|text| !text.is_empty())
    }

    /// What to do so that more passwords are tried, if some were for another server.
    pub(crate) fn way_to_try_more(&self) -> Option<&'static str> {
        (!self.other_servers.is_empty()).then_some(ALLOW)
    }

    fn servers(&self) -> String {
        let names: Vec<_> = self.other_servers.iter().map(String::as_str).collect();
        names.join(", ")
    }

    pub(super) fn exhausted(&mut self) -> bool {
        self.stopped = self.refused.len() >= self.most;
        self.stopped
    }

    pub(super) fn note(&mut self, origin: Origin, version: &SecretVersion) {
        let Credentials { username, password, .. } = &version.credentials;
        self.refused.push((origin, username.clone(), password.clone()));
    }

    /// A session, or `None` if this password is or was refused.
    pub(super) async fn login(
        &mut self,
        context: &Context<'_>,
        rotation: &Rotation,
        version: &SecretVersion,
        origin: Origin,
        purpose: Purpose,
    ) -> Result<Option<Session>, Error> {
        let Credentials { username, password, .. } = &version.credentials;
        if self.refused.iter().any(|(_, known, refused)| known == username && refused == password) {
            return Ok(None);
        }
        Ok(match rotation.login(context, version, origin, purpose).await? {
            Login::Accepted(session) => Some(session),
            Login::Rejected(_) => {
                self.note(origin, version);
                None
            }
        })
    }
}

impl fmt::Display for LoginAttempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tried: Vec<_> =
            self.refused.iter().map(|(origin, ..)| origin.to_string()).collect();
        if self.stopped {
            tried.push(format!("no more because max_refused_logins is {}", self.most));
        }
        if self.unlisted {
            tried.push(
                "no unlabelled version, which needs secretsmanager:ListSecretVersionIds".to_owned(),
            );
        }
        if !self.other_servers.is_empty() {
            tried.push(format!("no version for {}", self.servers()));
        }
        f.write_str(&tried.join(", "))
    }
}
