//! `testSecret` with two users. The error names what the pending user cannot do and the current one
//! can, with the statement that gives it.

mod databases;
mod defaults;
mod examples;
mod ownership;
mod privileges;
mod roles;
mod script;

use std::io::Write;
use std::ops::RangeInclusive;

use serde_json::{Value, json};

use crate::world::application::STEPS;
use crate::world::lambda::{Answer, Failure, Function};
use crate::world::pair::Pair;
use crate::world::postgres::{admin, version};
use crate::world::{unique, world};

const CONSEQUENCE: &str = ". AWSCURRENT was not moved. Fix this, then start the rotation again.";
const ALL: RangeInclusive<i32> = 13..=18;

/// A pair as AWS's function leaves it: the clone is the current user and acts as itself, so that
/// whatever is its own is not the base user's, which is next. It has a database of its own.
/// `:current` and `:next` stand for the two users.
struct Unequal {
    pair: Pair,
    function: Function,
    token: String,
    database: String,
}

/// Something that the pending user lacks.
struct Situation {
    /// What makes it, as the superuser. `:thing` stands for a name that nothing else has.
    prepare: String,
    /// What the error calls it.
    missing: &'static str,
    remedy: Remedy,
    /// The major versions of PostgreSQL on which it can be made.
    versions: RangeInclusive<i32>,
}

enum Remedy {
    /// The statement in the error, run as it stands.
    Statement,
    /// No statement helps. The error says this, and then these statements are what was meant.
    Advice(&'static str, &'static str),
}

fn situation(prepare: impl Into<String>, missing: &'static str) -> Situation {
    Situation { prepare: prepare.into(), missing, remedy: Remedy::Statement, versions: ALL }
}

impl Situation {
    fn from(self, version: i32) -> Self {
        Self { versions: version..=18, ..self }
    }

    fn advised(self, says: &'static str, fixed: &'static str) -> Self {
        Self { remedy: Remedy::Advice(says, fixed), ..self }
    }
}

impl Unequal {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(environment: &[(&str, &str)]) -> Self {
        let database = unique("parity_");
        for sql in [
            format!("CREATE DATABASE {database}"),
            // Its public schema is open to all on PostgreSQL 13 and 14.
            format!("ALTER DATABASE {database} SET client_min_messages = warning"),
        ] {
            admin().await.batch_execute(&sql).await.unwrap();
        }
        let pair = Pair::edited(|document| document["dbname"] = json!(database)).await;
        pair.imitate_aws_function().await;
        let token = pair.application.begin().await;
        Self { pair, function: Function::start(environment), token, database }
    }

    /// Statements of the superuser in the secret's database.
    async fn superuser(&self, sql: &str) {
        self.superuser_in(&self.database, sql).await;
    }

    async fn superuser_in(&self, database: &str, sql: &str) {
        let (postgres, sql) = (&world().postgres, self.filled(sql));
        let session = postgres.login_to(database, "postgres", &postgres.admin_password).await;
        session
            .unwrap()
            .batch_execute(&sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    fn filled(&self, sql: &str) -> String {
        self.pair.filled(
            &sql.replace(":current", ":clone")
                .replace(":next", ":base")
                .replace(":database", &self.database),
        )
    }

    async fn step(&self, step: &str) -> Answer {
        self.pair.application.step(&self.function, step, &self.token).await
    }

    /// Everything before `testSecret`.
    async fn set(&self) {
        self.pair.application.steps(&self.function, &STEPS[..2], &self.token).await;
    }

    async fn refused(&self) -> Failure {
        let failed = self.step("testSecret").await.unwrap_err();
        assert!(failed.message.ends_with(CONSEQUENCE), "{}", failed.message);
        // The application does not notice.
        let (user, password) = self.pair.credentials("AWSCURRENT").await;
        world().postgres.login_to(&self.database, &user, &password).await.unwrap();
        failed
    }

    async fn passes(&self, context: &str) -> Value {
        let report = self.step("testSecret").await;
        report.unwrap_or_else(|failure| panic!("{context}: {failure:?}"))
    }

    /// `testSecret` fails with that one thing missing; what stands in brackets behind it.
    async fn missing(&self, expected: &str) -> String {
        let expected = self.filled(expected);
        let failed = self.refused().await;
        assert_eq!(failed.kind, "PrivilegesMissing", "{expected}: {}", failed.message);
        let start = format!("(1 differences): {expected} (");
        let (_, rest) = failed
            .message
            .split_once(&start)
            .unwrap_or_else(|| panic!("{expected}: {}", failed.message));
        let end = format!("){CONSEQUENCE}");
        rest.strip_suffix(&end).unwrap_or_else(|| panic!("{}", failed.message)).to_owned()
    }

    /// Makes each situation, sees it named, follows the advice, and sees the step pass.
    async fn each(&self, kind: &str, situations: Vec<Situation>) {
        let major = version().await / 10_000;
        let mut count = 0;
        for situation in situations {
            let Situation { prepare, missing, remedy, versions } = situation;
            if !versions.contains(&major) {
                continue;
            }
            let thing = unique("thing_");
            let named = |sql: &str| sql.replace(":thing", &thing);
            self.superuser(&named(&prepare)).await;
            let remedied = self.missing(&named(missing)).await;
            match remedy {
                Remedy::Statement => self.superuser(&remedied).await,
                Remedy::Advice(says, fixed) => {
                    let says = self.filled(&named(says));
                    assert!(remedied.contains(&says), "{missing}: {remedied}");
                    self.superuser(&named(fixed)).await;
                }
            }
            self.passes(&prepare).await;
            count += 1;
        }
        tell(kind, count);
    }
}

/// The test runner swallows what println! prints.
fn tell(kind: &str, situations: usize) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "  {kind}: {situations} situations").unwrap();
}
