//! The two users of an application that take turns: what the catalogs say of them, and the
//! statements that make one the other's equal.

use std::fmt::Write;

use postgres_protocol::escape::{escape_identifier, escape_literal};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio_postgres::types::{ToSql, Type};

use super::role;
use super::session::Session;
use super::sql;
use super::transaction::Transaction;
use crate::error::{DatabaseFault, Error};
use crate::secret::password::Storage;

/// Whom [`read`] asks about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names<'a> {
    pub(crate) current: &'a str,
    /// The user whose turn is next.
    pub(crate) next_user: &'a str,
    /// The policy's `owner_role`.
    pub(crate) owner: Option<&'a str>,
    /// The pair's base user: the name without `_clone`.
    pub(crate) base: &'a str,
    /// The database that the application uses.
    pub(crate) dbname: &'a str,
}

/// What the catalogs say of two users, their owner role and the admin.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Facts {
    /// `server_version_num`.
    pub(crate) version: u32,
    pub(crate) admin: Role,
    pub(crate) current: Option<Role>,
    pub(crate) next_user: Option<Role>,
    /// The policy's owner role, else the role that the current user is set to act as, else the base
    /// user.
    pub(crate) owner_name: String,
    pub(crate) owner_exists: bool,
    /// The role that the current user acts as only because the database sets it for all users.
    pub(crate) role_of_all_users: Option<String>,
    /// The role that the current user acts as in its database, which may be itself.
    pub(crate) current_acts_as: String,
    /// Whether it does so by a setting of its own for that database, which is copied like any
    /// other.
    pub(crate) by_database: bool,
    /// Whether the current user may act as the owner role.
    pub(crate) current_may_act: Option<bool>,
    /// Whether it has the owner role's rights without acting as it.
    pub(crate) current_inherits: Option<bool>,
    /// Whether a role that may say so made the next user a second user.
    pub(crate) next_user_is_second: Option<bool>,
    /// Whether the next user may act as the owner role, with the owner's rights inherited.
    pub(crate) next_user_may_act: Option<bool>,
    pub(crate) admin_option_on_next_user: Option<bool>,
    pub(crate) admin_option_on_owner: Option<bool>,
    /// Memberships of the current user that the next user lacks, and does not get through the
    /// owner role.
    pub(crate) lacking: Vec<Membership>,
    /// Roles that the next user is a member of, and the current user is not.
    pub(crate) surplus: Vec<Surplus>,
    /// Names of settings in which the two differ.
    pub(crate) settings: Vec<String>,
    /// Open sessions of the next user.
    pub(crate) sessions: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    clippy::struct_field_names,
    reason = "the columns of pg_roles"
)]
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) superuser: bool,
    pub(crate) create_role: bool,
    pub(crate) create_db: bool,
    pub(crate) replication: bool,
    pub(crate) bypass_rls: bool,
    pub(crate) inherit: bool,
    /// -1: no limit.
    pub(crate) connection_limit: i32,
    pub(crate) valid_until: Option<String>,
    /// What it can do to the server, by itself or through a role that it may act as.
    pub(crate) powers: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the columns of pg_auth_members")]
pub(crate) struct Membership {
    pub(crate) role: String,
    pub(crate) admin: bool,
    pub(crate) inherit: bool,
    pub(crate) set: bool,
    /// Whether the admin has ADMIN OPTION on it.
    pub(crate) grantable: bool,
}

/// A membership that the next user has alone.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Surplus {
    pub(crate) role: String,
    pub(crate) grantor: String,
}

/// What makes the next user the current one's equal. The server compares and copies the settings.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Change {
    pub(crate) create: bool,
    /// As `ALTER ROLE` takes them, such as `CONNECTION LIMIT 5`.
    pub(crate) attributes: Vec<String>,
    /// The role to act as; `None` where that is the next user itself.
    pub(crate) act_as: Option<String>,
    /// What follows GRANT.
    pub(crate) grants: Vec<String>,
    pub(crate) settings: bool,
}

impl Facts {
    /// Whether memberships have options, and CREATEROLE is not enough to change a role.
    pub(crate) fn needs_admin_option(&self) -> bool {
        self.version >= 160_000
    }
}

impl Membership {
    /// What follows GRANT to give it to a role.
    pub(crate) fn grant(&self, to: &str, options: bool) -> String {
        let grant = format!("{} TO {}", escape_identifier(&self.role), escape_identifier(to));
        match (options, self.admin) {
            // What is not named stays as it is.
            (true, admin) => format!(
                "{grant} WITH {}INHERIT {}, SET {}",
                if admin { "ADMIN true, " } else { "" },
                self.inherit,
                self.set
            ),
            (false, true) => format!("{grant} WITH ADMIN OPTION"),
            (false, false) => grant,
        }
    }
}

/// Reads everything that a change has to know, while the lock of the pair is held.
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn read(admin: &Session, names: Names<'_>) -> Result<Facts, Error> {
    let Names { current, next_user, owner, base, dbname } = names;
    let parameters: [&(dyn ToSql + Sync); 5] = [&current, &next_user, &owner, &base, &dbname];
    admin
        .query_json(
            "comparing the two users",
            sql::PAIR,
            &parameters.map(|parameter| (parameter, Type::TEXT)),
        )
        .await
}

/// Carries a change out.
///
/// # Errors
/// [`Error::Database`], with `ConcurrentUpdate` when another session was changing one of the
/// roles: roll back, and begin again.
pub(crate) async fn apply(
    transaction: &Transaction<'_>,
    names: Names<'_>,
    change: &Change,
    stored_form: &SecretString,
    storage: Storage,
) -> Result<(), Error> {
    let admin = transaction.session();
    let next_user = escape_identifier(names.next_user);
    let mut sql = format!(
        "{}{} ROLE {next_user} LOGIN {} PASSWORD {};",
        role::hash_settings(storage),
        if change.create { "CREATE" } else { "ALTER" },
        change.attributes.join(" "),
        escape_literal(stored_form.expose_secret())
    );
    for grant in &change.grants {
        let _ = write!(sql, " GRANT {grant};");
    }
    let act_as = change.act_as.as_ref().map_or_else(
        || format!("ALTER ROLE {next_user} RESET role"),
        |role| role::act_as(names.next_user, role),
    );
    let _ = write!(sql, " {act_as}");
    admin
        .set_password(role::CHANGE, &sql)
        .await
        .map_err(|error| role::without_password(error, stored_form, storage))?;
    if change.settings {
        let name_of = |parameter: &str, role: &str| {
            format!(
                "SELECT pg_catalog.set_config('postgres_secret_rotation.{parameter}', {}, true)",
                escape_literal(role)
            )
        };
        let copy = format!(
            "{}; {}; {}",
            name_of("source", names.current),
            name_of("target", names.next_user),
            sql::SETTINGS
        );
        let copied = admin.execute("copying the settings of the role", &copy).await;
        copied.map_err(|mut error| match &mut error {
            Error::Database { fault: fault @ DatabaseFault::PermissionDenied, .. } => {
                *fault = DatabaseFault::SettingNotPermitted;
                error
            }
            // The server quotes a value that is not valid any more.
            _ => error.without_message(),
        })?;
    }
    Ok(())
}
