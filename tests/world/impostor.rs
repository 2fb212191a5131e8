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
    /// Refuses every user's password but that of `for_user`, whom it asks so. Empty means all.
    Ask { for_user: &'static str, how: Ask },
    /// Refuses every login with a text of so many bytes, full of escape sequences and new lines.
    Curse { bytes: usize },
    /// Refuses every login as a server does, with this SQLSTATE, C function and message.
    Refuse { code: &'static str, routine: &'static str, message: &'static str },
    /// Accepts every login, after messages of this type without end: notices, or settings.
    FloodLogin { kind: u8 },
    /// Accepts every login. Each query is answered by rows without end.
    FloodRows,
    /// Accepts every login. Each query is answered by one row that is as large as is allowed.
    FloodRow,
    /// Accepts every login. Each query is answered by one row of so many columns, all NULL.
    Nulls { columns: u16 },
    /// Accepts every login. Each query is answered by a row of a type that is made of another, and
    /// that of another, without end.
    Types,
}

/// How a server has a user log in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ask {
    /// It wants no password.
    Nothing,
    InClear,
    Md5,
    Scram {
        /// Whether it offers channel binding.
        bound: bool,
        iterations: u32,
    },
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
    unsent: Vec<u8>,
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
    Some(Visit { stream, heard, unsent: Vec::new() })
}

impl Visit {
    async fn receive(&mut self, trick: Trick) -> Option<()> {
        let startup = self.read().await?;
        match trick {
            Trick::Ask { for_user, .. }
                if !for_user.is_empty() && !names_user(&startup, for_user) =>
            {
                return self.refuse("28P01", "no such role").await;
            }
            Trick::Ask { how, .. } if how != Ask::Nothing => {
                self.ask(how).await?;
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
            Trick::FloodLogin { kind } => {
                self.send(b'R', &0_u32.to_be_bytes()).await?;
                for n in 0_u64.. {
                    let body = match kind {
                        b'N' => "SNOTICE\0C00000\0Mflood\0\0".to_owned(),
                        _ => format!("name{n}\0value\0"),
                    };
                    self.send(kind, body.as_bytes()).await?;
                }
            }
            Trick::Ask { .. }
            | Trick::FloodRows
            | Trick::FloodRow
            | Trick::Nulls { .. }
            | Trick::Types => {}
        }
        self.send(b'R', &0_u32.to_be_bytes()).await?;
        self.send(b'Z', b"I").await?;
        // The types of the messages since the last answer.
        let mut asked = Vec::new();
        for n in 100_000_u32.. {
            loop {
                asked.push(self.stream.read_u8().await.ok()?);
                self.read().await?;
                if asked.ends_with(b"Q") || asked.ends_with(b"S") {
                    break;
                }
            }
            match asked.drain(..).as_slice() {
                b"Q" => self.send(b'C', b"SET\0").await?,
                asked if trick == Trick::Types => self.answer_types(asked, n).await?,
                _ => self.answer(trick).await?,
            }
            self.send(b'Z', b"I").await?;
        }
        None
    }

    async fn ask(&mut self, how: Ask) -> Option<()> {
        let Ask::Scram { bound, iterations } = how else {
            let (code, salt): (u32, &[u8]) = if how == Ask::Md5 { (5, b"salt") } else { (3, b"") };
            return self.send(b'R', &[&code.to_be_bytes(), salt].concat()).await;
        };
        let binding: &[u8] = if bound { b"SCRAM-SHA-256-PLUS\0" } else { b"" };
        let offer = [&10_u32.to_be_bytes(), binding, b"SCRAM-SHA-256\0\0"].concat();
        self.send(b'R', &offer).await?;
        self.stream.read_u8().await.ok()?;
        let first = String::from_utf8_lossy(&self.read().await?).into_owned();
        // A nonce may hold "r=", but no comma.
        let (_, nonce) = first.rsplit_once(",r=")?;
        let challenge = format!("r={nonce}more,s=c2FsdHNhbHQ=,i={iterations}");
        self.send(b'R', &[&11_u32.to_be_bytes(), challenge.as_bytes()].concat()).await
    }

    /// Answers a question about a type, and any other by a row of the type `n`.
    async fn answer_types(&mut self, asked: &[u8], n: u32) -> Option<()> {
        const OID: u32 = 26;
        // What the driver asks pg_type for: its own query's columns.
        const OF_A_TYPE: [u32; 7] = [19, 18, OID, OID, OID, 19, OID];
        let (parses, runs) = (asked.contains(&b'P'), asked.contains(&b'E'));
        if parses {
            self.send(b'1', &[]).await?;
        }
        match (parses, runs) {
            (true, false) => {
                self.send(b't', &[&[0, 1], OID.to_be_bytes().as_slice()].concat()).await?;
                self.describe(&OF_A_TYPE).await
            }
            (_, true) => {
                self.send(b'2', &[]).await?;
                let (next, none) = ((n + 1).to_be_bytes(), 0_u32.to_be_bytes());
                let row: Vec<Option<&[u8]>> = if parses {
                    self.describe(&[n]).await?;
                    vec![None]
                } else {
                    let (name, base): (&[u8], &[u8]) = (b"t", &next);
                    vec![
                        Some(name),
                        Some(b"b"),
                        Some(&none),
                        None,
                        Some(base),
                        Some(name),
                        Some(&none),
                    ]
                };
                self.row(&row).await?;
                self.send(b'C', b"SELECT 1\0").await
            }
            _ => self.send(b'3', &[]).await,
        }
    }

    async fn describe(&mut self, types: &[u32]) -> Option<()> {
        let mut columns = u16::try_from(types.len()).ok()?.to_be_bytes().to_vec();
        for oid in types {
            columns.extend(b"c\0\0\0\0\0\0\0");
            columns.extend(oid.to_be_bytes());
            // Of any length, without a modifier, in binary.
            columns.extend([255, 255, 255, 255, 255, 255, 0, 1]);
        }
        self.send(b'T', &columns).await
    }

    async fn row(&mut self, values: &[Option<&[u8]>]) -> Option<()> {
        let mut row = u16::try_from(values.len()).ok()?.to_be_bytes().to_vec();
        for value in values {
            let length = value.map_or(Ok(-1), |value| i32::try_from(value.len())).ok()?;
            row.extend(length.to_be_bytes());
            row.extend(value.unwrap_or_default());
        }
        self.send(b'D', &row).await
    }

    async fn answer(&mut self, trick: Trick) -> Option<()> {
        const TEXT: u32 = 25;
        let columns = if let Trick::Nulls { columns } = trick { columns } else { 8 };
        self.send(b'1', &[]).await?;
        self.send(b'2', &[]).await?;
        self.describe(&vec![TEXT; columns.into()]).await?;
        let nulls = vec![None; columns.into()];
        match trick {
            Trick::FloodRows => loop {
                self.row(&nulls).await?;
            },
            Trick::FloodRow => {
                self.stream.write_u8(b'D').await.ok()?;
                self.stream.write_i32(i32::MAX).await.ok()?;
                loop {
                    self.stream.write_all(&vec![b'x'; 65536]).await.ok()?;
                }
            }
            _ => self.row(&nulls).await?,
        }
        self.send(b'C', b"SELECT 1\0").await
    }

    async fn refuse(&mut self, code: &str, message: &str) -> Option<()> {
        let fields = format!("SFATAL\0VFATAL\0C{code}\0M{message}\0\0");
        self.send(b'E', fields.as_bytes()).await?;
        self.stream.shutdown().await.ok()
    }

    /// Sends a message. Those of one answer go together, as the driver deals with them so.
    async fn send(&mut self, kind: u8, body: &[u8]) -> Option<()> {
        const ENDS: &[u8] = b"RZE";
        let length = u32::try_from(body.len() + 4).ok()?.to_be_bytes();
        self.unsent.extend([&[kind], length.as_slice(), body].concat());
        if ENDS.contains(&kind) || self.unsent.len() > 8192 {
            self.stream.write_all(&std::mem::take(&mut self.unsent)).await.ok()?;
            self.stream.flush().await.ok()?;
        }
        Some(())
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
