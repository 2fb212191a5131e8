//! What a throw-away PostgreSQL server needs to run: its programs, its user, its certificates, and
//! a shell that ends it with the tests.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use time::OffsetDateTime;

use super::postgres::HOST;
use super::{environment_variable, project};

/// Runs the server if the tests run as root, which PostgreSQL refuses.
pub const UNPRIVILEGED: &str = "nobody";

/// A root, a certificate for the host's name and its key, all in PEM.
pub fn create_certificates(port: u16) -> (String, String, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, format!("root of the server on port {port}"));
    let root =
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a root");
    let key = KeyPair::generate().expect("a key");
    let mut leaf = CertificateParams::new([HOST.to_owned()]).expect("a name");
    // As long as a public authority gives one.
    leaf.not_after = OffsetDateTime::now_utc() + Duration::from_hours(398 * 24);
    let leaf = leaf.signed_by(&key, &root).expect("a certificate");
    (root.pem(), leaf.pem(), key.serialize_pem())
}

/// A library in the server's folder that gives it a clock of its own, and how far that is ahead.
const CLOCK: &str = "clock.so";
const SECONDS_AHEAD: &str = "seconds_ahead";

/// Gives the server in the folder, which has not started yet, a clock that can be set.
pub fn install_clock(folder: &Path, seconds_ahead: i64) {
    set_clock(folder, seconds_ahead);
    let source = project().join("tests/world/clock.c");
    // Cargo links with it, so it is there.
    run(Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(folder.join(CLOCK)).arg(source));
}

/// Sets the clock of the server in the folder, which may be running: so far ahead of the machine's.
pub fn set_clock(folder: &Path, seconds_ahead: i64) {
    let file = folder.join(SECONDS_AHEAD);
    // The server has mapped the file: it must never be empty.
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(file);
    let set = file.and_then(|mut file| file.write_all(&seconds_ahead.to_ne_bytes()));
    set.expect("the clock is set");
}

/// Runs the server until this process ends, even by a kill. The shell then reads the end of its
/// input, ends the server and removes the folder, unless a file `keep` is in it.
pub fn supervise(bin: &Path, folder: &Path, options: &str) -> Child {
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
    if folder.join(CLOCK).exists() {
        shell
            .env("LD_PRELOAD", folder.join(CLOCK))
            .env("SECONDS_AHEAD", folder.join(SECONDS_AHEAD));
    }
    shell.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.spawn().expect("the server starts")
}

/// The folder of the server's programs: `PG_BIN`, the system's newest, or the one `make` installs.
pub fn find_programs(folder: &Path) -> PathBuf {
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
    let bin = environment_variable("PG_BIN")
        .map(PathBuf::from)
        .or_else(system)
        .unwrap_or_else(|| project().join(".deps/postgres/bin"));
    assert!(
        bin.join("initdb").exists(),
        "{} holds no PostgreSQL server: run `make test`, which installs one, or set PG_BIN to the \
         folder of its programs",
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
    // The user that runs the server cannot read a project in root's home.
    let copy = folder.join("programs");
    run(Command::new("cp").arg("-R").arg(bin.parent().expect("a parent")).arg(&copy));
    copy.join("bin")
}

/// The program as a user that PostgreSQL accepts: it refuses to run as root.
pub fn unprivileged(program: &Path) -> Command {
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

pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

pub fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
