//! What the admin lacks for the change of a pair's next user, as statements that a person runs.

use postgres_protocol::escape::escape_identifier;

use crate::database::pair::{Change, Facts, Role};
use crate::database::{advice, role};

/// Parameters by which a role can run code as the server.
const LOADS_CODE: [&str; 4] = [
    "dynamic_library_path",
    "extension_control_path",
    "local_preload_libraries",
    "session_preload_libraries",
];

/// The statements that give the admin what it lacks.
pub(super) fn rights_lacking(
    facts: &Facts,
    current: &Role,
    next_user: &str,
    change: &Change,
) -> Vec<String> {
    let admin = &facts.admin;
    if admin.superuser {
        return Vec::new();
    }
    let name = escape_identifier(&admin.name);
    let attribute = |attribute: &str| format!("ALTER ROLE {name} {attribute}");
    let admin_option = |role: &str| {
        if advice::is_powerful(role) {
            return withheld("ADMIN OPTION on", role);
        }
        format!("GRANT {} TO {name} WITH ADMIN OPTION", escape_identifier(role))
    };
    let mut lacking = Vec::new();
    if !admin.create_role {
        lacking.push(attribute("CREATEROLE"));
    }
    if facts.needs_admin_option() {
        if !change.create && facts.admin_option_on_next_user != Some(true) {
            lacking.push(admin_option(next_user));
        }
        if change.act_as.is_some()
            && facts.next_user_may_act != Some(true)
            && facts.admin_option_on_owner != Some(true)
        {
            lacking.push(admin_option(&facts.owner_name));
        }
        lacking.extend(
            facts
                .lacking
                .iter()
                .filter(|membership| !membership.grantable)
                .map(|membership| admin_option(&membership.role)),
        );
    }
    let before = next_user_role(facts);
    if facts.needs_admin_option() {
        let flags = [
            ("CREATEDB", current.create_db != before.create_db, admin.create_db),
            ("REPLICATION", current.replication != before.replication, admin.replication),
            ("BYPASSRLS", current.bypass_rls != before.bypass_rls, admin.bypass_rls),
        ];
        lacking.extend(
            flags
                .into_iter()
                .filter(|(_, differs, has)| *differs && !has)
                .map(|(flag, _, _)| attribute(flag)),
        );
    } else if current.replication || before.replication {
        // Before PostgreSQL 16, only a superuser may change a role with REPLICATION.
        lacking.push(attribute("SUPERUSER"));
    } else if current.bypass_rls != before.bypass_rls {
        let verb = if change.create { "CREATE" } else { "ALTER" };
        lacking.push(format!(
            "{verb} ROLE {} {}BYPASSRLS",
            escape_identifier(next_user),
            if current.bypass_rls { "" } else { "NO" }
        ));
        // This shows the next attempt that it is the second user.
        let owner = change.act_as.as_ref().filter(|_| change.create);
        lacking.extend(owner.map(|owner| role::act_as(next_user, owner)));
    }
    lacking.extend(facts.settings_not_permitted.iter().map(|setting| {
        if LOADS_CODE.contains(&setting.as_str()) {
            return format!(
                "-- SET on parameter {setting}, which loads code: no statement is shown"
            );
        }
        // The parameters of extensions have two names.
        let names: Vec<_> = setting.split('.').map(escape_identifier).collect();
        format!("GRANT SET ON PARAMETER {} TO {name}", names.join("."))
    }));
    withheld_last(lacking)
}

/// The next user, or a role as CREATE ROLE makes it.
pub(super) fn next_user_role(facts: &Facts) -> Role {
    facts.next_user.clone().unwrap_or_else(|| Role {
        inherit: true,
        connection_limit: -1,
        ..Role::default()
    })
}

/// Stands in a list of statements for one that gives a powerful role.
pub(super) fn withheld(what: &str, role: &str) -> String {
    format!("-- {what} {role:?}, a powerful role: no statement is shown")
}

/// A person may run the list as one line, in which nothing after a comment counts.
pub(super) fn withheld_last(mut statements: Vec<String>) -> Vec<String> {
    statements.sort_by_key(|statement| statement.starts_with("--"));
    statements
}
