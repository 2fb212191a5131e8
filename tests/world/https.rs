//! HTTPS: a certificate authority of the tests, a server that it certifies, and bundles of roots as
//! large as a system's.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::serve::Listener;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::ssl::{Ssl, SslAcceptor, SslContext, SslMethod};
use openssl::x509::X509;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_openssl::SslStream;

use super::postgres::HOST;
use super::{RUNTIME, block_on, temporary_folder, unique};

/// The roots in the bundle of provided.al2023, about.
const SYSTEMS_ROOTS: usize = 140;
/// Where systems keep theirs.
const SYSTEMS_BUNDLES: [&str; 2] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];
const PEM_END: &str = "-----END CERTIFICATE-----\n";

/// A root, and a server's certificate that an intermediate authority has signed, each with an RSA
/// key of 2,048 bits: the chain that most of AWS's endpoints send.
pub struct Authority {
    root: String,
    chain: [X509; 2],
    key: String,
    folder: PathBuf,
}

/// How many handshakes a server has made.
#[derive(Clone, Default)]
pub struct Handshakes(Arc<AtomicUsize>);

impl Authority {
    pub fn new() -> Self {
        let authority = |name: &str| {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(DnType::CommonName, unique(name));
            params
        };
        let root = CertifiedIssuer::self_signed(authority("root of the tests "), rsa_key())
            .expect("a root");
        let intermediate =
            CertifiedIssuer::signed_by(authority("authority of the tests "), rsa_key(), &root)
                .expect("an authority");
        let key = rsa_key();
        let leaf = CertificateParams::new([HOST.to_owned()])
            .expect("a name")
            .signed_by(&key, &intermediate)
            .expect("a certificate");
        let chain = [leaf.pem(), intermediate.pem()]
            .map(|pem| X509::from_pem(pem.as_bytes()).expect("a certificate"));
        let folder = temporary_folder("authority");
        Self { root: root.pem(), chain, key: key.serialize_pem(), folder }
    }

    /// A file with the root, after so many other roots.
    pub fn bundle(&self, others: &[String]) -> PathBuf {
        self.file(&format!("{}{}", others.concat(), self.root))
    }

    /// A file with that text, which is there as long as the authority.
    pub fn file(&self, text: &str) -> PathBuf {
        let path = self.folder.join(unique("bundle-"));
        std::fs::write(&path, text).expect("a file is written");
        path
    }

    fn context(&self) -> SslContext {
        let mut builder =
            SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).expect("TLS can be had");
        let key = PKey::private_key_from_pem(self.key.as_bytes()).expect("a key");
        builder.set_private_key(&key).expect("the key");
        builder.set_certificate(&self.chain[0]).expect("the certificate");
        builder.add_extra_chain_cert(self.chain[1].clone()).expect("the authority");
        builder.build().into_context()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Handshakes {
    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn rsa_key() -> KeyPair {
    let key = PKey::from_rsa(Rsa::generate(2048).expect("a key")).expect("a key");
    let pem = key.private_key_to_pem_pkcs8().expect("PKCS #8");
    KeyPair::from_pem(&String::from_utf8(pem).expect("PEM is text")).expect("a key")
}

/// As many roots as a system trusts: this one's own, or made up where it has fewer.
pub fn systems_roots() -> Vec<String> {
    let system = SYSTEMS_BUNDLES.iter().map(Path::new).find(|path| path.exists());
    let bundle = system.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    let mut roots: Vec<_> = bundle.split_inclusive(PEM_END).map(str::to_owned).collect();
    roots.resize_with(roots.len().max(SYSTEMS_ROOTS), || {
        let key = KeyPair::generate().expect("a key");
        CertificateParams::default().self_signed(&key).expect("a root").pem()
    });
    roots
}

/// Serves on a free port of the loopback, for as long as this process lives.
pub fn serve(router: Router, authority: &Authority) -> (String, Handshakes) {
    let tcp = block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
    let address = tcp.local_addr().expect("an address");
    let handshakes = Handshakes::default();
    let (accepted, connections) = mpsc::unbounded_channel();
    let (context, counted) = (authority.context(), handshakes.clone());
    RUNTIME.spawn(async move {
        while let Ok((stream, peer)) = tcp.accept().await {
            let ssl = Ssl::new(&context).expect("a session");
            let (accepted, counted) = (accepted.clone(), counted.clone());
            RUNTIME.spawn(async move {
                let _ = stream.set_nodelay(true);
                let mut stream = SslStream::new(ssl, stream).expect("a session");
                if Pin::new(&mut stream).accept().await.is_ok() {
                    counted.0.fetch_add(1, Ordering::SeqCst);
                    let _ = accepted.send((stream, peer));
                }
            });
        }
    });
    RUNTIME.spawn(async move { axum::serve(Connections { connections, address }, router).await });
    (format!("https://{HOST}:{}", address.port()), handshakes)
}

/// Connections whose handshake is done.
struct Connections {
    connections: mpsc::UnboundedReceiver<(SslStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl Listener for Connections {
    type Io = SslStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.connections.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}
