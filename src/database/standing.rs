//! Whose session it is, on which server, and with which settings.

use super::session::Session;
use super::settings::{ADMINISTRATIVE, CATALOG, setting};
use super::sql;
use super::text::{ServerText, as_bytes};
use crate::error::{DatabaseFault, Error};

const OPTIONS_LOST: &str = "the options of the start-up packet did not reach the server";

/// Whose session it is, and what it found.
#[derive(Debug)]
pub(crate) struct Standing {
    /// The role that logged in, according to the server.
    pub(crate) session_user: String,
    /// The role whose rights the session has.
    pub(crate) current_user: String,
    /// The schemas of the search path.
    pub(crate) path: Vec<String>,
    /// `server_version_num`.
    pub(crate) version: u32,
}

/// The server's settings for storing passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PasswordSettings {
    /// Whether `password_encryption` is md5.
    pub(crate) md5: bool,
    /// Whether that is the server's own setting, and not one of the role or the database.
    pub(crate) encryption_is_servers: bool,
    /// `scram_iterations`, which PostgreSQL 16 and newer have.
    pub(crate) iterations: Option<u32>,
    /// Whether that is the server's own setting, and not one of the role or the database.
    pub(crate) iterations_are_servers: bool,
}

impl Session {
    /// Reads the standing of a session of the application. All names in the query are qualified,
    /// since the application's `search_path` applies.
    ///
    /// # Errors
    /// [`Error::Database`], with `ReadOnly` if the server is a standby.
    pub(crate) async fn standing(&self) -> Result<Standing, Error> {
        const OPERATION: &str = "reading current_user";
        let sql = format!(
            "SELECT {}, {}, ARRAY(SELECT {} FROM \
             pg_catalog.unnest(pg_catalog.current_schemas(true)) AS s (name)), \
             pg_catalog.current_setting('server_version_num')::pg_catalog.int4",
            as_bytes("session_user::pg_catalog.text"),
            as_bytes("current_user::pg_catalog.text"),
            as_bytes("s.name::pg_catalog.text")
        );
        self.set(OPERATION, &[]).await?;
        let row = self.query_one(OPERATION, &sql, &[]).await?;
        let version: i32 = self.column(&row, 3)?;
        if self.is_standby().await? {
            let detail = "the server is in recovery".to_owned();
            return Err(self.error(OPERATION, DatabaseFault::ReadOnly, detail));
        }
        Ok(Standing {
            session_user: self.column::<ServerText>(&row, 0)?.0,
            current_user: self.column::<ServerText>(&row, 1)?.0,
            path: self.column::<Vec<ServerText>>(&row, 2)?.into_iter().map(|text| text.0).collect(),
            version: version.unsigned_abs(),
        })
    }

    /// Whether the server is a standby. PostgreSQL 14 and newer report it at the login, older ones
    /// by a function. If the role may not call that, the server counts as a primary.
    async fn is_standby(&self) -> Result<bool, Error> {
        if let Some(standby) = self.authentication().hot_standby {
            return Ok(standby);
        }
        let sql = "SELECT pg_catalog.pg_is_in_recovery()";
        match self.query_one("reading pg_is_in_recovery", sql, &[]).await {
            Ok(row) => self.column(&row, 0),
            Err(error) if error.is_database(DatabaseFault::CatalogHidden) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads the server's settings for storing passwords, and checks that the session still has
    /// the settings of [`Purpose::Administer`](super::Purpose::Administer).
    ///
    /// # Errors
    /// [`Error::Database`], with `ProxyInTheWay` if it has others.
    pub(crate) async fn password_settings(&self) -> Result<PasswordSettings, Error> {
        const OPERATION: &str = "reading password_encryption";
        let row = self.query_one(OPERATION, sql::PASSWORD_SETTINGS, &[]).await?;
        let (path, login, acts_as): (String, String, String) =
            (self.column(&row, 0)?, self.column(&row, 1)?, self.column(&row, 2)?);
        if path != "pg_catalog" || login != acts_as {
            return Err(self.error(
                OPERATION,
                DatabaseFault::ProxyInTheWay,
                OPTIONS_LOST.to_owned(),
            ));
        }
        let (encryption, iterations): (String, Option<String>) =
            (self.column(&row, 3)?, self.column(&row, 4)?);
        let (encryption_is_servers, iterations_are_servers) =
            match self.query_one(OPERATION, sql::PASSWORD_SETTINGS_SOURCES, &[]).await {
                Ok(row) => (self.column(&row, 0)?, self.column(&row, 1)?),
                Err(error) if error.is_database(DatabaseFault::CatalogHidden) => (false, false),
                Err(error) => return Err(error),
            };
        Ok(PasswordSettings {
            // Before PostgreSQL 14, "on" and "true" meant md5.
            md5: matches!(encryption.as_str(), "md5" | "on" | "true" | "yes" | "1"),
            encryption_is_servers,
            iterations: iterations.and_then(|iterations| iterations.parse().ok()),
            iterations_are_servers,
        })
    }

    /// Sets the `search_path` of a session of the application to `pg_catalog`. The session keeps
    /// its role and its rights.
    ///
    /// # Errors
    /// [`Error::Database`], with `ProxyInTheWay` if the session is not only ours.
    pub(crate) async fn pin_search_path(&self) -> Result<(), Error> {
        self.set("setting search_path", &CATALOG).await
    }

    /// Gives a session of the application the settings of
    /// [`Purpose::Administer`](super::Purpose::Administer).
    ///
    /// # Errors
    /// [`Error::Database`], with `ProxyInTheWay` if the session is not only ours.
    pub(crate) async fn apply_admin_settings(&self) -> Result<(), Error> {
        self.set("applying the admin settings", &ADMINISTRATIVE).await
    }

    /// Sets nothing if a pooler or a proxy is between the function and the server.
    async fn set(&self, operation: &'static str, settings: &[(&str, &str)]) -> Result<(), Error> {
        let row = self.query_one(operation, &setting(self.marker(), settings), &[]).await?;
        if self.column::<Option<bool>>(&row, 0)? == Some(true) {
            return Ok(());
        }
        Err(self.error(operation, DatabaseFault::ProxyInTheWay, OPTIONS_LOST.to_owned()))
    }

    /// The role in the user's "role" setting, if the user may not assume it. `None` also where the
    /// catalogs are taken from PUBLIC: the rights of the session are checked in any case. The
    /// session's `search_path` has to be `pg_catalog`.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(crate) async fn role_it_cannot_assume(&self) -> Result<Option<String>, Error> {
        match self.query_text("reading the role setting", sql::ACTING, &[]).await {
            Err(error) if error.is_database(DatabaseFault::CatalogHidden) => Ok(None),
            role => role,
        }
    }
}
