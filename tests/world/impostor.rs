//! An attacker's database server: its certificate is trusted, and it answers as the attacker likes.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use openssl::pkey::PKey;
use openssl::ssl::{Ssl, SslAcceptor, SslMethod};
use openssl::x509::X509;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_openssl::SslStream;

use super::postgres_process::create_certificates;
use super::{RUNTIME, block_on, temporary_folder, world};

/// What the server does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Trick {
    /// Refuses every user's password but those of `for_user`, whose password it asks for in clear.
    AskInClear { for_user: &'static str },
    /// Refuses every user's password but that of `for_user`, of whom it wants a SCRAM proof of one
    /// iteration.
    FewIterations { for_user: &'static str },
    /// Refuses every login with a text of so many bytes, full of escape sequences and new lines.
    Curse { bytes: usize },
    /// Refuses every login as a server does, with this SQLSTATE, C function and message.
    Refuse { code: &'static str, routine: &'static str, message: &'static str },
    /// Accepts every login, after notices without end.
    FloodLogin,
    /// Accepts every login. Each query is answered by rows without end.
    FloodRows,
    /// Accepts every login. Each query is answered by one row that is as large as is allowed.
    FloodRow,
    /// Accepts every login. Each query is answered by one row of NULL in every column.
    Nulls,
}

pub struct Impostor {
    pub port: u16,
    /// The roots of this server and of the real one.
    pub ca_file: PathBuf,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Impostor {
    pub fn start(trick: Trick) -> Self {
        let listener = block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (ca, certificate, key) = create_certificates(port);
        let folder = temporary_folder("impostor");
        let ca_file = folder.join("both.pem");
        let real = std::fs::read_to_string(&world().postgres.ca_file).expect("a root");
        std::fs::write(&ca_file, format!("{real}{ca}")).expect("a file is written");
        let mut acceptor =
            SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).expect("TLS can be had");
        let certificate = X509::from_pem(certificate.as_bytes()).expect("a certificate");
        acceptor.set_certificate(&certificate).expect("it fits");
        let key = PKey::private_key_from_pem(key.as_bytes()).expect("a key");
        acceptor.set_private_key(&key).expect("it fits");
        let acceptor = acceptor.build();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&heard);
        RUNTIME.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, heard) = (acceptor.clone(), Arc::clone(&shared));
                RUNTIME.spawn(async move {
                    let mut visit = accept(client, &acceptor, heard).await?;
                    visit.receive(trick).await
                });
            }
        });
        Self { port, ca_file, heard }
    }

    /// Whether a client has sent this text.
    pub fn has_heard(&self, text: &str) -> bool {
        let heard = self.heard.lock().expect("no test panics here");
        heard.windows(text.len()).any(|part| part == text.as_bytes())
    }

    /// Whether a client has logged in, or tried to.
    pub fn was_visited(&self) -> bool {
        !self.heard.lock().expect("no test panics here").is_empty()
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        if let Some(folder) = self.ca_file.parent() {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// One connection of a client.
struct Visit {
    stream: SslStream<TcpStream>,
    heard: Arc<Mutex<Vec<u8>>>,
}

/// Whether a start-up message is of that user.
fn names_user(startup: &[u8], user: &str) -> bool {
    let user = format!("\0user\0{user}\0");
    startup.windows(user.len()).any(|part| part == user.as_bytes())
}

async fn accept(
    mut client: TcpStream,
    acceptor: &SslAcceptor,
    heard: Arc<Mutex<Vec<u8>>>,
) -> Option<Visit> {
    // SSLRequest.
    let mut request = [0; 8];
    client.read_exact(&mut request).await.ok()?;
    client.write_all(b"S").await.ok()?;
    let ssl = Ssl::new(acceptor.context()).ok()?;
    let mut stream = SslStream::new(ssl, client).ok()?;
    std::pin::Pin::new(&mut stream).accept().await.ok()?;
    Some(Visit { stream, heard })
}

impl Visit {
    async fn receive(&mut self, trick: Trick) -> Option<()> {
        let startup = self.read().await?;
        match trick {
            Trick::AskInClear { for_user } | Trick::FewIterations { for_user }
                if !names_user(&startup, for_user) =>
            {
                return self.refuse("28P01", "no such role").await;
            }
            Trick::FewIterations { .. } => return self.ask_for_cheap_proof().await,
            Trick::AskInClear { .. } => {
                self.send(b'R', &3_u32.to_be_bytes()).await?;
                self.stream.read_u8().await.ok()?;
                self.read().await?;
                return self.refuse("28P01", "thank you").await;
            }
            Trick::Curse { bytes } => {
                let curse = "\u{1b}[2J\r\n{\"level\":\"INFO\",\"message\":\"forged\"}\u{202e}";
                return self.refuse("XX000", &curse.repeat(bytes / curse.len())).await;
            }
            Trick::Refuse { code, routine, message } => {
                return self.refuse(code, &format!("{message}\0R{routine}")).await;
            }
            Trick::FloodLogin => {
                self.send(b'R', &0_u32.to_be_bytes()).await?;
                loop {
                    self.send(b'N', b"SNOTICE\0C00000\0Mflood\0\0").await?;
                }
            }
            Trick::FloodRows | Trick::FloodRow | Trick::Nulls => {}
        }
        self.send(b'R', &0_u32.to_be_bytes()).await?;
        self.send(b'Z', b"I").await?;
        loop {
            match self.stream.read_u8().await.ok()? {
                b'Q' => {
                    self.read().await?;
                    self.send(b'C', b"SET\0").await?;
                    self.send(b'Z', b"I").await?;
                }
                b'S' => {
                    self.read().await?;
                    self.answer(trick).await?;
                }
                _ => drop(self.read().await?),
            }
        }
    }

    async fn ask_for_cheap_proof(&mut self) -> Option<()> {
        let mechanisms = b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0";
        self.send(b'R', mechanisms).await?;
        self.stream.read_u8().await.ok()?;
        let first = String::from_utf8_lossy(&self.read().await?).into_owned();
        let (_, nonce) = first.rsplit_once("r=")?;
        let challenge = format!("r={nonce}more,s=c2FsdHNhbHQ=,i=1");
        self.send(b'R', &[&11_u32.to_be_bytes(), challenge.as_bytes()].concat()).await?;
        self.stream.read_u8().await.ok()?;
        self.read().await?;
        self.refuse("28P01", "thank you").await
    }

    async fn answer(&mut self, trick: Trick) -> Option<()> {
        const COLUMNS: u16 = 8;
        self.send(b'1', &[]).await?;
        self.send(b'2', &[]).await?;
        let mut columns = COLUMNS.to_be_bytes().to_vec();
        for _ in 0..COLUMNS {
            columns.extend(b"c\0\0\0\0\0\0\0");
            // The type `text`, in binary.
            columns.extend([0, 0, 0, 25, 255, 255, 255, 255, 255, 255, 0, 1]);
        }
        self.send(b'T', &columns).await?;
        let null = (-1_i32).to_be_bytes();
        let row = [COLUMNS.to_be_bytes().as_slice(), &null.repeat(COLUMNS.into())].concat();
        match trick {
            Trick::FloodRows => loop {
                self.send(b'D', &row).await?;
            },
            Trick::FloodRow => {
                self.stream.write_u8(b'D').await.ok()?;
                self.stream.write_i32(i32::MAX).await.ok()?;
                loop {
                    self.stream.write_all(&vec![b'x'; 65536]).await.ok()?;
                }
            }
            _ => self.send(b'D', &row).await?,
        }
        self.send(b'C', b"SELECT 1\0").await?;
        self.send(b'Z', b"I").await
    }

    async fn refuse(&mut self, code: &str, message: &str) -> Option<()> {
        let fields = format!("SFATAL\0VFATAL\0C{code}\0M{message}\0\0");
        self.send(b'E', fields.as_bytes()).await?;
        self.stream.shutdown().await.ok()
    }

    async fn send(&mut self, kind: u8, body: &[u8]) -> Option<()> {
        let length = u32::try_from(body.len() + 4).ok()?.to_be_bytes();
        self.stream.write_all(&[&[kind], length.as_slice(), body].concat()).await.ok()?;
        self.stream.flush().await.ok()
    }

    /// A message without its type, which is written down.
    async fn read(&mut self) -> Option<Vec<u8>> {
        let length = self.stream.read_u32().await.ok()?;
        let mut message = vec![0; usize::try_from(length).ok()?.checked_sub(4)?];
        self.stream.read_exact(&mut message).await.ok()?;
        self.heard.lock().expect("no test panics here").extend(&message);
        Some(message)
    }
}
