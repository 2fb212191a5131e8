//! Declared grants and probes: the check has to say of each what the real statement then does.
//!
//! Every table of cases runs against the server. In all texts `:s` stands for a schema with the
//! table `orders`, on which nothing is granted, and `:r` for the application's role.

mod memberships;
mod objects;
mod planning;
mod probes;
mod rotations;
mod routines;
mod schemas;
mod tables;
mod views;

use std::io::Write;

use serde_json::json;

use crate::world::application::Application;
use crate::world::lambda::{Answer, Function};
use crate::world::postgres::admin;
use crate::world::unique;

/// A declaration, and what the application then runs.
struct Case {
    /// The grants or probes that the secret declares.
    declared: &'static [&'static str],
    /// What the superuser runs first.
    prepare: &'static str,
    /// What the application runs.
    statement: &'static str,
    /// What the check says is missing; `None` where the statement works.
    missing: Option<&'static str>,
}

const fn works(
    declared: &'static [&'static str],
    prepare: &'static str,
    statement: &'static str,
) -> Case {
    Case { declared, prepare, statement, missing: None }
}

const fn fails(
    declared: &'static [&'static str],
    prepare: &'static str,
    statement: &'static str,
    missing: &'static str,
) -> Case {
    Case { declared, prepare, statement, missing: Some(missing) }
}

/// An application whose secret declares something, and a schema that belongs to the superuser.
struct Declared {
    application: Application,
    schema: String,
}

impl Declared {
    /// Declares the texts under `key`, "grants" or "probes", in the secret, and has the superuser
    /// run `prepare`.
    async fn new(key: &str, declared: &[&str], prepare: &str) -> Self {
        Self::create(key, declared, prepare, true).await.0
    }

    /// Declares them in the policy of a function, of which the check may say more.
    async fn by_policy(key: &str, declared: &[&str], prepare: &str) -> (Self, Function) {
        let (this, declared) = Self::create(key, declared, prepare, false).await;
        let policy = json!({"secrets": {&this.application.secret: {key: declared}}}).to_string();
        (this, Function::start(&[("ROTATION_POLICY", &policy)]))
    }

    async fn create(
        key: &str,
        declared: &[&str],
        prepare: &str,
        in_secret: bool,
    ) -> (Self, Vec<String>) {
        let (role, schema) = (unique("app_"), unique("schema_"));
        let fill = |text: &str| text.replace(":s", &schema).replace(":r", &role);
        let declared: Vec<_> = declared.iter().map(|text| fill(text)).collect();
        let application = Application::named(&role, |document| {
            if in_secret {
                document["rotation"] = json!({key: declared});
            }
        })
        .await;
        let sql = format!(
            "CREATE SCHEMA :s; GRANT USAGE ON SCHEMA :s TO :r; CREATE TABLE :s.orders (id serial \
             PRIMARY KEY, total int, note text); {prepare}"
        );
        admin()
            .await
            .batch_execute(&fill(&sql))
            .await
            .unwrap_or_else(|error| panic!("{prepare}: {error:?}"));
        (Self { application, schema }, declared)
    }

    fn fill(&self, text: &str) -> String {
        text.replace(":s", &self.schema).replace(":r", &self.application.role)
    }

    /// Runs testSecret on a copy of the current credential, which changes nothing.
    async fn test(&self, function: &Function) -> Answer {
        let token = self.application.abandon_and_begin().await;
        self.application.put(&token, &self.application.document.to_string(), &["AWSPENDING"]).await;
        self.application.step(function, "testSecret", &token).await
    }

    /// Runs the statement as the application and rolls it back; the server's message if it fails.
    async fn run(&self, statement: &str) -> Result<(), String> {
        let session = self.application.login(&self.application.password).await;
        let sql = format!("BEGIN; {}; ROLLBACK", self.fill(statement));
        session.batch_execute(&sql).await.map_err(|error| {
            error.as_db_error().map_or(error.to_string(), |error| error.message().to_owned())
        })
    }
}

impl Declared {
    /// Runs each statement in brackets behind what is missing. The step passes if all have one.
    async fn follow(&self, words: &str, function: &Function) {
        let missing: Vec<_> = words.split("; ").collect();
        let in_brackets = |one: &&str| {
            let (_, rest) = one.strip_suffix(')')?.split_once(" (GRANT ")?;
            Some(format!("GRANT {rest}"))
        };
        let grants: Vec<_> = missing.iter().filter_map(in_brackets).collect();
        admin().await.batch_execute(&grants.join("; ")).await.expect("what is advised runs");
        if grants.len() == missing.len() {
            self.test(function).await.unwrap_or_else(|failure| panic!("{grants:?}: {failure:?}"));
        }
    }
}

/// Runs each case both ways, and prints a table of what the statement did and the check said.
async fn judge(key: &'static str, cases: &'static [Case]) {
    let mut lines = Vec::new();
    for case in cases {
        lines.push(judge_case(key, case).await);
    }
    // The test runner swallows what println! prints.
    let _ = write!(
        std::io::stderr(),
        "\nWhat the statement does, and what the check says of it ({} {key})\n{}\n",
        cases.len(),
        lines.join("\n")
    );
}

async fn judge_case(key: &str, case: &Case) -> String {
    let (declared, function) = Declared::by_policy(key, case.declared, case.prepare).await;
    let statement = declared.fill(case.statement);
    let ran = declared.run(case.statement).await;
    assert_eq!(ran.is_ok(), case.missing.is_none(), "{statement}: {ran:?}");
    let said = declared.test(&function).await;
    let verdict = match (&said, case.missing) {
        (Ok(report), None) => {
            let count = if key == "grants" { "Grants" } else { "Probes" };
            assert_eq!(report["Checks"][count], case.declared.len());
            "may".to_owned()
        }
        (Err(failure), Some(missing)) => {
            assert_eq!(
                failure.kind, "DeclaredRightsMissing",
                "{}: {}",
                case.statement, failure.message
            );
            let missing = declared.fill(missing);
            assert!(failure.message.contains(&missing), "{missing}: {}", failure.message);
            let (_, words) = failure.message.split_once("declare: ").unwrap();
            let words = words.rsplit_once(". AWSCURRENT").unwrap().0;
            declared.follow(words, &function).await;
            words.to_owned()
        }
        _ => panic!(
            "{:?}, {statement}: the statement came to {ran:?}, the check to {said:?}",
            case.declared
        ),
    };
    let outcome = if ran.is_ok() { "runs " } else { "fails" };
    format!("  {outcome}  {statement:<70}  {verdict}")
        .replace(&declared.schema, "s")
        .replace(&declared.application.role, "app")
}
