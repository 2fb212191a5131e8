//! Poolers in transaction mode, which keep start-up options to themselves and give one session of
//! the server to all that log in: one of the tests' own, and `PgBouncer` where it is installed.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex as AsyncMutex;

use super::postgres::free_port;
use super::postgres_process::{UNPRIVILEGED, is_root, run, unprivileged};
use super::wire::{APPLICATION_NAME, OPTIONS, edit_startup, forward, read_message};
use super::{RUNTIME, block_on, environment_variable, eventually, temporary_folder, world};

pub struct Pooler {
    pub name: &'static str,
    pub port: u16,
    process: Option<(Child, PathBuf)>,
}

impl Drop for Pooler {
    fn drop(&mut self) {
        if let Some((process, folder)) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// A session of the server, which is shared.
type Shared = Arc<AsyncMutex<Option<(OwnedReadHalf, OwnedWriteHalf)>>>;
/// The sessions by what their start-up packet names.
type Pool = Arc<Mutex<HashMap<Vec<u8>, Shared>>>;

impl Pooler {
    /// A pooler of the tests' own.
    pub fn emulated() -> Self {
        let listener = block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let pool = Pool::default();
        RUNTIME.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let pool = Arc::clone(&pool);
                RUNTIME.spawn(async move { serve(client, &pool).await });
            }
        });
        Self { name: "a pooler of the tests", port, process: None }
    }

    /// `PgBouncer` with that role and its password. `None` where it is not installed: `PGBOUNCER`
    /// names the program, or the system has it.
    pub async fn pgbouncer(role: &str, password: &str) -> Option<Self> {
        let program = environment_variable("PGBOUNCER").map(PathBuf::from).or_else(|| {
            ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer"]
                .map(PathBuf::from)
                .into_iter()
                .find(|program| program.exists())
        })?;
        let (port, folder) = (free_port(), temporary_folder("pgbouncer"));
        let write = |name: &str, content: &str| {
            let path = folder.join(name);
            std::fs::write(&path, content).expect("a file is written");
            let mode = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&path, mode).expect("its mode is set");
            path
        };
        let users = write("users", &format!("\"{role}\" \"{password}\"\n"));
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={server}\n[pgbouncer]\nlisten_addr = \
             127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = \
             scram-sha-256\nauth_file = {users}\npool_mode = transaction\ndefault_pool_size = \
             1\nignore_startup_parameters = options\nserver_tls_sslmode = require\n",
            server = world().postgres.port,
            users = users.display()
        );
        let settings = write("pgbouncer.ini", &settings);
        if is_root() {
            run(std::process::Command::new("chown").arg("-R").arg(UNPRIVILEGED).arg(&folder));
        }
        let mut command = unprivileged(Path::new(&program));
        command.arg("--quiet").arg(settings).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().expect("PgBouncer starts");
        let pooler = Self { name: "PgBouncer", port, process: Some((process, folder)) };
        eventually("PgBouncer", async || TcpStream::connect(("127.0.0.1", port)).await.ok()).await;
        Some(pooler)
    }
}

/// Serves one client. The first of its kind logs in to the session that all later ones share. The
/// others log in to another one, which only says whether their password is right.
async fn serve(client: TcpStream, pool: &Pool) -> Option<()> {
    let server = TcpStream::connect(("127.0.0.1", world().postgres.port)).await.ok()?;
    for stream in [&client, &server] {
        stream.set_nodelay(true).ok()?;
    }
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let startup = read_message(&mut from_client).await?;
    // The rest is the role and the database.
    let startup = [OPTIONS, APPLICATION_NAME]
        .into_iter()
        .fold(startup, |startup, name| edit_startup(&startup, name, None).unwrap_or(startup));
    to_server.write_all(&startup).await.ok()?;
    let mut logged_in = false;
    while !logged_in {
        tokio::select! {
            kind = from_server.read_u8() => {
                let kind = kind.ok()?;
                forward(kind, &mut from_server, &mut to_client).await?;
                logged_in = kind == b'Z';
            }
            kind = from_client.read_u8() => {
                forward(kind.ok()?, &mut from_client, &mut to_server).await?;
            }
        }
    }
    let shared = pool.lock().expect("no test panics here").entry(startup).or_default().clone();
    {
        let mut session = shared.lock().await;
        if session.is_none() {
            *session = Some((from_server, to_server));
        }
    }
    loop {
        let mut kind = from_client.read_u8().await.ok().filter(|kind| *kind != b'X')?;
        let mut session = shared.lock().await;
        // If the client goes during a transaction, its session goes too.
        let (mut from, mut to) = session.take()?;
        loop {
            forward(kind, &mut from_client, &mut to).await?;
            if matches!(kind, b'Q' | b'S') && answer(&mut from, &mut to_client).await? == b'I' {
                break;
            }
            kind = from_client.read_u8().await.ok()?;
        }
        *session = Some((from, to));
    }
}

/// Passes an answer on; the state of the transaction after it.
async fn answer(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf) -> Option<u8> {
    loop {
        let kind = from.read_u8().await.ok()?;
        let message = read_message(from).await?;
        to.write_all(&[&[kind], message.as_slice()].concat()).await.ok()?;
        if kind == b'Z' {
            return message.last().copied();
        }
    }
}
