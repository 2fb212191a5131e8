//! The server that gets an admin's password, and whether it must first prove that it knows it: one
//! pure decision.

use crate::database::Target;
use crate::error::Problem;
use crate::policy::Policy;
use crate::secret::credentials::{AdminCredentials, DEFAULT_PORT, Server};

/// The admin's server, which the admin secret or else the policy names. If the host or port comes
/// from the rotated secret, whose server is `secrets`, the server must prove itself. The secret's
/// writer could wait there for the password.
///
/// # Errors
/// A [`Problem`] if the admin secret asks for plaintext and the policy forbids it.
pub(super) fn target(
    secrets: &Server,
    policy: &Policy,
    admin: &AdminCredentials,
) -> Result<Target, Problem> {
    let mut policy = policy.clone();
    let dbname = admin.dbname.clone().unwrap_or_else(|| secrets.dbname.clone());
    if let Some(host) = admin.host.clone() {
        let port = admin.port.unwrap_or(DEFAULT_PORT);
        // These apply only to the rotated secret's server.
        (policy.rotation_host, policy.rotation_port, policy.tls_server_name) = (None, None, None);
        return Target::new(&Server { host, port, dbname, ssl: admin.ssl }, &policy);
    }
    let port = admin.port.or(policy.rotation_port);
    let trusted = policy.rotation_host.is_some() && port.is_some();
    let server = Server {
        host: secrets.host.clone(),
        port: port.unwrap_or(secrets.port),
        dbname,
        ssl: admin.ssl,
    };
    // The admin secret's own port counts even with the policy's host.
    policy.rotation_port = port;
    let target = Target::new(&server, &policy)?;
    Ok(if trusted { target } else { target.requiring_proof() })
}

/// Whether the admin secret and the rotated one name the same server, as far as names show it.
pub(super) fn is_the_same(secrets: &Server, policy: &Policy, admin: &AdminCredentials) -> bool {
    let Some(host) = &admin.host else { return true };
    let port = admin.port.unwrap_or(DEFAULT_PORT);
    let moved = policy.rotation_host.as_deref().map(|host| (host, policy.rotation_port));
    [Some((secrets.host.as_str(), None)), moved]
        .into_iter()
        .flatten()
        .any(|(known, at)| same_name(known, host) && at.unwrap_or(secrets.port) == port)
}

fn same_name(a: &str, b: &str) -> bool {
    a.trim_end_matches('.').eq_ignore_ascii_case(b.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use serde_json::{Value, json};

    use super::*;
    use crate::policy::Policies;
    use crate::secret::document::Document;

    const ADMIN: (&str, u16) = ("admin.internal", 5001);
    const POLICY: (&str, u16) = ("policy.internal", 5002);
    const THEIRS: (&str, u16) = ("theirs.example", 5003);

    fn policy(fields: &Value) -> Policy {
        let policies = Policies::parse(&json!({"defaults": fields}).to_string()).unwrap();
        policies.resolve(policies.entry("arn:a", "a").unwrap(), None).unwrap()
    }

    fn admin(host: Option<&str>, port: Option<u16>) -> AdminCredentials {
        let value = json!({"username": "boss", "password": "x", "host": host, "port": port});
        AdminCredentials::read(&Document::parse(&SecretString::from(value.to_string())).unwrap())
            .unwrap()
    }

    /// All that the policy may say of a server.
    fn policies() -> [Value; 5] {
        let ((host, port), name) = (POLICY, "name.internal");
        [
            json!({}),
            json!({"rotation_host": host}),
            json!({"rotation_host": host, "rotation_port": port}),
            json!({"tls_server_name": name}),
            json!({"rotation_host": host, "rotation_port": port, "tls_server_name": name}),
        ]
    }

    fn server((host, port): (&str, u16)) -> Server {
        Server { host: host.to_owned(), port, dbname: "shop".to_owned(), ssl: true }
    }

    #[test]
    fn an_admin_secret_with_a_host_is_moved_by_nobody() {
        // The attacker also names the admin's own host, so that it looks like one server.
        for secrets in [THEIRS, ADMIN, (ADMIN.0, THEIRS.1)] {
            for fields in policies() {
                for (port, address) in
                    [(Some(ADMIN.1), "admin.internal:5001"), (None, "admin.internal:5432")]
                {
                    let admin = admin(Some(ADMIN.0), port);
                    let target = target(&server(secrets), &policy(&fields), &admin).unwrap();
                    let found =
                        (target.address(), target.server_name.as_deref(), target.proof_required);
                    assert_eq!(found, (address.to_owned(), Some(ADMIN.0), false), "{fields}");
                }
            }
        }
    }

    #[test]
    fn a_server_proves_itself_unless_host_and_port_are_the_policys_or_the_admin_secrets() {
        // By each of the policies above: the address, the name in the certificate, and the proof.
        for (port, expected) in [
            (
                None,
                [
                    ("theirs.example:5003", "theirs.example", true),
                    ("policy.internal:5003", "policy.internal", true),
                    ("policy.internal:5002", "policy.internal", false),
                    ("theirs.example:5003", "name.internal", true),
                    ("policy.internal:5002", "name.internal", false),
                ],
            ),
            (
                Some(ADMIN.1),
                [
                    ("theirs.example:5001", "theirs.example", true),
                    ("policy.internal:5001", "policy.internal", false),
                    ("policy.internal:5001", "policy.internal", false),
                    ("theirs.example:5001", "name.internal", true),
                    ("policy.internal:5001", "name.internal", false),
                ],
            ),
        ] {
            for (fields, (address, name, proof)) in policies().iter().zip(expected) {
                let admin = admin(None, port);
                let target = target(&server(THEIRS), &policy(fields), &admin).unwrap();
                let found =
                    (target.address(), target.server_name.as_deref(), target.proof_required);
                assert_eq!(found, (address.to_owned(), Some(name), proof), "{port:?} {fields}");
                assert!(is_the_same(&server(THEIRS), &policy(fields), &admin));
            }
        }
    }

    #[test]
    fn without_a_session_of_the_role_both_secrets_name_one_server() {
        let moved = json!({"rotation_host": POLICY.0, "rotation_port": POLICY.1});
        for (admins, secrets, fields, same) in [
            (ADMIN, ADMIN, json!({}), true),
            (("Admin.Internal.", 5001), ADMIN, json!({}), true),
            (ADMIN, THEIRS, json!({}), false),
            (ADMIN, (ADMIN.0, 5003), json!({}), false),
            (POLICY, THEIRS, moved.clone(), true),
            ((POLICY.0, 5003), THEIRS, moved, false),
            ((POLICY.0, 5003), THEIRS, json!({"rotation_host": POLICY.0}), true),
        ] {
            let admin = admin(Some(admins.0), Some(admins.1));
            let found = is_the_same(&server(secrets), &policy(&fields), &admin);
            assert_eq!(found, same, "{admins:?} {secrets:?} {fields}");
        }
    }
}
