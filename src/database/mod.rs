//! PostgreSQL: logins, sessions and their SQL. Only this folder uses the driver.

pub(crate) mod advice;
mod allowance;
pub(crate) mod authentication;
mod certificate;
pub(crate) mod copies;
mod dial;
pub(crate) mod expiry;
pub(crate) mod fault;
mod fault_rules;
pub(crate) mod grants;
pub(crate) mod labels;
mod login;
pub(crate) mod missing;
pub(crate) mod pair;
pub(crate) mod parity;
pub(crate) mod probe;
pub(crate) mod progress;
pub(crate) mod remedy;
pub(crate) mod role;
mod session;
pub(crate) mod sessions;
mod settings;
mod slow_logins;
mod sql;
pub(crate) mod standing;
mod target;
mod text;
pub(crate) mod tls;
mod transaction;
pub(crate) mod validity;

pub(crate) use self::login::{Database, Login};
pub(crate) use self::session::Session;
pub(crate) use self::settings::Purpose;
pub(crate) use self::slow_logins::SlowLogins;
pub(crate) use self::target::Target;
pub(crate) use self::transaction::{End, Lock, Transaction};
