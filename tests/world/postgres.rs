//! A throw-away PostgreSQL server: its own certificates, TLS, SCRAM, and a log of every statement.

use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use native_tls::{Certificate, TlsConnector};
use postgres_native_tls::MakeTlsConnector;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_postgres::config::SslMode;

use super::{eventually, project, random_hex, scratch, setting, wait, world};

/// The server's name in its certificate; the address alone is another name.
pub const HOST: &str = "localhost";
pub const ADMIN: &str = "postgres";

/// Who runs the server where the tests run as root, which it refuses.
const UNPRIVILEGED: &str = "nobody";
const READY: &str = "ready to accept connections";
/// While there is a file of that name, the end of the server is not the end of its folder.
const KEEP: &str = "keep";

pub struct Settings {
    pub ssl: bool,
    /// Becomes a standby that waits for a primary for ever.
    pub standby: Option<Standby>,
    /// Run as the superuser before anything else.
    pub prepare: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { ssl: true, standby: None, prepare: String::new() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Standby {
    /// All of it can be read, nothing written.
    Readable,
    /// It refuses every session, as a server that is starting up does.
    Closed,
}

pub struct Cluster {
    pub port: u16,
    pub admin_password: String,
    /// The root that signed the server's certificate, as a PEM file.
    pub ca_file: PathBuf,
    ca: String,
    ssl: bool,
    log: PathBuf,
    bin: PathBuf,
    folder: PathBuf,
    options: String,
    // Its standard input is open as long as this process lives; then it ends the server and removes
    // the folder.
    supervisor: Mutex<Child>,
}

impl Cluster {
    pub fn start(settings: &Settings) -> Self {
        let folder = scratch("postgres");
        let data = folder.join("data");
        let admin_password = random_hex();
        let port = free_port();
        let (ca, certificate, key) = certificates(port);
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
        let bin = programs(&folder);
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
             password_encryption=scram-sha-256 fsync=off max_prepared_transactions=4 \
             log_line_prefix=%m|%p|%u|%a|",
            folder = folder.display(),
            hba = hba.display(),
            ssl = if settings.ssl { "on" } else { "off" },
            certificate = certificate.display(),
            key = key.display(),
        );
        let log = folder.join("server.log");
        let supervisor = Mutex::new(supervise(&bin, &folder, &options));
        let cluster = Self {
            port,
            admin_password,
            ca_file,
            ca,
            ssl: settings.ssl,
            log,
            bin,
            folder,
            options,
            supervisor,
        };
        cluster.await_log(READY, 1);
        wait(async {
            let admin = cluster.admin().await;
            let groups = format!("CREATE ROLE {REFUSED_ROLES}; CREATE ROLE {PLAINTEXT_ROLES};");
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

    /// Ends the server as a crash does, and starts it again.
    pub fn crash(&self) {
        self.stop("immediate");
        self.start_again("", READY);
    }

    /// Starts the server again as a standby, which waits for a primary for ever.
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

    /// Makes of a standby the writer.
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

    /// Logs in as an application would, with the certificate checked.
    pub async fn login(
        &self,
        role: &str,
        password: &str,
    ) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        self.login_to("postgres", role, password).await
    }

    /// Logs in to a database of its own.
    pub async fn login_to(
        &self,
        dbname: &str,
        role: &str,
        password: &str,
    ) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        let root = Certificate::from_pem(self.ca.as_bytes()).expect("the root is PEM");
        let tls = TlsConnector::builder()
            .disable_built_in_roots(true)
            .add_root_certificate(root)
            .build()
            .expect("TLS can be had");
        let mut config = tokio_postgres::Config::new();
        config
            .host(HOST)
            .port(self.port)
            .user(role)
            .password(password)
            .dbname(dbname)
            .application_name("application");
        config.ssl_mode(if self.ssl { SslMode::Require } else { SslMode::Disable });
        let (client, connection) = config.connect(MakeTlsConnector::new(tls)).await?;
        tokio::spawn(async move { drop(connection.await) });
        Ok(client)
    }

    /// Everything that the server has logged so far.
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

/// Members of the two groups come in without TLS, or not at all.
const HBA: &str = "\
hostssl   all  +refused_roles    all  reject
hostnossl all  +plaintext_roles  all  md5
host      all  postgres          all  md5
hostssl   all  all               all  md5
";
pub const REFUSED_ROLES: &str = "refused_roles";
pub const PLAINTEXT_ROLES: &str = "plaintext_roles";

/// A signing root, and a certificate for the host's name with its key, all in PEM.
fn certificates(port: u16) -> (String, String, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, format!("root of the server on port {port}"));
    let root =
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a root");
    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new([HOST.to_owned()])
        .expect("a name")
        .signed_by(&key, &root)
        .expect("a certificate");
    (root.pem(), leaf.pem(), key.serialize_pem())
}

/// Runs the server until this process ends, however it ends: the shell then reads the end of its
/// input, and removes the folder unless it is to be kept.
fn supervise(bin: &Path, folder: &Path, options: &str) -> Child {
    const SCRIPT: &str = r#"trap '' INT TERM
folder=$1; shift
exec 3<&0
"$@" >>"$folder/server.log" 2>&1 3<&- &
server=$!
( read -r _ <&3; while kill -INT $server; do sleep 0.1; done ) 2>/dev/null &
wait $server
[ -e "$folder/keep" ] || rm -rf "$folder""#;
    let server = unprivileged(&bin.join("postgres"));
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(SCRIPT)
        .arg("supervisor")
        .arg(folder)
        .arg(server.get_program())
        .args(server.get_args());
    shell.arg("-D").arg(folder.join("data"));
    for option in options.split(' ') {
        shell.arg("-c").arg(option);
    }
    shell.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.spawn().expect("the server starts")
}

/// The server's programs: those of `PG_BIN`, of the system, or those that `make` has installed.
fn programs(folder: &Path) -> PathBuf {
    let system = || {
        let mut installed: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
            .ok()?
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .collect();
        installed.sort_by_key(|path| {
            path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok())
        });
        installed
            .into_iter()
            .rev()
            .map(|version| version.join("bin"))
            .find(|bin| bin.join("initdb").exists())
    };
    let bin = setting("PG_BIN")
        .map(PathBuf::from)
        .or_else(system)
        .unwrap_or_else(|| project().join(".deps/postgres/bin"));
    assert!(
        bin.join("initdb").exists(),
        "PostgreSQL's server is not in {}: run `make test`, which installs it, or name the folder \
         of its programs with PG_BIN",
        bin.display()
    );
    if unprivileged(Path::new("test"))
        .arg("-x")
        .arg(bin.join("initdb"))
        .status()
        .is_ok_and(|status| status.success())
    {
        return bin;
    }
    // The user who may run the server cannot reach a project that lies in root's home.
    let copy = folder.join("programs");
    run(Command::new("cp").arg("-R").arg(bin.parent().expect("a parent")).arg(&copy));
    copy.join("bin")
}

fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", UNPRIVILEGED, "--regid", "nogroup", "--clear-groups"])
        .arg(program)
        .current_dir("/");
    command
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("a free port")
        .port()
}

/// A session of the superuser of the server that all tests share.
pub async fn admin() -> tokio_postgres::Client {
    world().postgres.admin().await
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

/// What another invocation holds while it changes that role.
pub async fn at_work_on(role: &str) -> tokio_postgres::Client {
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

pub async fn waits_for_it(role: &str) {
    let watch = admin().await;
    let waits = "SELECT 1 FROM pg_stat_activity WHERE usename = $1 AND wait_event = 'advisory'";
    eventually("the wait for the lock", async || {
        watch.query_opt(waits, &[&role]).await.expect("the superuser may")
    })
    .await;
}
