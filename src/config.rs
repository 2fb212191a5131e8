//! The function's environment, read once at cold start. No other module reads it.

use std::path::PathBuf;

use tracing::level_filters::LevelFilter;

use crate::error::{Error, Problem};
use crate::policy::Policies;
use crate::secret::password::{ExcludedTypes, PasswordOption, PasswordPolicy, USUAL_LENGTH};
use crate::secret::store::{Access, Keys};

/// AWS's rotation functions exclude these too: RDS refuses them, or they break connection strings
/// and shells.
const DEFAULT_EXCLUDED: &str = ":/@\"'\\";

/// The name of the policy's variable, for errors.
pub(crate) const POLICY: &str = "ROTATION_POLICY";

/// The checked settings of the function.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) password: PasswordPolicy,
    pub(crate) policies: Policies,
    /// A PEM file whose certificates replace Amazon RDS's roots.
    pub(crate) ca_bundle_file: Option<PathBuf>,
    /// The endpoint and the credentials for Secrets Manager.
    pub(crate) aws: Access,
}

/// How the function logs: Lambda's variables decide.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogFormat {
    pub(crate) level: LevelFilter,
    pub(crate) json: bool,
}

/// The address of the Runtime API, which Lambda sets.
pub(crate) fn runtime_api() -> Option<String> {
    environment("AWS_LAMBDA_RUNTIME_API")
}

/// The function's name, which Lambda sets.
pub(crate) fn function_name() -> Option<String> {
    environment("AWS_LAMBDA_FUNCTION_NAME")
}

impl LogFormat {
    /// Reads `AWS_LAMBDA_LOG_LEVEL` and `AWS_LAMBDA_LOG_FORMAT`. An unknown value means INFO and
    /// text.
    pub(crate) fn from_env() -> Self {
        let level = match environment("AWS_LAMBDA_LOG_LEVEL")
            .unwrap_or_default()
            .to_ascii_uppercase()
            .as_str()
        {
            "TRACE" => LevelFilter::TRACE,
            "DEBUG" => LevelFilter::DEBUG,
            "WARN" => LevelFilter::WARN,
            "ERROR" | "FATAL" => LevelFilter::ERROR,
            _ => LevelFilter::INFO,
        };
        let json = environment("AWS_LAMBDA_LOG_FORMAT")
            .is_some_and(|format| format.eq_ignore_ascii_case("json"));
        Self { level, json }
    }
}

impl Config {
    /// Reads and checks the environment.
    ///
    /// # Errors
    /// [`Error::Configuration`] with the variable's name.
    pub(crate) fn from_env() -> Result<Self, Error> {
        Self::from_variables(&environment)
    }

    /// Checks the variables that `variable` returns by name.
    ///
    /// # Errors
    /// [`Error::Configuration`] with the variable's name.
    pub(crate) fn from_variables(
        variable: &dyn Fn(&'static str) -> Option<String>,
    ) -> Result<Self, Error> {
        Ok(Self {
            password: password_policy(variable)?,
            policies: variable(POLICY)
                .map_or(Ok(Policies::default()), |json| Policies::parse(&json))
                .map_err(invalid(POLICY))?,
            ca_bundle_file: variable("CA_BUNDLE_FILE").map(PathBuf::from),
            aws: access(variable)?,
        })
    }
}

fn password_policy(
    variable: &dyn Fn(&'static str) -> Option<String>,
) -> Result<PasswordPolicy, Error> {
    const LENGTH: &str = "PASSWORD_LENGTH";
    const CHARACTERS: &str = "EXCLUDE_CHARACTERS";
    const TYPES: [&str; 4] =
        ["EXCLUDE_LOWERCASE", "EXCLUDE_UPPERCASE", "EXCLUDE_NUMBERS", "EXCLUDE_PUNCTUATION"];
    let length = match variable(LENGTH) {
        None => USUAL_LENGTH,
        Some(text) => text
            .trim()
            .parse()
            .map_err(|_| invalid(LENGTH)(format!("{text:?} is not a whole number.")))?,
    };
    let on = |name, default| switch(variable, name, default);
    let [lowercase, uppercase, numbers, punctuation] = TYPES.map(|name| on(name, false));
    let exclude = ExcludedTypes {
        lowercase: lowercase?,
        uppercase: uppercase?,
        numbers: numbers?,
        punctuation: punctuation?,
    };
    let require_each = on("REQUIRE_EACH_INCLUDED_TYPE", true)?;
    let excluded = variable(CHARACTERS);
    let characters = excluded.clone().unwrap_or_else(|| DEFAULT_EXCLUDED.to_owned());
    let policy = PasswordPolicy::new(length, &characters, exclude, require_each);
    policy.map_err(|(option, problem)| {
        // Without characters of its own, a switch has excluded too much.
        let switch =
            TYPES.into_iter().find(|name| variable(name).is_some_and(|text| is_true(&text)));
        let name = match option {
            PasswordOption::Length => LENGTH,
            PasswordOption::Characters if excluded.is_some() => CHARACTERS,
            PasswordOption::Characters | PasswordOption::Types => switch.unwrap_or(CHARACTERS),
        };
        invalid(name)(problem)
    })
}

/// Reads the SDK's variables, and `SECRETS_MANAGER_ENDPOINT`, which AWS's rotation functions use.
fn access(variable: &dyn Fn(&'static str) -> Option<String>) -> Result<Access, Error> {
    const ENDPOINTS: [&str; 3] =
        ["SECRETS_MANAGER_ENDPOINT", "AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL"];
    const KEYS: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    let endpoint = ENDPOINTS.into_iter().find_map(|name| Some((name, variable(name)?)));
    let keys = match KEYS.map(variable) {
        [Some(access_key_id), Some(secret_access_key)] => Some(Keys {
            access_key_id,
            secret_access_key: secret_access_key.into(),
            session_token: variable("AWS_SESSION_TOKEN").map(Into::into),
        }),
        [None, None] => None,
        keys => {
            let missing = KEYS[usize::from(keys[0].is_some())];
            return Err(invalid(missing)("it is not set, and the other key is."));
        }
    };
    Ok(Access {
        region: variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")),
        keys,
        endpoint: endpoint.map(|(name, url)| checked_endpoint(name, url)).transpose()?,
        fips: switch(variable, "AWS_USE_FIPS_ENDPOINT", false)?,
        dual_stack: switch(variable, "AWS_USE_DUALSTACK_ENDPOINT", false)?,
        ca_bundle: variable("AWS_CA_BUNDLE").map(PathBuf::from),
    })
}

fn checked_endpoint(name: &'static str, url: String) -> Result<String, Error> {
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(url);
    }
    Err(invalid(name)(format!("{url:?} is not a URL. Set it to https://HOST.")))
}

fn switch(
    variable: &dyn Fn(&'static str) -> Option<String>,
    name: &'static str,
    default: bool,
) -> Result<bool, Error> {
    match variable(name) {
        None => Ok(default),
        Some(text) if is_true(&text) => Ok(true),
        Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(text) => Err(invalid(name)(format!("{text:?} is neither true nor false."))),
    }
}

fn is_true(text: &str) -> bool {
    text.eq_ignore_ascii_case("true")
}

fn invalid<P: Into<Problem>>(variable: &'static str) -> impl Fn(P) -> Error {
    move |problem| Error::Configuration { variable, problem: problem.into() }
}

/// The variable's value. An empty value counts as absent: Terraform and consoles cannot tell the
/// two apart.
#[expect(clippy::disallowed_methods, reason = "the only place that reads the environment")]
fn environment(name: &'static str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(variables: &[(&str, &str)]) -> Result<Config, Error> {
        Config::from_variables(&|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn an_empty_environment_is_enough() {
        let password = config(&[]).unwrap().password.generate().unwrap();
        assert_eq!(password.expose_secret().len(), 32);
        assert!(!password.expose_secret().contains([':', '/', '@', '"', '\'', '\\']));
    }

    #[test]
    fn passwords_follow_secrets_managers_own_variables() {
        let config = config(&[
            ("PASSWORD_LENGTH", "64"),
            ("EXCLUDE_CHARACTERS", "abc"),
            ("EXCLUDE_PUNCTUATION", "True"),
            ("EXCLUDE_UPPERCASE", "true"),
            ("EXCLUDE_NUMBERS", "true"),
        ])
        .unwrap();
        let password = config.password.generate().unwrap();
        assert_eq!(password.expose_secret().len(), 64);
        assert!(password.expose_secret().chars().all(|c| ('d'..='z').contains(&c)));
    }

    #[test]
    fn every_mistake_names_its_variable() {
        const ALL: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        const TYPES: [(&str, &str); 3] = [
            ("EXCLUDE_LOWERCASE", "true"),
            ("EXCLUDE_UPPERCASE", "true"),
            ("EXCLUDE_PUNCTUATION", "true"),
        ];
        for (name, value, others) in [
            ("PASSWORD_LENGTH", "long", &[][..]),
            ("PASSWORD_LENGTH", "4", &[]),
            ("PASSWORD_LENGTH", "-1", &[]),
            ("PASSWORD_LENGTH", "8", &TYPES),
            ("EXCLUDE_NUMBERS", "yes", &[]),
            ("EXCLUDE_LOWERCASE", "true", &[TYPES[1], TYPES[2], ("EXCLUDE_NUMBERS", "true")]),
            ("EXCLUDE_CHARACTERS", ALL, &[]),
            ("EXCLUDE_CHARACTERS", "0123456789", &TYPES),
            ("EXCLUDE_CHARACTERS", "123456789", &TYPES),
            ("REQUIRE_EACH_INCLUDED_TYPE", "1", &[]),
            ("ROTATION_POLICY", "{", &[]),
            ("SECRETS_MANAGER_ENDPOINT", "localhost:5000", &[]),
            ("AWS_USE_DUALSTACK_ENDPOINT", "on", &[]),
            ("AWS_SECRET_ACCESS_KEY", "", &[("AWS_ACCESS_KEY_ID", "x")]),
            ("AWS_ACCESS_KEY_ID", "", &[("AWS_SECRET_ACCESS_KEY", "x")]),
        ] {
            let own = Some((name, value)).filter(|(_, value)| !value.is_empty());
            let variables: Vec<_> = own.into_iter().chain(others.iter().copied()).collect();
            let error = config(&variables).unwrap_err();
            assert_eq!(error.kind(), "InvalidConfiguration");
            assert!(
                error.to_string().starts_with(&format!("environment variable {name}: ")),
                "{error}"
            );
        }
    }
}
