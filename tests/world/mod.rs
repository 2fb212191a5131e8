//! The world that the function lives in, on this machine: a real PostgreSQL with TLS, AWS's API,
//! and Lambda around the real binary.
//!
//! One of each serves all tests of a run; every test has roles, secrets and functions of its own.
//! All of it ends with the test process.
#![allow(dead_code, unreachable_pub, reason = "the tests and the demo each use a part")]

pub mod application;
pub mod aws;
pub mod lambda;
pub mod pair;
pub mod postgres;
pub mod print;
pub mod proxy;
pub mod stage;
pub mod terraform;
pub mod wire;

use std::path::{Path, PathBuf};
use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use aws::Aws;
use lambda::Gateway;
use postgres::Cluster;

/// Serves what outlives a single test; each test has a runtime of its own.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("the runtime starts"));

/// Waits for a future from code that is not asynchronous, also below code that is.
pub fn wait<T: Send>(future: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| scope.spawn(|| RUNTIME.block_on(future)).join())
        .expect("the future does not panic")
}

pub struct World {
    pub postgres: Cluster,
    pub aws: Aws,
    pub gateway: Gateway,
}

/// The world, started by whoever asks first.
pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let gateway = Gateway::start();
        let aws = Aws::start(&gateway.url);
        World { postgres: Cluster::start(&postgres::Settings::default()), aws, gateway }
    })
}

/// A variable of the environment, which `make` sets for what it has installed.
pub fn setting(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the tests are no part of the function")]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A name that nothing else in this run has.
pub fn unique(prefix: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{prefix}{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// 64 hexadecimal digits that nobody can guess: a password.
pub fn random_hex() -> String {
    format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>())
}

/// A `ClientRequestToken` in the form that AWS itself gives it.
pub fn random_token() -> String {
    let hex = random_hex();
    [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &hex[part]).join("-")
}

/// Waits until `condition` gives something; fails with `what` when it does not come.
pub async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "{what} did not come about within 30 s"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A folder that is removed by whoever is told to, outside the project since a server that runs as
/// another user has to reach it.
pub fn scratch(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!(
        "postgres-secret-rotation-{}-{}",
        std::process::id(),
        unique(name)
    ));
    std::fs::create_dir_all(&path).expect("a temporary folder can be made");
    path
}
