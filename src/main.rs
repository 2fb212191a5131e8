//! The Lambda function's process.

use std::process::ExitCode;

// Lambda sends a process one invocation at a time.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    Box::pin(postgres_secret_rotation::serve()).await
}
