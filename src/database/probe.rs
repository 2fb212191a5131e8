//! Lets the server plan a statement. That checks most of the rights that it needs, and never runs
//! it.

use postgres_protocol::escape::escape_identifier;
use tokio_postgres::types::{Kind, Type};

use super::session::Session;
use crate::error::{DatabaseFault, Detail, Error};

const OPERATION: &str = "planning a probe";
const NAME: &str = "postgres_secret_rotation_probe";
const END_PREPARED: &str = "ROLLBACK; DEALLOCATE postgres_secret_rotation_probe";

/// The server's refusal to plan a statement.
#[derive(Debug)]
pub(crate) struct ProbeRefusal {
    /// Whether the role lacks a right; otherwise the statement is wrong.
    pub(crate) permission: bool,
    /// The server's message.
    pub(crate) detail: Detail,
}

impl ProbeRefusal {
    /// Our words for it. Planning runs functions that are declared STABLE, and they can put rows of
    /// the application into the server's words.
    pub(crate) fn in_our_words(&self) -> String {
        let Some(code) = self.detail.sqlstate() else { return "no answer".to_owned() };
        let meaning = match code {
            "42501" => "a right is missing",
            "42P01" => "a table or view is missing",
            "42703" => "a column is missing",
            "42883" => "a function or operator is missing",
            "3F000" => "a schema is missing",
            "42601" => "it is not valid SQL",
            _ => "the server refuses it",
        };
        format!("{code}: {meaning}")
    }
}

/// Plans one statement with the role and the settings of the session. `None` means that the server
/// would run it.
///
/// PREPARE accepts only one statement that can be planned, however its text looks to us. The
/// extended protocol accepts no second one. The plan is generic: a plan for NULL parameters could
/// leave out tables.
///
/// # Errors
/// [`Error::Database`] if the answer is unknown: no answer in time, or another session's lock.
pub(crate) async fn plan(
    session: &Session,
    statement: &str,
) -> Result<Option<ProbeRefusal>, Error> {
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
    // A prepared statement outlives its transaction.
    session.execute(OPERATION, if prepared.is_ok() { END_PREPARED } else { "ROLLBACK" }).await?;
    match prepared.map(drop).and(planned) {
        Ok(()) => Ok(None),
        Err(Error::Database { fault, detail, .. }) if !unknown(fault) => {
            Ok(Some(ProbeRefusal { permission: fault == DatabaseFault::PermissionDenied, detail }))
        }
        Err(error) => Err(error),
    }
}

/// Prepares the statement; the number of its parameters. PREPARE names the types that the server
/// inferred, since it would not infer all of them again.
async fn prepare(session: &Session, statement: &str) -> Result<usize, Error> {
    let types = session.parameter_types(OPERATION, &format!("EXPLAIN {statement}")).await?;
    let names: Vec<_> = types.iter().map(type_name).collect();
    let list = if names.is_empty() { String::new() } else { format!("({})", names.join(", ")) };
    session.query_nothing(OPERATION, &format!("PREPARE {NAME}{list} AS {statement}")).await?;
    Ok(types.len())
}

/// The type's name. A domain is replaced by its base type, which accepts NULL.
fn type_name(of: &Type) -> String {
    match of.kind() {
        Kind::Domain(base) => type_name(base),
        _ => format!("{}.{}", escape_identifier(of.schema()), escape_identifier(of.name())),
    }
}

fn unknown(fault: DatabaseFault) -> bool {
    use DatabaseFault::{
        ConnectionLost, LockTimedOut, NotAccepting, OutOfResources, StatementTimedOut, TimedOut,
        TooManyConnections,
    };
    matches!(
        fault,
        ConnectionLost
            | LockTimedOut
            | NotAccepting
            | OutOfResources
            | StatementTimedOut
            | TimedOut
            | TooManyConnections
    )
}
