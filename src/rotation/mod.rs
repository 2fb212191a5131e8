//! The core that steps and operations share. A secret's values become a valid `Rotation`, and the
//! other modules here act on it.

pub(crate) mod admin;
mod admin_server;
pub(crate) mod attempts;
mod copies;
pub(crate) mod labels;
pub(crate) mod lock;
pub(crate) mod login;
mod next_value;
pub(crate) mod pair;
pub(crate) mod passwords;
pub(crate) mod promotion;
pub(crate) mod rehearsal;
pub(crate) mod requirements;
pub(crate) mod restoration;
pub(crate) mod storage;
pub(crate) mod strategy;
pub(crate) mod timing;
mod trust;

use std::time::SystemTime;

use crate::config::{self, Config};
use crate::context::Context;
use crate::error::{Error, Problem, RotationFault};
use crate::policy::{Policy, Strategy};
use crate::secret::credentials::Credentials;
use crate::secret::document::Document;
use crate::secret::store::{self, Description, Value, Version, VersionSelector};

/// A rotation under way: the token names a version that carries AWSPENDING and not AWSCURRENT.
#[derive(Debug)]
pub(crate) struct Rotation {
    /// The secret's ARN.
    pub(crate) secret: String,
    /// The secret's name.
    pub(crate) name: String,
    pub(crate) token: String,
    pub(crate) policy: Policy,
    pub(crate) strategy: Strategy,
    /// The role of the pending version.
    pub(crate) next_username: String,
    pub(crate) current: SecretVersion,
    /// Absent until `createSecret` has run. It has the role that the strategy asks for, and the
    /// current version's server.
    pub(crate) pending: Option<SecretVersion>,
}

/// A version of a secret with a valid value.
#[derive(Debug)]
pub(crate) struct SecretVersion {
    pub(crate) id: String,
    pub(crate) created: Option<SystemTime>,
    pub(crate) document: Document,
    pub(crate) credentials: Credentials,
    /// Whether the server is another one than the value names. It has to prove itself.
    moved: bool,
}

/// Which pending values are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Only a value for the next user.
    NextUser,
    /// Also a copy of the current value: `testSecret` gets one from `RotateImmediately=false`.
    NextUserOrCopy,
}

impl Rotation {
    /// Reads AWSCURRENT: a rotation from it to the version that `token` names. Without a rotation
    /// under way, the token is empty.
    ///
    /// # Errors
    /// [`Error::Rotation`] if no version is current, those of the call and of [`of`](Self::of).
    pub(crate) async fn read(
        context: &Context<'_>,
        secret: &str,
        token: &str,
    ) -> Result<Self, Error> {
        let current = context.store.read(secret, VersionSelector::Stage(store::CURRENT)).await?;
        let current = current.ok_or_else(|| RotationFault::NoCurrent.of(secret))?;
        Self::of(context.config, current, token)
    }

    /// A rotation from that current value to the version that `token` names.
    ///
    /// # Errors
    /// [`Error::Document`] for a value or a policy that cannot be rotated.
    pub(crate) fn of(config: &Config, current: Version, token: &str) -> Result<Self, Error> {
        let (secret, name) = (current.arn.clone(), current.name.clone());
        let current = SecretVersion::parse(current, store::CURRENT)?;
        let refused = |problem| Error::Document {
            secret: secret.clone(),
            version: labels::version(store::CURRENT, &current.id),
            problem,
        };
        let entry = config
            .policies
            .entry(&secret, &name)
            .map_err(|problem| Error::Configuration { variable: config::POLICY, problem })?;
        let policy =
            config.policies.resolve(entry, current.document.rotation()).map_err(refused)?;
        let strategy = policy.strategy(current.credentials.masterarn.as_deref());
        let next_username =
            strategy::next_username(strategy, &current.credentials.username).map_err(refused)?;
        trust::bind(&policy, &current.credentials.username, &next_username).map_err(refused)?;
        let token = token.to_owned();
        let rotation =
            Self { secret, name, token, policy, strategy, next_username, current, pending: None };
        if strategy == Strategy::AlternatingUsers && rotation.admin_secret().is_none() {
            let problem = if rotation.current.credentials.masterarn.is_some() {
                "its strategy is alternating-users, which needs an admin secret. The secret's own \
                 \"masterarn\" does not count: set admin_secret in ROTATION_POLICY, or \
                 trust_masterarn in its defaults."
            } else {
                "its strategy is alternating-users, which needs an admin secret. Set admin_secret \
                 in ROTATION_POLICY."
            };
            return Err(rotation.invalid(problem.into()));
        }
        Ok(rotation)
    }

    /// The admin secret that the policy names, or the secret if the policy trusts it.
    pub(crate) fn admin_secret(&self) -> Option<&str> {
        self.policy.admin(self.current.credentials.masterarn.as_deref())
    }

    /// Sentences about what the secret asks for and does not get, and about keys that are not read.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let masterarn = self.current.credentials.masterarn.as_deref();
        let in_vain = trust::warnings(&self.policy, self.strategy, masterarn);
        in_vain.into_iter().chain(self.lookalikes()).collect()
    }

    /// The error of a problem with the current value.
    fn invalid(&self, problem: Problem) -> Error {
        Error::Document {
            secret: self.secret.clone(),
            version: labels::version(store::CURRENT, &self.current.id),
            problem,
        }
    }

    /// Checks a pending value, which a person may have written.
    ///
    /// # Errors
    /// [`Error::Document`] for a value that is not a login, [`Error::Rotation`] for one that
    /// changes more than the strategy allows.
    pub(crate) fn admit(
        &self,
        pending: Version,
        admission: Admission,
    ) -> Result<SecretVersion, Error> {
        let pending = SecretVersion::parse(pending, store::PENDING)?;
        let (username, current) =
            (&pending.credentials.username, &self.current.credentials.username);
        let copy = admission == Admission::NextUserOrCopy && username == current;
        let label = labels::version(store::PENDING, &pending.id);
        let fault = if let Some(key) = self.mismatch(&pending) {
            RotationFault::PendingMismatch { label, key }
        } else if *username != self.next_username && !copy {
            RotationFault::PendingUsername {
                label,
                strategy: self.strategy.name(),
                expected: self.next_username.clone(),
            }
        } else {
            return Ok(pending);
        };
        Err(fault.of(&self.secret))
    }

    /// Checks the previous version, which becomes current again.
    ///
    /// # Errors
    /// Those of [`admit`](Self::admit).
    pub(crate) fn admit_previous(&self, previous: Version) -> Result<SecretVersion, Error> {
        let previous = SecretVersion::parse(previous, store::PREVIOUS)?;
        let label = labels::version(store::PREVIOUS, &previous.id);
        let fault = if let Some(key) = self.mismatch(&previous) {
            RotationFault::PendingMismatch { label, key }
        } else if previous.credentials.username != self.next_username {
            let (strategy, expected) = (self.strategy.name(), self.next_username.clone());
            RotationFault::PendingUsername { label, strategy, expected }
        } else {
            return Ok(previous);
        };
        Err(fault.of(&self.secret))
    }

    fn mismatch(&self, other: &SecretVersion) -> Option<String> {
        let urls = &self.policy.connection_strings;
        strategy::mismatch(&self.current.document, &other.document, urls)
    }

    /// The pending version.
    ///
    /// # Errors
    /// [`Error::Rotation`] if it has no value.
    pub(crate) fn pending(&self) -> Result<&SecretVersion, Error> {
        let fault = || RotationFault::NoPendingValue(self.token.clone()).of(&self.secret);
        self.pending.as_ref().ok_or_else(fault)
    }

    /// Checks that the rotation is still under way, and still away from the same version.
    ///
    /// # Errors
    /// [`Error::Rotation`] if it is not, and those of the call.
    pub(crate) async fn still_pending(&self, context: &Context<'_>) -> Result<(), Error> {
        let description = context.store.describe(&self.secret).await?;
        labels::state(&description, &self.token).map_err(|fault| fault.of(&self.secret))?;
        self.still_current(&description)
    }

    /// Checks that AWSCURRENT has not moved since it was read.
    ///
    /// # Errors
    /// [`Error::Rotation`] if it has.
    pub(crate) fn still_current(&self, description: &Description) -> Result<(), Error> {
        let holder = description.holder(store::CURRENT).unwrap_or_default();
        if holder == self.current.id {
            return Ok(());
        }
        let (token, holder) = (self.current.id.clone(), holder.to_owned());
        Err(RotationFault::CurrentMoved { token, holder }.of(&self.secret))
    }

    /// The two users of this secret. A single user is both.
    pub(crate) fn users(&self) -> [&str; 2] {
        [&self.current.credentials.username, &self.next_username]
    }

    /// The name of the lock under which one invocation at a time changes the role or its pair.
    pub(crate) fn lock_name(&self) -> &str {
        strategy::base(&self.next_username)
    }
}

impl SecretVersion {
    /// Parses the value of a version. `stage` is its label, for errors.
    ///
    /// # Errors
    /// [`Error::Document`] if it is not a login.
    pub(crate) fn parse(version: Version, stage: &str) -> Result<Self, Error> {
        let parsed = match &version.value {
            Value::Text(text) => Document::parse(text),
            Value::Binary => {
                Err("it holds binary data. Store a JSON object in SecretString.".into())
            }
        };
        let parsed = parsed.and_then(|document| {
            Credentials::read(&document).map(|credentials| (document, credentials))
        });
        match parsed {
            Ok((document, credentials)) => {
                let Version { id, created, .. } = version;
                Ok(Self { id, created, document, credentials, moved: false })
            }
            Err(problem) => Err(Error::Document {
                secret: version.arn,
                version: labels::version(stage, &version.id),
                problem,
            }),
        }
    }

    /// Whether both have the same username and password.
    pub(crate) fn same_login(&self, other: &Self) -> bool {
        self.credentials.username == other.credentials.username
            && self.credentials.password == other.credentials.password
    }

    /// Whether both have the same role on the same server.
    pub(crate) fn same_role(&self, other: &Self) -> bool {
        self.credentials.username == other.credentials.username && self.same_server(other)
    }

    /// Whether both have the same host and port.
    pub(crate) fn same_server(&self, other: &Self) -> bool {
        let (a, b) = (&self.credentials.server, &other.credentials.server);
        a.host == b.host && a.port == b.port
    }
}
