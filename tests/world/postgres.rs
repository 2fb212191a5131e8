//! A throw-away PostgreSQL server: its own certificates, TLS, SCRAM, and a log of every statement.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use openssl::ssl::{SslConnector, SslMethod};
use postgres_openssl::MakeTlsConnector;
use tokio_postgres::config::SslMode;

use super::postgres_process::{
    UNPRIVILEGED, create_certificates, find_programs, install_clock, is_root, run, set_clock,
    supervise, unprivileged,
};
use super::{block_on, eventually, random_hex, temporary_folder, unique, world};

/// The server's name in its certificate. Its address is not in there.
pub const HOST: &str = "localhost";
pub const ADMIN: &str = "postgres";

const READY: &str = "ready to accept connections";
/// A file of this name keeps the folder when the server ends.
const KEEP: &str = "keep";

pub struct Settings {
    pub ssl: bool,
    /// Makes the server a standby, which waits for a primary for ever.
    pub standby: Option<Standby>,
    /// Statements that the superuser runs first.
    pub prepare: String,
    /// In which form the server stores passwords that it hashes itself.
    pub password_encryption: &'static str,
    /// Gives the server a clock of its own, so many seconds ahead of the machine's.
    pub clock: Option<i64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ssl: true,
            standby: None,
            prepare: String::new(),
            password_encryption: "scram-sha-256",
            clock: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Standby {
    /// It can be read and not written.
    Readable,
    /// It refuses every session, like a server that is starting up.
    Closed,
}

pub struct Cluster {
    pub port: u16,
    pub admin_password: String,
    /// The root that signed the server's certificate, as a PEM file.
    pub ca_file: PathBuf,
    ssl: bool,
    log: PathBuf,
    bin: PathBuf,
    folder: PathBuf,
    options: String,
    /// How many seconds its own clock is ahead, if it has one.
    clock: Option<AtomicI64>,
    // Its standard input closes when this process ends. It then ends the server.
    supervisor: Mutex<Child>,
}

impl Cluster {
    pub fn start(settings: &Settings) -> Self {
        let folder = temporary_folder("postgres");
        let data = folder.join("data");
        let admin_password = random_hex();
        let port = free_port();
        let (ca, certificate, key) = create_certificates(port);
        let write = |name: &str, content: &str, mode: u32| {
            let path = folder.join(name);
            std::fs::write(&path, content).expect("a file is written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))
                .expect("its mode is set");
            path
        };
        let ca_file = write("ca.pem", &ca, 0o644);
        let password_file = write("password", &admin_password, 0o600);
        let certificate = write("server.pem", &certificate, 0o644);
        let key = write("server.key", &key, 0o600);
        let hba = write("pg_hba.conf", HBA, 0o644);
        let bin = find_programs(&folder);
        if let Some(seconds_ahead) = settings.clock {
            install_clock(&folder, seconds_ahead);
        }
        if is_root() {
            run(Command::new("chown").arg("-R").arg(UNPRIVILEGED).arg(&folder));
        }
        let mut initdb = unprivileged(&bin.join("initdb"));
        initdb.arg("-D").arg(&data).args([
            "-U",
            ADMIN,
            "-A",
            "scram-sha-256",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]);
        run(initdb.arg("--pwfile").arg(&password_file));

        let options = format!(
            "listen_addresses=127.0.0.1 port={port} unix_socket_directories={folder} \
             hba_file={hba} ssl={ssl} ssl_cert_file={certificate} ssl_key_file={key} \
             max_connections=100 log_statement=all log_connections=on log_disconnections=on \
             password_encryption={password_encryption} fsync=off max_prepared_transactions=4 \
             log_line_prefix=%m|%p|%u|%a|",
            folder = folder.display(),
            hba = hba.display(),
            ssl = if settings.ssl { "on" } else { "off" },
            password_encryption = settings.password_encryption,
            certificate = certificate.display(),
            key = key.display(),
        );
        let log = folder.join("server.log");
        let supervisor = Mutex::new(supervise(&bin, &folder, &options));
        let cluster = Self {
            port,
            admin_password,
            ca_file,
            ssl: settings.ssl,
            log,
            bin,
            folder,
            options,
            clock: settings.clock.map(AtomicI64::new),
            supervisor,
        };
        cluster.await_log(READY, 1);
        block_on(async {
            let admin = cluster.admin().await;
            let groups = [REFUSED_ROLES, PLAINTEXT_ROLES, SCRAM_ROLES, TRUSTED_ROLES, CLEAR_ROLES];
            let groups = groups.map(|group| format!("CREATE ROLE {group}; ")).concat();
            admin
                .batch_execute(&format!("{groups} {}", settings.prepare))
                .await
                .expect("the server is prepared");
        });
        if let Some(standby) = settings.standby {
            cluster.become_standby(standby);
        }
        cluster
    }

    /// How many seconds the server's own clock is ahead of the machine's. `None` if it has none.
    pub fn seconds_ahead(&self) -> Option<i64> {
        self.clock.as_ref().map(|clock| clock.load(Ordering::Relaxed))
    }

    /// Sets the server's own clock.
    pub fn set_clock(&self, seconds_ahead: i64) {
        let clock = self.clock.as_ref().expect("the settings give it a clock");
        clock.store(seconds_ahead, Ordering::Relaxed);
        set_clock(&self.folder, seconds_ahead);
    }

    /// Does something while the server is stopped, such as with `data`, the folder of its data.
    pub fn while_stopped(&self, act: impl FnOnce(&Path)) {
        self.stop("fast");
        act(&self.folder.join("data"));
        self.start_again("", READY);
    }

    /// Crashes the server and starts it again.
    pub fn crash(&self) {
        self.stop("immediate");
        self.start_again("", READY);
    }

    /// Restarts the server as a standby, which waits for a primary for ever.
    pub fn become_standby(&self, standby: Standby) {
        self.stop("fast");
        let signal = self.folder.join("data/standby.signal");
        std::fs::write(&signal, "").expect("the signal file is written");
        if is_root() {
            run(Command::new("chown").arg(UNPRIVILEGED).arg(signal));
        }
        let hot_standby =
            if standby == Standby::Readable { " hot_standby=on" } else { " hot_standby=off" };
        self.start_again(hot_standby, "consistent recovery state reached");
    }

    /// Makes a standby the primary.
    pub fn promote(&self) {
        run(self.pg_ctl("promote").arg("-w"));
    }

    fn stop(&self, mode: &str) {
        std::fs::write(self.folder.join(KEEP), "").expect("a file is written");
        run(self.pg_ctl("stop").args(["-w", "-m", mode]));
        self.supervisor.lock().expect("no test panics here").wait().expect("the supervisor ends");
        std::fs::remove_file(self.folder.join(KEEP)).expect("a file is removed");
    }

    fn start_again(&self, more_options: &str, until: &str) {
        let before = self.log().matches(until).count();
        *self.supervisor.lock().expect("no test panics here") =
            supervise(&self.bin, &self.folder, &format!("{}{more_options}", self.options));
        self.await_log(until, before + 1);
    }

    fn pg_ctl(&self, action: &str) -> Command {
        let mut command = unprivileged(&self.bin.join("pg_ctl"));
        command.arg(action).arg("-D").arg(self.folder.join("data"));
        command
    }

    /// A session of the superuser.
    pub async fn admin(&self) -> tokio_postgres::Client {
        self.login(ADMIN, &self.admin_password).await.expect("the superuser logs in")
    }

    /// Logs in as an application would, and checks the certificate.
    pub async fn login(
        &self,
        role: &str,
        password: &str,
    ) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        self.login_to("postgres", role, password).await
    }

    /// Logs in to this database.
    pub async fn login_to(
        &self,
        dbname: &str,
        role: &str,
        password: &str,
    ) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        let mut tls = SslConnector::builder(SslMethod::tls_client()).expect("TLS can be had");
        tls.set_ca_file(&self.ca_file).expect("the root is PEM");
        let mut config = tokio_postgres::Config::new();
        config
            .host(HOST)
            .port(self.port)
            .user(role)
            .password(password)
            .dbname(dbname)
            .application_name("application");
        config.ssl_mode(if self.ssl { SslMode::Require } else { SslMode::Disable });
        let (client, connection) = config.connect(MakeTlsConnector::new(tls.build())).await?;
        tokio::spawn(async move { drop(connection.await) });
        Ok(client)
    }

    /// All that the server logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn await_log(&self, text: &str, times: usize) {
        let started = Instant::now();
        while self.log().matches(text).count() < times {
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "PostgreSQL did not start:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Members of one group may log in without TLS, members of another by SCRAM only, and members of a
/// third not at all.
const HBA: &str = "\
hostssl   all  +refused_roles    all  reject
hostssl   all  +scram_roles      all  scram-sha-256
hostssl   all  +trusted_roles    all  trust
hostssl   all  +clear_roles      all  password
hostnossl all  +plaintext_roles  all  md5
host      all  postgres          all  md5
hostssl   all  all               all  md5
";
pub const REFUSED_ROLES: &str = "refused_roles";
pub const PLAINTEXT_ROLES: &str = "plaintext_roles";
pub const SCRAM_ROLES: &str = "scram_roles";
/// They log in without a password.
pub const TRUSTED_ROLES: &str = "trusted_roles";
/// They send theirs in clear.
pub const CLEAR_ROLES: &str = "clear_roles";

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("a free port")
        .port()
}

/// A session of the superuser, on the server that all tests share.
pub async fn admin() -> tokio_postgres::Client {
    world().postgres.admin().await
}

/// Runs statements as the superuser.
pub async fn superuser(sql: &str) {
    admin().await.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// `server_version_num` of that server.
pub async fn version() -> i32 {
    admin()
        .await
        .query_one("SELECT current_setting('server_version_num')::int", &[])
        .await
        .expect("a version")
        .get(0)
}

/// A database that no other test uses; its name.
pub async fn own_database() -> String {
    let dbname = unique("shop_");
    superuser(&format!("CREATE DATABASE {dbname}")).await;
    dbname
}

/// Whether the server has what came with that major version. Otherwise prints what is not tested.
pub async fn has(feature: &str, since: i32) -> bool {
    let major = version().await / 10_000;
    if major < since {
        // libtest would swallow a `println`.
        let _ = writeln!(
            std::io::stderr(),
            "not tested on PostgreSQL {major}: {feature} came with {since}"
        );
    }
    major >= since
}

/// Takes the lock that an invocation holds while it changes the role; the session keeps it.
pub async fn lock_role(role: &str) -> tokio_postgres::Client {
    let other = admin().await;
    let key = format!("postgres-secret-rotation {role}");
    other
        .batch_execute(&format!(
            "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('{key}', 0))"
        ))
        .await
        .expect("the superuser may");
    other
}

/// Waits until a session of the role waits for that lock.
pub async fn await_role_lock_waiter(role: &str) {
    let watch = admin().await;
    let waits = "SELECT 1 FROM pg_stat_activity WHERE usename = $1 AND wait_event = 'advisory'";
    eventually("the wait for the lock", async || {
        watch.query_opt(waits, &[&role]).await.expect("the superuser may")
    })
    .await;
}
