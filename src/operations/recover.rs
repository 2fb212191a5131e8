//! `recover`: inspects and decides like `status`, acts, and starts over until nothing is left to
//! do.

use super::diagnosis::decide;
use super::inspection::{Depth, Inspection, inspect};
use super::operation_result::OperationResult;
use crate::context::Context;
use crate::database::{Purpose, Session};
use crate::error::Error;
use crate::event::{Prefer, Step, StepRequest};
use crate::report::{Details, Remedy, StepReport, Verdict};
use crate::rotation::lock::Changer;
use crate::rotation::login::Origin;
use crate::rotation::storage::storage;
use crate::rotation::timing::renewal;
use crate::rotation::{Rotation, admin, restoration};
use crate::secret::password::Storage;
use crate::steps;

/// Acts until the secret is in order. Tries no remedy twice.
pub(super) async fn run(
    context: &Context<'_>,
    secret: &str,
    prefer: Prefer,
) -> Result<OperationResult, Error> {
    let mut inspection = inspect(context, secret, Depth::Deep).await?;
    let mut remedy = decide(inspection.findings, prefer);
    let mut report = inspection.diagnosis(remedy);
    let strategy = Some(inspection.rotation.strategy);
    while remedy != Remedy::Nothing {
        let helpless = matches!(
            remedy,
            Remedy::Wait | Remedy::TryOlderPasswords | Remedy::ManualInterventionRequired
        );
        if helpless || report.done.contains(&remedy) {
            let versions = inspection.versions.iter();
            let reasons: Vec<_> = versions.filter_map(|version| version.reason.clone()).collect();
            inspection.sessions.close().await;
            return Err(Error::NotRecovered {
                secret: inspection.rotation.secret,
                advice: remedy.text(),
                reasons: reasons.join(" "),
            });
        }
        let acted = act(context, prefer, &inspection, remedy).await;
        inspection.sessions.close().await;
        report.steps.extend(acted?);
        report.done.push(remedy);
        inspection = inspect(context, secret, Depth::Deep).await?;
        remedy = decide(inspection.findings, prefer);
    }
    inspection.sessions.close().await;
    let in_order = Remedy::Nothing.text();
    let message = if report.done.is_empty() {
        in_order.to_owned()
    } else {
        let done: Vec<_> = report.done.iter().map(|done| done.done()).collect();
        format!("Recovered: {}. {in_order}", done.join(", then "))
    };
    Ok(OperationResult { strategy, message, details: Details::Diagnosis(Box::new(report)) })
}

async fn act(
    context: &Context<'_>,
    prefer: Prefer,
    inspection: &Inspection,
    remedy: Remedy,
) -> Result<Vec<StepReport>, Error> {
    let Inspection { rotation, sessions, .. } = inspection;
    match remedy {
        Remedy::Nothing
        | Remedy::Wait
        | Remedy::TryOlderPasswords
        | Remedy::ReturnToPrevious
        | Remedy::ManualInterventionRequired => {}
        Remedy::RollForward => return roll_forward(context, inspection).await,
        Remedy::RenewLease => {
            let period = inspection.renewal.unwrap_or_default();
            match &sessions.current {
                Some(session) => renewal::renew(context, rotation, session, period).await?,
                None => renewal::revive(context, rotation, period).await?,
            };
        }
        Remedy::RemovePendingLabel => {
            if let (Some(session), Some(pending)) = (&sessions.current, &inspection.pending_id) {
                remove_pending_label(context, rotation, session, pending).await?;
            }
        }
        Remedy::RestoreCurrent => {
            let pending = sessions.pending.as_ref().filter(|_| prefer == Prefer::Back);
            if let Some(session) = pending.or(sessions.older.as_ref()) {
                let storage = storage(rotation, session).await?;
                let lock = session.lock(rotation.lock_name()).await?;
                let restore = async |changer: Changer<'_>| {
                    restore_current(context, rotation, changer, storage).await
                };
                admin::as_role_or_admin(context, rotation, &lock, restore).await?;
            }
        }
        Remedy::ResetByAdmin => {
            let restore = async |changer: Changer<'_>| {
                let storage = storage(rotation, changer.session()).await?;
                restore_current(context, rotation, changer, storage).await
            };
            admin::as_admin_alone(context, rotation, restore).await?;
        }
    }
    Ok(Vec::new())
}

/// If the database refuses AWSCURRENT, applications are locked out. Then a login that can do less
/// is better than none, so a failed test becomes a warning.
async fn roll_forward(
    context: &Context<'_>,
    inspection: &Inspection,
) -> Result<Vec<StepReport>, Error> {
    let Inspection { rotation, findings, .. } = inspection;
    let run = async |step| {
        let (secret_id, token) = (rotation.secret.clone(), rotation.token.clone());
        let request = StepRequest { step, secret_id, token, rotation_token: None };
        steps::run(context, &request).await
    };
    match run(Step::TestSecret).await {
        Ok(tested) => Ok(vec![tested, run(Step::FinishSecret).await?]),
        Err(error) if findings.current == Verdict::Rejected => {
            let mut finished = run(Step::FinishSecret).await?;
            finished.warnings.push(format!("testSecret failed: {}", error.full_text()));
            Ok(vec![finished])
        }
        Err(error) => Err(error),
    }
}

/// Removes AWSPENDING under the lock, and only if the database still has AWSCURRENT's password.
/// Otherwise that version may be the only record of the password that the database has.
async fn remove_pending_label(
    context: &Context<'_>,
    rotation: &Rotation,
    session: &Session,
    pending: &str,
) -> Result<(), Error> {
    let lock = session.lock(rotation.lock_name()).await?;
    let (current, purpose) = (&rotation.current, Purpose::Administer);
    let login = rotation.login(context, current, Origin::Current, purpose).await?;
    login.accepted()?.close().await;
    context.store.remove_pending_label(&rotation.secret, pending).await?;
    // The label is removed. If the release fails, the lock ends with the session.
    let _ = lock.release().await;
    Ok(())
}

/// Sets AWSCURRENT's password, if the label is still on the same version.
async fn restore_current(
    context: &Context<'_>,
    rotation: &Rotation,
    changer: Changer<'_>,
    storage: Storage,
) -> Result<(), Error> {
    let allowed = async || rotation.still_current(&context.store.describe(&rotation.secret).await?);
    restoration::restore(rotation, changer, storage, allowed).await
}
