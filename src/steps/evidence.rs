//! The evidence of a finished rotation: what became of the credential that was current before.

use std::time::Duration;

use crate::context::Context;
use crate::database::{Session, sessions, validity};
use crate::policy::Strategy;
use crate::report::{Evidence, OldCredential};
use crate::rotation::Rotation;

/// AWSCURRENT has moved: what cannot be read in this time stays unknown, and nothing waits for it.
const WAIT: Duration = Duration::from_secs(1);

/// Reads it over an open session of one of the users.
pub(super) async fn of(context: &Context<'_>, rotation: &Rotation, session: &Session) -> Evidence {
    let user = rotation.current.credentials.username.as_str();
    let count = async {
        let counts = sessions::count(session, &[user]).await.ok()?;
        counts.get(user).copied()
    };
    let old = async {
        match rotation.strategy {
            Strategy::SingleUser => OldCredential::Replaced,
            Strategy::AlternatingUsers => match validity::valid_until(session, user).await {
                Ok(Some(end)) => OldCredential::ValidUntil(end),
                Ok(None) | Err(_) => OldCredential::Valid,
            },
        }
    };
    // Boxed: queries are large futures.
    let both = Box::pin(async {
        // The application's own search_path could put its operators before PostgreSQL's.
        session.pin_search_path().await.ok()?;
        Some(tokio::join!(count, old))
    });
    let read = context.deadline.limit(WAIT, both).await.ok().flatten();
    let (old_sessions, old) = read.unwrap_or_else(|| {
        let old = match rotation.strategy {
            Strategy::SingleUser => OldCredential::Replaced,
            Strategy::AlternatingUsers => OldCredential::Valid,
        };
        (None, old)
    });
    Evidence {
        secret: rotation.secret.clone(),
        name: rotation.name.clone(),
        old_version: rotation.current.id.clone(),
        old,
        old_sessions,
    }
}
