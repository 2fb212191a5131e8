//! Computes from the catalogs whether a session has the declared privileges.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use tokio_postgres::types::{ToSql, Type};

use super::missing::Missing;
use super::session::Session;
use super::sql;
use crate::error::{DatabaseFault, Error};
use crate::policy::check::{Check, Kind};

const OPERATION: &str = "checking the declared grants";

/// The result of the checks.
#[derive(Debug, Deserialize)]
pub(crate) struct Grants {
    /// The number of all missing rights.
    pub(crate) total: usize,
    /// The first of them, as many as were requested.
    pub(crate) missing: Vec<Missing>,
    /// Statements on views. The server has to plan them to show what a view's owner lacks.
    pub(crate) views: Vec<String>,
}

/// What the file for newer servers adds.
#[derive(Debug, Deserialize)]
struct ParameterGrants {
    total: usize,
    missing: Vec<Missing>,
}

/// Looks up the types that the checks name, in the application's `search_path`: each oid by the
/// type's text. Texts that are no type are left out.
///
/// # Errors
/// [`Error::Database`] if the server does not answer.
pub(crate) async fn types(
    session: &Session,
    checks: &[&Check],
) -> Result<BTreeMap<String, u32>, Error> {
    let mut types = BTreeMap::new();
    let written: BTreeSet<&String> =
        checks.iter().flat_map(|check| check.arguments.iter().flatten()).collect();
    for written in written {
        // The argument's name may precede its type.
        let without_name = written.split_once(' ').map(|(_, of)| of);
        for text in std::iter::once(written.as_str()).chain(without_name) {
            match session
                .query_one(
                    OPERATION,
                    "SELECT pg_catalog.to_regtype($1)::pg_catalog.oid",
                    &[(&text, Type::TEXT)],
                )
                .await
            {
                Ok(row) => {
                    if let Some(oid) = session.column::<Option<u32>>(&row, 0)? {
                        types.insert(written.clone(), oid);
                        break;
                    }
                }
                // The text is no type's name, or the role may not use its schema.
                Err(Error::Database {
                    fault:
                        DatabaseFault::CatalogHidden
                        | DatabaseFault::NotSupported
                        | DatabaseFault::Other
                        | DatabaseFault::RoleMissing,
                    ..
                }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(types)
}

/// Checks the rights of the session's role. The session's `search_path` has to be `pg_catalog`;
/// `path` is the application's.
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn check(
    session: &Session,
    version: u32,
    checks: &[&Check],
    types: &BTreeMap<String, u32>,
    path: &[String],
    examples: usize,
) -> Result<Grants, Error> {
    let of_parameters = checks.iter().any(|check| check.kind == Kind::Parameter);
    // These are plain values, which serialize without errors.
    let checks = serde_json::to_string(checks).unwrap_or_default();
    let types = serde_json::to_string(types).unwrap_or_default();
    let limit = i64::try_from(examples).unwrap_or(i64::MAX);
    let parameters: [(&(dyn ToSql + Sync), Type); 4] = [
        (&checks, Type::TEXT),
        (&path, Type::TEXT_ARRAY),
        (&types, Type::TEXT),
        (&limit, Type::INT8),
    ];
    let mut grants: Grants = session.query_json(OPERATION, sql::GRANTS, &parameters).await?;
    if of_parameters && sql::from_15(version) {
        let parameters: [(&(dyn ToSql + Sync), Type); 2] =
            [(&checks, Type::TEXT), (&limit, Type::INT8)];
        let more: ParameterGrants =
            session.query_json(OPERATION, sql::GRANTS_PARAMETERS, &parameters).await?;
        grants.total = grants.total.saturating_add(more.total);
        grants.missing.extend(more.missing);
        grants.missing.truncate(examples);
    }
    Ok(grants)
}
