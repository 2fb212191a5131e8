//! Each statement that an error, a warning or a script can print. Each has a test that makes the
//! situation, runs the statement, and sees the step pass.

use std::path::{Path, PathBuf};

use crate::world::project;

/// A file in `src`, a part of the line that holds the statement, and the start of the test's name.
pub(crate) const ADVISED: [(&str, &str, &str); 38] = [
    (
        "database/role.rs",
        "\"ALTER ROLE {} SET role",
        "alternating_refusals::lacking::what_a_turn_warns_of",
    ),
    (
        "database/role.rs",
        "\"GRANT {} TO {}\"",
        "alternating_refusals::lacking::what_the_current_user_lacks",
    ),
    (
        "database/remedy.rs",
        "\"GRANT {privilege} {on}",
        "parity/privileges::every_kind_of_privilege",
    ),
    (
        "database/remedy.rs",
        "\"GRANT CONNECT",
        "parity/databases::a_database_that_the_pending_user_may_not_enter",
    ),
    (
        "database/remedy.rs",
        "\"ALTER POLICY {identity}",
        "parity/privileges::every_kind_of_privilege",
    ),
    ("database/remedy.rs", "it by ALTER POLICY", "parity/privileges::a_policy_that_restricts"),
    ("database/remedy.rs", "\"GRANT {on} TO", "parity/defaults::what_others_can_do"),
    ("database/remedy.rs", "\"REVOKE {on} FROM", "parity/defaults::what_others_can_do"),
    ("database/remedy.rs", "\"ALTER DEFAULT PRIVILEGES", "parity/defaults::what_others_can_do"),
    (
        "database/remedy.rs",
        "SET search_path",
        "parity/privileges::a_schema_that_only_the_current_users_name",
    ),
    (
        "database/remedy.rs",
        "TO {acts_as}{option}",
        "parity/roles::roles_that_are_there_from_the_beginning",
    ),
    ("database/remedy.rs", "\"GRANT {} TO {login}\"", "requirements/memberships::memberships_say"),
    ("database/remedy.rs", "\"REASSIGN OWNED", "parity/ownership::an_extension_is_moved"),
    (
        "database/remedy.rs",
        "ALTER {} {identity} OWNER TO a superuser",
        "parity/ownership::every_kind_of_object",
    ),
    (
        "database/remedy.rs",
        "ALTER SUBSCRIPTION {identity}",
        "parity/ownership::what_the_whole_cluster_shares",
    ),
    (
        "database/remedy.rs",
        "\"ALTER {} {identity} OWNER TO {acts_as}\"",
        "parity/ownership::every_kind_of_object",
    ),
    (
        "error/database.rs",
        "\"ALTER ROLE {name} LOGIN\"",
        "database_errors::what_is_wrong_with_the_role",
    ),
    ("error/database.rs", "\"GRANT CONNECT", "database_errors::what_is_wrong_with_the_database"),
    ("error/database.rs", "\"ALTER DATABASE", "database_errors::what_is_wrong_with_the_database"),
    ("error/database.rs", "\"REVOKE rds_iam", "database_errors::a_login_that_no_password_decides"),
    (
        "error/database.rs",
        "\"SELECT pg_banned",
        "database_errors::a_login_that_no_password_decides",
    ),
    (
        "operations/monitor/advice.rs",
        "ALTER ROLE {} VALID",
        "operations/monitor/states::an_admin_tells_an_expired",
    ),
    (
        "rotation/admin.rs",
        "\"ALTER ROLE {admin} CREATEROLE",
        "admin_fallback::a_right_that_the_admin_lacks",
    ),
    ("rotation/pair/equality.rs", "REASSIGN OWNED", "parity/roles::what_a_user_itself_owns"),
    (
        "rotation/pair/owner_role.rs",
        "\"CREATE ROLE {} LOGIN",
        "owner_role::a_role_becomes_the_owner_role",
    ),
    ("rotation/pair/owner_role.rs", "NOLOGIN", "owner_role::a_role_becomes_the_owner_role"),
    (
        "rotation/pair/plan.rs",
        "\"CREATE ROLE {} LOGIN\"",
        "alternating_refusals::lacking::nobody_is_created",
    ),
    (
        "rotation/pair/plan.rs",
        "\"GRANT {grant}\"",
        "alternating_refusals::lacking::nobody_is_created",
    ),
    ("rotation/pair/remedies.rs", "\"REASSIGN OWNED", "parity/script::preflight_gives_all"),
    (
        "rotation/pair/rights.rs",
        "\"ALTER ROLE {name} {attribute}\"",
        "alternating_refusals::lacking::what_the_admin_lacks",
    ),
    (
        "rotation/pair/rights.rs",
        "WITH ADMIN OPTION",
        "alternating_refusals::lacking::what_the_admin_lacks",
    ),
    (
        "rotation/pair/rights.rs",
        "\"{verb} ROLE",
        "alternating_refusals::lacking::what_the_admin_lacks",
    ),
    (
        "rotation/pair/rights.rs",
        "\"GRANT SET ON PARAMETER",
        "alternating_refusals::lacking::a_setting_that_the_admin",
    ),
    (
        "rotation/pair/warnings.rs",
        "\"REVOKE {} FROM",
        "alternating_refusals::lacking::what_a_turn_warns_of",
    ),
    ("rotation/timing/expiry.rs", "ALTER ROLE {} VALID", "expiry::a_password_that_ends"),
    ("rotation/timing/renewal.rs", "ALTER ROLE {} VALID", "lease::a_date_without_a_lease"),
    (
        "database/sql/copies_mappings.sql",
        "ALTER USER MAPPING",
        "copies::user_mappings_and_subscriptions",
    ),
    (
        "database/sql/copies_subscriptions.sql",
        "ALTER SUBSCRIPTION",
        "copies::user_mappings_and_subscriptions",
    ),
];

/// Why no test runs these.
const NOT_RUN: [(&str, &str, &str); 2] = [
    ("database/labels.rs", "\"SECURITY LABEL", "no provider of labels comes with PostgreSQL"),
    ("database/remedy.rs", "{acts_as} CREATEDB", "another check halts a turn of such users first"),
];

/// What marks a line that makes a statement with a name in it.
const VERBS: [&str; 8] = [
    "ALTER ",
    "CREATE ROLE",
    "GRANT ",
    "REASSIGN ",
    "REVOKE ",
    "SECURITY LABEL",
    "SELECT pg_banned",
    "{verb} ",
];

/// The function itself sends what stands in such a line, and no person.
const SENT: [&str; 5] = ["let sql =", "write!(sql", "EXECUTE", "RESET role", "change :="];

/// Each such line, with its file.
fn advice() -> Vec<(String, String)> {
    let root = project().join("src");
    let mut lines = Vec::new();
    for path in files(&root) {
        let file = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        for line in text.lines().map(str::trim) {
            let advises = VERBS.iter().any(|verb| line.replace("GRANT OPTION", "").contains(verb))
                && (line.contains('{') || line.contains("%I") || line.contains("pg_banned"))
                && !line.starts_with("//");
            // The grammar of grants has the same words.
            if advises
                && !file.starts_with("policy/")
                && !SENT.iter().any(|sent| line.contains(sent))
            {
                lines.push((file.clone(), line.to_owned()));
            }
        }
    }
    lines
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let code = |path: &PathBuf| path.extension().is_some_and(|end| end == "rs" || end == "sql");
    files
        .into_iter()
        .filter(code)
        .chain(folders.iter().flat_map(|folder| self::files(folder)))
        .collect()
}

#[test]
fn each_statement_that_a_person_is_told_to_run_is_run_by_a_test() {
    let advice = advice();
    let known: Vec<_> = ADVISED.iter().chain(&NOT_RUN).collect();
    for (file, line) in &advice {
        let listed = known.iter().any(|(of, part, _)| of == file && line.contains(part));
        assert!(listed, "no test is listed that runs what src/{file} advises: {line}");
    }
    for (file, part, _) in &known {
        let found = advice.iter().any(|(of, line)| of == file && line.contains(part));
        assert!(found, "src/{file} does not advise {part} any more");
    }
    for (_, part, test) in ADVISED {
        let (module, name) = test.rsplit_once("::").unwrap();
        let path = project().join(format!("tests/{}.rs", module.replace("::", "/")));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("{module}"));
        assert!(text.contains(&format!("async fn {name}")), "{part}: there is no test {test}");
    }
}
