//! What a person can do about a missing right, and which statements are never shown.

use super::role::grant;

/// Stands in place of a statement that is not shown.
const WITHHELD: &str = "no statement is shown";

/// What gives a role what it lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RightRemedy {
    /// A complete SQL statement for the database where it is missing.
    Statement(String),
    /// What a person has to decide or do.
    Advice(String),
}

impl RightRemedy {
    /// The statement or the advice.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Statement(text) | Self::Advice(text) => text,
        }
    }
}

/// Whether a role reaches beyond its own data, by its name. `power.sql` has the same rule.
pub(crate) fn is_powerful(name: &str) -> bool {
    const HARMLESS: [&str; 6] = [
        "pg_database_owner",
        "pg_monitor",
        "pg_read_all_settings",
        "pg_read_all_stats",
        "pg_stat_scan_tables",
        "pg_use_reserved_connections",
    ];
    const POWERFUL: [&str; 8] = [
        "postgres",
        "rdsadmin",
        "neon_superuser",
        "supabase_admin",
        "avnadmin",
        "doadmin",
        "tsdbadmin",
        "ybdba",
    ];
    let of_a_service =
        ["rds_", "cloudsql", "alloydb", "azure"].iter().any(|prefix| name.starts_with(prefix));
    name.starts_with("pg_") && !HARMLESS.contains(&name) || of_a_service || POWERFUL.contains(&name)
}

/// Who named the role that a statement would grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AskedBy {
    /// The policy.
    Policy,
    /// The other user of the pair, who has it.
    Pair,
    /// The secret's own `grants`.
    Secret,
    /// A setting that the role or the database's owner may change.
    Setting,
}

impl AskedBy {
    /// The statement that gives a role, or why it is not shown. A tired person may run it unread.
    /// So none gives a powerful role, or one that only an untrusted side named.
    pub(crate) fn advise(self, role: &str, statement: String) -> RightRemedy {
        let reason = match self {
            _ if is_powerful(role) => "it is a powerful role",
            Self::Policy | Self::Pair => return RightRemedy::Statement(statement),
            Self::Secret => "only the secret's \"grants\" asks for it",
            Self::Setting => {
                "only a \"role\" setting asks for it. If it is meant, set owner_role in \
                 ROTATION_POLICY"
            }
        };
        RightRemedy::Advice(format!("{WITHHELD}: {reason}"))
    }

    /// The statement that gives a right on an object of that type. For a secret's own grants, none
    /// is shown for the server's functions, catalogs and parameters. They make a role more than its
    /// application.
    pub(super) fn advise_right(self, kind: &str, object: &str, statement: String) -> RightRemedy {
        let of_the_server = kind == "parameter ACL"
            || ["pg_catalog.", "information_schema."]
                .iter()
                .any(|schema| object.starts_with(schema));
        if self == Self::Secret && of_the_server {
            return RightRemedy::Advice(format!("{WITHHELD}: it belongs to the server itself"));
        }
        RightRemedy::Statement(statement)
    }

    /// The advice to make a role a member of another, as a sentence without its full stop.
    pub(crate) fn advise_grant(self, role: &str, to: &str) -> String {
        match self.advise(role, grant(role, to)) {
            RightRemedy::Statement(statement) => format!("Run {statement}"),
            RightRemedy::Advice(advice) => advice.replacen("no statement", "No statement", 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::sql;

    #[test]
    fn the_rule_in_sql_names_the_same_roles() {
        let rule = sql::POWER.split("WHERE rolname LIKE").nth(1).unwrap();
        let rule = rule.split("-- end of shared").next().unwrap();
        for quoted in rule.split('\'').skip(1).step_by(2) {
            let name = quoted.replace("\\_", "_").replace('%', "x");
            let harmless = name.starts_with("pg_") && quoted == name;
            assert_eq!(is_powerful(&name), !harmless, "{quoted}");
        }
        for name in [
            "rds_superuser",
            "pg_read_all_data",
            "pg_future",
            "cloudsqlsuperuser",
            "azure_pg_admin",
            "neon_superuser",
            "postgres",
        ] {
            assert!(is_powerful(name), "{name}");
        }
        for name in ["app", "readers", "pg_monitor", "pgbouncer"] {
            assert!(!is_powerful(name), "{name}");
        }
    }
}
