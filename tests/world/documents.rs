//! The blocks of output in the documents: each is held against what its command really prints, or
//! rewritten from it.
//!
//! A comment above a block says which command prints it, and from which line to which:
//!
//! ````text
//! <!-- output of make demo | from The proof | to no login failed -->
//! ```text
//! ````
//!
//! With `| wrapped`, long lines are broken at 100 columns. Numbers, times, ports and version ids
//! change from run to run, and are not compared.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::{environment_variable, project};

/// Set to anything, it has every block rewritten in place of being compared.
const REWRITE: &str = "WRITE_DOCUMENTS";

/// What CONTRIBUTING.md says, too.
const HOW_TO_REWRITE: &str = "If the new output is right, write it into the documents: \
    WRITE_DOCUMENTS=1 cargo test --test demo --test drill --test integration documentation";

/// Every document of the project: its path below the project's folder, and its text.
pub fn all() -> Vec<(String, String)> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("the project can be read") {
            let path = entry.expect("the project can be read").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    collect(project(), &mut paths);
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.strip_prefix(project()).expect("it is in the project").display();
        (name.to_string(), std::fs::read_to_string(&path).expect("a document is text"))
    };
    paths.into_iter().map(read).collect()
}

/// A block of output in a document.
pub struct Block {
    pub command: String,
    from: Option<String>,
    to: Option<String>,
    wrapped: bool,
    /// The lines between the fences.
    lines: std::ops::Range<usize>,
}

impl Block {
    /// The blocks of a document.
    pub fn all(text: &str) -> Vec<Self> {
        let lines: Vec<_> = text.lines().collect();
        let block = |(at, line): (usize, &&str)| {
            let marker = line.strip_prefix("<!-- output of ")?.strip_suffix(" -->")?;
            let mut parts = marker.split(" | ");
            let mut block = Self {
                command: parts.next()?.to_owned(),
                from: None,
                to: None,
                wrapped: false,
                lines: at + 2..at + 2,
            };
            for part in parts {
                match part.split_once(' ').unwrap_or((part, "")) {
                    ("from", text) => block.from = Some(text.to_owned()),
                    ("to", text) => block.to = Some(text.to_owned()),
                    ("wrapped", "") => block.wrapped = true,
                    _ => panic!("{line}: {part:?} is not \"from\", \"to\" or \"wrapped\""),
                }
            }
            assert_eq!(lines.get(at + 1), Some(&"```text"), "below {line}");
            let length = lines[at + 2..].iter().position(|line| *line == "```");
            block.lines.end += length.unwrap_or_else(|| panic!("{line}: the block has no end"));
            Some(block)
        };
        lines.iter().enumerate().filter_map(block).collect()
    }

    /// The part of what was printed that belongs into the block.
    fn part(&self, printed: &str) -> Result<Vec<String>, String> {
        let lines: Vec<_> = printed.lines().map(|line| line.trim_end().to_owned()).collect();
        let find = |text: &Option<String>, after: usize| match text {
            None => Ok(None),
            Some(text) => (after..lines.len())
                .find(|at| lines[*at].contains(text))
                .map(Some)
                .ok_or_else(|| format!("`{}` prints no line with {text:?}", self.command)),
        };
        let start = find(&self.from, 0)?.unwrap_or(0);
        let end = find(&self.to, start)?.map_or(lines.len(), |at| at + 1);
        let part = lines[start..end].iter();
        let part = part.flat_map(|line| if self.wrapped { wrap(line) } else { vec![line.clone()] });
        Ok(part.collect())
    }

    /// The first line that is not the same in both, but for what changes from run to run. Where
    /// lines are wrapped, all of them are one.
    fn difference(&self, shown: &[String], printed: &[String]) -> Option<(String, String)> {
        if self.wrapped {
            return difference(&[shown.join(" ")], &[printed.join(" ")]);
        }
        difference(shown, printed)
    }
}

/// Compares every block of that command with what it printed, or rewrites them.
///
/// # Errors
/// What differs, and how to rewrite it; or that no document shows the command.
pub fn hold(command: &str, printed: &str) -> Result<(), String> {
    // Tests of one run rewrite the same files.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock();
    let (mut problems, mut found) = (String::new(), false);
    for (name, text) in all() {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        // From the last one to the first, so that the lines of those that are left stay in place.
        for block in Block::all(&text).into_iter().rev().filter(|block| block.command == command) {
            found = true;
            let part = block.part(printed).map_err(|problem| format!("{name}: {problem}"))?;
            let (shown, at) = (lines[block.lines.clone()].to_vec(), block.lines.start);
            if environment_variable(REWRITE).is_some() {
                lines.splice(block.lines, part);
            } else if let Some((shown, printed)) = block.difference(&shown, &part) {
                let _ = writeln!(
                    problems,
                    "{name}:{at}: this is not what `{command}` prints\n  shown:   {shown}\n  \
                     printed: {printed}"
                );
            }
        }
        let rewritten = lines.join("\n") + "\n";
        if environment_variable(REWRITE).is_some() && rewritten != text {
            std::fs::write(project().join(&name), rewritten).expect("a document can be written");
        }
    }
    if !found {
        return Err(format!("no document shows what `{command}` prints"));
    }
    if problems.is_empty() { Ok(()) } else { Err(format!("{problems}{HOW_TO_REWRITE}")) }
}

pub fn difference(shown: &[String], printed: &[String]) -> Option<(String, String)> {
    let line = |lines: &[String], at: usize| lines.get(at).cloned().unwrap_or_default();
    (0..shown.len().max(printed.len()))
        .map(|at| (line(shown, at), line(printed, at)))
        .find(|(shown, printed)| steady(shown) != steady(printed))
}

/// A line of words, broken at 100 columns.
fn wrap(line: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in line.split_whitespace() {
        let last = lines.last_mut().expect("it is never empty");
        if last.is_empty() {
            last.push_str(word);
        } else if last.chars().count() + 1 + word.chars().count() <= 100 {
            *last = format!("{last} {word}");
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// What stays the same of a line: version ids and numbers become `#`, and columns one space.
fn steady(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let parts = word.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        parts.map(steady_part).collect::<String>()
    });
    words.collect::<Vec<_>>().join(" ")
}

fn steady_part(part: &str) -> String {
    let id = part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    let is_hex = id.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    if is_hex && (id.len() == 36 || id.len() == 8) {
        return part.replacen(id, "#", 1);
    }
    let mut steady = String::new();
    for c in part.chars() {
        let c = if c.is_ascii_digit() { '#' } else { c };
        if c != '#' || !steady.ends_with('#') {
            steady.push(c);
        }
    }
    steady
}
