//! The promises, proven on a real PostgreSQL with TLS, an emulated AWS over HTTP, and the real binary under the Lambda Runtime API.

mod world;

mod concurrency;
mod configuration;
mod database_errors;
mod fallbacks;
mod inputs;
mod rotation;
mod secrecy;
mod store_errors;
