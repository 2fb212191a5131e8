//! Whether a session has the privileges that a policy declares, computed from the catalogs.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use tokio_postgres::types::{ToSql, Type};

use super::missing::Missing;
use super::session::Session;
use super::sql;
use crate::error::{DatabaseFault, Error};
use crate::policy::check::{Check, Kind};

const OPERATION: &str = "checking the declared grants";

/// What came of the checks.
#[derive(Debug, Deserialize)]
pub(crate) struct Grants {
    /// How much is missing in all.
    pub(crate) total: usize,
    /// As many of them as were asked for.
    pub(crate) missing: Vec<Missing>,
    /// Statements on views, which have to be planned to see what their owners lack.
    pub(crate) views: Vec<String>,
}

/// What a file for newer servers adds.
#[derive(Debug, Deserialize)]
struct More {
    total: usize,
    missing: Vec<Missing>,
}

/// Looks up the types that the checks name, along the application's own `search_path`: the oid of
/// each, by the text that names it. What is no type is left out.
///
/// # Errors
/// [`Error::Database`] when the server does not answer.
pub(crate) async fn types(
    session: &Session,
    checks: &[&Check],
) -> Result<BTreeMap<String, u32>, Error> {
    let mut types = BTreeMap::new();
    let written: BTreeSet<&String> =
        checks.iter().flat_map(|check| check.arguments.iter().flatten()).collect();
    for written in written {
        // Before a type there may stand the argument's name.
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
                    if let Some(oid) = row.get::<_, Option<u32>>(0) {
                        types.insert(written.clone(), oid);
                        break;
                    }
                }
                // What is no type's name at all, or in a schema that is closed to the role.
                Err(Error::Database {
                    fault:
                        DatabaseFault::PermissionDenied
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

/// Checks what the role of this session, whose `search_path` is `pg_catalog`, may do; `path` is the
/// application's own.
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
    // Plain values, which always can be written.
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
        let more: More = session.query_json(OPERATION, sql::GRANTS_PARAMETERS, &parameters).await?;
        grants.total += more.total;
        grants.missing.extend(more.missing);
        grants.missing.truncate(examples);
    }
    Ok(grants)
}
