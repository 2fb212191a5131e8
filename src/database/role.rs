//! Roles: their passwords, and their power, which an admin has to know first.

use postgres_protocol::escape::{escape_identifier, escape_literal};
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::types::Type;

use super::session::Session;
use super::sql;
use super::transaction::Transaction;
use crate::error::Error;
use crate::secret::password::{Hash, Storage};

pub(super) const CHANGE: &str = "setting the password";

/// The power of a role, including that of its memberships.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Power {
    pub(crate) superuser: bool,
    /// Whether it has SUPERUSER, CREATEROLE, REPLICATION or BYPASSRLS, directly or by membership.
    /// Or it is a member of the admin or a service's role, or reaches password hashes or server
    /// files.
    pub(crate) more_than_its_own: bool,
}

/// Sets the password. Sends only its stored form.
///
/// # Errors
/// [`Error::Database`], with `ConcurrentUpdate` if another session is changing the role: roll back
/// and retry.
pub(crate) async fn change_password(
    transaction: &Transaction<'_>,
    role: &str,
    stored_form: &SecretString,
    storage: Storage,
) -> Result<(), Error> {
    let (role, password) = (escape_identifier(role), escape_literal(stored_form.expose_secret()));
    let sql = format!("{}ALTER ROLE {role} PASSWORD {password}", hash_settings(storage));
    let changed = transaction.session().set_password(CHANGE, &sql).await;
    changed.map_err(|error| without_password(error, stored_form, storage))
}

/// The settings for a password that the server hashes itself. Those of the role or the database
/// could weaken the hash.
pub(super) fn hash_settings(storage: Storage) -> String {
    match storage {
        Storage { cleartext: false, .. } => String::new(),
        Storage { hash: Hash::Md5, .. } => "SET LOCAL password_encryption = 'md5'; ".to_owned(),
        Storage { hash: Hash::ScramSha256 { iterations }, .. } => {
            // The second setting exists from PostgreSQL 16 on.
            format!(
                "SET LOCAL password_encryption = 'scram-sha-256'; \
                 SELECT pg_catalog.set_config('scram_iterations', '{iterations}', true) \
                 WHERE pg_catalog.current_setting('scram_iterations', true) IS NOT NULL; "
            )
        }
    }
}

/// Removes the password of the session's own role, which cannot log in by password until it gets
/// another.
///
/// # Errors
/// [`Error::Database`], with `ConcurrentUpdate` if another session is changing the role: roll back
/// and retry.
pub(crate) async fn drop_own_password(transaction: &Transaction<'_>) -> Result<(), Error> {
    let session = transaction.session();
    let sql = format!("ALTER ROLE {} PASSWORD NULL", escape_identifier(session.role()));
    session.execute("removing the password", &sql).await
}

/// The power of a role; `None` if the role does not exist.
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn power(session: &Session, role: &str) -> Result<Option<Power>, Error> {
    let row = session.query_one("reading pg_roles", sql::POWER, &[(&role, Type::TEXT)]).await?;
    let (superuser, more_than_its_own) =
        (session.column::<Option<bool>>(&row, 0)?, session.column::<Option<bool>>(&row, 1)?);
    Ok(superuser
        .zip(more_than_its_own)
        .map(|(superuser, more_than_its_own)| Power { superuser, more_than_its_own }))
}

/// Whether the admin and the secret's role are on the same server. The secret's session takes a
/// lock with a random number, and the admin must see that role hold it. The system identifier would
/// prove less: all copies of a cluster share it.
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn same_server(admin: &Session, secret_session: &Session) -> Result<bool, Error> {
    const OPERATION: &str = "comparing the servers";
    let key: i64 = rand::random();
    let lock = "SELECT pg_catalog.pg_advisory_lock($1)";
    secret_session.query_one(OPERATION, lock, &[(&key, Type::INT8)]).await?;
    // Some servers take pg_locks and pg_stat_activity from PUBLIC, and the latter would walk all
    // memberships of the admin.
    let sql = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_lock_status() AS l, \
        pg_catalog.pg_stat_get_backend_idset() AS b WHERE l.locktype = 'advisory' AND l.granted \
        AND l.objsubid = 1 AND (l.classid::pg_catalog.int8 << 32) | l.objid::pg_catalog.int8 = $1 \
        AND pg_catalog.pg_stat_get_backend_pid(b) = l.pid \
        AND pg_catalog.pg_get_userbyid(pg_catalog.pg_stat_get_backend_userid(b)) = $2";
    let role = secret_session.role();
    let row = admin.query_one(OPERATION, sql, &[(&key, Type::INT8), (&role, Type::TEXT)]).await?;
    Ok(admin.column::<i64>(&row, 0)? > 0)
}

/// The statement that makes sessions of a user act as a role.
pub(crate) fn act_as(user: &str, role: &str) -> String {
    format!(
        "ALTER ROLE {} SET role = {}",
        escape_identifier(user),
        escape_literal(role).trim_start()
    )
}

/// The statement that makes a role a member of another.
pub(crate) fn grant(role: &str, to: &str) -> String {
    format!("GRANT {} TO {}", escape_identifier(role), escape_identifier(to))
}

/// Removes the stored form from an error: the server may quote it, and even a hash is not shown.
pub(super) fn without_password(
    error: Error,
    stored_form: &SecretString,
    storage: Storage,
) -> Error {
    if storage.cleartext {
        // The server may also quote a part of it.
        error.without_message()
    } else {
        error.replacing(stored_form.expose_secret(), "[hash]")
    }
}
