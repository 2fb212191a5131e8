//! The SQL files. Each holds one complete statement, which psql and an editor can read.
//!
//! Parameters are `$1`, `$2` and so on. The first lines of a file say what it takes and returns.
//! The session's `search_path` is `pg_catalog`, so names need no schema.
//!
//! # Shared parts
//! Several files need the same common table expression. Each has its own copy, between `-- shared:
//! <name>` and `-- end of shared`. `tests/sql.rs` checks that the copies are equal.
//!
//! # Versions of PostgreSQL
//! Every file suits PostgreSQL 13 and newer, unless its first line names another version.
//! [`from_15`] decides whether a file for PostgreSQL 15 is sent.

pub(super) const ACTING: &str = include_str!("sql/acting.sql");
pub(super) const ADMIN_OPTION: &str = include_str!("sql/admin_option.sql");
pub(super) const COPIES_MAPPINGS: &str = include_str!("sql/copies_mappings.sql");
pub(super) const COPIES_SUBSCRIPTIONS: &str = include_str!("sql/copies_subscriptions.sql");
pub(super) const EXPIRY: &str = include_str!("sql/expiry.sql");
pub(super) const GRANTS: &str = include_str!("sql/grants.sql");
pub(super) const GRANTS_PARAMETERS: &str = include_str!("sql/grants_parameters.sql");
pub(super) const LABELS: &str = include_str!("sql/labels.sql");
pub(super) const OWNER: &str = include_str!("sql/owner.sql");
pub(super) const PAIR: &str = include_str!("sql/pair.sql");
pub(super) const PARITY: &str = include_str!("sql/parity.sql");
pub(super) const PARITY_OBJECTS: &str = include_str!("sql/parity_objects.sql");
pub(super) const PARITY_PARAMETERS: &str = include_str!("sql/parity_parameters.sql");
pub(super) const PASSWORD_COPY: &str = include_str!("sql/password_copy.sql");
pub(super) const PASSWORD_SETTINGS: &str = include_str!("sql/password_settings.sql");
pub(super) const PASSWORD_SETTINGS_SOURCES: &str =
    include_str!("sql/password_settings_sources.sql");
pub(super) const POWER: &str = include_str!("sql/power.sql");
pub(super) const SESSIONS_CLIENTS: &str = include_str!("sql/sessions_clients.sql");
pub(super) const SESSIONS_COUNT: &str = include_str!("sql/sessions_count.sql");
pub(super) const SESSIONS_TERMINATE: &str = include_str!("sql/sessions_terminate.sql");
pub(super) const SETTINGS: &str = include_str!("sql/settings.sql");
pub(super) const SETTINGS_NOT_PERMITTED: &str = include_str!("sql/settings_not_permitted.sql");
pub(super) const STORED_AS: &str = include_str!("sql/stored_as.sql");

/// Whether the server has privileges on parameters, by its `server_version_num`.
pub(super) fn from_15(version: u32) -> bool {
    version >= 150_000
}
