//! `status` and `recover`: the same look and the same decision; `recover` acts on it until nothing
//! is left to do.

use super::diagnosis::decide;
use super::findings::{Found, look};
use crate::database::role::{self, End};
use crate::database::{Login, Purpose, Session};
use crate::error::{DatabaseFault, Error};
use crate::event::{Operation, Prefer, Request, Step};
use crate::report::{Details, Diagnosis, OperationReport, Remedy, Report};
use crate::rotation::set_secret::{Locked, storage, under_lock};
use crate::rotation::{self, Context, Rotation, admin};

/// What was found, and what `recover` would do.
pub(super) async fn plan(
    context: &Context<'_>,
    operation: &Operation,
) -> Result<OperationReport, Error> {
    let found = look(context, &operation.secret_id).await?;
    let remedy = decide(found.findings, operation.prefer);
    let report = operation.report(
        found.rotation.strategy,
        remedy.text().to_owned(),
        Details::Diagnosis(diagnosis(&found, remedy)),
    );
    found.sessions.close().await;
    Ok(report)
}

/// Acts, and looks again, until the secret is in order. No remedy is tried twice.
pub(super) async fn run(
    context: &Context<'_>,
    operation: &Operation,
) -> Result<OperationReport, Error> {
    let found = look(context, &operation.secret_id).await?;
    let mut remedy = decide(found.findings, operation.prefer);
    let mut report = diagnosis(&found, remedy);
    let strategy = found.rotation.strategy;
    let mut next = found;
    while remedy != Remedy::Nothing {
        if matches!(remedy, Remedy::Wait | Remedy::AskForHelp) || report.done.contains(&remedy) {
            let reasons: Vec<_> =
                next.versions.iter().filter_map(|version| version.reason.clone()).collect();
            next.sessions.close().await;
            return Err(Error::NotRecovered {
                secret: next.rotation.secret,
                advice: remedy.text(),
                reasons: reasons.join(" "),
            });
        }
        let acted = act(context, operation, &next, remedy).await;
        next.sessions.close().await;
        report.steps.extend(acted?);
        report.done.push(remedy);
        next = look(context, &operation.secret_id).await?;
        remedy = decide(next.findings, operation.prefer);
    }
    next.sessions.close().await;
    let message = if report.done.is_empty() {
        Remedy::Nothing.text().to_owned()
    } else {
        format!(
            "Recovered: {}. {}",
            report.done.iter().map(|done| done.done()).collect::<Vec<_>>().join(", then "),
            Remedy::Nothing.text()
        )
    };
    Ok(operation.report(strategy, message, Details::Diagnosis(report)))
}

async fn act(
    context: &Context<'_>,
    operation: &Operation,
    found: &Found,
    remedy: Remedy,
) -> Result<Vec<Report>, Error> {
    let rotation = &found.rotation;
    match remedy {
        Remedy::Nothing | Remedy::Wait | Remedy::AskForHelp => {}
        Remedy::RollForward => {
            let mut steps = Vec::new();
            for step in [Step::TestSecret, Step::FinishSecret] {
                let request = Request {
                    step,
                    secret_id: rotation.secret.clone(),
                    token: rotation.token.clone(),
                    rotation_token: None,
                };
                steps.push(rotation::run(context, &request).await?);
            }
            return Ok(steps);
        }
        Remedy::TakeOffPending => {
            if let (Some(session), Some(pending)) = (&found.sessions.current, &found.pending_id) {
                take_off(context, rotation, session, pending).await?;
            }
        }
        Remedy::RestoreCurrent => {
            let pending = if operation.prefer == Prefer::Back {
                found.sessions.pending.as_ref()
            } else {
                None
            };
            if let Some(own) = pending.or(found.sessions.older.as_ref()) {
                match restore(context, rotation, Locked::alone(own)).await {
                    Err(error)
                        if error.is_database(DatabaseFault::PermissionDenied)
                            && admin::secret(rotation).is_some() =>
                    {
                        role::roll_back(own).await?;
                        restore_by_admin(context, rotation, Some(own)).await?;
                    }
                    restored => restored?,
                }
            }
        }
        Remedy::ResetByAdmin => {
            restore_by_admin(context, rotation, None).await?;
        }
    }
    Ok(Vec::new())
}

/// Takes the label off while no `setSecret` can be at work, and only if the database still has
/// AWSCURRENT's password then: otherwise the version would be the only record of the one that it
/// has.
async fn take_off(
    context: &Context<'_>,
    rotation: &Rotation,
    session: &Session,
    pending: &str,
) -> Result<(), Error> {
    role::lock(session, rotation.lock_name()).await?;
    let credentials = &rotation.current.credentials;
    let database = rotation.database(context, &rotation.current)?;
    match database
        .login(
            "login with AWSCURRENT",
            &credentials.username,
            &credentials.password,
            Purpose::Administer,
        )
        .await?
    {
        Login::Accepted(again) => again.close().await,
        Login::Rejected(error) => return Err(error),
    }
    context.store.take_off_pending(&rotation.secret, pending).await?;
    // It is done: whatever becomes of the lock, the next look tells what there is.
    let _ = role::roll_back(session).await;
    Ok(())
}

async fn restore_by_admin(
    context: &Context<'_>,
    rotation: &Rotation,
    own: Option<&Session>,
) -> Result<(), Error> {
    let admin = admin::session(context, rotation, own).await?;
    let restored = restore(context, rotation, Locked::by(own, &admin)).await;
    admin.close().await;
    restored.map_err(admin::lacks_right)
}

/// Gives the current user the password of AWSCURRENT, if that is still on the same version.
async fn restore(
    context: &Context<'_>,
    rotation: &Rotation,
    sessions: Locked<'_>,
) -> Result<(), Error> {
    let session = sessions.acting();
    let current = &rotation.current;
    let (username, password) = (&current.credentials.username, &current.credentials.password);
    let storage = storage(rotation, session).await?;
    let stored_form = password.stored_form(username, storage);
    let allowed = async || rotation.still_current(&context.store.describe(&rotation.secret).await?);
    under_lock(rotation, sessions, allowed, async || {
        role::change_password(session, username, &stored_form, storage, End::Commit).await
    })
    .await
}

fn diagnosis(found: &Found, remedy: Remedy) -> Diagnosis {
    Diagnosis {
        remedy,
        done: Vec::new(),
        versions: found.versions.clone(),
        sessions: found.open.clone(),
        password_stored_as: found.stored_as.clone(),
        schedule: found.schedule.clone(),
        steps: Vec::new(),
    }
}
