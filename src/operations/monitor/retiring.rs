//! Ends the use of a previous credential, where the policy itself names `retire_after`.

use crate::context::Context;
use crate::error::clean;
use crate::operations::retire;
use crate::report::{ClientReport, Details, SecretHealth};

/// Retires the previous credential if nothing uses it any more. Otherwise reports who uses it.
///
/// A failure is a warning: the secret itself is in order.
pub(super) async fn retire(context: &Context<'_>, health: &mut SecretHealth) {
    let retired = retire::unless_retired(context, &health.secret_id).await;
    match retired {
        Ok(Some(result)) => {
            if let Details::Retirement(retirement) = result.details {
                if !retirement.clients.is_empty() {
                    let clients: Vec<_> = retirement.clients.iter().map(client).collect();
                    health.warnings.push(clean::whole(format!(
                        "the previous credential is still in use: {}.",
                        clients.join("; ")
                    )));
                }
                health.retirement = Some(retirement);
            }
        }
        Ok(None) => {}
        Err(error) => health
            .warnings
            .push(clean::whole(format!("the previous credential was not retired: {error}"))),
    }
}

/// Who uses it, from where, and since when.
fn client(client: &ClientReport) -> String {
    let name = client.application_name.as_deref().filter(|name| !name.is_empty());
    let from = client.address.as_deref().map(|from| format!(" from {from}")).unwrap_or_default();
    let since = client.oldest_seconds.map(|age| format!(" for {age} s")).unwrap_or_default();
    let sessions = if client.sessions == 1 { "session" } else { "sessions" };
    format!(
        "application {:?}{from}, {} {sessions}, the oldest{since}",
        name.unwrap_or("(unnamed)"),
        client.sessions
    )
}
