//! The SQL files: an editor and psql can read each file alone, and shared parts are the same in all
//! of them.

use std::collections::BTreeMap;

use crate::world::postgres::{admin, version};
use crate::world::project;

/// Each file's name and text.
fn files() -> Vec<(String, String)> {
    let mut files: Vec<_> = std::fs::read_dir(project().join("src/database/sql"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read_to_string(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    assert!(files.len() > 10, "only {} files were found", files.len());
    files
}

/// The version from which on a file holds, which its first line says.
fn since(text: &str) -> i32 {
    let first = text.lines().next().unwrap_or_default();
    first
        .strip_prefix("-- From PostgreSQL ")
        .and_then(|rest| rest.split_once(" on"))
        .map_or(0, |(major, _)| major.parse::<i32>().unwrap() * 10_000)
}

/// The shared parts of a file, by name, without their indentation.
fn shared(text: &str) -> Vec<(String, String)> {
    let mut parts = Vec::new();
    let mut part: Option<(String, Vec<&str>)> = None;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("-- shared: ") {
            assert!(part.is_none(), "{name} begins within another part");
            part = Some((name.to_owned(), Vec::new()));
        } else if line == "-- end of shared" {
            let (name, lines) = part.take().expect("a part that has begun");
            // In some files another expression follows.
            parts.push((name, lines.join("\n").trim_end_matches(',').to_owned()));
        } else if let Some((_, lines)) = &mut part {
            lines.push(line);
        }
    }
    assert!(part.is_none(), "{part:?} does not end");
    parts
}

#[tokio::test]
async fn the_server_parses_each_file_by_itself() {
    let (admin, version) = (admin().await, version().await);
    admin.batch_execute("SET search_path = pg_catalog").await.unwrap();
    for (name, text) in files() {
        let parsed = admin.prepare(&text).await;
        let known = version >= since(&text);
        assert_eq!(parsed.is_ok(), known, "{name} on {version}: {parsed:?}");
    }
}

#[test]
fn a_file_can_be_read() {
    for (name, text) in files() {
        assert!(text.starts_with("-- "), "{name} does not say what it is");
        for (n, line) in text.lines().enumerate() {
            let width = line.chars().count();
            assert!(width <= 120, "{name}:{}: {width} characters", n + 1);
        }
    }
}

#[test]
fn what_files_share_is_the_same_in_each() {
    let mut known: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut copies = 0;
    for (file, text) in files() {
        for (name, part) in shared(&text) {
            let (first, expected) =
                known.entry(name.clone()).or_insert_with(|| (file.clone(), part.clone()));
            assert_eq!(part, *expected, "{name} is not the same in {file} as in {first}");
            copies += 1;
        }
    }
    assert!(copies > known.len(), "a part that one file has alone is not shared");
}
