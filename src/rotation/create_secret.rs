//! `createSecret`: stores a new password under AWSPENDING, unless the version has a value already.

use super::{Context, Done, Rotation, Stored};
use crate::error::{Error, StoreFault};
use crate::event::Request;
use crate::report::Outcome;
use crate::secret::password::Password;
use crate::secret::store::{Put, Which};

/// The new value is durable before anything else changes: a crash later on leaves a record of every
/// password the database may have.
pub(crate) async fn run(
    context: &Context<'_>,
    rotation: &Rotation,
    request: &Request,
) -> Result<Done, Error> {
    let kept = |pending: &Stored| {
        let message = format!(
            "The version has a value for role {:?} already: kept.",
            pending.credentials.username
        );
        Done::new(Outcome::Kept, message)
    };
    if let Some(pending) = &rotation.pending {
        return Ok(kept(pending));
    }
    let username = &rotation.next_username;
    let password = new_password(context, rotation)?;
    let value = rotation.current.document.with_login(username, &password);
    let value =
        value.map_err(|error| failed(rotation, format!("the new value is not JSON: {error}")))?;

    match context
        .store
        .put_pending(&rotation.secret, &rotation.token, request.rotation_token.as_ref(), &value)
        .await?
    {
        Put::Stored => Ok(Done::new(
            Outcome::Created,
            format!("A new password for role {username:?} is stored as AWSPENDING."),
        )),
        // Another invocation of this step was faster, or an answer to this one was lost: that value
        // stays, and has to be a valid one.
        Put::HadValue => {
            let pending =
                context.store.read_again(&rotation.secret, Which::Id(&rotation.token)).await?;
            let pending =
                pending.map(|pending| rotation.admit(pending, request.step)).transpose()?;
            pending.as_ref().map(kept).ok_or_else(|| {
                failed(
                    rotation,
                    "the version has a value that cannot be read yet; a retry will find it"
                        .to_owned(),
                )
            })
        }
    }
}

/// A password as the environment asks for.
pub(crate) fn new_password(context: &Context<'_>, rotation: &Rotation) -> Result<Password, Error> {
    context
        .config
        .password
        .generate()
        .map_err(|error| failed(rotation, format!("the system has no randomness: {error}")))
}

fn failed(rotation: &Rotation, reason: String) -> Error {
    Error::SecretsManager {
        operation: "PutSecretValue",
        secret: rotation.secret.clone(),
        fault: StoreFault::Refused(reason),
    }
}
