//! The Lambda function's process.

use std::process::ExitCode;

// One invocation at a time is all that Lambda sends to a process.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    postgres_secret_rotation::serve().await
}
