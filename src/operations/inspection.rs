//! The present state of a secret and its database: the labels, and a login with each password that
//! matters.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::diagnosis::{Findings, Pending};
use crate::context::Context;
use crate::database::{Login, Purpose, Session, sessions};
use crate::error::{Error, RotationFault};
use crate::report::{Diagnosis, Remedy, Schedule, Verdict, VersionReport};
use crate::rotation::passwords::{LoginAttempts, Origin, find_older_login};
use crate::rotation::{Admission, Rotation, SecretVersion, labels};
use crate::secret::store::{self, Description, Version, VersionSelector};

/// All facts about a secret, and the sessions that were opened to find them.
pub(super) struct Inspection {
    pub(super) rotation: Rotation,
    pub(super) findings: Findings,
    pub(super) versions: Vec<VersionReport>,
    schedule: Schedule,
    open_sessions: BTreeMap<String, u64>,
    stored_as: BTreeMap<String, String>,
    /// The version that carries AWSPENDING and not AWSCURRENT.
    pub(super) pending_id: Option<String>,
    pub(super) sessions: Sessions,
}

/// The sessions that the inspection opened.
#[derive(Default)]
pub(super) struct Sessions {
    pub(super) current: Option<Session>,
    pub(super) pending: Option<Session>,
    /// A session of the current user with an older password.
    pub(super) older: Option<Session>,
}

impl Sessions {
    pub(super) async fn close(self) {
        for session in [self.current, self.pending, self.older].into_iter().flatten() {
            session.close().await;
        }
    }
}

impl Inspection {
    /// The report, before anything is done.
    pub(super) fn diagnosis(&self, remedy: Remedy) -> Diagnosis {
        Diagnosis {
            remedy,
            done: Vec::new(),
            versions: self.versions.clone(),
            sessions: self.open_sessions.clone(),
            password_stored_as: self.stored_as.clone(),
            schedule: self.schedule.clone(),
            steps: Vec::new(),
        }
    }
}

/// Inspects the secret and the database. Changes nothing.
pub(super) async fn inspect(context: &Context<'_>, secret: &str) -> Result<Inspection, Error> {
    let description = context.store.describe(secret).await?;
    labels::not_managed(&description).map_err(|fault| fault.of(secret))?;
    let selector = VersionSelector::Stage(store::CURRENT);
    let current = context.store.read(secret, selector).await?;
    let current = current.ok_or_else(|| RotationFault::NoCurrent.of(secret))?;
    let pending_id = description.under_way().map(str::to_owned);
    let token = pending_id.as_deref().unwrap_or_default();
    let mut rotation = Rotation::of(context.config, current, token)?;
    let mut opened = Sessions::default();
    let mut versions = Vec::new();

    let (current, session, reason) =
        try_login(context, &rotation, &rotation.current, Origin::Current).await?;
    opened.current = session;
    versions.push(report(&rotation.current, store::CURRENT, Some(current), reason.clone()));

    let mut pending = Pending::None;
    if let Some(id) = &pending_id {
        let (state, version) =
            pending_state(context, &mut rotation, id, current, reason, &mut opened).await?;
        pending = state;
        versions.push(version);
    }
    let mut older_verdict = None;
    if current == Verdict::Rejected && pending != Pending::Value(Verdict::Accepted) {
        let refused = [
            Some((Origin::Current, &rotation.current)),
            rotation.pending.as_ref().map(|pending| (Origin::Pending, pending)),
        ];
        let mut attempts = LoginAttempts::by_operation(refused.into_iter().flatten());
        older_verdict = Some(match find_older_login(context, &rotation, &mut attempts).await {
            Ok(Some((session, _))) => {
                opened.older = Some(session);
                Verdict::Accepted
            }
            Ok(None) => {
                versions[0].reason = attempts.left_out().map(str::to_owned);
                Verdict::Rejected
            }
            Err(error @ Error::Database { .. }) => {
                versions[0].reason = Some(error.full_text());
                Verdict::Unknown
            }
            Err(error) => return Err(error),
        });
    }
    let selector = VersionSelector::Stage(store::PREVIOUS);
    if let Some(previous) = context.store.read(secret, selector).await? {
        versions.push(previous_version(context, &rotation, previous, current).await?);
    }
    let users = [rotation.current.credentials.username.as_str(), rotation.next_username.as_str()];
    let session = [&opened.current, &opened.pending, &opened.older].into_iter().flatten().next();
    let (open_sessions, stored_as) = match session {
        Some(session) => {
            (sessions::count(session, &users).await?, sessions::stored_as(session, &users).await?)
        }
        None => (BTreeMap::new(), BTreeMap::new()),
    };
    let admin_reset = rotation.policy.admin_reset && rotation.admin_secret().is_some();
    let findings = Findings {
        strategy: rotation.strategy,
        current,
        pending,
        older: older_verdict,
        admin_reset,
    };
    Ok(Inspection {
        rotation,
        findings,
        versions,
        schedule: schedule(&description),
        open_sessions,
        stored_as,
        pending_id,
        sessions: opened,
    })
}

/// The report on AWSPREVIOUS. A single user's old password is not tried here: a failed login would
/// raise an alarm for nothing.
async fn previous_version(
    context: &Context<'_>,
    rotation: &Rotation,
    version: Version,
    current: Verdict,
) -> Result<VersionReport, Error> {
    let unread = VersionReport {
        version_id: version.id.clone(),
        label: store::PREVIOUS,
        age_seconds: age(version.created),
        role: None,
        database: None,
        reason: None,
    };
    let Ok(previous) = SecretVersion::parse(version, store::PREVIOUS) else {
        return Ok(VersionReport { reason: Some("its value is not a login".to_owned()), ..unread });
    };
    let other = previous.credentials.username != rotation.current.credentials.username;
    if !other
        || current == Verdict::Unknown
        || previous.credentials.server != rotation.current.credentials.server
    {
        return Ok(VersionReport { role: Some(previous.credentials.username), ..unread });
    }
    let (verdict, session, reason) =
        try_login(context, rotation, &previous, Origin::Previous).await?;
    if let Some(session) = session {
        session.close().await;
    }
    Ok(report(&previous, store::PREVIOUS, Some(verdict), reason))
}

fn schedule(description: &Description) -> Schedule {
    let now = SystemTime::now();
    let next = description.next_rotation.map(|next| match next.duration_since(now) {
        Ok(left) => i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        Err(late) => -i64::try_from(late.duration().as_secs()).unwrap_or(i64::MAX),
    });
    Schedule {
        rotation_enabled: description.rotation_enabled,
        last_rotated_seconds_ago: age(description.last_rotated),
        next_rotation_in_seconds: next,
        overdue: description.rotation_enabled == Some(true) && next.is_some_and(|next| next < 0),
    }
}

fn age(since: Option<SystemTime>) -> Option<u64> {
    since.map(|since| SystemTime::now().duration_since(since).unwrap_or_default().as_secs())
}

/// The state of the version with AWSPENDING.
async fn pending_state(
    context: &Context<'_>,
    rotation: &mut Rotation,
    id: &str,
    current: Verdict,
    unknown: Option<String>,
    sessions: &mut Sessions,
) -> Result<(Pending, VersionReport), Error> {
    let none = |reason: Option<String>| VersionReport {
        version_id: id.to_owned(),
        label: store::PENDING,
        age_seconds: None,
        role: None,
        database: None,
        reason,
    };
    let selector = VersionSelector::IdAtStage(id, store::PENDING);
    let Some(version) = context.store.read(&rotation.secret, selector).await? else {
        return Ok((Pending::Empty, none(Some("it has no value".to_owned()))));
    };
    let pending = match rotation.admit(version, Admission::NextUserOrCopy) {
        Ok(pending) => pending,
        // A value that every step refuses counts as no value.
        Err(error @ (Error::Document { .. } | Error::Rotation { .. })) => {
            return Ok((Pending::Empty, none(Some(error.to_string()))));
        }
        Err(error) => return Err(error),
    };
    if pending.same_login(&rotation.current) {
        let reason = Some("a copy of AWSCURRENT".to_owned());
        return Ok((Pending::Copy, report(&pending, store::PENDING, Some(current), reason)));
    }
    if current == Verdict::Unknown {
        return Ok((
            Pending::Value(Verdict::Unknown),
            report(&pending, store::PENDING, Some(Verdict::Unknown), unknown),
        ));
    }
    let (verdict, session, reason) =
        try_login(context, rotation, &pending, Origin::Pending).await?;
    sessions.pending = session;
    let version = report(&pending, store::PENDING, Some(verdict), reason);
    rotation.pending = Some(pending);
    Ok((Pending::Value(verdict), version))
}

async fn try_login(
    context: &Context<'_>,
    rotation: &Rotation,
    version: &SecretVersion,
    origin: Origin,
) -> Result<(Verdict, Option<Session>, Option<String>), Error> {
    Ok(match rotation.login(context, version, origin, Purpose::Administer).await {
        Ok(Login::Accepted(session)) => (Verdict::Accepted, Some(session), None),
        Ok(Login::Rejected(_)) => (Verdict::Rejected, None, None),
        Err(error @ Error::Database { .. }) => (Verdict::Unknown, None, Some(error.full_text())),
        Err(error) => return Err(error),
    })
}

fn report(
    version: &SecretVersion,
    label: &'static str,
    database: Option<Verdict>,
    reason: Option<String>,
) -> VersionReport {
    VersionReport {
        version_id: version.id.clone(),
        label,
        age_seconds: age(version.created),
        role: Some(version.credentials.username.clone()),
        database,
        reason,
    }
}
