//! The state of a secret and its database: the labels, and a login with each password that matters.

use std::time::Duration;

use super::diagnosis::{Findings, Pending};
use super::inspected_sessions::InspectedSessions;
use super::surroundings::{Surroundings, age, look_around, schedule};
use super::tried_login::{TriedLogin, try_login, unread, untried};
use crate::context::Context;
use crate::database::expiry::Expiry;
use crate::error::{Error, clean};
use crate::policy::Strategy;
use crate::report::{Diagnosis, Remedy, ScheduleReport, Verdict, VersionReport};
use crate::rotation::attempts::{ALLOW, LoginAttempts};
use crate::rotation::login::Origin;
use crate::rotation::passwords::find_older_login;
use crate::rotation::timing::renewal;
use crate::rotation::{Admission, Rotation, SecretVersion, labels};
use crate::secret::credentials::Server;
use crate::secret::store::{self, Version, VersionSelector};

/// How many passwords an inspection tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// At most two refused logins: AWSCURRENT and one more.
    Shallow,
    /// Also older passwords, up to `max_refused_logins`.
    Deep,
}

/// The most refused logins of a shallow inspection.
const SHALLOW_REFUSALS: u32 = 2;

/// All facts about a secret, and the sessions that were opened to find them.
pub(super) struct Inspection {
    pub(super) rotation: Rotation,
    pub(super) findings: Findings,
    pub(super) versions: Vec<VersionReport>,
    schedule: ScheduleReport,
    surroundings: Surroundings,
    /// How long the current user's lease should be from now on, if it should be renewed.
    pub(super) renewal: Option<Duration>,
    /// The version that carries AWSPENDING and not AWSCURRENT.
    pub(super) pending_id: Option<String>,
    pub(super) sessions: InspectedSessions,
}

impl Inspection {
    /// The report, before anything is done.
    pub(super) fn diagnosis(&self, remedy: Remedy) -> Diagnosis {
        let warnings = [self.rotation.warnings(), self.surroundings.warnings.clone()].concat();
        Diagnosis {
            remedy,
            done: Vec::new(),
            warnings: warnings.into_iter().map(clean::whole).collect(),
            versions: self.versions.clone(),
            sessions: self.surroundings.sessions.clone(),
            password_stored_as: self.surroundings.stored_as.clone(),
            valid_until: self.surroundings.dates(|expiry| expiry.at.clone()),
            expires_in_seconds: self.surroundings.dates(|expiry| expiry.seconds),
            not_visible: self.surroundings.not_visible.clone(),
            schedule: self.schedule.clone(),
            script: None,
            steps: Vec::new(),
        }
    }
}

/// Inspects the secret and the database. Changes nothing.
pub(super) async fn inspect(
    context: &Context<'_>,
    secret: &str,
    depth: Depth,
) -> Result<Inspection, Error> {
    let description = context.store.describe(secret).await?;
    labels::not_managed(&description).map_err(|fault| fault.of(secret))?;
    let pending_id = description.under_way().map(str::to_owned);
    let token = pending_id.as_deref().unwrap_or_default();
    let mut rotation = Rotation::read(context, secret, token).await?;
    let mut sessions = InspectedSessions::default();

    let mut current = try_login(context, &rotation, &rotation.current, Origin::Current).await?;
    sessions.current = current.session.take();
    let mut versions = vec![current.report(&rotation.current, store::CURRENT)];
    let mut pending = Pending::None;
    if let Some(id) = pending_id.as_deref() {
        let left_behind = description.holder(store::PREVIOUS) == Some(id);
        let (state, version) =
            pending_state(context, &mut rotation, id, left_behind, &current, &mut sessions).await?;
        pending = state;
        versions.push(version);
    }
    let mut older = None;
    if depth == Depth::Deep
        && current.verdict == Verdict::Rejected
        && pending != Pending::Value(Verdict::Accepted)
    {
        let (verdict, reason) = match sessions.older {
            Some(_) => (Verdict::Accepted, None),
            None => older_verdict(context, &rotation, &mut sessions).await?,
        };
        (older, versions[0].reason) = (Some(verdict), reason);
    }
    let selector = VersionSelector::Stage(store::PREVIOUS);
    if let Some(previous) = context.store.read(secret, selector).await? {
        let may_try = depth == Depth::Deep || context.refused_logins.so_far() < SHALLOW_REFUSALS;
        let may_try = may_try && current.verdict != Verdict::Unknown;
        versions.push(previous_version(context, &rotation, previous, may_try).await?);
    }
    let surroundings = look_around(context, &rotation, &description, &sessions).await;
    let expiry = Expiry::of(&surroundings.expiry, &rotation.current.credentials.username);
    let ended = expiry.filter(|expiry| expiry.has_passed());
    if let Some(ended) = ended.filter(|_| current.verdict == Verdict::Rejected) {
        let reason = versions[0].reason.take().unwrap_or_default();
        let advice = renewal::advice(&rotation, ended);
        versions[0].reason = Some(format!("{advice} {reason}").trim_end().to_owned());
    }
    let refused_for_that = current.verdict == Verdict::Rejected && ended.is_some();
    let renewal = renewal::facts(&rotation, expiry, None)
        .filter(|_| current.verdict == Verdict::Accepted || refused_for_that)
        .and_then(|facts| facts.decide_for_a_person().renewal());
    let findings = Findings {
        strategy: rotation.strategy,
        current: current.verdict,
        pending,
        older,
        admin_reset: rotation.policy.admin_reset && rotation.admin_secret().is_some(),
        renewable: renewal.is_some(),
    };
    Ok(Inspection {
        surroundings,
        renewal,
        rotation,
        findings,
        versions,
        schedule: schedule(&description),
        pending_id,
        sessions,
    })
}

async fn older_verdict(
    context: &Context<'_>,
    rotation: &Rotation,
    sessions: &mut InspectedSessions,
) -> Result<(Verdict, Option<String>), Error> {
    let refused = [
        Some((Origin::Current, &rotation.current)),
        rotation.pending.as_ref().map(|pending| (Origin::Pending, pending)),
    ];
    let mut attempts = LoginAttempts::after(rotation, refused.into_iter().flatten());
    match find_older_login(context, rotation, &mut attempts).await {
        Ok(Some((session, _))) => {
            sessions.older = Some(session);
            Ok((Verdict::Accepted, None))
        }
        Ok(None) => Ok((Verdict::Rejected, attempts.left_out())),
        Err(error @ Error::Database { .. }) => Ok((Verdict::Unknown, Some(error.full_text()))),
        Err(error) => Err(error),
    }
}

/// The report on AWSPREVIOUS. A single user's old password is not tried here: a failed login would
/// raise an alarm for nothing.
async fn previous_version(
    context: &Context<'_>,
    rotation: &Rotation,
    version: Version,
    may_try: bool,
) -> Result<VersionReport, Error> {
    let unread = unread(&version.id, store::PREVIOUS, age(version.created));
    let Ok(previous) = SecretVersion::parse(version, store::PREVIOUS) else {
        return Ok(VersionReport { reason: Some("its value is not a login".to_owned()), ..unread });
    };
    let (current, credentials) = (&rotation.current.credentials, &previous.credentials);
    if !previous.same_server(&rotation.current) {
        let Server { host, port, .. } = &credentials.server;
        let reason = format!("not tried, since it is for {}:{port}. {ALLOW}.", clean::name(host));
        let reason = Some(reason);
        return Ok(VersionReport { reason, ..untried(&previous, store::PREVIOUS) });
    }
    if !may_try || credentials.username == current.username || credentials.server != current.server
    {
        return Ok(untried(&previous, store::PREVIOUS));
    }
    let mut tried = try_login(context, rotation, &previous, Origin::Previous).await?;
    if let Some(session) = tried.session.take() {
        session.close().await;
    }
    Ok(tried.report(&previous, store::PREVIOUS))
}

/// The state of the version with AWSPENDING. `left_behind` means that AWSCURRENT was on it, and
/// that a person moved AWSCURRENT back.
async fn pending_state(
    context: &Context<'_>,
    rotation: &mut Rotation,
    id: &str,
    left_behind: bool,
    current: &TriedLogin,
    sessions: &mut InspectedSessions,
) -> Result<(Pending, VersionReport), Error> {
    let empty = |reason: String| {
        let unread = unread(id, store::PENDING, None);
        (Pending::Empty, VersionReport { reason: Some(reason), ..unread })
    };
    let selector = VersionSelector::IdAtStage(id, store::PENDING);
    let Some(version) = context.store.read(&rotation.secret, selector).await? else {
        return Ok(empty("it has no value".to_owned()));
    };
    let pending = match rotation.admit(version, Admission::NextUserOrCopy) {
        Ok(pending) => pending,
        // A value that every step refuses counts as no value.
        Err(error @ (Error::Document { .. } | Error::Rotation { .. })) => {
            return Ok(empty(clean::whole(error.to_string())));
        }
        Err(error) => return Err(error),
    };
    let reported = |database: Option<Verdict>, reason: &str| {
        let reason = Some(reason.to_owned());
        VersionReport { database, reason, ..untried(&pending, store::PENDING) }
    };
    if pending.same_login(&rotation.current) {
        return Ok((Pending::Copy, reported(Some(current.verdict), "a copy of AWSCURRENT")));
    }
    let single_user = rotation.strategy == Strategy::SingleUser;
    let same_role = pending.same_role(&rotation.current);
    match current.verdict {
        Verdict::Unknown => {
            let report = reported(None, "not tried: see the reason beside AWSCURRENT");
            Ok((Pending::Value(Verdict::Unknown), report))
        }
        // A role has only one password.
        Verdict::Accepted if same_role || left_behind => {
            let report = reported(None, "not tried: the database accepts AWSCURRENT");
            Ok((Pending::Value(Verdict::Rejected), report))
        }
        Verdict::Accepted | Verdict::Rejected => {
            let mut tried = try_login(context, rotation, &pending, Origin::Pending).await?;
            // pg_hba.conf may let in a group, and a user that does not exist yet is in none.
            if !tried.let_in && current.verdict == Verdict::Accepted {
                tried.verdict = Verdict::Rejected;
            }
            let (session, report) = (tried.session.take(), tried.report(&pending, store::PENDING));
            rotation.pending = Some(pending);
            if same_role && !single_user {
                // The strategy was changed in the middle of a rotation. No step takes this version,
                // and its password may be the one that the current user has.
                sessions.older = session;
                return Ok((Pending::Empty, report));
            }
            sessions.pending = session;
            Ok((Pending::Value(tried.verdict), report))
        }
    }
}
