//! The way back: sets the password that applications read.

use super::decision::Proof;
use super::{Attempt, not_promoted};
use crate::database::{End, Transaction, role};
use crate::error::{Error, Restoration, RotationFault};
use crate::rotation::SecretVersion;
use crate::rotation::login::Origin;
use crate::secret::store::VersionSelector;

impl Attempt<'_> {
    /// Sets AWSCURRENT's password again, which worked in this invocation.
    pub(super) async fn restore(&self, cause: Option<Error>, retryable: bool) -> Error {
        let rotation = self.promotion.rotation;
        let restoration = self.give(&rotation.current, Restoration::Restored).await;
        let cause = cause.unwrap_or_else(|| {
            RotationFault::Abandoned(rotation.token.clone()).of(&rotation.secret)
        });
        not_promoted(cause, restoration, retryable)
    }

    /// After AWSCURRENT moved to a third version: sets that version's password if it is for the
    /// same role, else the old one.
    pub(super) async fn follow(&self, holder: String) -> Error {
        let (context, rotation) = (self.promotion.context, self.promotion.rotation);
        let read = context.store.read(&rotation.secret, VersionSelector::Id(&holder)).await;
        let third = read.ok().flatten();
        let third = third.and_then(|version| SecretVersion::parse(version, "AWSCURRENT").ok());
        let restoration = match third.filter(|version| version.same_role(&rotation.current)) {
            Some(version) => {
                let followed = Restoration::FollowedThirdVersion(holder.clone());
                self.give(&version, followed).await
            }
            None => self.give(&rotation.current, Restoration::Restored).await,
        };
        let token = self.promotion.to.id.clone();
        let cause = RotationFault::CurrentMoved { token, holder }.of(&rotation.secret);
        not_promoted(cause, restoration, false)
    }

    async fn give(&self, version: &SecretVersion, done: Restoration) -> Restoration {
        let (username, storage) = (&version.credentials.username, self.storage);
        let stored_form = version.credentials.password.stored_form(username, storage);
        let allowed = async || Ok(());
        let change = async |transaction: &Transaction<'_>| {
            role::change_password(transaction, username, &stored_form, storage).await?;
            Ok(((), End::Commit))
        };
        if self.changer.change(allowed, change).await.is_err() {
            return self.look().await;
        }
        let login = self.log_in_until_known(version, Origin::Current).await;
        if login.session.is_none() {
            return Restoration::NotProven(login.reason());
        }
        login.close().await;
        done
    }

    /// After the session was lost that would have changed the password back. The server may have
    /// failed over and lost the change too. A login shows which password the role has.
    async fn look(&self) -> Restoration {
        let (rotation, to) = (self.promotion.rotation, self.promotion.to);
        let current = self.log_in_until_known(&rotation.current, Origin::Current).await;
        match current.proof {
            Proof::Accepted => Restoration::NothingToRestore,
            Proof::Unknown => Restoration::Unknown(current.reason()),
            Proof::Refused => {
                let pending = self.log_in_until_known(to, self.promotion.origin).await;
                match pending.proof {
                    Proof::Accepted => self.new_stays(),
                    Proof::Refused | Proof::Unknown => Restoration::Unknown(pending.reason()),
                }
            }
        }
    }
}
