//! Roles: changing a password, and what has to be known of a role before an admin touches it.

use postgres_protocol::escape::{escape_identifier, escape_literal};
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::types::Type;

use super::{OURS, Session, sql};
use crate::error::{DatabaseFault, Error};
use crate::secret::password::Storage;

pub(super) const CHANGE: &str = "setting the password";
const DROP: &str = "taking the password away";

/// How much a role can do, by itself or through its memberships.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Power {
    pub superuser: bool,
    /// It has, or is a member of a role that has, SUPERUSER, CREATEROLE, REPLICATION or BYPASSRLS,
    /// or is one of those that reach the server itself.
    pub more_than_its_own: bool,
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Commit,
    /// It was a trial.
    RollBack,
}

impl End {
    pub(super) fn sql(self) -> &'static str {
        match self {
            Self::Commit => "COMMIT",
            Self::RollBack => "ROLLBACK",
        }
    }
}

/// Begins a transaction that no other invocation of ours runs on the same role at the same time, as
/// far as it locks in the same database.
///
/// # Errors
/// [`Error::Database`], with `LockTimedOut` when another one does not end.
pub async fn lock(session: &Session, role: &str) -> Result<(), Error> {
    let key = escape_literal(&format!("postgres-secret-rotation {role}"));
    let sql = format!(
        "BEGIN; SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended({key}, 0))"
    );
    session.execute(CHANGE, &sql).await
}

/// Begins a transaction while another session holds the lock.
///
/// # Errors
/// [`Error::Database`].
pub async fn begin(session: &Session) -> Result<(), Error> {
    session.execute(CHANGE, "BEGIN").await
}

/// Sets the password within the transaction of [`lock`], and ends that. The stored form alone is
/// sent.
///
/// # Errors
/// [`Error::Database`], with `ConcurrentUpdate` when somebody else was changing the role: roll
/// back, and begin again.
pub async fn change_password(
    session: &Session,
    role: &str,
    stored_form: &SecretString,
    storage: Storage,
    end: End,
) -> Result<(), Error> {
    let (role, password) = (escape_identifier(role), escape_literal(stored_form.expose_secret()));
    let changed = session
        .set_password(CHANGE, &format!("ALTER ROLE {role} PASSWORD {password}; {}", end.sql()))
        .await;
    changed.map_err(|error| without_password(error, stored_form, storage))
}

/// Takes the password from the session's own role within the transaction of [`begin`]: nobody logs
/// in with one until it is given another.
///
/// # Errors
/// [`Error::Database`], with `ConcurrentUpdate` when somebody else was changing the role: roll
/// back, and begin again.
pub async fn drop_own_password(session: &Session) -> Result<(), Error> {
    session
        .execute(DROP, &format!("ALTER ROLE {} PASSWORD NULL", escape_identifier(session.role())))
        .await
}

/// Ends the transaction of [`begin`] with everything changed.
///
/// # Errors
/// [`Error::Database`].
pub async fn commit(session: &Session) -> Result<(), Error> {
    session.execute(DROP, "COMMIT").await
}

/// Ends the transaction of [`lock`] with nothing changed.
///
/// # Errors
/// [`Error::Database`].
pub async fn roll_back(session: &Session) -> Result<(), Error> {
    session.execute(CHANGE, "ROLLBACK").await
}

/// How the server stores a password that this session sets, by its `password_encryption`.
///
/// # Errors
/// [`Error::Database`], with `ProxyInTheWay` where the session does not have the settings that it
/// asked for: a pooler may leave them out, and names would then be looked up wherever the role or
/// the database says.
pub async fn server_storage(session: &Session) -> Result<Storage, Error> {
    const OPERATION: &str = "reading password_encryption";
    let sql = "SELECT pg_catalog.current_setting('password_encryption'), \
        pg_catalog.current_setting('search_path'), SESSION_USER::pg_catalog.text, \
        CURRENT_USER::pg_catalog.text";
    let row = session.query_one(OPERATION, sql, &[]).await?;
    if row.get::<_, &str>(1) != "pg_catalog" || row.get::<_, &str>(2) != row.get::<_, &str>(3) {
        let detail =
            "the options that the session was opened with did not reach the server".to_owned();
        return Err(session.error(OPERATION, DatabaseFault::ProxyInTheWay, detail));
    }
    // Before PostgreSQL 14 "on" and "true" were other names of md5; everything that is not md5 is
    // safe to store as SCRAM.
    let md5 = matches!(row.get::<_, &str>(0), "md5" | "on" | "true" | "yes" | "1");
    Ok(if md5 { Storage::Md5 } else { Storage::ScramSha256 })
}

/// What the admin has to know of a role; `None` when there is no such role.
///
/// # Errors
/// [`Error::Database`].
pub async fn power(session: &Session, role: &str) -> Result<Option<Power>, Error> {
    let row = session.query_one("reading pg_roles", sql::POWER, &[(&role, Type::TEXT)]).await?;
    let (superuser, more_than_its_own) =
        (row.get::<_, Option<bool>>(0), row.get::<_, Option<bool>>(1));
    Ok(superuser
        .zip(more_than_its_own)
        .map(|(superuser, more_than_its_own)| Power { superuser, more_than_its_own }))
}

/// Whether two sessions are on one server, and `own` really is of the role that it claims: the one
/// takes a lock under a random number, and the other has to see that role hold it. The system
/// identifier proves less, since every copy of a cluster keeps it.
///
/// # Errors
/// [`Error::Database`].
pub async fn same_server(admin: &Session, own: &Session) -> Result<bool, Error> {
    const OPERATION: &str = "comparing the servers";
    let key: i64 = rand::random();
    own.query_one(OPERATION, "SELECT pg_catalog.pg_advisory_lock($1)", &[(&key, Type::INT8)])
        .await?;
    let sql = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_locks AS l JOIN \
        pg_catalog.pg_stat_activity AS a ON a.pid = l.pid WHERE l.locktype = 'advisory' AND \
        l.granted AND l.objsubid = 1 AND (l.classid::pg_catalog.int8 << 32) | \
        l.objid::pg_catalog.int8 = $1 AND a.usename = $2";
    let row =
        admin.query_one(OPERATION, sql, &[(&key, Type::INT8), (&own.role(), Type::TEXT)]).await?;
    Ok(row.get::<_, i64>(0) > 0)
}

/// Who a session is, and where it has landed.
#[derive(Debug)]
pub struct Standing {
    /// The role that logged in, as PostgreSQL names it.
    pub session_user: String,
    /// The role whose rights the session has.
    pub current_user: String,
    /// The schemas that names without one are looked up in.
    pub path: Vec<String>,
    /// `server_version_num`.
    pub version: u32,
}

/// Reads who a session of the application is. What is called is qualified, since the application's
/// own `search_path` holds.
///
/// # Errors
/// [`Error::Database`], with `ReadOnly` where the session has landed on a standby.
pub async fn standing(session: &Session) -> Result<Standing, Error> {
    const OPERATION: &str = "reading current_user";
    let sql = "SELECT session_user::pg_catalog.text, current_user::pg_catalog.text, \
        pg_catalog.pg_is_in_recovery(), pg_catalog.current_schemas(true)::pg_catalog.text[], \
        pg_catalog.current_setting('server_version_num')::pg_catalog.int4";
    let row = session.query_one(OPERATION, sql, &[]).await?;
    if row.get(2) {
        return Err(session.error(
            OPERATION,
            DatabaseFault::ReadOnly,
            "pg_is_in_recovery() is true".to_owned(),
        ));
    }
    Ok(Standing {
        session_user: row.get(0),
        current_user: row.get(1),
        path: row.get(3),
        version: row.get::<_, i32>(4).unsigned_abs(),
    })
}

/// Leaves a session of the application the role and the rights that it has, and takes its
/// `search_path` for `pg_catalog` alone.
///
/// # Errors
/// [`Error::Database`].
pub async fn use_catalog(session: &Session) -> Result<(), Error> {
    session
        .execute(
            "setting search_path",
            "SET search_path = pg_catalog; SET quote_all_identifiers = off",
        )
        .await
}

/// Makes of a session of the application one of ours, as
/// [`Purpose::Administer`](super::Purpose::Administer) opens it.
///
/// # Errors
/// [`Error::Database`].
pub async fn administer(session: &Session) -> Result<(), Error> {
    let sql = OURS.map(|(name, value)| format!("SET {name} = '{value}'")).join("; ");
    session.execute("leaving the role's settings", &sql).await
}

/// The role that the session's user is set to act as in this database, if it is one that it may not
/// act as. The `search_path` is `pg_catalog`.
///
/// # Errors
/// [`Error::Database`].
pub async fn not_acting_as(session: &Session) -> Result<Option<String>, Error> {
    let row = session.query_one("reading the setting role", sql::ACTING, &[]).await?;
    Ok(row.get(0))
}

/// The statement that lets sessions of a user act as a role, once it may.
#[must_use]
pub fn act_as(user: &str, role: &str) -> String {
    format!(
        "ALTER ROLE {} SET role = {}",
        escape_identifier(user),
        escape_literal(role).trim_start()
    )
}

/// The statement that makes a role a member of another.
#[must_use]
pub fn grant(role: &str, to: &str) -> String {
    format!("GRANT {} TO {}", escape_identifier(role), escape_identifier(to))
}

/// A server may quote in its refusal what it was sent: not even the hash of a password is for any
/// eyes.
pub(super) fn without_password(
    mut error: Error,
    stored_form: &SecretString,
    storage: Storage,
) -> Error {
    if let Error::Database { detail, .. } = &mut error {
        if storage == Storage::Cleartext {
            // A part of it may be quoted, too.
            return without_text(error);
        }
        *detail = detail.replace(stored_form.expose_secret(), "[hash]");
    }
    error
}

/// Leaves of the server's words the SQLSTATE alone.
pub(super) fn without_text(mut error: Error) -> Error {
    if let Error::Database { detail, .. } = &mut error {
        detail.truncate(detail.find(": ").unwrap_or_default());
    }
    error
}
