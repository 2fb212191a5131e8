//! The shape of the code, as `src/lib.rs` draws it: who may import whom, and who alone speaks to
//! the outside.

use std::path::{Path, PathBuf};

use crate::world::project;

/// Each module and what it may import of this crate. `error`, `deadline` and `secret::password`
/// stand at the bottom.
const IMPORTS: [(&str, &[&str]); 16] = [
    ("deadline", &[]),
    ("error", &["deadline"]),
    ("secret/password", &[]),
    ("secret/document", &[]),
    ("secret/credentials", &[]),
    ("secret/store", &["deadline", "error"]),
    ("policy", &["secret::credentials", "secret::password"]),
    ("config", &["error", "policy", "secret::password", "secret::store"]),
    ("event", &["error"]),
    ("report", &["event", "policy"]),
    ("telemetry", &["config", "error", "event", "policy", "report"]),
    ("database", &["deadline", "error", "policy", "secret::credentials", "secret::password"]),
    (
        "rotation",
        &["config", "database", "deadline", "error", "event", "policy", "report", "secret"],
    ),
    ("operations", &["database", "error", "event", "policy", "report", "rotation", "secret"]),
    (
        "lib",
        &[
            "config",
            "database",
            "deadline",
            "error",
            "event",
            "operations",
            "report",
            "rotation",
            "secret",
            "telemetry",
        ],
    ),
    ("secret/mod", &[]),
];

/// Each thing outside and the one place that may name it.
const OUTSIDE: [(&str, &str); 7] = [
    ("aws_sdk_secretsmanager", "secret/store"),
    ("aws_smithy", "secret/store"),
    ("rustls", "secret/store"),
    ("tokio_postgres", "database"),
    ("openssl", "database"),
    ("lookup_host", "database"),
    ("std::env::", "config"),
];

fn sources() -> Vec<(String, String)> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = project().join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&root).unwrap().with_extension("").display().to_string();
        (name, std::fs::read_to_string(&path).unwrap())
    };
    paths.into_iter().map(read).filter(|(name, _)| name != "main").collect()
}

fn belongs(name: &str, module: &str) -> bool {
    name == module || name.starts_with(&format!("{module}/"))
}

#[test]
fn modules_import_downwards_only() {
    for (name, source) in sources() {
        let (_, allowed) = IMPORTS
            .iter()
            .find(|(module, _)| belongs(&name, module))
            .unwrap_or_else(|| panic!("{name} has no place in the map"));
        for (line, text) in source.lines().enumerate() {
            for import in text.split("crate::").skip(1) {
                let known = allowed.iter().any(|module| import.starts_with(module));
                let own = import.starts_with(name.split('/').next().unwrap_or_default())
                    && !name.starts_with("secret/");
                assert!(known || own, "src/{name}.rs:{}: may not import crate::{import}", line + 1);
            }
        }
    }
}

#[test]
fn each_thing_outside_is_named_in_one_place() {
    for (name, source) in sources() {
        for (outside, module) in OUTSIDE {
            let code = source
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect::<Vec<_>>()
                .join("\n");
            let code = code.split("#[cfg(test)]").next().unwrap_or_default();
            assert!(
                belongs(&name, module) || !code.contains(outside),
                "src/{name}.rs names {outside}, which only {module} may"
            );
        }
    }
}

#[test]
fn a_file_holds_one_thing() {
    for (name, source) in sources() {
        let code = source.split("#[cfg(test)]").next().unwrap_or_default().lines().count();
        assert!(code <= 300, "src/{name}.rs has {code} lines before its tests");
        assert!(source.starts_with("//! "), "src/{name}.rs does not say what it is");
    }
}

#[test]
fn the_runbook_says_what_to_do_about_every_kind_of_error() {
    let runbook = std::fs::read_to_string(project().join("RUNBOOK.md")).unwrap();
    let mut kinds = 0;
    for (name, source) in sources().into_iter().filter(|(name, _)| name.starts_with("error/")) {
        for line in source.lines().filter(|line| line.contains("=> \"")) {
            let kind = line.split('"').nth(1).unwrap();
            kinds += 1;
            assert!(
                runbook.contains(&format!("`{kind}`")),
                "RUNBOOK.md does not mention {kind}, a kind in src/{name}.rs"
            );
        }
    }
    assert!(kinds > 40, "only {kinds} kinds were found");
}
