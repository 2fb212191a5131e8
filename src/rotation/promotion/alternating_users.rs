//! Alternating users: moves AWSCURRENT to the other user, whose password works already.

use super::Promoted;
use crate::context::Context;
use crate::error::{Error, RotationFault};
use crate::rotation::Rotation;
use crate::secret::store::CURRENT;

/// Moves AWSCURRENT to that version. Its user has to be proven by a login.
///
/// # Errors
/// Those of the call, and [`Error::Rotation`] if AWSCURRENT is on a third version.
pub(crate) async fn move_current(
    context: &Context<'_>,
    rotation: &Rotation,
    to: &str,
) -> Result<Promoted, Error> {
    let from = &rotation.current.id;
    let Err(error) = context.store.move_current(&rotation.secret, from, to).await else {
        return Ok(Promoted::Moved);
    };
    // After a refused move or a lost answer, the labels show whether AWSCURRENT moved.
    let description = context.store.describe(&rotation.secret).await?;
    match description.holder(CURRENT) {
        Some(holder) if holder == to => Ok(Promoted::MovedByAnother),
        Some(holder) if holder != from => {
            let (token, holder) = (to.to_owned(), holder.to_owned());
            Err(RotationFault::CurrentMoved { token, holder }.of(&rotation.secret))
        }
        _ => Err(error),
    }
}
