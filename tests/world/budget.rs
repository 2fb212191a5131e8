//! What a rotation may cost, where that is a count and the same on every machine.

use super::lambda::{Function, binary};

/// Calls to Secrets Manager, and sessions in the database, of a rotation of a single user.
pub const CALLS: usize = 12;
pub const SESSIONS: usize = 4;
/// Handshakes with Secrets Manager: of one process, which createSecret's three calls at once make;
/// and of four, of which the last three make two calls at once.
pub const HANDSHAKES_WARM: usize = 3;
pub const HANDSHAKES_COLD: usize = 9;
/// What a process takes at most while it rotates. Nine tenths of it are pages of the binary and of
/// the C library, so it grows with what the function can do.
pub const PEAK_MEMORY_MIB: f64 = 12.5;
/// The archive that Lambda gets, in bytes.
pub const ARCHIVE: u64 = 4_300_000;
/// Instructions of the packaged binary from its start to its first request for an event.
pub const INSTRUCTIONS_OF_INIT: u64 = 2_500_000;

/// The size of the packaged archive; `None` where the binary under test is not a packaged one.
pub fn archive() -> Option<u64> {
    binary().with_extension("zip").metadata().ok().map(|file| file.len())
}

/// Counts the instructions of an init by callgrind.
///
/// # Errors
/// The reason why it cannot count.
pub async fn instructions_of_init(command: &[String]) -> Result<u64, String> {
    let valgrind = ["/usr/bin/valgrind", "/usr/local/bin/valgrind"]
        .into_iter()
        .find(|path| std::path::Path::new(path).exists())
        .ok_or("valgrind is not installed")?;
    let callgrind = [valgrind, "--tool=callgrind", "--callgrind-out-file=/dev/null"];
    let command = [&callgrind.map(str::to_owned), command].concat();
    let function = Function::running(&command, &[]);
    // Waits until the process asks for an event.
    function.usage().await;
    let report = function.terminate();
    let count = report.lines().find_map(|line| line.split_once("Collected : ")?.1.parse().ok());
    count.ok_or_else(|| format!("callgrind reports no count: {report}"))
}
