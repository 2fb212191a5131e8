//! Who a session is, where it has landed, and what it has to leave or to check first.

use super::session::Session;
use super::settings::ADMINISTRATIVE;
use super::sql;
use crate::error::{DatabaseFault, Error};
use crate::secret::password::Storage;

/// Who a session is, and where it has landed.
#[derive(Debug)]
pub(crate) struct Standing {
    /// The role that logged in, as PostgreSQL names it.
    pub(crate) session_user: String,
    /// The role whose rights the session has.
    pub(crate) current_user: String,
    /// The schemas in which names without one are looked up.
    pub(crate) path: Vec<String>,
    /// `server_version_num`.
    pub(crate) version: u32,
}

impl Session {
    /// Reads who a session of the application is. What it calls is qualified, since the
    /// application's own `search_path` holds.
    ///
    /// # Errors
    /// [`Error::Database`], with `ReadOnly` where the session has landed on a standby.
    pub(crate) async fn standing(&self) -> Result<Standing, Error> {
        const OPERATION: &str = "reading current_user";
        let sql = "SELECT session_user::pg_catalog.text, current_user::pg_catalog.text, \
                   pg_catalog.pg_is_in_recovery(), \
                   pg_catalog.current_schemas(true)::pg_catalog.text[], \
                   pg_catalog.current_setting('server_version_num')::pg_catalog.int4";
        let row = self.query_one(OPERATION, sql, &[]).await?;
        if row.get(2) {
            let detail = "pg_is_in_recovery() is true".to_owned();
            return Err(self.error(OPERATION, DatabaseFault::ReadOnly, detail));
        }
        Ok(Standing {
            session_user: row.get(0),
            current_user: row.get(1),
            path: row.get(3),
            version: row.get::<_, i32>(4).unsigned_abs(),
        })
    }

    /// How the server stores a password that this session sets, by its `password_encryption`.
    ///
    /// # Errors
    /// [`Error::Database`], with `ProxyInTheWay` where the session does not have the settings that
    /// it asked for: a pooler may leave them out, and names would then be looked up wherever the
    /// role or the database says.
    pub(crate) async fn server_storage(&self) -> Result<Storage, Error> {
        const OPERATION: &str = "reading password_encryption";
        let sql = "SELECT pg_catalog.current_setting('password_encryption'), \
                   pg_catalog.current_setting('search_path'), \
                   SESSION_USER::pg_catalog.text, CURRENT_USER::pg_catalog.text";
        let row = self.query_one(OPERATION, sql, &[]).await?;
        if row.get::<_, &str>(1) != "pg_catalog" || row.get::<_, &str>(2) != row.get::<_, &str>(3) {
            let detail =
                "the options that the session was opened with did not reach the server".to_owned();
            return Err(self.error(OPERATION, DatabaseFault::ProxyInTheWay, detail));
        }
        // Before PostgreSQL 14 "on" and "true" were other names of md5; everything that is not md5
        // is safe to store as SCRAM.
        let md5 = matches!(row.get::<_, &str>(0), "md5" | "on" | "true" | "yes" | "1");
        Ok(if md5 { Storage::Md5 } else { Storage::ScramSha256 })
    }

    /// Pins the `search_path` of a session of the application to `pg_catalog`. It keeps its role
    /// and its rights.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(crate) async fn pin_search_path(&self) -> Result<(), Error> {
        let sql = "SET search_path = pg_catalog; SET quote_all_identifiers = off";
        self.execute("setting search_path", sql).await
    }

    /// Makes of a session of the application one of ours, as
    /// [`Purpose::Administer`](super::Purpose::Administer) opens it.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(crate) async fn apply_admin_settings(&self) -> Result<(), Error> {
        let sql = ADMINISTRATIVE.map(|(name, value)| format!("SET {name} = '{value}'")).join("; ");
        self.execute("leaving the role's settings", &sql).await
    }

    /// The role that the session's user is set to act as in this database, where it may not act as
    /// that one. The `search_path` is `pg_catalog`.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(crate) async fn role_it_cannot_assume(&self) -> Result<Option<String>, Error> {
        let row = self.query_one("reading the setting role", sql::ACTING, &[]).await?;
        Ok(row.get(0))
    }
}
