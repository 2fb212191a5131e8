//! The evidence of a finished rotation: what became of the credential that was current before.

use std::time::Duration;

use crate::context::Context;
use crate::database::{Session, expiry, sessions};
use crate::policy::Strategy;
use crate::report::{Evidence, OldCredential};
use crate::rotation::Rotation;

/// What cannot be read in this time stays unknown. The step does not fail.
const WAIT: Duration = Duration::from_secs(1);

/// Reads it over an open session of one of the users.
pub(super) async fn of(context: &Context<'_>, rotation: &Rotation, session: &Session) -> Evidence {
    let user = rotation.current.credentials.username.as_str();
    let read = async {
        // The session may have the application's `search_path`.
        session.pin_search_path().await.ok()?;
        let counts = sessions::count(session, &[user]).await;
        Some((counts.ok()?.get(user).copied(), expiry::of(session, user).await.ok()?))
    };
    // Boxed: queries are large futures.
    let read = context.deadline.limit(WAIT, Box::pin(read)).await.unwrap_or_default();
    let (old_sessions, end) = read.unwrap_or_default();
    let old = match (rotation.strategy, end) {
        (Strategy::SingleUser, _) => OldCredential::Replaced,
        (Strategy::AlternatingUsers, Some(end)) => OldCredential::ValidUntil(end.date),
        (Strategy::AlternatingUsers, None) => OldCredential::Valid,
    };
    Evidence {
        secret: rotation.secret.clone(),
        name: rotation.name.clone(),
        old_version: rotation.current.id.clone(),
        old,
        old_sessions,
    }
}
