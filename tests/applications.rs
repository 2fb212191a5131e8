//! The application's side: each example logs in, again and again, while its secret rotates.

#![allow(clippy::disallowed_methods, reason = "the server of the tests sends what they asked for")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "applications/client.rs"]
#[allow(dead_code, reason = "each test target uses a part")]
mod client;
mod world;

use std::time::{Duration, Instant};

use client::{Answer, Example, KINDS, Kind, Settings};
use world::application::Application;
use world::lambda::Function;
use world::pair::Pair;
use world::postgres::admin;
use world::proxy::{AwsProxy, Fault};
use world::{eventually, random_hex};

/// Runs a test with each of the examples at once.
async fn each(test: impl AsyncFn(Kind)) {
    client::install();
    let [rust, psycopg, sqlalchemy, node] = KINDS;
    let start = |kind| Box::pin(test(kind));
    tokio::join!(start(rust), start(psycopg), start(sqlalchemy), start(node));
}

/// An application with one user, an example that uses its secret, and what counts its reads.
struct Stage {
    application: Application,
    proxy: AwsProxy,
    example: Example,
}

impl Stage {
    async fn new(kind: Kind, settings: Settings) -> Self {
        let (application, proxy) = (Application::new().await, AwsProxy::start());
        let settings = Settings { aws: proxy.url.clone(), ..settings };
        let example = Example::start(kind, &application.secret, &settings);
        let first = example.login().await;
        assert!(first.result.is_ok(), "{kind:?}: {first:?}\n{}", example.output());
        Self { application, proxy, example }
    }

    /// How often a value was read so far.
    fn reads(&self) -> usize {
        self.proxy.calls().iter().filter(|(operation, _)| operation == "GetSecretValue").count()
    }

    /// So many logins at once, which all have to succeed.
    async fn logins(&self, count: usize) {
        let under_way: Vec<_> = (0..count).map(|_| self.example.login()).collect();
        for login in under_way {
            self.succeeds(login.await);
        }
    }

    fn succeeds(&self, answer: Answer) -> (String, i64) {
        let kind = self.example.kind;
        answer.result.unwrap_or_else(|error| panic!("{kind:?}: {error}\n{}", self.example.output()))
    }

    /// Stores a pending value by hand, which the role has not got yet; its token and password.
    async fn pending(&self) -> (String, String) {
        let (token, password) = (self.application.begin().await, random_hex());
        let value = self.application.document_with(&password);
        self.application.put(&token, &value, &["AWSPENDING"]).await;
        (token, password)
    }
}

#[tokio::test]
async fn the_cache_is_read_and_not_the_service() {
    each(async |kind| {
        let stage = Stage::new(kind, Settings::default()).await;
        let calls = stage.proxy.calls().len();
        stage.logins(20).await;
        assert_eq!(stage.proxy.calls().len(), calls, "{kind:?}: calls for 20 logins");
    })
    .await;
}

#[tokio::test]
async fn a_refused_password_is_read_anew_once_for_all() {
    let function = Function::start(&[]);
    each(async |kind| {
        let stage = Stage::new(kind, Settings::default()).await;
        for _ in 0..3 {
            assert_eq!(stage.application.rotate(&function).await["state"], "succeeded");
            let before = stage.reads();
            stage.logins(20).await;
            assert_eq!(stage.reads() - before, 1, "{kind:?}: reads of the value");
        }
        assert!(stage.example.refusals() >= 3, "{kind:?}: the cache was old");
    })
    .await;
}

#[tokio::test]
async fn a_pending_value_is_tried_after_the_current_one_and_never_kept() {
    each(async |kind| {
        let stage = Stage::new(kind, Settings::default()).await;
        let application = &stage.application;
        let current = application.password_in("AWSCURRENT").await;
        let (_, pending) = stage.pending().await;
        application.set_password(&pending).await;
        stage.logins(5).await;
        assert!(stage.example.refusals() > 0, "{kind:?}: AWSCURRENT is tried first");

        // The rotation is taken back.
        application.set_password(&current).await;
        let refused = stage.example.refusals();
        stage.logins(5).await;
        application.remove_pending_label().await;
        stage.logins(5).await;
        // What psycopg's pool connects in the background may have begun before.
        let late = stage.example.refusals() - refused;
        assert!(late == 0 || kind == Kind::Psycopg && late <= 3, "{kind:?}: {late} refused");
    })
    .await;
}

#[tokio::test]
async fn a_login_waits_until_a_password_works() {
    each(async |kind| {
        let stage = Stage::new(kind, Settings::default()).await;
        let application = &stage.application;
        let current = application.password_in("AWSCURRENT").await;
        stage.pending().await;
        application.set_password(&random_hex()).await;
        let waiting: Vec<_> = (0..3).map(|_| stage.example.login()).collect();
        // Each tries both, twice.
        eventually("the refused logins", async || (stage.example.refusals() >= 12).then_some(()))
            .await;
        application.set_password(&current).await;
        for login in waiting {
            stage.succeeds(login.await);
        }
    })
    .await;
}

#[tokio::test]
async fn a_login_gives_up_at_the_end_of_its_budget() {
    each(async |kind| {
        let settings = Settings { budget_seconds: 2.0, ..Settings::default() };
        let stage = Stage::new(kind, settings).await;
        stage.application.set_password(&random_hex()).await;
        // The pool of psycopg and that of SQLAlchemy hand out the session that is open.
        let answer = eventually("a failed login", async || {
            Some(stage.example.login().await).filter(|answer| answer.result.is_err())
        })
        .await;
        let error = answer.result.unwrap_err();
        let told = stage.example.output();
        let (said, at_most) = match kind {
            // The pool continues in the background, and says why in its log.
            Kind::Psycopg => (told.as_str(), 8),
            Kind::Sqlalchemy => (error.as_str(), 3),
            Kind::Rust | Kind::Node => {
                assert!(error.contains("28P01"), "{kind:?}: {error}");
                (error.as_str(), 3)
            }
        };
        assert!(said.contains("password authentication failed"), "{kind:?}: {error}");
        let took = answer.took;
        assert!(took > Duration::from_millis(900), "{kind:?}: {took:?}");
        assert!(took < Duration::from_secs(at_most), "{kind:?}: {took:?}");
        let refused = stage.example.refusals();
        assert!((2..=40).contains(&refused), "{kind:?}: {refused} refused logins");
    })
    .await;
}

#[tokio::test]
async fn every_other_error_is_passed_on_at_once() {
    each(async |kind| {
        let stage = Stage::new(kind, Settings { budget_seconds: 5.0, ..Settings::default() }).await;
        let role = &stage.application.role;
        let cases = [
            ("NOLOGIN", "LOGIN", "28000", "is not permitted to log in"),
            ("CONNECTION LIMIT 0", "CONNECTION LIMIT -1", "53300", "too many connections for role"),
        ];
        for (harm, cure, code, text) in cases {
            let alter = async |what: &str| {
                admin().await.batch_execute(&format!("ALTER ROLE {role} {what}")).await.unwrap();
            };
            alter(harm).await;
            let end = format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"
            );
            admin().await.batch_execute(&end).await.unwrap();
            let (before, calls) = (stage.example.output().len(), stage.proxy.calls().len());
            let mut failing = Box::pin(stage.example.login());
            if kind == Kind::Psycopg {
                // The caller waits, and the pool's log has the cause at once.
                let started = Instant::now();
                eventually("the pool's word", async || {
                    stage.example.output()[before..].contains(text).then_some(())
                })
                .await;
                assert!(started.elapsed() < Duration::from_secs(3), "{kind:?}, {code}");
            } else {
                let answer = failing.as_mut().await;
                let error = answer.result.unwrap_err();
                let told = error.contains(code) || error.contains(text);
                assert!(told && answer.took < Duration::from_secs(3), "{kind:?}, {code}: {error}");
            }
            assert_eq!(stage.proxy.calls().len(), calls, "{kind:?}, {code}: no other value helps");
            assert_eq!(stage.example.refusals(), 0, "{kind:?}, {code}");
            alter(cure).await;
            if kind == Kind::Psycopg {
                failing.await;
            }
            eventually("a login", async || stage.example.login().await.result.ok()).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_fails_no_login() {
    each(async |kind| {
        let stage = Stage::new(kind, Settings { cache_seconds: 1, ..Settings::default() }).await;
        for operation in ["GetSecretValue", "DescribeSecret"] {
            stage.proxy.fail(operation, usize::MAX, Fault::Refuse(400, "AccessDeniedException"));
        }
        let calls = stage.proxy.calls().len();
        eventually("a read that is refused", async || {
            stage.logins(1).await;
            (stage.proxy.calls().len() > calls).then_some(())
        })
        .await;
        stage.logins(5).await;
    })
    .await;
}

#[tokio::test]
async fn two_users_take_turns_and_no_login_is_refused() {
    let function = Function::start(&[]);
    each(async |kind| {
        let pair = Pair::new().await;
        pair.session("AWSCURRENT")
            .await
            .batch_execute(&format!("CREATE TABLE {}.orders (id int)", pair.base))
            .await
            .unwrap();
        let settings = Settings { cache_seconds: 1, ..Settings::default() };
        let example = Example::start(kind, &pair.application.secret, &settings);
        for turn in 0..4 {
            let user = if turn % 2 == 0 { &pair.base } else { &pair.clone };
            eventually("a login of the user whose turn it is", async || {
                let all: Vec<_> = (0..4).map(|_| example.login()).collect();
                let mut theirs = true;
                for login in all {
                    let answer = login.await;
                    let (seen, _) = answer
                        .result
                        .unwrap_or_else(|error| panic!("{kind:?}: {error}\n{}", example.output()));
                    theirs &= seen == *user;
                }
                theirs.then_some(())
            })
            .await;
            pair.turn(&function).await;
        }
        assert_eq!(example.refusals(), 0, "{kind:?}");
    })
    .await;
}

#[tokio::test]
async fn a_connection_outlives_a_rotation_but_not_its_own_time() {
    let function = Function::start(&[]);
    each(async |kind| {
        for lifetime in [2, 3600] {
            let settings =
                Settings { max_lifetime_seconds: lifetime, sessions: 1, ..Settings::default() };
            let stage = Stage::new(kind, settings).await;
            let (_, first) = stage.succeeds(stage.example.work().await);
            if lifetime == 3600 {
                assert_eq!(stage.application.rotate(&function).await["state"], "succeeded");
                let (_, second) = stage.succeeds(stage.example.work().await);
                assert_eq!(first, second, "{kind:?}: the connection lives on");
                continue;
            }
            let started = Instant::now();
            eventually("another connection", async || {
                let (_, session) = stage.succeeds(stage.example.work().await);
                (session != first).then_some(())
            })
            .await;
            assert!(started.elapsed() < Duration::from_secs(5), "{kind:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn no_password_is_shown() {
    let function = Function::start(&[]);
    each(async |kind| {
        let settings = Settings { budget_seconds: 1.0, log: "DEBUG", ..Settings::default() };
        let stage = Stage::new(kind, settings).await;
        let application = &stage.application;
        let mut passwords = vec![application.password.clone()];
        assert_eq!(application.rotate(&function).await["state"], "succeeded");
        passwords.push(application.password_in("AWSCURRENT").await);
        stage.logins(3).await;
        let (_, pending) = stage.pending().await;
        application.set_password(&pending).await;
        stage.logins(3).await;
        let shown = stage.example.show().await;
        passwords.push(pending);
        application.set_password(&random_hex()).await;
        eventually("a login that fails", async || stage.example.login().await.result.err()).await;

        let output = stage.example.output();
        assert!(shown.contains(&application.role), "{kind:?}: {shown}");
        for text in [&shown, &output] {
            for password in &passwords {
                assert!(!text.contains(password), "{kind:?}: a password is shown:\n{text}");
            }
        }
    })
    .await;
}
