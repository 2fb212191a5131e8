//! The SQL files: one statement each, valid by itself, so that psql and an editor can read it.
//!
//! Nothing is filled in. Parameters are `$1`, `$2`; what a file takes and returns stands in its
//! first lines. Names are looked up in `pg_catalog` alone: the session's `search_path` is that.
//!
//! # What files share
//! A common table expression that several files need stands in each of them, between `-- shared:
//! <name>` and `-- end of shared`. `tests/sql.rs` keeps the copies the same.
//!
//! # Versions of PostgreSQL
//! What only newer servers can parse has a file of its own, whose first line says from which
//! version on it holds. [`from_15`] is what decides whether that file is sent. All other files suit
//! every version from 13 on.

pub(super) const ACTING: &str = include_str!("sql/acting.sql");
pub(super) const GRANTS: &str = include_str!("sql/grants.sql");
pub(super) const GRANTS_PARAMETERS: &str = include_str!("sql/grants_parameters.sql");
pub(super) const PAIR: &str = include_str!("sql/pair.sql");
pub(super) const PARITY: &str = include_str!("sql/parity.sql");
pub(super) const PARITY_OBJECTS: &str = include_str!("sql/parity_objects.sql");
pub(super) const PARITY_PARAMETERS: &str = include_str!("sql/parity_parameters.sql");
pub(super) const PASSWORD_SETTINGS: &str = include_str!("sql/password_settings.sql");
pub(super) const PASSWORD_SETTINGS_SOURCES: &str =
    include_str!("sql/password_settings_sources.sql");
pub(super) const POWER: &str = include_str!("sql/power.sql");
pub(super) const SESSIONS_CLIENTS: &str = include_str!("sql/sessions_clients.sql");
pub(super) const SESSIONS_COUNT: &str = include_str!("sql/sessions_count.sql");
pub(super) const SESSIONS_TERMINATE: &str = include_str!("sql/sessions_terminate.sql");
pub(super) const SETTINGS: &str = include_str!("sql/settings.sql");
pub(super) const STORED_AS: &str = include_str!("sql/stored_as.sql");

/// Whether a server of this `server_version_num` knows privileges on parameters.
pub(super) fn from_15(version: u32) -> bool {
    version >= 150_000
}
