//! A pool of deadpool-postgres whose every new connection takes the credential of a rotating
//! secret.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{BuildError, Connect, Hook, HookError, Manager, ManagerConfig, Pool};
use secrecy::ExposeSecret;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::warn;

use crate::secret::{Credentials, RotatingSecret};

struct ConnectWithSecret {
    secret: Arc<RotatingSecret>,
    tls: MakeRustlsConnect,
}

type Connecting<'a> =
    Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + 'a>>;

impl Connect for ConnectWithSecret {
    fn connect(&self, config: &Config) -> Connecting<'_> {
        let config = config.clone();
        Box::pin(async move {
            let connect = |credentials: Credentials| {
                let (mut config, tls) = (config.clone(), self.tls.clone());
                config.user(credentials.username);
                config.password(credentials.password.expose_secret());
                async move { config.connect(tls).await }
            };
            let (client, connection) = self.secret.login(connect).await?;
            let task = tokio::spawn(async move {
                if let Err(error) = connection.await {
                    warn!("connection lost: {error}");
                }
            });
            Ok((client, task))
        })
    }
}

/// `server` names the server, without user and password. `max_lifetime` is shorter than the
/// rotation's interval, `lease` and `retire_after`.
pub fn make_pool(
    secret: Arc<RotatingSecret>,
    server: Config,
    tls: MakeRustlsConnect,
    max_lifetime: Duration,
    size: usize,
) -> Result<Pool, BuildError> {
    let connect = ConnectWithSecret { secret, tls };
    let young = Hook::sync_fn(move |_, metrics| {
        if metrics.age() < max_lifetime { Ok(()) } else { Err(HookError::message("too old")) }
    });
    Pool::builder(Manager::from_connect(server, connect, ManagerConfig::default()))
        .max_size(size)
        .pre_recycle(young)
        .build()
}
