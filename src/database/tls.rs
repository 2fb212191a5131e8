//! TLS: a server's certificate is always verified, against Amazon RDS's roots of its region or
//! those in `CA_BUNDLE_FILE`.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use openssl::error::ErrorStack;
use openssl::ssl::{SslConnector, SslMethod, SslVersion};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use postgres_openssl::TlsConnector;

use super::certificate::CertificateLifetime;
use crate::error::{Error, Problem};

/// The roots, each under a line `# region`. `make roots` writes the file.
const RDS_ROOTS: &str = include_str!("rds_roots.pem");
const VARIABLE: &str = "CA_BUNDLE_FILE";
/// How the line before or after a certificate ends in a PEM file, in every spelling.
const PEM_CERTIFICATE: &str = "CERTIFICATE-----";

/// The roots that certificates are verified against.
pub(crate) struct Tls {
    bundle: Option<Bundle>,
    region: Option<String>,
    /// The connectors built so far, by region; the bundle's has no region.
    connectors: Mutex<HashMap<String, SslConnector>>,
}

/// The file in `CA_BUNDLE_FILE`. It is parsed at the first login, which not every process needs.
struct Bundle {
    path: String,
    pem: String,
}

impl Tls {
    /// Reads the bundle if there is one. Without it, a host whose name has no region is assumed to
    /// be in `region`.
    ///
    /// # Errors
    /// [`Error::Configuration`] if the file cannot be read or holds no certificate.
    pub(crate) fn new(bundle: Option<&Path>, region: Option<String>) -> Result<Self, Error> {
        let invalid = |problem| Error::Configuration { variable: VARIABLE, problem };
        let bundle = bundle.map(Bundle::read).transpose().map_err(invalid)?;
        Ok(Self { bundle, region, connectors: Mutex::default() })
    }

    /// The connector for a server whose certificate must carry `name`. The handshake notes in
    /// `certificate` how long that is valid.
    ///
    /// # Errors
    /// A message, if no roots are built in for the host's region, or the bundle cannot be parsed.
    pub(super) fn connector_for(
        &self,
        name: &str,
        certificate: &CertificateLifetime,
    ) -> Result<TlsConnector, String> {
        let region = match &self.bundle {
            Some(_) => "",
            None => region_of(name)
                .or(self.region.as_deref())
                .ok_or("neither the host nor AWS_REGION names a region")?,
        };
        // A context costs more than all handshakes of a rotation, so it is kept for later events.
        let mut built = self.connectors.lock().unwrap_or_else(PoisonError::into_inner);
        let connector = match built.get(region) {
            Some(connector) => connector.clone(),
            None => built.entry(region.to_owned()).or_insert(self.build(region)?).clone(),
        };
        let mut session = connector.configure().map_err(|error| error.to_string())?;
        certificate.watch(&mut session);
        Ok(TlsConnector::new(session, name))
    }

    fn build(&self, region: &str) -> Result<SslConnector, String> {
        if let Some(Bundle { path, pem }) = &self.bundle {
            return connector(pem).map_err(|error| format!("{VARIABLE}: {path}: {error}"));
        }
        // Only the region's three roots: parsing all would cost more than the rest of the cold
        // start.
        let pem = rds_roots(region);
        if pem.is_empty() {
            return Err(format!("no roots of Amazon RDS are built in for {region:?}"));
        }
        connector(&pem)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.bundle.as_ref().map(|bundle| &bundle.path);
        f.debug_struct("Tls")
            .field("bundle", &path)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl Bundle {
    /// Checks that the file holds a certificate, without the cost of parsing it.
    fn read(path: &Path) -> Result<Self, Problem> {
        let name = path.display().to_string();
        let pem = std::fs::read_to_string(path)
            .map_err(|error| format!("{name} cannot be read: {error}."))?;
        if !pem.contains(PEM_CERTIFICATE) {
            let problem = format!("{name} is not a PEM file of certificates: there is none in it.");
            return Err(problem.into());
        }
        Ok(Self { path: name, pem })
    }
}

/// A connector that trusts only these roots, and not those of the system.
fn connector(pem: &str) -> Result<SslConnector, String> {
    let roots = X509::stack_from_pem(pem.as_bytes()).map_err(|error| error.to_string())?;
    if roots.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    let build = || -> Result<SslConnector, ErrorStack> {
        let mut store = X509StoreBuilder::new()?;
        for root in roots {
            store.add_cert(root)?;
        }
        let mut builder = SslConnector::builder(SslMethod::tls_client())?;
        builder.set_cert_store(store.build());
        builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
        Ok(builder.build())
    };
    build().map_err(|error| error.to_string())
}

/// The region in RDS's host names: `NAME.ID.REGION.rds.amazonaws.com`, in China
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
        let certificate = CertificateLifetime::default();
        assert!(tls.connector_for("db.internal", &certificate).is_ok());
        assert!(tls.connector_for("app.abc.eu-west-3.rds.amazonaws.com", &certificate).is_ok());
        assert!(
            tls.connector_for("app.abc.xx-nowhere-9.rds.amazonaws.com", &certificate)
                .err()
                .unwrap()
                .contains("xx-nowhere-9")
        );
        assert!(
            Tls::new(None, None)
                .unwrap()
                .connector_for("db.internal", &certificate)
                .err()
                .unwrap()
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
            ("empty.pem", Some(""), "there is none in it"),
            ("text.pem", Some("hello"), "there is none in it"),
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
