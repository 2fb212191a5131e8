//! Has the server plan a statement, which checks what it takes to run it, and never runs it.

use postgres_protocol::escape::escape_identifier;
use tokio_postgres::types::{Kind, Type};

use super::session::Session;
use crate::error::{DatabaseFault, Detail, Error};

const OPERATION: &str = "planning a probe";
const NAME: &str = "postgres_secret_rotation_probe";
const END_PREPARED: &str = "ROLLBACK; DEALLOCATE postgres_secret_rotation_probe";
/// What a refusal of these says is a name or a right, and no value that a statement holds.
const NAMES_ONLY: [&str; 4] = ["42501", "42P01", "42703", "42883"];

/// What the server said of a statement that it could not plan.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The role lacks a right, and not the statement sense.
    pub(crate) permission: bool,
    /// What the server said.
    pub(crate) detail: Detail,
}

impl Refusal {
    /// The server's words without what it may have quoted of the statement's values.
    pub(crate) fn without_values(self) -> Detail {
        let names_only = self.detail.sqlstate().is_some_and(|code| NAMES_ONLY.contains(&code));
        if names_only { self.detail } else { self.detail.without_message() }
    }
}

/// Plans one statement, as the role and under the settings of the session; `None` when the server
/// would run it.
///
/// PREPARE takes one statement that can be planned, and nothing else, whatever its text looks like
/// to us; the extended protocol takes no second one. A generic plan, since one for parameters that
/// are NULL would leave out what they make superfluous.
///
/// # Errors
/// [`Error::Database`] when it is not known whether the role could run it: no answer in time, a
/// lock that somebody holds.
pub(crate) async fn plan(session: &Session, statement: &str) -> Result<Option<Refusal>, Error> {
    let begin = "BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY, NOT DEFERRABLE; SET LOCAL \
        plan_cache_mode = force_generic_plan";
    session.execute(OPERATION, begin).await?;
    let prepared = prepare(session, statement).await;
    let planned = match &prepared {
        Ok(parameters) => {
            let nulls = if *parameters == 0 {
                String::new()
            } else {
                format!("({})", vec!["NULL"; *parameters].join(", "))
            };
            session.execute(OPERATION, &format!("EXPLAIN EXECUTE {NAME}{nulls}")).await
        }
        Err(_) => Ok(()),
    };
    // A prepared statement outlives the transaction.
    session.execute(OPERATION, if prepared.is_ok() { END_PREPARED } else { "ROLLBACK" }).await?;
    match prepared.map(drop).and(planned) {
        Ok(()) => Ok(None),
        Err(Error::Database { fault, detail, .. }) if !unknown(fault) => {
            Ok(Some(Refusal { permission: fault == DatabaseFault::PermissionDenied, detail }))
        }
        Err(error) => Err(error),
    }
}

/// How many parameters it has. Their types are those that the server takes them for, told so that
/// it does not have to guess again.
async fn prepare(session: &Session, statement: &str) -> Result<usize, Error> {
    let types = session.parameter_types(OPERATION, &format!("EXPLAIN {statement}")).await?;
    let names: Vec<_> = types.iter().map(type_name).collect();
    let list = if names.is_empty() { String::new() } else { format!("({})", names.join(", ")) };
    session.query_nothing(OPERATION, &format!("PREPARE {NAME}{list} AS {statement}")).await?;
    Ok(types.len())
}

/// A domain's base type in its place, which takes NULL.
fn type_name(of: &Type) -> String {
    match of.kind() {
        Kind::Domain(base) => type_name(base),
        _ => format!("{}.{}", escape_identifier(of.schema()), escape_identifier(of.name())),
    }
}

fn unknown(fault: DatabaseFault) -> bool {
    use DatabaseFault::{
        ConnectionLost, LockTimedOut, NotAccepting, StatementTimedOut, TimedOut, TooManyConnections,
    };
    matches!(
        fault,
        ConnectionLost
            | LockTimedOut
            | NotAccepting
            | StatementTimedOut
            | TimedOut
            | TooManyConnections
    )
}
