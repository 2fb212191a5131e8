//! Which roots a server's certificate is checked against: Amazon RDS's of its region, or those of
//! `CA_BUNDLE_FILE`. There is no unverified way.

use std::path::Path;

use native_tls::{Certificate, Protocol, TlsConnector};

use crate::error::Error;

/// Each certificate under a line `# region`; `make roots` writes the file anew.
const RDS_ROOTS: &str = include_str!("rds_roots.pem");
const VARIABLE: &str = "CA_BUNDLE_FILE";

/// How certificates are verified.
#[derive(Debug)]
pub(crate) struct Tls {
    bundle: Option<TlsConnector>,
    region: Option<String>,
}

impl Tls {
    /// Reads `CA_BUNDLE_FILE` where it is set. Without it, hosts that do not name their region are
    /// taken to be in `region`.
    ///
    /// # Errors
    /// [`Error::Configuration`] when the file cannot be read or holds no certificate.
    pub(crate) fn new(bundle: Option<&Path>, region: Option<String>) -> Result<Self, Error> {
        let invalid =
            |problem: String| Error::Configuration { variable: VARIABLE, problem: problem.into() };
        let bundle = match bundle {
            None => None,
            Some(path) => {
                let pem = std::fs::read_to_string(path).map_err(|error| {
                    invalid(format!("{} cannot be read: {error}.", path.display()))
                })?;
                let connector = connector(&pem).map_err(|error| {
                    invalid(format!(
                        "{} is not a PEM file of certificates: {error}.",
                        path.display()
                    ))
                })?;
                Some(connector)
            }
        };
        Ok(Self { bundle, region })
    }

    /// What verifies the certificate of `host`.
    ///
    /// # Errors
    /// A sentence, when no roots are known for the host's region.
    pub(crate) fn connector_for(&self, host: &str) -> Result<TlsConnector, String> {
        if let Some(bundle) = &self.bundle {
            return Ok(bundle.clone());
        }
        // Parsing all the roots would cost more time and memory than the rest of the cold start; a
        // region has three.
        let region = region_of(host)
            .or(self.region.as_deref())
            .ok_or("neither the host nor AWS_REGION names a region")?;
        let pem = rds_roots(region);
        if pem.is_empty() {
            return Err(format!("no roots of Amazon RDS for {region:?} are built in"));
        }
        connector(&pem)
    }
}

fn connector(pem: &str) -> Result<TlsConnector, String> {
    let roots = Certificate::stack_from_pem(pem.as_bytes()).map_err(|error| error.to_string())?;
    if roots.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    let mut builder = TlsConnector::builder();
    builder.disable_built_in_roots(true).min_protocol_version(Some(Protocol::Tlsv12));
    for root in roots {
        builder.add_root_certificate(root);
    }
    builder.build().map_err(|error| error.to_string())
}

/// The region in a host name that RDS gave: `NAME.ID.REGION.rds.amazonaws.com`, in China
/// `NAME.ID.rds.REGION.amazonaws.com.cn`.
fn region_of(host: &str) -> Option<&str> {
    let labels: Vec<_> = host.trim_end_matches('.').split('.').collect();
    match labels.as_slice() {
        [.., region, "rds", "amazonaws", "com"] | [.., "rds", region, "amazonaws", "com", "cn"] => {
            Some(region)
        }
        _ => None,
    }
}

fn rds_roots(region: &str) -> String {
    RDS_ROOTS
        .split("# ")
        .filter_map(|section| section.split_once('\n'))
        .filter_map(|(of, pem)| (of == region).then_some(pem))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_comes_from_the_host_or_from_the_function() {
        let tls = Tls::new(None, Some("eu-central-1".to_owned())).unwrap();
        assert!(tls.connector_for("db.internal").is_ok());
        assert!(tls.connector_for("app.abc.eu-west-3.rds.amazonaws.com").is_ok());
        assert!(
            tls.connector_for("app.abc.xx-nowhere-9.rds.amazonaws.com")
                .unwrap_err()
                .contains("xx-nowhere-9")
        );
        assert!(
            Tls::new(None, None)
                .unwrap()
                .connector_for("db.internal")
                .unwrap_err()
                .contains("AWS_REGION")
        );
        assert_eq!(region_of("a.cluster-b.us-east-2.rds.amazonaws.com."), Some("us-east-2"));
        assert_eq!(region_of("a.b.rds.cn-north-1.amazonaws.com.cn"), Some("cn-north-1"));
        assert_eq!(region_of("rds.amazonaws.com.example.org"), None);
    }

    #[test]
    fn every_region_that_is_built_in_has_roots_that_can_be_parsed() {
        let regions: std::collections::BTreeSet<_> =
            RDS_ROOTS.lines().filter_map(|line| line.strip_prefix("# ")).collect();
        assert!(regions.len() >= 25, "{regions:?}");
        for region in regions {
            assert_eq!(
                rds_roots(region).matches("BEGIN CERTIFICATE").count(),
                3,
                "RSA 2048, RSA 4096 and ECC of {region}"
            );
            connector(&rds_roots(region)).unwrap();
        }
    }

    #[test]
    fn a_bundle_that_cannot_be_used_is_an_error_at_cold_start() {
        let dir = std::env::temp_dir();
        for (name, content, expected) in [
            ("missing.pem", None, "cannot be read"),
            ("empty.pem", Some(""), "no certificate"),
            ("text.pem", Some("hello"), "no certificate"),
        ] {
            let path = dir.join(format!("tls-test-{}-{name}", std::process::id()));
            if let Some(content) = content {
                std::fs::write(&path, content).unwrap();
            }
            let error = Tls::new(Some(&path), None).unwrap_err().to_string();
            assert!(error.contains("CA_BUNDLE_FILE") && error.contains(expected), "{error}");
            let _ = std::fs::remove_file(&path);
        }
    }
}
