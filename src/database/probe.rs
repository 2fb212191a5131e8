//! Has the server plan a statement, which checks what it takes to run it, and never runs it.

use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use super::Session;
use crate::error::{DatabaseFault, Error};

const OPERATION: &str = "planning a probe";

/// What the server said of a statement that it could not plan.
#[derive(Debug)]
pub struct Refusal {
    /// The role lacks a right, and not the statement sense.
    pub permission: bool,
    /// SQLSTATE and the server's words.
    pub text: String,
}

/// Plans one statement, as the role and under the settings of the session; `None` when the server would run it.
///
/// The statement is parsed by the extended protocol, which takes no more than one, in a transaction that is read-only and rolled back.
///
/// # Errors
/// [`Error::Database`] when it is not known whether the role could run it: no answer in time, a lock that somebody holds.
pub async fn plan(session: &Session, statement: &str) -> Result<Option<Refusal>, Error> {
    session.execute(OPERATION, "BEGIN READ ONLY").await?;
    let planned = session.plan(OPERATION, &format!("EXPLAIN {statement}")).await;
    session.execute(OPERATION, "ROLLBACK").await?;
    match planned {
        Ok(()) => Ok(None),
        Err(Error::Database { fault, detail, .. }) if !unknown(fault) => {
            Ok(Some(Refusal { permission: fault == DatabaseFault::PermissionDenied, text: detail }))
        }
        Err(error) => Err(error),
    }
}

fn unknown(fault: DatabaseFault) -> bool {
    use DatabaseFault::{ConnectionLost, LockTimedOut, NotAccepting, StatementTimedOut, TimedOut, TooManyConnections};
    matches!(fault, ConnectionLost | LockTimedOut | NotAccepting | StatementTimedOut | TimedOut | TooManyConnections)
}

/// A parameter of whatever type the server takes it for.
#[derive(Debug)]
pub(super) struct Null;

impl ToSql for Null {
    fn to_sql(&self, _: &Type, _: &mut bytes::BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        Ok(IsNull::Yes)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
