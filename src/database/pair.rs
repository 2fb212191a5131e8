//! The two alternating users of an application: what the catalogs say about them, and the
//! statements that make one the other's equal.

use std::fmt::Write;

use postgres_protocol::escape::{escape_identifier, escape_literal};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio_postgres::types::{ToSql, Type};

use super::expiry;
use super::owner::copy_settings;
use super::role;
use super::session::Session;
use super::sql;
use super::transaction::Transaction;
use crate::error::{DatabaseFault, Error};
use crate::secret::password::Storage;

/// The roles that [`read`] asks about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names<'a> {
    pub(crate) current: &'a str,
    /// The user that becomes current next.
    pub(crate) next_user: &'a str,
    /// The policy's `owner_role`.
    pub(crate) owner: Option<&'a str>,
    /// The pair's base user: the name without `_clone`.
    pub(crate) base: &'a str,
    /// The database that the application uses.
    pub(crate) dbname: &'a str,
}

/// The catalogs' facts about two users, their owner role and the admin.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Facts {
    /// `server_version_num`.
    pub(crate) version: u32,
    pub(crate) admin: Role,
    pub(crate) current: Option<Role>,
    pub(crate) next_user: Option<Role>,
    /// The policy's owner role, else the role in the current user's "role" setting, else the base
    /// user.
    pub(crate) owner_name: String,
    pub(crate) owner_exists: bool,
    /// The role that the current user acts as because of a setting for all users of the database.
    pub(crate) role_of_all_users: Option<String>,
    /// The role that the current user acts as in its database, possibly itself.
    pub(crate) current_acts_as: String,
    /// Whether that comes from the user's own setting for that database, which is copied too.
    pub(crate) by_database: bool,
    /// Whether the current user may act as the owner role.
    pub(crate) current_may_act: Option<bool>,
    /// Whether the current user inherits the owner role's rights.
    pub(crate) current_inherits: Option<bool>,
    /// Whether a trusted role made the next user the second user of this pair.
    pub(crate) next_user_is_second: Option<bool>,
    /// Whether the next user may act as the owner role and inherits its rights.
    pub(crate) next_user_may_act: Option<bool>,
    pub(crate) admin_option_on_next_user: Option<bool>,
    pub(crate) admin_option_on_owner: Option<bool>,
    /// Memberships of the current user that the next user lacks, also through the owner role.
    pub(crate) lacking: Vec<Membership>,
    /// Memberships that only the next user has.
    pub(crate) surplus: Vec<Surplus>,
    /// Names of the settings in which the two users differ.
    pub(crate) settings: Vec<String>,
    /// Those of them that the admin may not set. Empty before PostgreSQL 15, which cannot tell.
    #[serde(default)]
    pub(crate) settings_not_permitted: Vec<String>,
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
    /// -1 means no limit.
    pub(crate) connection_limit: i32,
    pub(crate) valid_until: Option<String>,
    /// The powerful attributes and memberships that it has, directly or through a role it can act
    /// as.
    pub(crate) powers: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the columns of pg_auth_members")]
pub(crate) struct Membership {
    pub(crate) role: String,
    pub(crate) admin: bool,
    pub(crate) inherit: bool,
    pub(crate) set: bool,
    /// Whether the admin has ADMIN OPTION on the role.
    pub(crate) grantable: bool,
}

/// A membership that only the next user has.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Surplus {
    pub(crate) role: String,
    pub(crate) grantor: String,
}

/// The change that makes the next user the current one's equal. The server copies the settings.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Change {
    pub(crate) create: bool,
    /// In the form of `ALTER ROLE`, such as `CONNECTION LIMIT 5`.
    pub(crate) attributes: Vec<String>,
    /// When the new password ends, under a lease.
    pub(crate) valid_until: Option<String>,
    /// Whether the end that a former lease set is removed.
    pub(crate) ends_lease: bool,
    /// The role to act as. `None` means the next user itself.
    pub(crate) act_as: Option<String>,
    /// Each without the word GRANT.
    pub(crate) grants: Vec<String>,
    pub(crate) settings: bool,
}

impl Facts {
    /// Leaves the ends of the two passwords out of the comparison: a lease sets its own.
    pub(crate) fn ignore_dates(&mut self) {
        for role in [&mut self.current, &mut self.next_user].into_iter().flatten() {
            role.valid_until = None;
        }
    }

    /// Whether memberships have options, and a change of a role needs more than CREATEROLE.
    pub(crate) fn needs_admin_option(&self) -> bool {
        self.version >= 160_000
    }
}

impl Membership {
    /// The GRANT to a role, without the word GRANT.
    pub(crate) fn grant(&self, to: &str, options: bool) -> String {
        let grant = format!("{} TO {}", escape_identifier(&self.role), escape_identifier(to));
        match (options, self.admin) {
            // An option that is not named does not change.
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

/// Reads all facts that a change needs. The caller holds the pair's lock.
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn read(admin: &Session, names: Names<'_>) -> Result<Facts, Error> {
    const OPERATION: &str = "comparing the two users";
    let Names { current, next_user, owner, base, dbname } = names;
    let parameters: [&(dyn ToSql + Sync); 5] = [&current, &next_user, &owner, &base, &dbname];
    let parameters = parameters.map(|parameter| (parameter, Type::TEXT));
    let mut facts: Facts = admin.query_json(OPERATION, sql::PAIR, &parameters).await?;
    if !facts.settings.is_empty() && sql::from_15(facts.version) {
        facts.settings_not_permitted =
            admin.query_json(OPERATION, sql::SETTINGS_NOT_PERMITTED, &parameters[..2]).await?;
    }
    Ok(facts)
}

/// Makes the change.
///
/// # Errors
/// [`Error::Database`], with `ConcurrentUpdate` if another session is changing one of the roles:
/// roll back and retry.
pub(crate) async fn apply(
    transaction: &Transaction<'_>,
    names: Names<'_>,
    change: &Change,
    stored_form: &SecretString,
    storage: Storage,
) -> Result<(), Error> {
    let admin = transaction.session();
    let next_user = escape_identifier(names.next_user);
    let no_end = || change.ends_lease.then(|| "infinity".to_owned());
    let valid_until = change.valid_until.as_deref().map(expiry::of_lease).or_else(no_end);
    let valid_until = valid_until.as_deref().map(expiry::clause).unwrap_or_default();
    let mut sql = format!(
        "{}{} ROLE {next_user} LOGIN {} {valid_until} PASSWORD {};",
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
        let copy = copy_settings(names.current, names.next_user);
        let copied = admin.execute("copying the settings of the role", &copy).await;
        copied.map_err(|mut error| match &mut error {
            Error::Database { fault: fault @ DatabaseFault::PermissionDenied, .. } => {
                *fault = DatabaseFault::SettingNotPermitted;
                error
            }
            // The server quotes a value that is no longer valid.
            _ => error.without_message(),
        })?;
    }
    Ok(())
}
