//! The facts for making a role an owner role: another role then logs in in its place.

use postgres_protocol::escape::escape_literal;
use serde::Deserialize;
use tokio_postgres::types::Type;

use super::session::Session;
use super::sql;
use crate::error::Error;

/// The number of objects and databases that are named.
const NAMED: i64 = 20;

/// The catalogs' facts about the role and its current user.
#[derive(Debug, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is an answer of the catalogs")]
pub(crate) struct OwnerFacts {
    /// `server_version_num`.
    pub(crate) version: u32,
    pub(crate) exists: bool,
    /// Whether the role that will log in exists.
    pub(crate) login_exists: bool,
    /// Whether it acts as the owner role already.
    pub(crate) login_acts: bool,
    /// The role that the current user acts as, possibly itself.
    pub(crate) acts_as: String,
    pub(crate) superuser: bool,
    pub(crate) replication: bool,
    /// -1 means no limit.
    pub(crate) connection_limit: i32,
    pub(crate) valid_until: Option<String>,
    /// Whether the current user has settings.
    pub(crate) settings: bool,
    /// What in the session's database asks for `session_user`, by type and name.
    pub(crate) asking: Vec<String>,
    /// The number of all of those.
    pub(crate) asking_total: u64,
    /// Other databases with objects of the role, or with rights of it.
    pub(crate) other_databases: Vec<String>,
    /// The number of subscriptions that the role owns.
    pub(crate) subscriptions: u64,
}

/// Reads the facts. The session's `search_path` has to be `pg_catalog`.
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn read(
    session: &Session,
    owner: &str,
    login: &str,
    current: &str,
) -> Result<OwnerFacts, Error> {
    let [owner, login, current] = [&owner, &login, &current].map(|name| (name as _, Type::TEXT));
    let parameters = [owner, login, current, (&NAMED as _, Type::INT8)];
    session.query_json("reading the facts for an owner role", sql::OWNER, &parameters).await
}

/// The statements that give `target` the settings of `source`, in every database. They show no
/// value: people keep keys in settings. They need `search_path = pg_catalog`, and a transaction.
pub(crate) fn copy_settings(source: &str, target: &str) -> String {
    let (source, target) = (parameter("source", source), parameter("target", target));
    format!("{source};\n{target};\n{}", sql::SETTINGS.trim_end())
}

/// The statements that give `target` the password of `source`. As above.
pub(crate) fn copy_password(source: &str, target: &str) -> String {
    let (source, target) = (parameter("source", source), parameter("target", target));
    format!("{source};\n{target};\n{}", sql::PASSWORD_COPY.trim_end())
}

/// The statements that let the admin set the password of `target`. As above.
pub(crate) fn grant_admin_option(target: &str, admin: &str) -> String {
    let (target, admin) = (parameter("target", target), parameter("admin", admin));
    format!("{target};\n{admin};\n{}", sql::ADMIN_OPTION.trim_end())
}

/// A statement that hands a name to the DO blocks of this transaction.
fn parameter(name: &str, value: &str) -> String {
    let value = escape_literal(value);
    format!("SELECT pg_catalog.set_config('postgres_secret_rotation.{name}', {value}, true)")
}
