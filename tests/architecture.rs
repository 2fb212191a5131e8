//! The shape of the code, as `src/lib.rs` draws it: who may import whom, and who alone speaks to
//! the outside.

use std::path::{Path, PathBuf};

use crate::world::project;

/// Each module and what it may import of this crate, from the top to the bottom.
const IMPORTS: [(&str, &[&str]); 22] = [
    (
        "lib",
        &[
            "config",
            "context",
            "database",
            "deadline",
            "error",
            "event",
            "operations",
            "report",
            "secret::store",
            "steps",
            "last_words",
            "telemetry",
        ],
    ),
    (
        "operations",
        &[
            "context", "database", "deadline", "error", "event", "policy", "report", "rotation",
            "secret", "steps",
        ],
    ),
    ("steps", &["context", "database", "error", "event", "policy", "report", "rotation", "secret"]),
    (
        "rotation",
        &["config", "context", "database", "deadline", "error", "policy", "report", "secret"],
    ),
    ("context", &["config", "database", "deadline", "secret::store"]),
    ("telemetry", &["config", "error", "event", "policy", "report"]),
    ("last_words", &["config"]),
    ("report", &["event", "policy"]),
    ("event", &["error"]),
    ("database", &["deadline", "error", "policy", "secret::credentials", "secret::password"]),
    ("secret/store", &["deadline", "error"]),
    ("config", &["error", "policy", "secret::password", "secret::store"]),
    ("policy", &["error", "secret::credentials", "secret::password"]),
    ("secret/credentials", &["error", "secret::document", "secret::password"]),
    ("secret/document", &["error", "secret::password"]),
    ("secret/connection_string", &["error", "secret::password"]),
    ("secret/occurrence", &[]),
    ("secret/password", &["error"]),
    ("secret/verifier", &[]),
    ("secret/mod", &[]),
    ("error", &["deadline"]),
    ("deadline", &[]),
];

/// Each thing outside and the one place that may name it.
const OUTSIDE: [(&str, &str); 8] = [
    ("aws_sdk_secretsmanager", "secret/store"),
    ("aws_smithy", "secret/store"),
    ("rustls", "secret/store"),
    ("tokio_postgres", "database"),
    ("openssl", "database"),
    ("lookup_host", "database"),
    ("croner", "rotation/timing/schedule"),
    ("std::env::", "config"),
];

fn sources() -> Vec<(String, String)> {
    rust_files("src").into_iter().filter(|(name, _)| name != "main").collect()
}

/// The Rust files below a folder of the project: the path without `.rs`, and the text.
fn rust_files(folder: &str) -> Vec<(String, String)> {
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
    let root = project().join(folder);
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&root).unwrap().with_extension("").display().to_string();
        (name, std::fs::read_to_string(&path).unwrap())
    };
    paths.into_iter().map(read).collect()
}

fn belongs(name: &str, module: &str) -> bool {
    name == module || name.starts_with(&format!("{module}/"))
}

#[test]
fn modules_import_downwards_only() {
    for (name, source) in sources() {
        let place = IMPORTS.iter().find(|(module, _)| belongs(&name, module));
        let (module, allowed) = place.unwrap_or_else(|| {
            panic!(
                "src/{name}.rs has no place in the map: add its module to IMPORTS in \
                 tests/architecture.rs, below all that may import it"
            )
        });
        let folder = name.split('/').next().unwrap_or_default();
        for (line, text) in source.lines().enumerate() {
            for import in text.split("crate::").skip(1) {
                let known = allowed.iter().any(|module| import.starts_with(module));
                let own = import.starts_with(folder) && folder != "secret";
                assert!(
                    known || own,
                    "src/{name}.rs:{}: {module} stands below crate::{import}\nMove what both need \
                     into a module below both, or pass it as an argument. Only where the layers \
                     themselves change, change IMPORTS in tests/architecture.rs",
                    line + 1
                );
            }
        }
    }
}

/// The members of a folder that a file in it or below it imports. A member is a file or a folder.
/// `file` is its path from the folder: `lock`, `pair/plan`, `pair/mod`.
fn imports_within(folder: &str, file: &str, source: &str, members: &[String]) -> Vec<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = code.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ");
    let depth = file.split('/').count() - usize::from(file.ends_with("mod"));
    let up = if depth == 0 { "self::".to_owned() } else { "super::".repeat(depth) };
    let absolute = format!("crate::{}::", folder.replace('/', "::"));
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    // A path with another `super::` before or behind leads to another folder.
    let relative = code.match_indices(&up).filter(|(at, _)| !code[..*at].ends_with("super::"));
    let relative = relative.map(|(at, _)| &code[at + up.len()..]);
    let paths = relative.filter(|path| !path.starts_with("super::"));
    let mut targets: Vec<&str> = Vec::new();
    for path in paths.chain(code.split(&absolute).skip(1)) {
        let names: Vec<&str> = match path.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or_default().split(", ").collect(),
            None => vec![path],
        };
        targets.extend(names.into_iter().map(|name| {
            let word = name.trim().split(|c| !is_word(c)).next().unwrap_or_default();
            // What is no member of the folder stands in its mod.rs.
            if members.iter().any(|member| member == word) { word } else { "mod" }
        }));
    }
    // A mod.rs can call the modules that it declares without an import.
    let calls = |member: &&String| {
        code.match_indices(&format!("{member}::"))
            .any(|(at, _)| !code[..at].ends_with(|c| is_word(c) || c == ':'))
    };
    if file == "mod" {
        targets.extend(members.iter().filter(calls).map(String::as_str));
    }
    let own = file.split('/').next().unwrap_or_default();
    let targets = targets.into_iter().filter(|target| *target != own);
    targets.filter(|target| members.iter().any(|m| m == target)).map(str::to_owned).collect()
}

#[test]
fn no_folder_holds_a_circle() {
    let sources = sources();
    let folders: std::collections::BTreeSet<&str> = sources
        .iter()
        .flat_map(|(name, _)| name.match_indices('/').map(|(at, _)| &name[..at]))
        .collect();
    for folder in folders {
        let inside: Vec<(&str, &str)> = sources
            .iter()
            .filter_map(|(name, source)| {
                Some((name.strip_prefix(folder)?.strip_prefix('/')?, source.as_str()))
            })
            .collect();
        let member = |file: &str| file.split('/').next().unwrap_or_default().to_owned();
        let members: Vec<String> = inside.iter().map(|(file, _)| member(file)).collect();
        let mut graph = std::collections::BTreeMap::<String, Vec<String>>::new();
        for (file, source) in inside {
            let imports = imports_within(folder, file, source, &members);
            graph.entry(member(file)).or_default().extend(imports);
        }
        for start in graph.keys() {
            let (mut open, mut seen) = (graph[start].clone(), Vec::new());
            while let Some(file) = open.pop() {
                assert!(
                    file != *start,
                    "src/{folder}/{start} imports itself by way of {seen:?}: move what both need \
                     into a file below both, or pass it as an argument"
                );
                if !seen.contains(&file) {
                    open.extend(graph[&file].clone());
                    seen.push(file);
                }
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

/// `Row::get` panics where a server sends NULL or another type; `Session::column` does not.
#[test]
fn no_column_is_read_in_a_way_that_can_panic() {
    for (name, source) in sources().into_iter().filter(|(name, _)| belongs(name, "database")) {
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        for pattern in ["row.get(", "row.get::<", ".get::<_,"] {
            assert!(!code.contains(pattern), "src/{name}.rs reads a column with {pattern}");
        }
    }
}

/// rustfmt breaks neither strings nor comments.
#[test]
fn no_line_is_wider_than_100_columns() {
    for folder in ["src", "tests", "examples"] {
        for (name, text) in rust_files(folder) {
            for (number, line) in text.lines().enumerate() {
                let width = line.chars().count();
                assert!(width <= 100, "{folder}/{name}.rs:{}: {width} columns", number + 1);
            }
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

#[test]
fn the_runbook_says_what_to_do_about_every_state_of_monitor() {
    let runbook = std::fs::read_to_string(project().join("RUNBOOK.md")).unwrap();
    let source = std::fs::read_to_string(project().join("src/report/health.rs")).unwrap();
    let names = source.lines().filter_map(|line| line.split_once("=> \"")?.1.split('"').next());
    let is_state = |name: &&str| name.starts_with(char::is_lowercase);
    let states: Vec<_> = names.filter(is_state).collect();
    assert_eq!(states.len(), 10, "{states:?}");
    for state in states {
        assert!(runbook.contains(&format!("\n| `{state}` | ")), "RUNBOOK.md has no row {state}");
    }
}
