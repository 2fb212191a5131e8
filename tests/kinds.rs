//! How many tests there are of each kind of server and secret that halts a rotation or misleads it.

use std::io::Write;

use crate::advice::ADVISED;
use crate::world::project;

/// A kind, and its tests: a file, and a part of their names where not all of them belong to it.
const KINDS: [(&str, &[(&str, &str)]); 19] = [
    ("rights and settings in other databases", &[("parity/databases", "")]),
    ("scale", &[("scale", "")]),
    ("default privileges", &[("parity/defaults", "")]),
    ("logins as the application does", &[("logins", "")]),
    ("encodings", &[("encodings", "")]),
    (
        "VALID UNTIL",
        &[("expiry", ""), ("lease", "_date_"), ("operations/monitor/states", "expired")],
    ),
    ("documents", &[("connection_strings", ""), ("inputs", "")]),
    (
        "what a role carries",
        &[("labels", ""), ("parity/roles", ""), ("alternating_users/equality", "follow")],
    ),
    ("waking databases", &[("database_errors", "waited_for")]),
    ("several addresses", &[("../src/database/dial", "address")]),
    ("former hosts", &[("fallbacks", "former_host")]),
    ("poolers", &[("poolers", "")]),
    ("owner role", &[("owner_role", "")]),
    ("copies of the password", &[("copies", "")]),
    ("errors of one cause", &[("database_errors", ""), ("store_errors", "")]),
    ("InvalidConfiguration", &[("configuration", "misconfigured")]),
    ("objects and privileges", &[("parity/ownership", ""), ("parity/privileges", "")]),
    ("scripts instead of hundreds of statements", &[("parity/script", "")]),
    ("declared rights", &[("requirements/memberships", ""), ("requirements/rotations", "")]),
];

fn read(path: &str) -> String {
    std::fs::read_to_string(project().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names of the tests in a file.
fn tests(file: &str) -> Vec<String> {
    let text = read(&format!("tests/{file}.rs"));
    let after = text.split("test]\n").skip(1);
    let names = after.filter_map(|rest| rest.split_once("fn ")?.1.split_once('('));
    names.map(|(name, _)| name.to_owned()).collect()
}

/// The plans that Terraform has to refuse.
fn refused_plans() -> usize {
    let folder = std::fs::read_dir(project().join("terraform/tests")).unwrap();
    let files = folder.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    files
        .map(|path| std::fs::read_to_string(path).unwrap().matches("expect_failures").count())
        .sum()
}

#[test]
fn each_kind_has_tests_which_are_counted() {
    let mut counts = vec![
        ("advice that runs".to_owned(), ADVISED.len(), "statements"),
        ("Terraform refusals".to_owned(), refused_plans(), "plans"),
    ];
    for (kind, places) in KINDS {
        let count = |(file, part): &(&str, &str)| {
            let count = tests(file).iter().filter(|name| name.contains(part)).count();
            assert!(count > 0, "{kind}: no test in tests/{file}.rs has {part:?} in its name");
            count
        };
        counts.push((kind.to_owned(), places.iter().map(count).sum(), "tests"));
    }
    let lines = counts.iter().map(|(kind, count, of)| format!("  {kind}: {count} {of}\n"));
    // The test runner swallows what println! prints.
    std::io::stdout().lock().write_all(lines.collect::<String>().as_bytes()).unwrap();
}
