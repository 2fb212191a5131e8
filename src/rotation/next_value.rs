//! The value of the next version. The login changes wherever the document holds it, and all else
//! stays.

use secrecy::SecretString;

use super::{Rotation, SecretVersion, labels};
use crate::context::Context;
use crate::error::{Error, Problem, StoreFault, clean};
use crate::secret::credentials::{KEYS, lookalike};
use crate::secret::document::Document;
use crate::secret::password::Password;
use crate::secret::store;

/// Keys that AWS writes and that name a server. A short password may occur in them.
const OF_AWS: [&str; 3] = ["dbInstanceIdentifier", "dbClusterIdentifier", "resourceId"];

impl Rotation {
    /// A random password of the configured form.
    ///
    /// # Errors
    /// [`Error::SecretsManager`] if the system has no randomness.
    pub(crate) fn new_password(&self, context: &Context<'_>) -> Result<Password, Error> {
        context
            .config
            .password
            .generate()
            .map_err(|error| self.not_stored(format!("the system has no randomness: {error}")))
    }

    /// The error of a pending value that could not be generated or stored.
    pub(crate) fn not_stored(&self, reason: String) -> Error {
        Error::SecretsManager {
            operation: "PutSecretValue",
            secret: self.secret.clone(),
            fault: StoreFault::Refused(reason),
        }
    }

    /// The value with a new password, for `createSecret`.
    ///
    /// # Errors
    /// [`Error::Document`] if the document holds the present password where a rotation does not
    /// change it. [`Error::SecretsManager`] if it cannot be written.
    pub(crate) fn next_value(&self, password: &Password) -> Result<SecretString, Error> {
        let current = &self.current.credentials;
        let (document, urls) = (&self.current.document, &self.policy.connection_strings);
        let known = |name: &str| name == current.username || name == self.next_username;
        let value = document
            .check_urls(urls, known)
            .and_then(|()| document.with_login(&self.next_username, password, urls))
            .map_err(|problem| self.invalid(problem))?;
        if let Some(problem) = self.password_left_in(&value) {
            return Err(self.invalid(problem));
        }
        value
            .to_json()
            .map_err(|error| self.not_stored(format!("the new value is not JSON: {error}")))
    }

    /// Checks a pending value that already exists: each URL holds its own login, and no key holds
    /// the present password.
    ///
    /// # Errors
    /// [`Error::Document`].
    pub(crate) fn ensure_one_login(&self, pending: &SecretVersion) -> Result<(), Error> {
        let (login, urls) = (&pending.credentials, &self.policy.connection_strings);
        let stale = pending.document.stale_url(urls, &login.username, &login.password);
        let problem = match stale {
            Some(key) => Some(Problem::from(format!(
                "the key {:?} does not hold the username and the password of its own version. \
                 Remove AWSPENDING from that version, with the operation \"recover\".",
                clean::name(key)
            ))),
            None if login.password == self.current.credentials.password => None,
            None => self.password_left_in(&pending.document),
        };
        let version = labels::version(store::PENDING, &pending.id);
        problem.map_or(Ok(()), |problem| {
            Err(Error::Document { secret: self.secret.clone(), version, problem })
        })
    }

    /// What is wrong with a new value that still holds the present password.
    fn password_left_in(&self, value: &Document) -> Option<Problem> {
        let except: Vec<_> = KEYS.iter().chain(&OF_AWS).copied().collect();
        let key = value.key_with(&self.current.credentials.password, &except)?;
        Some(held_in(key, &self.policy.connection_strings))
    }

    /// Warnings about keys that are almost ours.
    pub(super) fn lookalikes(&self) -> impl Iterator<Item = String> {
        let keys = self.current.document.keys();
        keys.filter_map(|key| lookalike(key).map(|ours| (clean::name(key), ours))).map(
            |(key, ours)| {
                format!(
                    "the secret's key {key:?} is not read and keeps its value. The name that \
                     counts is {ours:?}."
                )
            },
        )
    }
}

fn held_in(key: &str, urls: &[String]) -> Problem {
    let declared = urls.iter().any(|url| url == key);
    let key = clean::name(key);
    if declared {
        return format!(
            "the key {key:?} holds the password outside the login of its URL, where no rotation \
             changes it. Remove it there."
        )
        .into();
    }
    format!(
        "the key {key:?} holds the password too, and would keep it when it is no longer valid. If \
         its value is a postgres:// URL, add {key:?} to connection_strings in ROTATION_POLICY. \
         Otherwise remove the key, and let the application read \"password\"."
    )
    .into()
}
