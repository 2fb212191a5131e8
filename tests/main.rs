//! The promises, proven on a real PostgreSQL with TLS, an emulated AWS over HTTP, and the real
//! binary under the Lambda Runtime API.

#![allow(clippy::disallowed_methods, reason = "the server of the tests sends what they asked for")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic fails the test")]

mod world;

mod admin_fallback;
mod advice;
mod alternating_refusals;
mod alternating_users;
mod architecture;
mod attacks;
mod budgets;
mod clock;
mod commands;
mod concurrency;
mod configuration;
mod connection_strings;
mod connections;
mod copies;
mod database_errors;
mod documentation;
mod encodings;
mod expiry;
mod fallbacks;
mod faults;
mod fleet_command;
mod hidden_catalogs;
mod inputs;
mod kinds;
mod labels;
mod lease;
mod logins;
mod operations;
mod overlap;
mod owner_role;
mod parity;
mod poolers;
mod promotion;
mod requirements;
mod retries;
mod rotation;
mod secrecy;
mod sql;
mod storage;
mod store_errors;
mod upgrade;
