//! The form in which a password is stored: never weaker than that of the login just made.

use super::Rotation;
use crate::database::Session;
use crate::database::authentication::Method;
use crate::database::standing::PasswordSettings;
use crate::error::{DatabaseFault, Error};
use crate::secret::password::{DEFAULT_ITERATIONS, Hash, Storage, StorageForm};

/// The most iterations that the driver can log in with.
const MOST_ITERATIONS: u32 = 100_000;

/// The form for a password of the rotation's role. `session` belongs to that role, or to the admin
/// if the role cannot log in.
///
/// # Errors
/// [`Error::Database`], with `TooManyIterations` if this function could not log in with the form
/// that the server wants.
pub(crate) async fn storage(rotation: &Rotation, session: &Session) -> Result<Storage, Error> {
    let settings = session.password_settings().await?;
    let of_role = session.role() == rotation.current.credentials.username;
    let login = of_role.then(|| session.authentication().method);
    decide(rotation.policy.password_storage, settings, login).map_err(|iterations| {
        let detail =
            format!("scram_iterations is {iterations}, and the function can do {MOST_ITERATIONS}");
        session.error("reading scram_iterations", DatabaseFault::TooManyIterations, detail)
    })
}

/// Decides the form. A setting of the role or the database is not trusted, since their owners can
/// make it. Then the login just made counts.
///
/// # Errors
/// The number of iterations, if it is too high.
fn decide(
    policy: Option<StorageForm>,
    settings: PasswordSettings,
    login: Option<Method>,
) -> Result<Storage, u32> {
    let login_iterations = match login {
        Some(Method::Scram { iterations }) => Some(iterations),
        _ => None,
    };
    let md5 = match (policy, login) {
        (Some(StorageForm::Md5), _) => true,
        (Some(StorageForm::ScramSha256), _) | (_, Some(Method::Scram { .. })) => false,
        (_, Some(Method::Md5)) => settings.md5 || !settings.encryption_is_servers,
        _ => settings.md5 && settings.encryption_is_servers,
    };
    let cleartext = policy == Some(StorageForm::Cleartext);
    if md5 {
        return Ok(Storage { hash: Hash::Md5, cleartext });
    }
    let servers = settings.iterations.filter(|_| settings.iterations_are_servers);
    let wanted = servers.or(login_iterations).unwrap_or(DEFAULT_ITERATIONS);
    let iterations = wanted.max(login_iterations.unwrap_or_default());
    if iterations > MOST_ITERATIONS {
        return Err(iterations);
    }
    Ok(Storage { hash: Hash::ScramSha256 { iterations }, cleartext })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_never_weaker_than_that_of_the_login() {
        use StorageForm::{Cleartext, Md5, ScramSha256};
        let scram = |iterations| Some(Method::Scram { iterations });
        let md5 = Some(Method::Md5);
        let server = |md5, iterations| PasswordSettings {
            md5,
            encryption_is_servers: true,
            iterations,
            iterations_are_servers: true,
        };
        let role = |md5, iterations| PasswordSettings {
            encryption_is_servers: false,
            iterations_are_servers: false,
            ..server(md5, iterations)
        };
        for (policy, settings, login, expected) in [
            // The server's settings count.
            (None, server(false, None), scram(4096), Ok("scram 4096")),
            (None, server(false, Some(20_000)), scram(20_000), Ok("scram 20000")),
            (None, server(false, Some(20_000)), scram(4096), Ok("scram 20000")),
            (None, server(true, None), md5, Ok("md5")),
            (None, server(false, None), md5, Ok("scram 4096")),
            (None, server(true, None), Some(Method::Cleartext), Ok("md5")),
            (None, server(true, None), Some(Method::NoPassword), Ok("md5")),
            (None, server(true, None), None, Ok("md5")),
            // Never weaker than the login.
            (None, server(true, None), scram(4096), Ok("scram 4096")),
            (None, server(false, Some(4096)), scram(20_000), Ok("scram 20000")),
            (None, server(false, Some(1)), scram(4096), Ok("scram 4096")),
            // Settings of the role and the database do not count.
            (None, role(true, None), scram(4096), Ok("scram 4096")),
            (None, role(false, None), md5, Ok("md5")),
            (None, role(true, None), Some(Method::NoPassword), Ok("scram 4096")),
            (None, role(true, None), None, Ok("scram 4096")),
            (None, role(false, Some(1)), scram(4096), Ok("scram 4096")),
            (None, role(false, Some(1_000_000)), scram(4096), Ok("scram 4096")),
            (None, role(false, Some(1)), None, Ok("scram 4096")),
            // More than the driver can do.
            (None, server(false, Some(100_000)), scram(4096), Ok("scram 100000")),
            (None, server(false, Some(100_001)), scram(4096), Err(100_001)),
            // The policy comes first.
            (Some(Md5), server(false, None), scram(4096), Ok("md5")),
            (Some(ScramSha256), server(true, None), md5, Ok("scram 4096")),
            (Some(ScramSha256), role(true, Some(1)), scram(20_000), Ok("scram 20000")),
            (Some(Cleartext), server(false, None), scram(4096), Ok("scram 4096 in clear")),
            (Some(Cleartext), role(true, Some(1)), scram(4096), Ok("scram 4096 in clear")),
            (Some(Cleartext), server(true, None), md5, Ok("md5 in clear")),
        ] {
            let decided = decide(policy, settings, login).map(|storage| {
                let hash = match storage.hash {
                    Hash::Md5 => "md5".to_owned(),
                    Hash::ScramSha256 { iterations } => format!("scram {iterations}"),
                };
                if storage.cleartext { format!("{hash} in clear") } else { hash }
            });
            let expected = expected.map(str::to_owned);
            assert_eq!(decided, expected, "{policy:?} {settings:?} {login:?}");
        }
    }
}
