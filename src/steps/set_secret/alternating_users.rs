//! `setSecret` for alternating users: the admin makes the next user the current one's equal and
//! sets its pending password.

use super::super::step_result::StepResult;
use super::warnings;
use crate::context::Context;
use crate::database::expiry;
use crate::database::pair::{self, Names};
use crate::database::parity::Parity;
use crate::database::{End, Purpose, Session, Transaction, labels};
use crate::error::{DatabaseFault, Error, Statements, clean};
use crate::report::Outcome;
use crate::rotation::lock::Changer;
use crate::rotation::pair::equality;
use crate::rotation::pair::plan::{Plan, TurnRefusal, plan};
use crate::rotation::passwords::{WorkingLogin, find_working_login};
use crate::rotation::storage::storage;
use crate::rotation::timing::renewal;
use crate::rotation::{Rotation, admin, strategy};
use crate::secret::password::{Password, Storage};

/// Never changes the current user. Its login proves that the secret belongs to that role, and which
/// server it is on.
pub(super) async fn run(context: &Context<'_>, rotation: &Rotation) -> Result<StepResult, Error> {
    let address = rotation.database(context, &rotation.current)?.target.address();
    match find_working_login(context, rotation, Purpose::Administer).await? {
        WorkingLogin::CurrentUser { session, origin } => {
            let mut result = by_admin(context, rotation, Some(&session), &address).await;
            session.close().await;
            if let Ok(result) = &mut result {
                result.warnings.extend(warnings::of_origin(origin));
            }
            result
        }
        // The application is already locked out. The pending user is ready and helps soonest.
        WorkingLogin::Pending => {
            let (current, next) = (&rotation.current.credentials.username, &rotation.next_username);
            let message = format!(
                "The database at {address} already accepts the pending password of role {next:?}."
            );
            let mut result = StepResult::new(Outcome::AlreadySet, message);
            result
                .warnings
                .push(format!("the database refuses AWSCURRENT's password of role {current:?}."));
            Ok(result)
        }
        WorkingLogin::None { .. } if rotation.policy.admin_reset => {
            by_admin(context, rotation, None, &address).await
        }
        WorkingLogin::None { attempts } => {
            let ended = renewal::ended(context, rotation).await;
            let refused = warnings::none_accepted(rotation, &address, &attempts, ended.as_ref());
            match ended.filter(|_| rotation.policy.lease().is_some()) {
                // The policy binds the secret to the role, so no login has to prove that.
                Some(ended) => {
                    let mut result = by_admin(context, rotation, None, &address).await?;
                    let warning = format!("the lease of AWSCURRENT had ended at {}.", ended.at);
                    result.warnings.push(warning);
                    Ok(result)
                }
                None => Err(refused),
            }
        }
    }
}

/// `session` belongs to the current user. It is absent if none of that user's passwords works.
async fn by_admin(
    context: &Context<'_>,
    rotation: &Rotation,
    session: Option<&Session>,
    host: &str,
) -> Result<StepResult, Error> {
    let password = &rotation.pending()?.credentials.password;
    let allowed = async || rotation.still_pending(context).await;
    let make_equal = async |changer: Changer<'_>, storage: Storage| {
        let turn = Turn { rotation, host, password, storage };
        Ok((turn.carry_out(changer, &allowed).await?, storage))
    };
    let mut copies = Vec::new();
    let (mut plan, storage) = if let Some(session) = session {
        copies = rotation.copies(session).await;
        let storage = storage(rotation, session).await?;
        let lock = session.lock(rotation.lock_name()).await?;
        let change = async |changer: Changer<'_>| make_equal(changer, storage).await;
        let changed = admin::as_admin(context, rotation, &lock, change).await?;
        let _ = lock.release().await;
        changed
    } else {
        let change = async |changer: Changer<'_>| {
            make_equal(changer, storage(rotation, changer.session()).await?).await
        };
        admin::as_admin_alone(context, rotation, change).await?
    };
    copies.retain(|copy| !plan.warnings.contains(copy));
    plan.warnings.extend(copies);
    Ok(result(rotation, plan, storage))
}

fn result(rotation: &Rotation, plan: Plan, storage: Storage) -> StepResult {
    let Names { current, next_user, .. } = names(rotation);
    let Plan { change, warnings } = plan;
    let has = if change.create {
        "was created with the pending password"
    } else {
        "now has the pending password"
    };
    let acts = change.act_as.map_or(String::new(), |role| format!(" and acts as {role:?}"));
    let until = change.valid_until.as_ref();
    let until = until.map_or(String::new(), |until| format!(", valid until {until}"));
    let acts = if until.is_empty() || acts.is_empty() { acts } else { format!(",{acts}") };
    let message =
        format!("Role {next_user:?} {has}{until}{acts}. Role {current:?} was not changed.");
    let mut result = StepResult::new(Outcome::PasswordSet, message);
    result.valid_until = change.valid_until;
    result.warnings.extend(warnings::of_storage(storage));
    result.warnings.extend(warnings);
    result
}

/// The change that makes the next user the current one's equal and sets its password.
pub(crate) struct Turn<'a> {
    pub(crate) rotation: &'a Rotation,
    pub(crate) host: &'a str,
    pub(crate) password: &'a Password,
    pub(crate) storage: Storage,
}

impl Turn<'_> {
    /// Makes the change. Returns the plan.
    ///
    /// # Errors
    /// Those of `allowed`, and errors for what the admin may not do or must not change.
    async fn carry_out(
        &self,
        changer: Changer<'_>,
        allowed: &impl AsyncFn() -> Result<(), Error>,
    ) -> Result<Plan, Error> {
        let make =
            async |transaction: &Transaction<'_>| Ok((self.make(transaction).await?, End::Commit));
        // Before the transaction, which a refused query would end.
        let copies = self.rotation.copies(changer.session()).await;
        let mut plan = changer.change(allowed, make).await?;
        plan.warnings.extend(copies);
        Ok(plan)
    }

    /// Makes the change, compares the two users as they are then, and rolls it back. At most
    /// `examples` differences are described.
    ///
    /// # Errors
    /// Those of the change, and [`Error::Database`].
    pub(crate) async fn rehearse(
        &self,
        changer: Changer<'_>,
        examples: u32,
    ) -> Result<(Plan, Parity), Error> {
        let rehearse = async |transaction: &Transaction<'_>| {
            let plan = self.make(transaction).await?;
            let session = transaction.session();
            let parity = equality::of_roles(session, self.rotation, None, examples).await?;
            Ok(((plan, parity), End::RollBack))
        };
        let copies = self.rotation.copies(changer.session()).await;
        let (mut plan, parity) = changer.change(async || Ok(()), rehearse).await?;
        plan.warnings.extend(copies);
        Ok((plan, parity))
    }

    async fn make(&self, transaction: &Transaction<'_>) -> Result<Plan, Error> {
        let Turn { rotation, host, password, storage } = *self;
        let (admin, names) = (transaction.session(), names(rotation));
        let stored_form = password.stored_form(names.next_user, storage);
        let mut facts = pair::read(admin, names).await?;
        let mut valid_until = None;
        if let Some(lease) = rotation.policy.lease() {
            facts.ignore_dates();
            valid_until = Some(expiry::after(admin, lease).await?);
        }
        let mut plan = plan(&facts, names, rotation.policy.create_users)
            .map_err(|refusal| refused(rotation, host, admin, refusal))?;
        plan.change.valid_until = valid_until;
        let mut texts = plan.change.grants.iter().chain(&plan.change.act_as);
        if let Some(name) = texts.find(|text| !clean::is_utf8(text)) {
            let fault = DatabaseFault::NameNotUtf8;
            return Err(admin.error("preparing the next user", fault, clean::name(name)));
        }
        pair::apply(transaction, names, &plan.change, &stored_form, storage).await?;
        self.copy_labels(transaction, names).await?;
        Ok(plan)
    }

    /// Gives the next user the security labels of the current one. Without them it could see more.
    async fn copy_labels(
        &self,
        transaction: &Transaction<'_>,
        names: Names<'_>,
    ) -> Result<(), Error> {
        let Names { current, next_user, .. } = names;
        for label in labels::differing(transaction.session(), current, next_user).await? {
            labels::set(transaction, next_user, &label).await.map_err(|error| {
                Error::UsersNotReady {
                    role: next_user.to_owned(),
                    host: self.host.to_owned(),
                    problem: format!(
                        "its security labels differ from those of role {current:?}, and the admin \
                         cannot change them ({}). Load the label's provider for the admin role \
                         (session_preload_libraries), and let it run:",
                        error.reason()
                    ),
                    statements: vec![label.statement(next_user)].into(),
                }
            })?;
        }
        Ok(())
    }
}

fn names(rotation: &Rotation) -> Names<'_> {
    let current = &rotation.current.credentials;
    Names {
        current: &current.username,
        next_user: &rotation.next_username,
        owner: rotation.policy.owner_role.as_deref(),
        base: strategy::base(&current.username),
        dbname: &current.server.dbname,
    }
}

fn refused(rotation: &Rotation, host: &str, admin: &Session, refusal: TurnRefusal) -> Error {
    let (role, host) = (rotation.next_username.clone(), host.to_owned());
    match refusal {
        TurnRefusal::Admin(reason) => {
            let admin = rotation.admin_secret().unwrap_or_default().to_owned();
            Error::AdminRefused { admin, role, reason }
        }
        TurnRefusal::NotReady(problem) => {
            Error::UsersNotReady { role, host, problem, statements: Statements::default() }
        }
        TurnRefusal::ByHand(statements) => Error::UsersNotReady {
            role,
            host,
            problem: "create_users is false in ROTATION_POLICY, so a person has to run:".to_owned(),
            statements: statements.into(),
        },
        TurnRefusal::LacksRight(statements) => {
            let admin = admin.role().to_owned();
            Error::AdminLacksRight { admin, host, role, statements: statements.into() }
        }
    }
}
