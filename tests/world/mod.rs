//! The function's world on one machine: a real PostgreSQL with TLS, AWS's API, and Lambda around
//! the real binary.
//!
//! All tests of a run share one world. Every test has its own roles, secrets and functions. The
//! world ends with the test process.
#![allow(dead_code, unreachable_pub, reason = "each test target uses a part")]

pub mod alarms;
pub mod application;
pub mod aws;
pub mod browser;
pub mod budget;
pub mod documents;
pub mod fault_rig;
pub mod https;
pub mod impostor;
pub mod lambda;
pub mod metrics;
pub mod pair;
pub mod pooler;
pub mod postgres;
mod postgres_process;
pub mod print;
pub mod proxy;
mod runtime_api;
pub mod terraform;
pub mod window;
pub mod wire;

use std::path::{Path, PathBuf};
use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, Instant};

use axum::Router;
use tokio::runtime::Runtime;

use aws::Aws;
use lambda::Gateway;
use postgres::Cluster;

/// Runs the servers of the world, which outlive a test and its runtime.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("the runtime starts"));

/// Waits for a future in synchronous code, which an asynchronous test may have called.
pub fn block_on<T: Send>(future: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| scope.spawn(|| RUNTIME.block_on(future)).join())
        .expect("the future does not panic")
}

pub struct World {
    pub postgres: Cluster,
    pub aws: Aws,
    pub gateway: Gateway,
}

/// The world. The first call starts it.
pub fn world() -> &'static World {
    world_with(&postgres::Settings::default())
}

/// The world, with such a server if this is the first call.
pub fn world_with(settings: &postgres::Settings) -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let gateway = Gateway::start();
        let aws = Aws::start(&gateway.url);
        World { postgres: Cluster::start(settings), aws, gateway }
    })
}

/// A variable of the environment, by which `make` says where it installed something.
pub fn environment_variable(name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "only the function reads its settings in config.rs"
    )]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A name that is used once in a run.
pub fn unique(prefix: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{prefix}{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A password: 64 random hexadecimal digits.
pub fn random_hex() -> String {
    format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>())
}

/// A `ClientRequestToken` in the form that AWS uses.
pub fn random_token() -> String {
    let hex = random_hex();
    [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &hex[part]).join("-")
}

/// Waits until `condition` returns a value. Fails with `what` after 30 s.
pub async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{what} did not happen within 30 s");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A folder outside the project, since a server that runs as another user has to read it. The
/// caller removes it.
pub fn temporary_folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!(
        "postgres-secret-rotation-{}-{}",
        std::process::id(),
        unique(name)
    ));
    std::fs::create_dir_all(&path).expect("a temporary folder can be made");
    path
}

/// Serves on a free port of the loopback until this process ends; the URL.
pub fn serve(router: Router) -> String {
    let listener = block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
    let address = listener.local_addr().expect("an address");
    RUNTIME.spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}
