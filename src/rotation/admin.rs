//! The admin secret: when it may set the password of a role, and the proofs that it belongs to the same cluster.

use super::{Context, Rotation, Stored, label};
use crate::database::role::Attributes;
use crate::database::{Database, Login, Purpose, Session, Target, role};
use crate::error::{Error, StoreFault};
use crate::secret::credentials::{AdminCredentials, Document, Server};
use crate::secret::password::Storage;
use crate::secret::store::{self, Value, Which};

/// What is known of the role whose password the admin is to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// The secret holds a password that the role logged in with.
    LoggedIn,
    /// The secret only claims that the role is its own.
    None,
}

/// The admin secret that the policy, or else the secret, names.
pub(super) fn secret(rotation: &Rotation) -> Option<&str> {
    rotation.policy.admin(rotation.current.credentials.masterarn.as_deref())
}

/// Logs in as the admin, on a server that is proven to be the rotated secret's: by its name, or by its system identifier.
pub(super) async fn session(context: &Context<'_>, rotation: &Rotation, own: Option<&Session>) -> Result<Session, Error> {
    let id = secret(rotation).unwrap_or_default();
    let (admin, version) = read(context, id).await?;
    let refused =
        |reason: String| Error::AdminRefused { admin: id.to_owned(), role: rotation.current.credentials.username.clone(), reason };
    if admin.username == rotation.current.credentials.username {
        return Err(refused("it is the admin itself. A role that rotates its own password needs no admin secret.".to_owned()));
    }
    let server = &rotation.current.credentials.server;
    let same_host =
        admin.host.as_deref().is_none_or(|host| same_name(host, &server.host)) && admin.port.is_none_or(|port| port == server.port);
    let mut policy = rotation.policy.clone();
    if !same_host {
        // Both are said of the rotated secret's host.
        policy.rotation_host = None;
        policy.tls_server_name = None;
    }
    let admin_server = Server {
        host: admin.host.clone().unwrap_or_else(|| server.host.clone()),
        port: admin.port.unwrap_or(server.port),
        dbname: admin.dbname.clone().unwrap_or_else(|| server.dbname.clone()),
        ssl: server.ssl,
    };
    let mut target = Target::new(&admin_server, &policy).map_err(|problem| Error::Document { secret: id.to_owned(), version, problem })?;
    if admin.host.is_none() && policy.rotation_host.is_none() {
        // Whoever writes the rotated secret has named this host, and could be waiting there for the admin's password.
        target = target.requiring_proof();
    }
    let database = Database { tls: context.tls, target, deadline: context.deadline };
    let session = match database.login("login with the admin secret", &admin.username, &admin.password, Purpose::Administer).await? {
        Login::Accepted(session) => session,
        Login::Rejected(error) => return Err(error),
    };
    if !same_host && !same_cluster(&session, own).await? {
        session.close().await;
        return Err(refused(format!(
            "its host is {}:{}, the secret's is {}:{}, and nothing proves that the two are one cluster.",
            admin_server.host, admin_server.port, server.host, server.port
        )));
    }
    Ok(session)
}

/// Sets the pending password as the admin, unless the role is one that no secret should get hold of this way.
pub(super) async fn set_password(admin: &Session, rotation: &Rotation, pending: &Stored, proof: Proof) -> Result<Storage, Error> {
    let role = &pending.credentials.username;
    let reason = match role::attributes(admin, role).await? {
        None => Some("it does not exist."),
        Some(attributes) => refusal(attributes, proof),
    };
    if let Some(reason) = reason {
        let admin = secret(rotation).unwrap_or_default().to_owned();
        return Err(Error::AdminRefused { admin, role: role.clone(), reason: reason.to_owned() });
    }
    role::set_password(admin, role, &pending.credentials.password, rotation.policy.password_storage).await
}

/// A role that has proven itself by a login gains nothing from a new password, unless it is one that the admin is not above.
fn refusal(attributes: Attributes, proof: Proof) -> Option<&'static str> {
    let Attributes { superuser, create_role, replication, bypass_rls } = attributes;
    match proof {
        _ if superuser => Some("it is a superuser, whose password an admin secret never sets."),
        Proof::None if create_role || replication || bypass_rls => {
            Some("it has CREATEROLE, REPLICATION or BYPASSRLS, and no password in the secret proves that it is the secret's own.")
        }
        Proof::LoggedIn | Proof::None => None,
    }
}

async fn read(context: &Context<'_>, id: &str) -> Result<(AdminCredentials, String), Error> {
    let Some(version) = context.store.read(id, Which::Stage(store::CURRENT)).await? else {
        let fault = StoreFault::NotFound("the admin secret has no AWSCURRENT value, or does not exist".to_owned());
        return Err(Error::SecretsManager { operation: "GetSecretValue", secret: id.to_owned(), fault });
    };
    let label = label(store::CURRENT, &version.id);
    let parsed = match &version.value {
        Value::Text(text) => Document::parse(text).and_then(|document| document.admin_credentials()),
        Value::Binary => Err("it holds binary data; expected a JSON object in SecretString.".to_owned()),
    };
    match parsed {
        Ok(admin) => Ok((admin, label)),
        Err(problem) => Err(Error::Document { secret: version.arn, version: label, problem }),
    }
}

async fn same_cluster(admin: &Session, own: Option<&Session>) -> Result<bool, Error> {
    let Some(own) = own else { return Ok(false) };
    let (admin, own) = tokio::try_join!(role::system_identifier(admin), role::system_identifier(own))?;
    Ok(admin.is_some() && admin == own)
}

fn same_name(a: &str, b: &str) -> bool {
    a.trim_end_matches('.').eq_ignore_ascii_case(b.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_gets_hold_of_a_powerful_role() {
        let plain = Attributes::default();
        for (attributes, proof, allowed) in [
            (plain, Proof::LoggedIn, true),
            (plain, Proof::None, true),
            (Attributes { superuser: true, ..plain }, Proof::LoggedIn, false),
            (Attributes { superuser: true, ..plain }, Proof::None, false),
            (Attributes { create_role: true, ..plain }, Proof::LoggedIn, true),
            (Attributes { create_role: true, ..plain }, Proof::None, false),
            (Attributes { replication: true, ..plain }, Proof::None, false),
            (Attributes { bypass_rls: true, ..plain }, Proof::None, false),
        ] {
            assert_eq!(refusal(attributes, proof).is_none(), allowed, "{attributes:?} {proof:?}");
        }
    }
}
