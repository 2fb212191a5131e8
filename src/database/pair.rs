//! The two users of an application that take turns: what the catalogs say of them, and the
//! statements that make one the other's equal.

use std::fmt::Write;

use postgres_protocol::escape::{escape_identifier, escape_literal};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio_postgres::types::{ToSql, Type};

use super::role::{self, End};
use super::{Session, sql};
use crate::error::{DatabaseFault, Error};
use crate::secret::password::Storage;

/// Whom [`read`] asks about.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    pub current: &'a str,
    /// The user whose turn is next.
    pub next_user: &'a str,
    /// The policy's `owner_role`.
    pub owner: Option<&'a str>,
    /// The pair's base user: the name without `_clone`.
    pub base: &'a str,
    /// The database that the application uses.
    pub dbname: &'a str,
}

/// What the catalogs say of two users, their owner role and the admin.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Facts {
    /// `server_version_num`.
    pub version: u32,
    pub admin: Role,
    pub current: Option<Role>,
    pub next_user: Option<Role>,
    /// The policy's owner role, else the role that the current user is set to act as, else the base
    /// user.
    pub owner_name: String,
    pub owner_exists: bool,
    /// The role that the current user acts as only because the database sets it for all users.
    pub role_of_all_users: Option<String>,
    /// The role that the current user acts as in its database, which may be itself.
    pub current_acts_as: String,
    /// Whether it does so by a setting of its own for that database, which is copied like any
    /// other.
    pub by_database: bool,
    /// Whether the current user may act as the owner role.
    pub current_may_act: Option<bool>,
    /// Whether it has the owner role's rights without acting as it.
    pub current_inherits: Option<bool>,
    /// Whether a role that may say so made the next user a second user.
    pub next_user_is_second: Option<bool>,
    /// Whether the next user may act as the owner role, with the owner's rights inherited.
    pub next_user_may_act: Option<bool>,
    pub admin_option_on_next_user: Option<bool>,
    pub admin_option_on_owner: Option<bool>,
    /// Memberships of the current user that the next user lacks, and does not get through the
    /// owner role.
    pub lacking: Vec<Membership>,
    /// Roles that the next user is a member of, and the current user is not.
    pub surplus: Vec<Surplus>,
    /// Names of settings in which the two differ.
    pub settings: Vec<String>,
    /// Open sessions of the next user.
    pub sessions: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the columns of pg_roles")]
pub struct Role {
    pub name: String,
    pub superuser: bool,
    pub create_role: bool,
    pub create_db: bool,
    pub replication: bool,
    pub bypass_rls: bool,
    pub inherit: bool,
    /// -1: no limit.
    pub connection_limit: i32,
    pub valid_until: Option<String>,
    /// What it can do to the server, by itself or through a role that it may act as.
    pub powers: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the columns of pg_auth_members")]
pub struct Membership {
    pub role: String,
    pub admin: bool,
    pub inherit: bool,
    pub set: bool,
    /// Whether the admin has ADMIN OPTION on it.
    pub grantable: bool,
}

/// A membership that the next user has alone.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Surplus {
    pub role: String,
    pub grantor: String,
}

/// What makes the next user the current one's equal. The server compares and copies the settings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    pub create: bool,
    /// As `ALTER ROLE` takes them, such as `CONNECTION LIMIT 5`.
    pub attributes: Vec<String>,
    /// The role to act as; `None` where that is the next user itself.
    pub act_as: Option<String>,
    /// What follows GRANT.
    pub grants: Vec<String>,
    pub settings: bool,
}

impl Facts {
    /// Whether memberships have options, and CREATEROLE is not enough to change a role.
    #[must_use]
    pub fn needs_admin_option(&self) -> bool {
        self.version >= 160_000
    }
}

impl Membership {
    /// What follows GRANT to give it to a role.
    #[must_use]
    pub fn grant(&self, to: &str, options: bool) -> String {
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

/// Reads everything that a change has to know, within the transaction of [`role::lock`].
///
/// # Errors
/// [`Error::Database`].
pub async fn read(admin: &Session, names: Names<'_>) -> Result<Facts, Error> {
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

/// Carries a change out within the transaction of [`role::lock`], and ends that.
///
/// # Errors
/// [`Error::Database`], with `ConcurrentUpdate` when another session was changing one of the
/// roles: roll back, and begin again.
pub async fn apply(
    admin: &Session,
    names: Names<'_>,
    change: &Change,
    stored_form: &SecretString,
    storage: Storage,
    end: End,
) -> Result<(), Error> {
    let next_user = escape_identifier(names.next_user);
    let mut sql = format!(
        "{} ROLE {next_user} LOGIN {} PASSWORD {};",
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
    let _ = write!(sql, " {act_as}; ");
    if !change.settings {
        sql.push_str(end.sql());
    }
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
            "{}; {}; {}; {}",
            name_of("source", names.current),
            name_of("target", names.next_user),
            sql::SETTINGS,
            end.sql()
        );
        let copied = admin.execute("copying the settings of the role", &copy).await;
        copied.map_err(|mut error| match &mut error {
            Error::Database { fault: fault @ DatabaseFault::PermissionDenied, .. } => {
                *fault = DatabaseFault::SettingNotPermitted;
                error
            }
            // The server quotes a value that is not valid any more.
            _ => role::without_text(error),
        })?;
    }
    Ok(())
}
