//! `status`, and `recover` as a dry run: inspects and decides, and changes nothing.

use super::diagnosis::decide;
use super::inspection::{Depth, Inspection, inspect};
use super::operation_result::OperationResult;
use crate::context::Context;
use crate::error::Error;
use crate::event::Prefer;
use crate::policy::Strategy;
use crate::report::{Details, Remedy};
use crate::rotation::pair::script::Script;
use crate::rotation::pair::{equality, owner_role};

/// Reports the state of the secret and what `recover` would do.
pub(super) async fn run(
    context: &Context<'_>,
    secret: &str,
    prefer: Prefer,
    depth: Depth,
    fix: bool,
) -> Result<OperationResult, Error> {
    let inspection = inspect(context, secret, depth).await?;
    let remedy = match prefer {
        Prefer::Previous => Remedy::ReturnToPrevious,
        prefer => decide(inspection.findings, prefer),
    };
    let mut diagnosis = inspection.diagnosis(remedy);
    if fix {
        diagnosis.script = Some(script(context, &inspection).await);
    }
    let result = OperationResult {
        strategy: Some(inspection.rotation.strategy),
        message: remedy.text().to_owned(),
        details: Details::Diagnosis(Box::new(diagnosis)),
    };
    inspection.sessions.close().await;
    Ok(result)
}

/// What the next user lacks now. `preflight` says what it will lack after its change.
async fn script(context: &Context<'_>, inspection: &Inspection) -> String {
    let (rotation, session) = (&inspection.rotation, inspection.sessions.current.as_ref());
    let mut script = Script::default();
    let Some(session) = session else {
        script.advice(None, "AWSCURRENT does not log in, so nothing was compared.");
        return script.into_text();
    };
    if rotation.strategy == Strategy::AlternatingUsers {
        let (current, most) = (&rotation.current, equality::IN_A_SCRIPT);
        let compared = async {
            let parity = equality::of_roles(session, rotation, None, most).await?;
            equality::in_databases(context, rotation, session, current, parity, most).await
        };
        match compared.await {
            Ok(equality) if equality.parity.acts_as.is_none() => {
                let next_user = &rotation.next_username;
                let advice = format!(
                    "Role {next_user:?} does not exist yet. preflight says what it will lack."
                );
                script.advice(None, &advice);
            }
            Ok(equality) => equality.script(&mut script),
            Err(error) => script.advice(None, &error.to_string()),
        }
    }
    if let Err(error) = owner_role::script(rotation, session, None, &mut script).await {
        script.advice(None, &error.to_string());
    }
    script.into_text()
}
