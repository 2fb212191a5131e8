//! The checks of `preflight`, in order, with what each took and said.

use std::time::{Duration, Instant};

use crate::database::SlowLogins;
use crate::error::{Error, clean};
use crate::report::PreflightCheck;
use crate::rotation::pair::script::Script;

/// The checks so far.
pub(super) struct Checks {
    /// In order.
    pub(super) list: Vec<PreflightCheck>,
    /// What fixes those that did not pass, if that was asked for.
    pub(super) script: Option<Script>,
    /// The role of the admin secret, once it has logged in for two users.
    pub(super) admin: Option<String>,
}

impl Checks {
    /// Runs a check and measures its time; the value if it passed.
    pub(super) async fn run<T>(
        &mut self,
        check: &str,
        attempt: impl Future<Output = Result<T, Error>>,
    ) -> Option<T> {
        let started = Instant::now();
        let result = attempt.await;
        self.note(check, started.elapsed(), result)
    }

    /// Adds a check that took this long; the value if it passed.
    pub(super) fn note<T>(
        &mut self,
        check: &str,
        duration: Duration,
        result: Result<T, Error>,
    ) -> Option<T> {
        let (message, error_kind) = match &result {
            Ok(_) => (None, None),
            Err(error) => {
                if let Some(script) = &mut self.script {
                    match error {
                        // The comparison has filled the script.
                        Error::PrivilegesMissing { .. } => {}
                        error if error.statements().is_empty() => {
                            script.advice(None, &format!("{check}: {error}"));
                        }
                        error => script.statements(error.statements()),
                    }
                }
                (Some(clean::whole(error.to_string())), Some(error.kind()))
            }
        };
        let (check, passed) = (check.to_owned(), result.is_ok());
        self.list.push(PreflightCheck { check, passed, duration, message, error_kind });
        result.ok()
    }

    /// Adds a check that asks nothing and so takes no time; the value if it passed.
    pub(super) fn decide<T>(&mut self, check: &str, result: Result<T, Error>) -> Option<T> {
        self.note(check, Duration::ZERO, result)
    }

    /// Adds a check only if the result is an error; the value otherwise.
    pub(super) fn need<T>(&mut self, check: &str, result: Result<T, Error>) -> Option<T> {
        if result.is_err() { self.decide(check, result) } else { result.ok() }
    }

    /// Adds a remark to the last check, which passed, if its login took long.
    pub(super) fn remark_slow(&mut self, slow_logins: &SlowLogins) {
        let slow = slow_logins.take();
        if !slow.is_empty() {
            self.remark(slow.join(" "));
        }
    }

    /// Adds a remark to the last check that passed.
    pub(super) fn remark(&mut self, message: String) {
        let passed = self.list.iter_mut().rev().find(|check| check.passed);
        if let Some(check) = passed.filter(|_| !message.is_empty()) {
            let texts = [check.message.take().unwrap_or_default(), clean::whole(message)];
            check.message = Some(texts.join(" ").trim_start().to_owned());
        }
    }
}
