//! Roles: setting a password, and what has to be known of a role before an admin touches it.

use std::time::Duration;

use postgres_protocol::escape::{escape_identifier, escape_literal};
use rand::RngExt;
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::types::Type;

use super::Session;
use crate::error::{DatabaseFault, Error};
use crate::secret::password::{Password, Storage};

const ATTEMPTS: usize = 5;
const PAUSE_MS: std::ops::Range<u64> = 20..120;

/// The rights that a role has by itself, from `pg_roles`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "four attributes of a role, each on or off")]
pub struct Attributes {
    pub superuser: bool,
    pub create_role: bool,
    pub replication: bool,
    pub bypass_rls: bool,
}

/// Sets the password of `role` under a lock of our own, and says how the server stores it.
///
/// # Errors
/// [`Error::Database`]; two changes of one role at once are tried again before that.
pub async fn set_password(session: &Session, role: &str, password: &Password, storage: Option<Storage>) -> Result<Storage, Error> {
    const OPERATION: &str = "setting the password";
    let storage = match storage {
        Some(storage) => storage,
        None => server_storage(session).await?,
    };
    let stored_form = password.stored_form(role, storage);
    let sql = format!(
        "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended({lock}, 0)); ALTER ROLE {role} PASSWORD {password}",
        lock = escape_literal(&format!("postgres-secret-rotation {role}")),
        role = escape_identifier(role),
        password = escape_literal(stored_form.expose_secret()),
    );
    for _ in 1..ATTEMPTS {
        match session.execute(OPERATION, &sql).await {
            Err(error) if error.is_database(DatabaseFault::ConcurrentUpdate) => {
                let pause = rand::rng().random_range(PAUSE_MS);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            result => return result.map(|()| storage).map_err(|error| without_password(error, &stored_form, storage)),
        }
    }
    session.execute(OPERATION, &sql).await.map(|()| storage).map_err(|error| without_password(error, &stored_form, storage))
}

/// What `password_encryption` says for this session.
async fn server_storage(session: &Session) -> Result<Storage, Error> {
    let row = session.query_one("reading password_encryption", "SELECT pg_catalog.current_setting('password_encryption')", &[]).await?;
    // Before PostgreSQL 14 "on" and "true" were other names of md5; everything that is not md5 is safe to store as SCRAM.
    let md5 = matches!(row.get::<_, &str>(0), "md5" | "on" | "true" | "yes" | "1");
    Ok(if md5 { Storage::Md5 } else { Storage::ScramSha256 })
}

/// What the admin has to know of a role; `None` when there is no such role.
///
/// # Errors
/// [`Error::Database`].
pub async fn attributes(session: &Session, role: &str) -> Result<Option<Attributes>, Error> {
    let row = session
        .query_one(
            "reading pg_roles",
            "SELECT r.rolsuper, r.rolcreaterole, r.rolreplication, r.rolbypassrls \
             FROM (SELECT $1::pg_catalog.text AS name) AS wanted \
             LEFT JOIN pg_catalog.pg_roles AS r ON r.rolname OPERATOR(pg_catalog.=) wanted.name",
            &[(&role, Type::TEXT)],
        )
        .await?;
    let attribute = |column: usize| row.get::<_, Option<bool>>(column);
    Ok(attribute(0).map(|superuser| Attributes {
        superuser,
        create_role: attribute(1).unwrap_or_default(),
        replication: attribute(2).unwrap_or_default(),
        bypass_rls: attribute(3).unwrap_or_default(),
    }))
}

/// The cluster's own number, the same on every one of its hosts; `None` where the server does not show it.
///
/// # Errors
/// [`Error::Database`], but for a missing right.
pub async fn system_identifier(session: &Session) -> Result<Option<i64>, Error> {
    let sql = "SELECT system_identifier FROM pg_catalog.pg_control_system()";
    match session.query_one("reading the system identifier", sql, &[]).await {
        Ok(row) => Ok(Some(row.get(0))),
        Err(error) if error.is_database(DatabaseFault::PermissionDenied) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Who a session is, as PostgreSQL names it: the role that logged in, and the role whose rights it has.
///
/// # Errors
/// [`Error::Database`].
pub async fn identity(session: &Session) -> Result<(String, String), Error> {
    let sql = "SELECT session_user::pg_catalog.text, current_user::pg_catalog.text";
    let row = session.query_one("reading current_user", sql, &[]).await?;
    Ok((row.get(0), row.get(1)))
}

/// A server may quote in its refusal what it was sent: not even the hash of a password is for any eyes.
fn without_password(mut error: Error, stored_form: &SecretString, storage: Storage) -> Error {
    if let Error::Database { detail, .. } = &mut error {
        if storage == Storage::Cleartext {
            // A part of it may be quoted, too.
            detail.truncate(detail.find(": ").unwrap_or_default());
        } else {
            *detail = detail.replace(stored_form.expose_secret(), "[hash]");
        }
    }
    error
}
