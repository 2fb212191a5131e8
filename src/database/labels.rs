//! The security labels of roles. Extensions hang rights on them: a role without the label that
//! masks data sees all of it.

use postgres_protocol::escape::{escape_identifier, escape_literal};
use serde::Deserialize;
use tokio_postgres::types::{ToSql, Type};

use super::session::Session;
use super::sql;
use super::transaction::Transaction;
use crate::error::Error;

/// A label that the next user lacks. `None` removes the one it has.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Label {
    provider: String,
    label: Option<String>,
}

impl Label {
    /// The statement that gives the label to a role, or takes it away.
    pub(crate) fn statement(&self, role: &str) -> String {
        format!(
            "SECURITY LABEL FOR {} ON ROLE {} IS {}",
            escape_identifier(&self.provider),
            escape_identifier(role),
            self.label.as_deref().map_or_else(|| "NULL".to_owned(), escape_literal)
        )
    }
}

/// The labels in which the next user differs from the current one.
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn differing(
    session: &Session,
    current: &str,
    next_user: &str,
) -> Result<Vec<Label>, Error> {
    let parameters: [(&(dyn ToSql + Sync), Type); 2] =
        [(&current, Type::TEXT), (&next_user, Type::TEXT)];
    session.query_json("comparing the security labels", sql::LABELS, &parameters).await
}

/// Gives a role a label, or takes it away.
///
/// # Errors
/// [`Error::Database`] if the label's provider is not loaded, or refuses it.
pub(crate) async fn set(
    transaction: &Transaction<'_>,
    role: &str,
    label: &Label,
) -> Result<(), Error> {
    let session = transaction.session();
    session.execute("setting a security label", &label.statement(role)).await
}
