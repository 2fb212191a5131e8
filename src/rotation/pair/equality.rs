//! Checks that the next user can do all that the current one can: in the secret's database, and in
//! every other one where they differ.

use std::collections::BTreeMap;
use std::sync::Mutex;

use postgres_protocol::escape::escape_identifier;

use crate::context::Context;
use crate::database::advice::AskedBy;
use crate::database::missing::Missing;
use crate::database::parity::{self, Comparison, DirectlyOwned, Lack, Parity, Question};
use crate::database::remedy::LackingRole;
use crate::database::{Database, Purpose, Session, role};
use crate::error::{DatabaseFault, Error, Statements, clean};
use crate::rotation::{Rotation, SecretVersion, strategy};

/// The number of differences in one database that a script describes. More would not fit into one
/// answer of the server.
pub(crate) const IN_A_SCRIPT: u32 = 5_000;

/// The comparison of the next user with the current one.
pub(crate) struct Equality {
    /// The facts about the two users, and what the next user lacks anywhere.
    pub(crate) parity: Parity,
    login: String,
    pub(super) acts_as: String,
    /// The secret's database.
    dbname: String,
}

/// Compares the two users in the whole cluster. At most `examples` differences are described.
/// `acts_as` is the role of a session of the next user; `None` means the role in its settings.
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn of_roles(
    session: &Session,
    rotation: &Rotation,
    acts_as: Option<&str>,
    examples: u32,
) -> Result<Parity, Error> {
    let current = &rotation.current.credentials;
    let comparison = Comparison {
        current: &current.username,
        next_user: &rotation.next_username,
        acts_as,
        dbname: &current.server.dbname,
        databases: rotation.policy.databases.as_deref(),
    };
    let mut parity = parity::of_roles(session, comparison, Some(examples)).await?;
    // A lease ends, also where the password before had no end.
    if rotation.policy.lease().is_some() {
        parity.lacking.ignore_dates();
    }
    Ok(parity)
}

/// Compares the two users in the databases that `parity` asks about. `session` is in the secret's
/// database. Logs in to the others with `version`. At most `examples` differences in each database
/// are described.
///
/// # Errors
/// [`Error::Database`], and [`Error::DatabaseNotCompared`] if another database cannot be compared.
pub(crate) async fn in_databases(
    context: &Context<'_>,
    rotation: &Rotation,
    session: &Session,
    version: &SecretVersion,
    mut parity: Parity,
    examples: u32,
) -> Result<Equality, Error> {
    let (current, examples) = (&rotation.current.credentials, Some(examples));
    let questions = std::mem::take(&mut parity.questions);
    let asked: Vec<_> = questions
        .iter()
        .flat_map(|question| question.databases.iter().map(move |name| (question, name.as_str())))
        .collect();
    let (own, others): (Vec<_>, Vec<_>) =
        asked.into_iter().partition(|(_, name)| *name == current.server.dbname);
    if let Some((question, name)) = own.first() {
        let parameters = parity::of_parameters(session, parity.version, question, examples).await?;
        parity.lacking.add(parameters, None);
        let objects = parity::of_objects(session, question, examples).await?;
        parity.lacking.add(objects, Some(name));
    }
    let database = rotation.database(context, version)?;
    for (name, lack) in ask_others(rotation, &database, version, others, examples).await? {
        parity.lacking.add(lack, Some(&name));
    }
    Ok(Equality {
        login: rotation.next_username.clone(),
        acts_as: parity.acts_as.clone().unwrap_or_else(|| rotation.next_username.clone()),
        dbname: current.server.dbname.clone(),
        parity,
    })
}

/// What is missing in each of the other databases. Four are asked at a time.
async fn ask_others(
    rotation: &Rotation,
    server: &Database<'_>,
    version: &SecretVersion,
    databases: Vec<(&Question, &str)>,
    examples: Option<u32>,
) -> Result<Vec<(String, Lack)>, Error> {
    let queue = Mutex::new(databases.into_iter());
    let next = || queue.lock().ok().and_then(|mut queue| queue.next());
    let worker = async || {
        let mut answers = Vec::new();
        while let Some((question, name)) = next() {
            let answer = Box::pin(ask(server, version, question, name, examples)).await;
            let lack = answer.map_err(|cause| Error::DatabaseNotCompared {
                role: rotation.next_username.clone(),
                host: server.target.address(),
                current: rotation.current.credentials.username.clone(),
                database: name.to_owned(),
                cause: Box::new(cause),
            })?;
            answers.push((name.to_owned(), lack));
        }
        Ok::<_, Error>(answers)
    };
    let (a, b, c, d) = tokio::try_join!(worker(), worker(), worker(), worker())?;
    let mut answers: Vec<_> = [a, b, c, d].into_iter().flatten().collect();
    answers.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(answers)
}

async fn ask(
    server: &Database<'_>,
    version: &SecretVersion,
    question: &Question,
    name: &str,
    examples: Option<u32>,
) -> Result<Lack, Error> {
    const OPERATION: &str = "login to another database";
    let credentials = &version.credentials;
    if !clean::is_utf8(name) {
        return Err(Error::Database {
            operation: OPERATION,
            role: credentials.username.clone(),
            host: server.target.address(),
            fault: DatabaseFault::NameNotUtf8,
            run: None,
            detail: clean::name(name).into(),
        });
    }
    let login = server
        .sibling(name)
        .login(OPERATION, &credentials.username, &credentials.password, Purpose::Application)
        .await?;
    let session = login.accepted()?;
    let lack = async {
        session.pin_search_path().await?;
        parity::of_objects(&session, question, examples).await
    };
    let lack = lack.await;
    session.close().await;
    lack
}

impl Equality {
    /// Checks that the next user acts as the owner role, so that the other user can use what it
    /// creates.
    ///
    /// # Errors
    /// [`Error::UsersNotReady`].
    pub(crate) fn acts_as_the_owner(&self, rotation: &Rotation, host: &str) -> Result<(), Error> {
        let (login, acts_as) = (self.login.as_str(), self.acts_as.as_str());
        let current = rotation.current.credentials.username.as_str();
        let wanted = self.parity.current_wanted.as_deref().filter(|wanted| *wanted != current);
        let owner = rotation.policy.owner_role.as_deref().or(wanted);
        let owner = owner.unwrap_or(strategy::base(current));
        let known = [rotation.policy.owner_role.as_deref(), rotation.policy.role.as_deref()];
        let asked_by = if owner == current || known.contains(&Some(owner)) {
            AskedBy::Pair
        } else {
            AskedBy::Setting
        };
        let problem = if !self.parity.current_exists {
            format!("role {current:?} does not exist, so it cannot become that role's equal.")
        } else if acts_as == owner {
            return Ok(());
        } else if self.parity.wanted.as_deref() == Some(owner) {
            format!(
                "its \"role\" setting is {owner:?}, which it may not assume. {}.",
                asked_by.advise_grant(owner, login)
            )
        } else {
            format!(
                "its sessions act as {acts_as:?}, so the other user cannot use what they create. \
                 Run {}.",
                role::act_as(login, owner)
            )
        };
        let (role, host, statements) = (login.to_owned(), host.to_owned(), Statements::default());
        Err(Error::UsersNotReady { role, host, problem, statements })
    }

    /// Checks that the next user lacks nothing. The error names up to this many differences.
    ///
    /// # Errors
    /// [`Error::PrivilegesMissing`].
    pub(crate) fn can_do_as_much(
        &self,
        current: &str,
        host: &str,
        examples: u32,
    ) -> Result<(), Error> {
        let Lack { total, missing } = &self.parity.lacking;
        if *total == 0 {
            return Ok(());
        }
        let mut texts: Vec<_> =
            missing.iter().take(examples as usize).map(|missing| self.text(missing)).collect();
        let more = total.saturating_sub(texts.len() as u64);
        if more > 0 {
            texts.push(format!("and {more} more"));
        }
        Err(Error::PrivilegesMissing {
            role: self.login.clone(),
            host: host.to_owned(),
            current: current.to_owned(),
            total: *total,
            missing: texts.join("; "),
        })
    }

    /// Warnings for a person, even if nothing is missing.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let acts_as = escape_identifier(&self.acts_as);
        let mut owned: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for DirectlyOwned { role, database, objects } in &self.parity.directly_owned {
            owned.entry(role).or_default().push(format!("{database} ({objects})"));
        }
        let owned = owned.into_iter().map(|(role, databases)| {
            format!(
                "role {role:?} itself owns objects, and the other user does not: in databases {}. \
                 Run REASSIGN OWNED BY {} TO {acts_as} in each of them.",
                databases.join(", "),
                escape_identifier(role)
            )
        });
        let ineffective = self.parity.ineffective_grants.iter().map(|ineffective| {
            format!(
                "role {:?} itself has privileges on {} objects, and its sessions cannot use them \
                 because they act as another role. Grant them to {acts_as}, and revoke them from \
                 {}.",
                ineffective.role,
                ineffective.grants,
                escape_identifier(&ineffective.role)
            )
        });
        owned.chain(ineffective).collect()
    }

    pub(super) fn lacking(&self) -> LackingRole<'_> {
        LackingRole { login: &self.login, acts_as: &self.acts_as, asked_by: AskedBy::Pair }
    }

    fn text(&self, missing: &Missing) -> String {
        let text = missing.text(self.lacking());
        match &missing.database {
            Some(database) if *database != self.dbname => format!("in database {database}, {text}"),
            _ => text,
        }
    }
}
