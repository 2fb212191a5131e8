//! Whether a session has the privileges that a policy declares, computed from the catalogs.

use serde::Deserialize;
use tokio_postgres::types::{ToSql, Type};

use super::Session;
use super::missing::Missing;
use super::session::for_version;
use crate::error::Error;
use crate::policy::grant::Check;

const GRANTS: &str = include_str!("sql/grants.sql");

/// What came of the checks.
#[derive(Debug, Deserialize)]
pub struct Grants {
    pub missing: Vec<Missing>,
    /// Statements on views, which have to be planned to see what their owners lack.
    pub views: Vec<String>,
}

/// Checks what the role of this session, whose `search_path` is `pg_catalog`, may do; `path` is the application's own.
///
/// # Errors
/// [`Error::Database`].
pub async fn check(session: &Session, version: u32, checks: &[&Check], path: &[String]) -> Result<Grants, Error> {
    // A list of plain values, which always can be written.
    let checks = serde_json::to_string(checks).unwrap_or_default();
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&checks, Type::TEXT), (&path, Type::TEXT_ARRAY)];
    session.query_json("checking the declared grants", &for_version(GRANTS, version), &parameters).await
}
