//! A login of an inspection, and its part of the report.

use super::surroundings::age;
use crate::context::Context;
use crate::database::{Login, Purpose, Session};
use crate::error::{DatabaseFault, Error, clean};
use crate::report::{Verdict, VersionReport};
use crate::rotation::login::Origin;
use crate::rotation::{Rotation, SecretVersion};

/// The result of a login.
pub(super) struct TriedLogin {
    pub(super) verdict: Verdict,
    pub(super) session: Option<Session>,
    /// Why the verdict is unknown.
    pub(super) reason: Option<String>,
    /// Whether `pg_hba.conf` lets the role in.
    pub(super) let_in: bool,
}

impl TriedLogin {
    pub(super) fn report(&self, version: &SecretVersion, label: &'static str) -> VersionReport {
        let (database, reason) = (Some(self.verdict), self.reason.clone());
        VersionReport { database, reason, ..untried(version, label) }
    }
}

pub(super) async fn try_login(
    context: &Context<'_>,
    rotation: &Rotation,
    version: &SecretVersion,
    origin: Origin,
) -> Result<TriedLogin, Error> {
    let login = rotation.login(context, version, origin, Purpose::Administer).await;
    let refused = |error: &Error| error.is_database(DatabaseFault::HostNotPermitted);
    let let_in = !login.as_ref().is_err_and(refused);
    let (verdict, session, reason) = match login {
        Ok(Login::Accepted(session)) => (Verdict::Accepted, Some(session), None),
        Ok(Login::Rejected(_)) => (Verdict::Rejected, None, None),
        Err(error @ Error::Database { .. }) => (Verdict::Unknown, None, Some(error.full_text())),
        Err(error) => return Err(error),
    };
    Ok(TriedLogin { verdict, session, reason, let_in })
}

/// The report on a version that was not tried.
pub(super) fn untried(version: &SecretVersion, label: &'static str) -> VersionReport {
    let role = Some(clean::name(&version.credentials.username));
    VersionReport { role, ..unread(&version.id, label, age(version.created)) }
}

/// The report on a version whose value is no login.
pub(super) fn unread(id: &str, label: &'static str, age_seconds: Option<u64>) -> VersionReport {
    let version_id = id.to_owned();
    VersionReport { version_id, label, age_seconds, role: None, database: None, reason: None }
}
