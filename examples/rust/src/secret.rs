//! Logs in with the credential that Secrets Manager holds, also while it is rotated.

use std::error::Error;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use aws_sdk_secretsmanager::Client;
use aws_secretsmanager_caching::SecretsManagerCachingClient;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio_postgres::error::SqlState;
use tracing::warn;

/// User name and password always travel as one pair: with two users, both change.
#[derive(Clone, Debug, Deserialize)]
pub struct Credentials {
    pub username: String,
    /// AWS's cache holds, and its `Debug` prints, the plain text; this prints nothing of it.
    pub password: SecretString,
}

/// The secret, and what AWS's cache lacks: one read for all that wait for it.
pub struct RotatingSecret {
    id: String,
    cache: SecretsManagerCachingClient,
    client: Client,
    budget: Duration,
    current: Mutex<Read<Credentials>>,
    pending: Mutex<Read<Option<Credentials>>>,
}

/// What a read past the cache has found, and when it began.
struct Read<T> {
    began: Instant,
    found: T,
}

impl RotatingSecret {
    /// Reads the secret once, so that there is always a credential to log in with. `budget` is how
    /// long a login may take.
    pub async fn open(
        id: &str,
        client: Client,
        cache_for: Duration,
        budget: Duration,
    ) -> Result<Self, Box<dyn Error>> {
        let began = Instant::now();
        let size = NonZeroUsize::MIN;
        let cache = SecretsManagerCachingClient::new(client.clone(), size, cache_for, true)?;
        let found = read(&cache, id, false).await?;
        let (current, pending) = (Read { began, found }, Read { began, found: None });
        let (current, pending) = (Mutex::new(current), Mutex::new(pending));
        Ok(Self { id: id.to_owned(), cache, client, budget, current, pending })
    }

    /// What `connect` returns for the first credential that the server accepts. Every error except
    /// a refused password is passed on at once.
    pub async fn login<T, F>(
        &self,
        connect: impl Fn(Credentials) -> F,
    ) -> Result<T, tokio_postgres::Error>
    where
        F: Future<Output = Result<T, tokio_postgres::Error>>,
    {
        let mut since = Instant::now();
        let (deadline, mut wait) = (since + self.budget, Duration::from_millis(100));
        let first = self.cached().await;
        let mut refusal = match connect(first.clone()).await {
            Err(error) if refused(&error, &first, "cache") => error,
            other => return other,
        };
        let mut tried = vec![first];
        loop {
            for stage in ["AWSCURRENT", "AWSPENDING"] {
                let credentials = match self.read(stage, since).await {
                    Ok(Some(credentials)) if !tried.contains(&credentials) => credentials,
                    Ok(_) => continue,
                    Err(error) => {
                        // The pool knows no errors but PostgreSQL's.
                        warn!("the secret cannot be read: {error}");
                        return Err(refusal);
                    }
                };
                match connect(credentials.clone()).await {
                    Err(error) if refused(&error, &credentials, stage) => refusal = error,
                    other => return other,
                }
                tried.push(credentials);
            }
            // Each waits for another time, so that not all come back at once.
            let pause = wait.mul_f64(0.5 + rand::random::<f64>() / 2.0);
            if Instant::now() + pause > deadline {
                return Err(refusal);
            }
            tokio::time::sleep(pause).await;
            wait = (wait * 2).min(Duration::from_secs(2));
            since = Instant::now();
            tried.clear();
        }
    }

    /// From the cache. While Secrets Manager cannot be reached, the last value serves on.
    async fn cached(&self) -> Credentials {
        let mut current = self.current.lock().await;
        match read(&self.cache, &self.id, false).await {
            Ok(credentials) => current.found = credentials,
            Err(error) => warn!("the secret cannot be read: {error}"),
        }
        current.found.clone()
    }

    /// Reads past the cache. All whose attempt is older than this read share it.
    async fn read(&self, stage: &str, since: Instant) -> Result<Option<Credentials>, String> {
        if stage == "AWSCURRENT" {
            let mut current = self.current.lock().await;
            if current.began < since {
                let began = Instant::now();
                *current = Read { began, found: read(&self.cache, &self.id, true).await? };
            }
            return Ok(Some(current.found.clone()));
        }
        let mut pending = self.pending.lock().await;
        if pending.began < since {
            let began = Instant::now();
            *pending = Read { began, found: self.fetch_pending().await? };
        }
        Ok(pending.found.clone())
    }

    /// The pending value is not kept in the cache: the rotation may still be taken back.
    async fn fetch_pending(&self) -> Result<Option<Credentials>, String> {
        let call = self.client.get_secret_value().secret_id(&self.id).version_stage("AWSPENDING");
        match call.send().await.map_err(aws_sdk_secretsmanager::Error::from) {
            Ok(value) => parse(value.secret_string).map(Some),
            Err(aws_sdk_secretsmanager::Error::ResourceNotFoundException(_)) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }
}

async fn read(
    cache: &SecretsManagerCachingClient,
    id: &str,
    past_the_cache: bool,
) -> Result<Credentials, String> {
    let value = cache.get_secret_value(id, None, None, past_the_cache).await;
    parse(value.map_err(|error| error.to_string())?.secret_string)
}

/// The error of a parser may quote what it has read, and is left out.
fn parse(text: Option<String>) -> Result<Credentials, String> {
    let text = SecretString::from(text.unwrap_or_default());
    serde_json::from_str(text.expose_secret()).map_err(|_| "it holds no credentials".to_owned())
}

/// Whether the server refused the password; that is logged.
fn refused(error: &tokio_postgres::Error, credentials: &Credentials, source: &str) -> bool {
    let refused = error.code() == Some(&SqlState::INVALID_PASSWORD);
    if refused {
        warn!("login refused: user {}, from {source}", credentials.username);
    }
    refused
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        self.username == other.username
            && self.password.expose_secret() == other.password.expose_secret()
    }
}
