//! An application for the tests: it answers each line of JSON on standard input by one on standard
//! output.
//!
//! `{"id": 1, "do": "work", "row": 7}` inserts a row, `{"id": 2, "do": "login", "row": 8}` the same
//! over a new connection, `{"id": 3, "do": "show"}` shows what a debugger would.

mod pool;
mod secret;

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use aws_config::BehaviorVersion;
use deadpool_postgres::{Client, Object, Pool, PoolError};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use secret::RotatingSecret;

const INSERT: &str = "INSERT INTO orders (id) VALUES ($1) \
    RETURNING session_user::text, pg_backend_pid()";

#[derive(Deserialize)]
struct Settings {
    secret: String,
    server: Server,
    cache_seconds: f64,
    budget_seconds: f64,
    max_lifetime: f64,
    sessions: usize,
    log: String,
}

#[derive(Deserialize)]
struct Server {
    host: String,
    port: String,
    dbname: String,
    sslrootcert: String,
}

#[derive(Deserialize)]
struct Request {
    id: u64,
    r#do: String,
    #[serde(default)]
    row: i32,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    #[allow(clippy::disallowed_methods, reason = "this is another program than the function")]
    let settings: Settings = serde_json::from_str(&std::env::var("SETTINGS")?)?;
    let level: tracing::Level = settings.log.parse()?;
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).init();
    let client = aws_sdk_secretsmanager::Client::new(
        &aws_config::load_defaults(BehaviorVersion::latest()).await,
    );
    let seconds = Duration::from_secs_f64;
    let (cache, budget) = (seconds(settings.cache_seconds), seconds(settings.budget_seconds));
    let secret = Arc::new(RotatingSecret::open(&settings.secret, client, cache, budget).await?);

    let mut server = tokio_postgres::Config::new();
    server.host(&settings.server.host).port(settings.server.port.parse()?);
    server.dbname(&settings.server.dbname).ssl_mode(SslMode::Require);
    let tls = tls(&settings.server.sslrootcert)?;
    let lifetime = seconds(settings.max_lifetime);
    let pool = pool::make_pool(Arc::clone(&secret), server, tls, lifetime, settings.sessions)?;

    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let request: Request = serde_json::from_str(&line)?;
        let (pool, secret) = (pool.clone(), Arc::clone(&secret));
        tokio::spawn(async move {
            let mut answer = match request.r#do.as_str() {
                "show" => show(&pool, &secret).await,
                what => work(&pool, request.row, what == "login").await,
            }
            .unwrap_or_else(|error| json!({"error": describe(&error)}));
            answer["id"] = json!(request.id);
            // One write for a line, since many tasks answer.
            let _ = std::io::stdout().write_all(format!("{answer}\n").as_bytes());
        });
    }
    Ok(())
}

fn tls(root: &str) -> Result<MakeRustlsConnect, Box<dyn Error>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(root)?)?;
    let config = rustls::ClientConfig::builder().with_root_certificates(roots);
    Ok(MakeRustlsConnect::new(config.with_no_client_auth()))
}

async fn work(pool: &Pool, row: i32, login: bool) -> Result<Value, PoolError> {
    let client = pool.get().await?;
    let answer = client.query_one(INSERT, &[&row]).await?;
    if login {
        drop(Object::take(client));
    }
    Ok(json!({"user": answer.get::<_, String>(0), "session": answer.get::<_, i32>(1)}))
}

async fn show(pool: &Pool, secret: &RotatingSecret) -> Result<Value, PoolError> {
    let client: Client = pool.get().await?;
    let credentials = secret.login(async |credentials| Ok(credentials)).await?;
    Ok(json!({"shown": format!("{pool:?} {:?} {:?} {credentials:?}", pool.manager(), **client)}))
}

fn describe(error: &PoolError) -> String {
    let code = match error {
        PoolError::Backend(error) => error.code().map(tokio_postgres::error::SqlState::code),
        _ => None,
    };
    format!("{} {error:?}", code.unwrap_or("None"))
}
