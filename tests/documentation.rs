//! The documents: what they name exists, what they show is printed, and they can be read once.

mod markdown;
mod printed;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::json;

use self::markdown::{Document, anchor, documents, links, sentences};
use crate::world::lambda::Function;
use crate::world::project;

/// What `tools/rotation` does, by the names that documents use.
const OPERATIONS: [&str; 6] = ["status", "preflight", "rotate", "recover", "retire", "fleet"];

/// Names that documents take from AWS and not from the code.
const OF_AWS: [&str; 1] = ["RotationFailed"];

/// Says all that is wrong at once.
fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

fn read(path: &str) -> String {
    std::fs::read_to_string(project().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Each use of a command in a piece of code: the words after it, up to the next command.
fn uses<'a>(code: &'a str, command: &str) -> Vec<Vec<&'a str>> {
    let code = code.split(" #").next().unwrap_or_default().split('"').next().unwrap_or_default();
    let words: Vec<_> = code.split([' ', ';']).filter(|word| !word.is_empty()).collect();
    let starts = words.iter().enumerate().filter(|(_, word)| **word == command);
    let until_next = |from: usize| {
        words[from..].iter().take_while(|word| !["&&", "|", command].contains(*word)).copied()
    };
    starts.map(|(at, _)| until_next(at + 1).collect()).collect()
}

#[test]
fn every_target_that_a_document_names_is_in_the_makefile() {
    let makefile = read("Makefile");
    let targets: BTreeSet<_> = makefile
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
        .filter_map(|line| line.split_once(':'))
        .filter(|(_, rest)| !rest.starts_with('='))
        .flat_map(|(names, _)| names.split_whitespace())
        .collect();
    let (mut seen, mut problems) = (0, Vec::new());
    for document in documents() {
        for words in document.code.iter().flat_map(|code| uses(code, "make")) {
            for word in words {
                let known = match word.split_once('=') {
                    Some((variable, _)) => makefile.contains(variable),
                    None => targets.contains(word) || word == "COMMAND",
                };
                seen += 1;
                if !known {
                    problems.push(format!("{}: the Makefile knows no {word:?}", document.name));
                }
            }
        }
    }
    assert_none(&problems);
    assert!(seen > 20, "only {seen} were found");
}

#[test]
fn every_command_that_a_document_names_is_one_of_the_tool() {
    let help = |arguments: &[&str]| {
        let tool = Command::new(project().join("tools/rotation"))
            .args(arguments)
            .arg("--help")
            .output()
            .expect("tools/rotation can be run");
        assert!(tool.status.success(), "tools/rotation {arguments:?} --help: {tool:?}");
        String::from_utf8(tool.stdout).expect("text")
    };
    let general = help(&[]);
    let commands: BTreeMap<_, _> = OPERATIONS.iter().map(|name| (*name, help(&[name]))).collect();
    let (mut seen, mut problems) = (0, Vec::new());
    for document in documents() {
        let full = document.code.iter().flat_map(|code| uses(code, "tools/rotation"));
        let short = document.code.iter().map(|code| code.split(' ').collect::<Vec<_>>());
        let short = short.filter(|words| OPERATIONS.contains(&words[0]));
        for words in full.chain(short) {
            // COMMAND stands for any of them.
            let Some(command) = words.first().filter(|word| **word != "COMMAND") else { continue };
            seen += 1;
            let known = commands.get(command).unwrap_or(&general);
            if !command.starts_with('-') && !commands.contains_key(command) {
                problems.push(format!("{}: there is no {command}", document.name));
            }
            for option in words.iter().filter(|word| word.starts_with("--")) {
                if !known.contains(option) {
                    problems.push(format!("{}: {command} has no {option}", document.name));
                }
            }
        }
    }
    assert_none(&problems);
    assert!(seen > 10, "only {seen} were found");
}

#[test]
fn every_link_leads_somewhere() {
    let documents = documents();
    let (mut seen, mut problems) = (0, Vec::new());
    for document in &documents {
        let folder = document.name.rsplit_once('/').map_or("", |(folder, _)| folder);
        for text in document.prose.iter().chain(&document.cells) {
            for (label, target) in links(text) {
                if target.contains("://") {
                    continue;
                }
                seen += 1;
                let (path, fragment) = target.split_once('#').unwrap_or((&target, ""));
                let path = if path.is_empty() { document.name.clone() } else { join(folder, path) };
                let place = format!("{}: [{label}]({target})", document.name);
                if !project().join(&path).exists() {
                    problems.push(format!("{place}: there is no {path}"));
                    continue;
                }
                let linked = documents.iter().find(|document| document.name == path);
                let headings = linked.map_or(&[][..], |document| &document.headings);
                if !fragment.is_empty() && !headings.iter().any(|text| anchor(text) == fragment) {
                    problems.push(format!("{place}: {path} has no such heading"));
                }
            }
        }
    }
    assert_none(&problems);
    assert!(seen > 20, "only {seen} were found");
}

/// A relative path, from the project's folder.
fn join(folder: &str, path: &str) -> String {
    let mut parts: Vec<_> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn every_file_that_a_document_names_is_there() {
    let folders = ["src/", "tests/", "tools/", "docs/", "terraform/", ".ci/", ".github/"];
    let (mut seen, mut problems) = (0, Vec::new());
    for document in documents() {
        for code in &document.code {
            let path = code.split_whitespace().next().unwrap_or_default();
            if !folders.iter().any(|folder| path.starts_with(folder)) || path.contains(['<', '*']) {
                continue;
            }
            seen += usize::from(document.name == "docs/architecture.md");
            if !project().join(path).exists() {
                problems.push(format!("{}: there is no {path}", document.name));
            }
        }
    }
    assert_none(&problems);
    assert!(seen > 20, "docs/architecture.md names only {seen} files");
}

#[test]
fn every_name_that_a_document_takes_from_the_code_is_in_it() {
    let mut code = String::new();
    for folder in ["src", "tests", "terraform", "tools"] {
        collect(&project().join(folder), &mut code);
    }
    let camel_case = |word: &str| {
        word.chars().all(char::is_alphanumeric)
            && word.starts_with(char::is_uppercase)
            && word.contains(char::is_lowercase)
            && word[1..].contains(char::is_uppercase)
    };
    let mut problems = Vec::new();
    for document in documents().iter().filter(|document| document.name != "CHANGELOG.md") {
        for word in document.code.iter().filter(|word| camel_case(word)) {
            if !code.contains(word.as_str()) && !OF_AWS.contains(&word.as_str()) {
                problems.push(format!("{}: nothing is called {word}", document.name));
            }
        }
    }
    assert_none(&problems);
}

fn collect(folder: &std::path::Path, code: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with(".terraform") {
                collect(&path, code);
            }
        } else if path.extension().is_some_and(|extension| extension != "md") {
            code.push_str(&std::fs::read_to_string(&path).unwrap_or_default());
        }
    }
}

#[test]
fn the_readme_is_short_and_its_sentences_are() {
    let text = read("README.md");
    let words = text.split_whitespace().count();
    assert!(words < 1_500, "README.md has {words} words; what is not for a newcomer is for docs/");
    let readme = Document::parse("README.md".to_owned(), &text);
    let sentences: Vec<_> = readme.prose.iter().flat_map(|text| sentences(text)).collect();
    let words: usize = sentences.iter().map(Vec::len).sum();
    assert!(sentences.len() > 30, "README.md has only {} sentences", sentences.len());
    assert!(
        words < 18 * sentences.len(),
        "README.md has {words} words in {} sentences: 18 or more in each",
        sentences.len()
    );
}

#[test]
fn no_sentence_of_a_document_is_over_30_words() {
    let mut problems = Vec::new();
    for document in documents() {
        for text in document.prose.iter().chain(&document.cells).chain(&document.headings) {
            for sentence in sentences(text).iter().filter(|sentence| sentence.len() > 30) {
                let length = sentence.len();
                let sentence = sentence.join(" ");
                problems.push(format!("{}: {length} words: {sentence}", document.name));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn every_variable_of_the_environment_is_documented() {
    let policy = read("docs/policy.md");
    let config = read("src/config.rs");
    let config = config.split("#[cfg(test)]").next().unwrap();
    let is_variable = |text: &&str| {
        text.contains('_') && text.chars().all(|c| c.is_ascii_uppercase() || c == '_')
    };
    let variables: BTreeSet<_> = config.split('"').filter(is_variable).collect();
    assert!(variables.len() > 10, "only {variables:?} were found in src/config.rs");
    for variable in variables {
        assert!(
            policy.contains(&format!("`{variable}`")),
            "docs/policy.md does not explain the variable {variable}"
        );
    }
}

/// The function itself says which keys it takes, when it is given one that it does not.
#[tokio::test]
async fn every_key_of_the_policy_is_documented() {
    let policy = read("docs/policy.md");
    let function = Function::start(&[("ROTATION_POLICY", r#"{"defaults": {"no_such_key": 1}}"#)]);
    let event = json!({"Operation": "status", "SecretId": "any"});
    let refused = function.invoke(event).await.unwrap_err().message;
    let (_, expected) = refused.split_once("expected one of ").expect("a list of the keys");
    let keys: Vec<_> = expected.split('`').skip(1).step_by(2).collect();
    assert!(keys.len() > 10, "only {keys:?} were found in {refused}");
    for key in keys {
        assert!(policy.contains(&format!("| `{key}`")), "docs/policy.md does not explain {key}");
    }
}
