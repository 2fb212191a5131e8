//! What Secrets Manager asks: the labels and values of a secret become a `Rotation` that is known
//! to be valid, and the step acts on it.

pub(crate) mod admin;
pub(crate) mod create_secret;
mod finish_secret;
pub(crate) mod labels;
pub(crate) mod login;
pub(crate) mod requirements;
pub(crate) mod set_secret;
mod strategy;
mod test_secret;

use std::time::{Duration, Instant, SystemTime};

use self::labels::State;
use crate::config::Config;
use crate::database::tls::Tls;
use crate::database::{Database, Target};
use crate::deadline::Deadline;
use crate::error::{Error, RotationFault};
use crate::event::{Request, Step};
use crate::policy::{Policy, Strategy};
use crate::report::{Checks, Outcome, Report};
use crate::secret::credentials::Credentials;
use crate::secret::document::Document;
use crate::secret::store::{self, Description, Store, Value, Version, Which};

/// What every step works with, for one invocation.
#[derive(Debug)]
pub struct Context<'a> {
    pub config: &'a Config,
    pub tls: &'a Tls,
    pub store: Store,
    pub deadline: Deadline,
}

/// A rotation that is under way: the token is a version that carries AWSPENDING and not AWSCURRENT.
#[derive(Debug)]
pub(crate) struct Rotation {
    /// The secret's ARN.
    pub secret: String,
    pub token: String,
    pub policy: Policy,
    pub strategy: Strategy,
    /// The role that the pending version is for.
    pub next_username: String,
    pub current: Stored,
    /// Absent until `createSecret` has run. Present, it names the role and the server that the
    /// strategy asks for.
    pub pending: Option<Stored>,
}

/// A version whose value was read and understood.
#[derive(Debug)]
pub(crate) struct Stored {
    pub id: String,
    pub created: Option<SystemTime>,
    pub document: Document,
    pub credentials: Credentials,
}

/// What a step did, before it is put into a report.
#[derive(Debug)]
pub(crate) struct Done {
    outcome: Outcome,
    message: String,
    warnings: Vec<String>,
    checks: Option<Checks>,
}

/// What is read before a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// The labels as well as the values.
    Labels,
    /// The values, which tell where the two labels are; all labels only when a value is not there.
    Values,
}

/// Runs one step.
///
/// # Errors
/// Any [`Error`]; the step may be sent again, whatever the error was.
pub async fn run(context: &Context<'_>, request: &Request) -> Result<Report, Error> {
    let started = Instant::now();
    let guard = match request.step {
        Step::CreateSecret => Guard::Labels,
        // setSecret looks at the labels itself, when nothing can come between that and the change.
        // A rotation that was switched off after it is finished all the same when somebody asks for
        // it: the database has the pending password by then, and an application that reads
        // AWSCURRENT would be refused for ever.
        Step::SetSecret | Step::TestSecret | Step::FinishSecret => Guard::Values,
    };
    let (done, strategy) = match load(context, request, guard).await? {
        None => (
            Done::new(
                Outcome::AlreadyCurrent,
                "The version is AWSCURRENT already: nothing to do.".to_owned(),
            ),
            None,
        ),
        Some(rotation) => {
            let done = match request.step {
                Step::CreateSecret => create_secret::run(context, &rotation, request).await,
                Step::SetSecret => set_secret::run(context, &rotation).await,
                Step::TestSecret => test_secret::run(context, &rotation).await,
                Step::FinishSecret => finish_secret::run(context, &rotation).await,
            }?;
            (done, Some(rotation.strategy))
        }
    };
    Ok(Report { duration: started.elapsed(), ..done.into_report(request, strategy) })
}

/// Reads what the step needs, all at once; `None` when the token is AWSCURRENT already.
async fn load(
    context: &Context<'_>,
    request: &Request,
    guard: Guard,
) -> Result<Option<Rotation>, Error> {
    let (store, secret, token) =
        (&context.store, request.secret_id.as_str(), request.token.as_str());
    let describe = async {
        match guard {
            Guard::Labels => store.describe(secret).await.map(Some),
            Guard::Values => Ok(None),
        }
    };
    let (mut description, current, mut pending) = tokio::try_join!(
        describe,
        store.read(secret, Which::Stage(store::CURRENT)),
        store.read(secret, Which::IdAtStage(token, store::PENDING)),
    )?;

    if description.is_none() && current.as_ref().is_some_and(|current| current.id == token) {
        return Ok(None);
    }
    if description.is_none() && (current.is_none() || pending.is_none()) {
        description = Some(store.describe(secret).await?);
    }
    if let Some(description) = &description {
        let state = labels::state(description, token)
            .map_err(|fault| Error::Rotation { secret: secret.to_owned(), fault })?;
        if state == State::AlreadyCurrent {
            return Ok(None);
        }
    }
    // createSecret finds no value as a rule, and is told by PutSecretValue when it missed one.
    if pending.is_none() && request.step != Step::CreateSecret {
        pending = store.read_again(secret, Which::IdAtStage(token, store::PENDING)).await?;
    }
    let current = current.ok_or_else(|| Error::Rotation {
        secret: secret.to_owned(),
        fault: RotationFault::NoCurrent,
    })?;
    let rotation = Rotation::of(context.config, current, token)?;
    let pending = pending.map(|pending| rotation.admit(pending, request.step)).transpose()?;
    Ok(Some(Rotation { pending, ..rotation }))
}

impl Rotation {
    /// A rotation of that current value to the version that `token` names; what a strategy cannot
    /// work on is refused here, before any step has changed anything.
    pub(crate) fn of(config: &Config, current: Version, token: &str) -> Result<Self, Error> {
        let (secret, name) = (current.arn.clone(), current.name.clone());
        let current = Stored::parse(current, store::CURRENT)?;
        let refused = |problem| Error::Document {
            secret: secret.clone(),
            version: label(store::CURRENT, &current.id),
            problem,
        };
        let policy = config
            .policies
            .resolve(&secret, &name, current.document.rotation())
            .map_err(refused)?;
        let strategy = policy.strategy(current.credentials.masterarn.as_deref());
        let next_username =
            strategy::next_username(strategy, &current.credentials.username).map_err(refused)?;
        let rotation = Self {
            secret,
            token: token.to_owned(),
            policy,
            strategy,
            next_username,
            current,
            pending: None,
        };
        if strategy == Strategy::AlternatingUsers && admin::secret(&rotation).is_none() {
            let problem = "its strategy is alternating-users, which needs an admin secret: name \
                one in \"masterarn\", or as admin_secret in ROTATION_POLICY.";
            return Err(rotation.invalid(problem.to_owned()));
        }
        Ok(rotation)
    }

    /// What is wrong with the current value, whatever it is that cannot be done with it.
    fn invalid(&self, problem: String) -> Error {
        Error::Document {
            secret: self.secret.clone(),
            version: label(store::CURRENT, &self.current.id),
            problem,
        }
    }

    /// Holds a pending value, which a person may have written, against what the strategy asks for.
    pub(crate) fn admit(&self, pending: Version, step: Step) -> Result<Stored, Error> {
        let pending = Stored::parse(pending, store::PENDING)?;
        let (username, current) =
            (&pending.credentials.username, &self.current.credentials.username);
        let label = label(store::PENDING, &pending.id);
        let fault = if let Some(key) = strategy::mismatch(&self.current.document, &pending.document)
        {
            RotationFault::PendingMismatch { label, key }
        } else if *username != self.next_username
            && !(step == Step::TestSecret && username == current)
        {
            // RotateImmediately=false has a copy of the current value tested, whatever the
            // strategy.
            RotationFault::PendingUsername {
                label,
                strategy: self.strategy.name(),
                expected: self.next_username.clone(),
            }
        } else {
            return Ok(pending);
        };
        Err(Error::Rotation { secret: self.secret.clone(), fault })
    }

    /// The pending version, which this step cannot do without.
    fn pending(&self) -> Result<&Stored, Error> {
        self.pending.as_ref().ok_or_else(|| Error::Rotation {
            secret: self.secret.clone(),
            fault: RotationFault::NoPendingValue(self.token.clone()),
        })
    }

    /// Makes sure, at this moment, that the rotation is still under way.
    async fn still_pending(&self, context: &Context<'_>) -> Result<(), Error> {
        let description = context.store.describe(&self.secret).await?;
        let state = labels::state(&description, &self.token);
        state.map(drop).map_err(|fault| Error::Rotation { secret: self.secret.clone(), fault })
    }

    /// Makes sure that AWSCURRENT has not moved since it was read.
    pub(crate) fn still_current(&self, description: &Description) -> Result<(), Error> {
        let holder = description.holder(store::CURRENT).unwrap_or_default();
        if holder == self.current.id {
            return Ok(());
        }
        let fault = RotationFault::CurrentMoved {
            token: self.current.id.clone(),
            holder: holder.to_owned(),
        };
        Err(Error::Rotation { secret: self.secret.clone(), fault })
    }

    /// The name under which only one invocation at a time changes the role, or either role of a
    /// pair.
    pub(crate) fn lock_name(&self) -> &str {
        strategy::base(&self.next_username)
    }

    /// The way to the database that a version of the secret names.
    pub(crate) fn database<'a>(
        &self,
        context: &Context<'a>,
        version: &Stored,
    ) -> Result<Database<'a>, Error> {
        let target = Target::new(&version.credentials.server, &self.policy).map_err(|problem| {
            Error::Document {
                secret: self.secret.clone(),
                version: label("version", &version.id),
                problem,
            }
        })?;
        Ok(Database { tls: context.tls, target, deadline: context.deadline })
    }
}

impl Stored {
    pub(crate) fn parse(version: Version, stage: &str) -> Result<Self, Error> {
        let parsed = match &version.value {
            Value::Text(text) => Document::parse(text),
            Value::Binary => {
                Err("it holds binary data; expected a JSON object in SecretString.".to_owned())
            }
        };
        let parsed = parsed.and_then(|document| {
            Credentials::read(&document).map(|credentials| (document, credentials))
        });
        match parsed {
            Ok((document, credentials)) => {
                Ok(Self { id: version.id, created: version.created, document, credentials })
            }
            Err(problem) => Err(Error::Document {
                secret: version.arn,
                version: label(stage, &version.id),
                problem,
            }),
        }
    }
}

impl Done {
    pub(crate) fn into_report(
        self,
        request: &Request,
        strategy: impl Into<Option<Strategy>>,
    ) -> Report {
        Report {
            step: request.step,
            secret: request.secret_id.clone(),
            version: request.token.clone(),
            strategy: strategy.into(),
            outcome: self.outcome,
            message: self.message,
            warnings: self.warnings,
            checks: self.checks,
            duration: Duration::ZERO,
        }
    }

    fn new(outcome: Outcome, message: String) -> Self {
        Self { outcome, message, warnings: Vec::new(), checks: None }
    }
}

fn label(stage: &str, id: &str) -> String {
    format!("{stage} ({id})")
}
