//! The counts that a deployed function pays for: the size of its archive and the instructions of
//! its start. They are the packaged binary's, which `make test` names; no other binary is measured.

use std::io::Write;

use crate::world::budget::{ARCHIVE, INSTRUCTIONS_OF_INIT, archive, instructions_of_init};
use crate::world::lambda::binary;

/// Prints a line that the test harness does not keep to itself.
fn say(text: &str) {
    std::io::stderr().write_all(format!("\nbudgets: {text}\n").as_bytes()).unwrap();
}

#[tokio::test]
async fn the_archive_and_the_start_keep_to_their_budgets() {
    let Some(size) = archive() else {
        return say("not measured, since no packaged binary is under test");
    };
    assert!(size <= ARCHIVE, "the archive has {size} bytes, more than {ARCHIVE}");
    match instructions_of_init(&[binary().display().to_string()]).await {
        Ok(count) => assert!(
            count <= INSTRUCTIONS_OF_INIT,
            "a start takes {count} instructions, more than {INSTRUCTIONS_OF_INIT}"
        ),
        Err(reason) => say(&format!("the instructions of a start are not counted, since {reason}")),
    }
}
