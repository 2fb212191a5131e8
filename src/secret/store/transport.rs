//! The connections to AWS: Amazon's roots for Amazon's endpoints, the system's roots for all
//! others.
//!
//! The system has some 140 roots, and parsing them takes longer than the rest of a cold start.
//! Every certificate is verified against one of the two sets.

use std::error::Error as StdError;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, RootCertStore};

use crate::error::{Error, Problem};

/// The roots of Amazon Trust Services, which sign for the endpoints of all public regions. `make
/// roots` writes the file.
const AMAZONS_ROOTS: &str = include_str!("amazon_roots.pem");
/// The ends of those endpoints' names. The endpoints of China, the sovereign cloud and the isolated
/// regions have other names and other roots.
const AMAZONS_NAMES: &[&str] = &[".amazonaws.com", ".api.aws"];
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const VARIABLE: &str = "AWS_CA_BUNDLE";
const PEM_END: &str = "-----END CERTIFICATE-----";

/// Sends requests over connections that later requests use again.
#[derive(Debug, Clone)]
pub(super) struct Transport(Arc<Connectors>);

#[derive(Debug)]
struct Connectors {
    /// The ends of the names that `amazons` is for.
    names: &'static [&'static str],
    amazons: Lazy,
    /// Trusts the system's roots, or only those in `AWS_CA_BUNDLE`.
    others: Lazy,
    /// True if `AWS_CA_BUNDLE` is set, and after the first certificate that Amazon's roots do not
    /// verify.
    others_only: AtomicBool,
}

/// A connector that the first request builds, since that parses the roots.
#[derive(Debug)]
struct Lazy {
    tls: TlsContext,
    connector: OnceLock<SharedHttpConnector>,
}

impl Transport {
    /// Reads the bundle if there is one.
    ///
    /// # Errors
    /// [`Error::Configuration`] if the file cannot be read or holds no usable root.
    pub(super) fn new(bundle: Option<&Path>) -> Result<Self, Error> {
        let invalid = |problem| Error::Configuration { variable: VARIABLE, problem };
        let others_only = AtomicBool::new(bundle.is_some());
        let others = bundle.map(read).transpose().map_err(invalid)?.unwrap_or_default();
        let amazons = TrustStore::empty().with_pem_certificate(AMAZONS_ROOTS);
        Ok(Self(Arc::new(Connectors {
            names: AMAZONS_NAMES,
            amazons: Lazy::new(amazons).map_err(invalid)?,
            others: Lazy::new(others).map_err(invalid)?,
            others_only,
        })))
    }
}

impl HttpConnector for Transport {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connectors = Arc::clone(&self.0);
        if !connectors.is_amazons(request.uri()) {
            return connectors.others.get().call(request);
        }
        let again = request.try_clone();
        HttpConnectorFuture::new(async move {
            let answer = connectors.amazons.get().call(request).await;
            match (answer, again) {
                // The handshake failed, so nothing of the request was sent.
                (Err(error), Some(again)) if issuer_is_unknown(&error) => {
                    connectors.trust_others(again.uri());
                    connectors.others.get().call(again).await
                }
                (answer, _) => answer,
            }
        })
    }
}

impl Connectors {
    /// Whether to use Amazon's roots: for its own endpoints, and for plain HTTP.
    fn is_amazons(&self, uri: &str) -> bool {
        let host = host(uri);
        let is_amazons = self.names.iter().any(|name| host.ends_with(name));
        !self.others_only.load(Ordering::Relaxed) && (is_amazons || !uri.starts_with("https://"))
    }

    /// Uses the other roots for Amazon's endpoints too, from now on.
    fn trust_others(&self, uri: &str) {
        if self.others_only.swap(true, Ordering::Relaxed) {
            return;
        }
        tracing::warn!(
            "no root of Amazon signed the certificate of {}, so the function tries the system's \
             roots. This slows every cold start. If a proxy is in the way, set {VARIABLE} to a \
             file with the proxy's root.",
            host(uri)
        );
    }
}

impl Lazy {
    fn new(roots: TrustStore) -> Result<Self, Problem> {
        let tls = TlsContext::builder().with_trust_store(roots).build();
        let tls = tls.map_err(|error| error.to_string())?;
        Ok(Self { tls, connector: OnceLock::new() })
    }

    fn get(&self) -> &SharedHttpConnector {
        self.connector.get_or_init(|| {
            let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT);
            let connector = Connector::builder()
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .tls_context(self.tls.clone())
                .connector_settings(settings.build());
            SharedHttpConnector::new(connector.build())
        })
    }
}

/// The usable roots of a PEM file. System bundles hold unusable ones, which would make the
/// connector end the process.
fn read(path: &Path) -> Result<TrustStore, Problem> {
    let name = path.display();
    let pem = std::fs::read_to_string(path)
        .map_err(|error| format!("{name} cannot be read: {error}."))?;
    let mut roots = RootCertStore::empty();
    let mut trusted = TrustStore::empty();
    for section in pem.split_inclusive(PEM_END) {
        let root = CertificateDer::from_pem_slice(section.as_bytes());
        if root.is_ok_and(|root| roots.add(root).is_ok()) {
            trusted.add_pem_certificate(section);
        }
    }
    if roots.is_empty() {
        return Err(format!("{name} holds no usable root certificate in PEM format.").into());
    }
    Ok(trusted)
}

/// The host of a URI, without its port.
fn host(uri: &str) -> &str {
    let (_, rest) = uri.split_once("://").unwrap_or(("", uri));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (_, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    host.split_once(':').map_or(host, |(host, _)| host)
}

/// Whether the handshake failed because no trusted root signed the certificate.
fn issuer_is_unknown(error: &ConnectorError) -> bool {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) =
            error.downcast_ref()
        {
            return true;
        }
        // The source of an I/O error skips the error that it wraps.
        cause = match error.downcast_ref::<io::Error>() {
            Some(wrapped) => wrapped.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
            None => error.source(),
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::sync::atomic::AtomicUsize;

    use openssl::pkey::PKey;
    use openssl::ssl::{SslAcceptor, SslMethod};
    use openssl::x509::X509;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

    use super::*;

    /// A local server that answers each request with 200, and the root of its certificate.
    fn server() -> (String, String) {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = format!("root {}", NEXT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = names.signed_by(&key, &root).unwrap();
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
        let key = PKey::private_key_from_pem(key.serialize_pem().as_bytes()).unwrap();
        acceptor.set_private_key(&key).unwrap();
        acceptor.set_certificate(&X509::from_pem(certificate.pem().as_bytes()).unwrap()).unwrap();
        let acceptor = acceptor.build();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = acceptor.accept(stream.unwrap()) else { continue };
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                    line.clear();
                }
                stream
                    .get_mut()
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    .unwrap();
            }
        });
        (url, root.pem())
    }

    /// A transport that takes localhost for Amazon's.
    fn transport(amazons: &str, others: &str) -> Transport {
        let lazy = |pem: &str| Lazy::new(TrustStore::empty().with_pem_certificate(pem)).unwrap();
        Transport(Arc::new(Connectors {
            names: &["localhost"],
            amazons: lazy(amazons),
            others: lazy(others),
            others_only: AtomicBool::new(false),
        }))
    }

    async fn get(transport: &Transport, url: &str) -> Result<u16, ConnectorError> {
        let request = HttpRequest::get(url).unwrap();
        transport.call(request).await.map(|answer| answer.status().as_u16())
    }

    #[tokio::test]
    async fn the_other_roots_are_tried_once_where_amazons_do_not_verify_a_chain() {
        let (url, root) = server();
        let transport = transport(AMAZONS_ROOTS, &root);
        assert!(transport.0.is_amazons(&url));
        assert_eq!(get(&transport, &url).await.unwrap(), 200);
        assert!(!transport.0.is_amazons(&url), "the other roots are trusted from then on");
        assert_eq!(get(&transport, &url).await.unwrap(), 200);
    }

    #[tokio::test]
    async fn the_other_roots_stay_unparsed_where_amazons_verify_a_chain() {
        let (url, root) = server();
        let transport = transport(&root, AMAZONS_ROOTS);
        assert_eq!(get(&transport, &url).await.unwrap(), 200);
        assert!(transport.0.others.connector.get().is_none());
        assert!(transport.0.is_amazons(&url));
    }

    #[tokio::test]
    async fn what_neither_roots_verify_is_refused() {
        let (url, _) = server();
        let (_, other) = server();
        let error = get(&transport(AMAZONS_ROOTS, &other), &url).await.unwrap_err();
        assert!(issuer_is_unknown(&error), "{error:?}");
        // A name that the certificate does not carry is no matter of roots.
        let (url, root) = server();
        let transport = transport(&root, &root);
        let error = get(&transport, &url.replace("localhost", "127.0.0.1")).await.unwrap_err();
        assert!(!issuer_is_unknown(&error), "{error:?}");
        assert!(transport.0.amazons.connector.get().is_none(), "an address is no name of Amazon's");
    }

    #[test]
    fn amazons_endpoints_are_known_by_their_names() {
        let transport = Transport::new(None).unwrap();
        for (uri, amazons) in [
            ("https://secretsmanager.eu-central-1.amazonaws.com/", true),
            ("https://vpce-1-a.secretsmanager.eu-central-1.vpce.amazonaws.com", true),
            ("https://secretsmanager-fips.us-gov-west-1.amazonaws.com:443/", true),
            ("https://secretsmanager.eu-central-1.api.aws/", true),
            ("https://secretsmanager.cn-north-1.amazonaws.com.cn/", false),
            ("https://secretsmanager.eusc-de-east-1.amazonaws.eu/", false),
            ("https://amazonaws.com.example.org/", false),
            ("https://notamazonaws.com/", false),
            ("https://.amazonaws.com@example.org/x.amazonaws.com", false),
            ("https://example.org/?.amazonaws.com", false),
            ("https://localhost:4566/", false),
            ("http://localhost:4566/", true),
        ] {
            assert_eq!(transport.0.is_amazons(uri), amazons, "{uri}");
        }
    }

    #[test]
    fn every_root_of_amazons_can_be_used() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/secret/store/amazon_roots.pem");
        read(&path).unwrap();
        let roots = CertificateDer::pem_slice_iter(AMAZONS_ROOTS.as_bytes());
        let mut store = RootCertStore::empty();
        assert_eq!(store.add_parsable_certificates(roots.map(Result::unwrap)), (5, 0));
    }
}
