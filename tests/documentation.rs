//! The documents: what they name exists, what they show is printed, and they can be read once.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::world::application::{Application, STEPS};
use crate::world::aws::REGION;
use crate::world::documents::{self, Block};
use crate::world::lambda::Function;
use crate::world::pair::Pair;
use crate::world::{project, world};

/// What prints the blocks of output that the documents show: the demo, the drill, and the last
/// tests of this file.
const COMMANDS: [&str; 9] = [
    "make demo",
    "make demo STRATEGY=alternating-users",
    "make drill",
    "tools/rotation status and recover",
    "tools/rotation preflight",
    "tools/rotation retire",
    "an error at the login",
    "an error of two users",
    "an error of declared rights",
];

/// What `tools/rotation` does, by the names that documents use.
const OPERATIONS: [&str; 5] = ["status", "preflight", "rotate", "recover", "retire"];

/// Names that documents take from AWS and not from the code.
const OF_AWS: [&str; 1] = ["RotationFailed"];

/// Says all that is wrong at once.
fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

fn read(path: &str) -> String {
    std::fs::read_to_string(project().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A document, taken apart.
struct Document {
    name: String,
    /// Paragraphs, list items and quotations.
    prose: Vec<String>,
    headings: Vec<String>,
    cells: Vec<String>,
    /// Code in a line of text, or a line of a block of commands.
    code: Vec<String>,
}

fn documents() -> Vec<Document> {
    documents::all().into_iter().map(|(name, text)| Document::parse(name, &text)).collect()
}

impl Document {
    fn parse(name: String, text: &str) -> Self {
        let mut document = Self {
            name,
            prose: Vec::new(),
            headings: Vec::new(),
            cells: Vec::new(),
            code: Vec::new(),
        };
        let mut fence: Option<&str> = None;
        let mut goes_on = false;
        for line in text.lines().map(str::trim) {
            if let Some(language) = line.strip_prefix("```") {
                fence = if fence.is_some() { None } else { Some(language) };
                goes_on = false;
            } else if let Some(language) = fence {
                if language == "sh" {
                    document.code.push(line.to_owned());
                }
            } else if line.is_empty() || line.starts_with("<!--") {
                goes_on = false;
            } else if line.starts_with('#') {
                document.headings.push(line.trim_start_matches('#').trim().to_owned());
                goes_on = false;
            } else if line.starts_with('|') {
                document.cells.extend(line.split('|').map(|cell| cell.trim().to_owned()));
                goes_on = false;
            } else {
                let (text, begins) = item(line);
                match document.prose.last_mut().filter(|_| goes_on && !begins) {
                    Some(paragraph) => *paragraph = format!("{paragraph} {text}"),
                    None => document.prose.push(text.to_owned()),
                }
                goes_on = true;
            }
        }
        let texts = document.prose.iter().chain(&document.cells).chain(&document.headings);
        let inline: Vec<_> =
            texts.flat_map(|text| text.split('`').skip(1).step_by(2)).map(str::to_owned).collect();
        document.code.extend(inline);
        document
    }
}

/// The text of a line, and whether it begins an item of a list.
fn item(line: &str) -> (&str, bool) {
    let line = line.trim_start_matches("> ");
    let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
    for (marker, rest) in [("- ", line), ("* ", line), (". ", number)] {
        if let Some(text) = rest.strip_prefix(marker).filter(|_| marker != ". " || rest != line) {
            return (text, true);
        }
    }
    (line, false)
}

/// The sentences of a text, in words. A stop within code ends none.
fn sentences(text: &str) -> Vec<Vec<String>> {
    let visible = links(text).into_iter().fold(text.to_owned(), |text, (label, target)| {
        text.replace(&format!("[{label}]({target})"), &label)
    });
    let (mut sentences, mut sentence, mut in_code) = (Vec::new(), Vec::new(), false);
    let words: Vec<_> = visible.split_whitespace().collect();
    for (at, word) in words.iter().enumerate() {
        sentence.push((*word).to_owned());
        in_code ^= word.matches('`').count() % 2 == 1;
        let next = words.get(at + 1).and_then(|next| next.chars().next());
        let ends = word.trim_end_matches(['"', ')', '*']).ends_with(['.', '!', '?']);
        if !in_code && ends && !next.is_some_and(char::is_lowercase) {
            sentences.push(std::mem::take(&mut sentence));
        }
    }
    sentences.extend(Some(sentence).filter(|sentence| !sentence.is_empty()));
    sentences
}

/// The links of a text: label and target.
fn links(text: &str) -> Vec<(String, String)> {
    let mut links = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        let (target, end) = after.split_once(')').unwrap_or((after, ""));
        let label = before.rsplit_once('[').map_or("", |(_, label)| label);
        links.push((label.to_owned(), target.to_owned()));
        rest = end;
    }
    links
}

/// The anchor that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
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
fn no_sentence_of_a_document_is_over_35_words() {
    let mut problems = Vec::new();
    for document in documents() {
        for text in document.prose.iter().chain(&document.cells).chain(&document.headings) {
            for sentence in sentences(text).iter().filter(|sentence| sentence.len() > 35) {
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

#[test]
fn every_block_of_output_says_what_prints_it() {
    let mut shown = BTreeSet::new();
    for (name, text) in documents::all() {
        let blocks = Block::all(&text);
        let fences = text.lines().filter(|line| *line == "```text").count();
        assert_eq!(
            fences,
            blocks.len(),
            "{name}: a block of text without a comment that says which command prints it"
        );
        for block in blocks {
            assert!(
                COMMANDS.contains(&block.command.as_str()),
                "{name}: nothing prints the output of {:?}",
                block.command
            );
            shown.insert(block.command);
        }
    }
    for command in COMMANDS {
        assert!(shown.contains(command), "no document shows {command}");
    }
}

#[test]
fn only_what_changes_from_run_to_run_is_not_compared() {
    let differ = |shown: &str, printed: &str| {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        documents::difference(&lines(shown), &lines(printed)).is_some()
    };
    for (shown, printed, expected) in [
        ("in 14 ms", "in 9 ms", false),
        ("in  14 ms", "in 1.25 ms", true),
        ("setSecret  134 ms  done", "setSecret   9 ms  done", false),
        (
            "version 5f888f9e-ec58-4190-90aa-78095db833a7.",
            "version f514beaf-f93b-e0dc-24e1-2cee9a0496b0.",
            false,
        ),
        ("version f514beaf", "version 5f888f9e", false),
        ("on localhost:40895", "on localhost:5432", false),
        ("role \"shop\"", "role \"shop_clone\"", true),
        ("it could do less", "it could do more", true),
        ("one line", "one line\nand another", true),
        ("one line\nand another", "one line", true),
    ] {
        assert_eq!(differ(shown, printed), expected, "{shown:?} and {printed:?}");
    }
}

/// Holds what was printed against the documents, under the names that they use.
fn hold(command: &str, printed: &str, secret: &Application) {
    let host = format!("localhost:{}", world().postgres.port);
    let printed = printed.replace(&secret.name, "shop/app").replace(&host, "shop.internal:5432");
    documents::hold(command, &printed).unwrap_or_else(|problem| panic!("{problem}"));
}

/// A command as the documents show it, and what it prints.
fn rotation(function: &Function, secret: &Application, operation: &str, more: &[&str]) -> String {
    let venv = project().join(".deps/venv/bin");
    let Output { stdout, stderr, .. } = Command::new(project().join("tools/rotation"))
        .args([operation, &secret.name, "--function", &function.name])
        .args(more)
        .env_clear()
        .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", venv.display()))
        .envs([("HOME", "/nonexistent"), ("AWS_DEFAULT_REGION", REGION)])
        .envs([("AWS_ACCESS_KEY_ID", "testing"), ("AWS_SECRET_ACCESS_KEY", "testing")])
        .envs([
            ("AWS_ENDPOINT_URL_LAMBDA", &world().gateway.url),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &world().aws.url),
        ])
        .output()
        .expect("tools/rotation can be run");
    let typed = [&["$ tools/rotation", operation, "shop/app"][..], more].concat().join(" ");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    format!("{typed}\n{}{}", text(stdout), text(stderr))
}

fn message(failed: Result<Value, crate::world::lambda::Failure>) -> String {
    let failed = failed.expect_err("it fails");
    format!("{}: {}", failed.kind, failed.message)
}

#[tokio::test]
async fn a_stuck_rotation_is_shown_as_it_is_and_as_it_is_recovered() {
    let function = Function::start(&[]);
    let application = Application::named("app", |_| {}).await;
    // The schedule is on from the first rotation on.
    assert_eq!(application.rotate(&function).await["state"], "succeeded");
    let token = application.begin().await;
    application.steps(&function, &STEPS[..2], &token).await;
    let status = rotation(&function, &application, "status", &[]);
    let recovered = rotation(&function, &application, "recover", &[]);
    hold("tools/rotation status and recover", &format!("{status}\n{recovered}"), &application);
}

#[tokio::test]
async fn a_preflight_is_shown_as_it_is() {
    let function = Function::start(&[]);
    let application = Application::named("orders", |_| {}).await;
    let printed = rotation(&function, &application, "preflight", &[]);
    hold("tools/rotation preflight", &printed, &application);
}

#[tokio::test]
async fn a_retirement_is_shown_as_it_is() {
    let policy = r#"{"defaults": {"retire_after": "0s"}}"#;
    let function = Function::start(&[("ROTATION_POLICY", policy)]);
    let pair = Pair::named("billing", |_| {}).await;
    pair.turn(&function).await;
    let _open = pair.session("AWSPREVIOUS").await;
    let kept = rotation(&function, &pair.application, "retire", &[]);
    let ended = rotation(&function, &pair.application, "retire", &["--terminate"]);
    hold("tools/rotation retire", &format!("{kept}\n{ended}"), &pair.application);
}

#[tokio::test]
async fn an_error_at_the_login_is_shown_as_it_is() {
    let function = Function::start(&[]);
    let closed = crate::world::postgres::free_port();
    let application = Application::named("mail", |document| document["port"] = json!(closed)).await;
    let token = application.begin().await;
    application.steps(&function, &STEPS[..1], &token).await;
    let printed = message(application.step(&function, "setSecret", &token).await);
    let printed = printed.replace(&format!("localhost:{closed}"), "shop.internal:5432");
    // A name may lead to this address or to the other one.
    let printed = printed.replace(&format!("127.0.0.1:{closed}"), "10.0.3.7:5432");
    let printed = printed.replace(&format!("[::1]:{closed}"), "10.0.3.7:5432");
    hold("an error at the login", &printed, &application);
}

#[tokio::test]
async fn an_error_of_two_users_is_shown_as_it_is() {
    let function = Function::start(&[]);
    let pair = Pair::named("store", |_| {}).await;
    pair.imitate_aws_function().await;
    pair.superuser(
        "GRANT CREATE ON SCHEMA :base TO :clone; CREATE TABLE store.invoices (id int); ALTER \
         TABLE store.invoices OWNER TO :clone; CREATE TABLE store.prices (id int); GRANT SELECT \
         ON store.prices TO :clone; REVOKE CREATE ON SCHEMA :base FROM :clone",
    )
    .await;
    let token = pair.application.begin().await;
    pair.application.steps(&function, &STEPS[..2], &token).await;
    let printed = message(pair.application.step(&function, "testSecret", &token).await);
    hold("an error of two users", &printed, &pair.application);
}

#[tokio::test]
async fn an_error_of_declared_rights_is_shown_as_it_is() {
    let function = Function::start(&[]);
    let grants = ["SELECT, UPDATE (total) ON TABLE reports.daily"];
    let probes = ["SELECT total FROM reports.daily WHERE id = $1"];
    let declare = |document: &mut Value| {
        document["rotation"] = json!({"grants": grants, "probes": probes});
    };
    let application = Application::named("report", declare).await;
    crate::world::postgres::admin()
        .await
        .batch_execute("CREATE SCHEMA reports; CREATE TABLE reports.daily (id int, total int)")
        .await
        .unwrap();
    let token = application.begin().await;
    application.steps(&function, &STEPS[..1], &token).await;
    let printed = message(application.step(&function, "setSecret", &token).await);
    hold("an error of declared rights", &printed, &application);
}
