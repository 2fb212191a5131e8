//! The promises, proven on a real PostgreSQL with TLS, an emulated AWS over HTTP, and the real
//! binary under the Lambda Runtime API.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod world;

mod alternating_refusals;
mod alternating_users;
mod architecture;
mod commands;
mod concurrency;
mod configuration;
mod database_errors;
mod fallbacks;
mod faults;
mod inputs;
mod operations;
mod parity;
mod preflight;
mod requirements;
mod retire;
mod rotation;
mod secrecy;
mod store_errors;
mod upgrade;
