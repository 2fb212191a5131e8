//! A real browser, for the pages that a person looks at.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{environment_variable, project, temporary_folder};

/// Debian's browser, or that of GitHub's machines. Without it that part is not run, which CI does
/// not accept.
pub fn chromium() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found =
        names.map(|name| Path::new("/usr/bin").join(name)).into_iter().find(|path| path.exists());
    if found.is_none() {
        assert!(environment_variable("CI").is_none(), "chromium is missing: install the package");
        // Past the capture of the tests.
        let missing = "NOT RUN: no page was opened in a browser. Install chromium.";
        let _ = writeln!(std::io::stderr(), "{missing}");
    }
    found
}

/// What the browser prints about a page in a window of that size.
pub fn browse(chromium: &Path, page: &Path, size: (u32, u32), wanted: &str) -> Vec<u8> {
    let profile = temporary_folder("browser");
    let mut command = Command::new(chromium);
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--disable-lcd-text",
    ]);
    command.arg(format!("--user-data-dir={}", profile.display()));
    command.args([&format!("--window-size={},{}", size.0, size.1), wanted]);
    let output = command.arg(format!("file://{}", page.display())).output();
    let _ = std::fs::remove_dir_all(profile);
    output.expect("chromium runs").stdout
}

/// Draws a picture of the documents from a page, if `WRITE_DOCUMENTS` asks for it.
pub fn draw(page: &Path, size: (u32, u32), document: &str) {
    if environment_variable("WRITE_DOCUMENTS").is_none() {
        return;
    }
    let (chromium, file) = (chromium().expect("chromium draws it"), project().join(document));
    picture(&chromium, page, size, &file);
    let smaller = project().join("tests/world/small_png.py");
    let done = Command::new("python3").arg(smaller).arg(file).status();
    assert!(done.is_ok_and(|status| status.success()), "the picture is made smaller");
}

/// A picture of the page.
pub fn picture(chromium: &Path, page: &Path, size: (u32, u32), picture: &Path) {
    browse(chromium, page, size, &format!("--screenshot={}", picture.display()));
}
