//! A proxy between the function and PostgreSQL: it reads the protocol, in plaintext, and makes a
//! statement fail.

use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::application::Application;
use super::postgres::{PLAINTEXT_ROLES, admin};
use super::{RUNTIME, block_on, unique, world};

/// What goes wrong with a statement.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// The server refuses it with this SQLSTATE, before any effect.
    Refuse(&'static str),
    /// The server never sees it and never answers.
    Hang,
    /// The connection breaks before the server sees it.
    BreakBefore,
    /// It takes effect, and the connection breaks before the answer.
    BreakAfter,
    /// This happens to the server first, and the connection breaks.
    Meanwhile(fn()),
}

/// The statement that fails.
#[derive(Debug, Clone, Copy)]
enum Trigger {
    /// The first one that contains this text.
    Needle(&'static str),
    /// The one with this number, counted from 1.
    Nth(usize),
}

struct Plan {
    trigger: Option<Trigger>,
    fault: Fault,
    /// Statements so far.
    seen: usize,
    hits: usize,
}

pub struct Wire {
    pub port: u16,
    plan: Arc<Mutex<Plan>>,
}

impl Wire {
    pub fn start(needle: &'static str, fault: Fault) -> Self {
        Self::serve(Some(Trigger::Needle(needle)), fault, None)
    }

    /// Passes everything on until a fault is armed.
    pub fn idle() -> Self {
        Self::serve(None, Fault::BreakBefore, None)
    }

    /// Passes everything on, but logs in as that role, whatever role the function names.
    pub fn impersonating(role: &str) -> Self {
        Self::serve(None, Fault::BreakBefore, Some((USER, Some(role.to_owned()))))
    }

    /// Passes everything on except a session's options, as some poolers can be told to.
    pub fn without_options() -> Self {
        Self::serve(None, Fault::BreakBefore, Some((OPTIONS, None)))
    }

    /// Makes the next statement that contains `needle` fail.
    pub fn arm_for(&self, needle: &'static str, fault: Fault) {
        *self.plan.lock().expect("no test panics here") =
            Plan { trigger: Some(Trigger::Needle(needle)), fault, seen: 0, hits: 0 };
    }

    /// Makes the `nth` statement from now fail.
    pub fn arm(&self, nth: usize, fault: Fault) {
        *self.plan.lock().expect("no test panics here") =
            Plan { trigger: Some(Trigger::Nth(nth)), fault, seen: 0, hits: 0 };
    }

    fn serve(trigger: Option<Trigger>, fault: Fault, edit: Option<Edit>) -> Self {
        let listener = block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let plan = Arc::new(Mutex::new(Plan { trigger, fault, seen: 0, hits: 0 }));
        let shared = Arc::clone(&plan);
        RUNTIME.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (plan, edit) = (Arc::clone(&shared), edit.clone());
                RUNTIME.spawn(async move { serve(client, &plan, edit).await });
            }
        });
        Self { port, plan }
    }

    /// Passes everything on again.
    pub fn disarm(&self) {
        self.plan.lock().expect("no test panics here").trigger = None;
    }

    /// How many statements failed.
    pub fn hits(&self) -> usize {
        self.plan.lock().expect("no test panics here").hits
    }

    /// An application whose secret leads through here. The policy has to allow plaintext.
    pub async fn application(&self, edit: impl FnOnce(&mut serde_json::Value)) -> Application {
        let role = unique("app_");
        let application = Application::named(&role, |document| {
            document["ssl"] = json!(false);
            document["port"] = json!(self.port);
            edit(document);
        })
        .await;
        admin()
            .await
            .batch_execute(&format!("GRANT {PLAINTEXT_ROLES} TO {role}"))
            .await
            .expect("the role may log in without TLS");
        application
    }
}

impl Plan {
    /// The fault that strikes this message.
    fn take_fault(&mut self, kind: u8, message: &[u8]) -> Option<Fault> {
        // Only Query and Parse hold a statement.
        if !matches!(kind, b'Q' | b'P') || self.hits > 0 {
            return None;
        }
        self.seen += 1;
        let hit = match self.trigger? {
            Trigger::Needle(needle) => contains(message, needle),
            Trigger::Nth(nth) => self.seen == nth,
        };
        self.hits += usize::from(hit);
        hit.then_some(self.fault)
    }
}

async fn serve(client: TcpStream, plan: &Mutex<Plan>, edit: Option<Edit>) -> Option<()> {
    let server = TcpStream::connect(("127.0.0.1", world().postgres.port)).await.ok()?;
    for stream in [&client, &server] {
        stream.set_nodelay(true).ok()?;
    }
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    // The startup message is the only one without a type.
    let mut startup = read_message(&mut from_client).await?;
    if let Some((name, value)) = edit {
        startup = edit_startup(&startup, name, value.as_deref())?;
    }
    to_server.write_all(&startup).await.ok()?;
    loop {
        tokio::select! {
            byte = from_server.read_u8() => {
                forward(byte.ok()?, &mut from_server, &mut to_client).await?;
            }
            byte = from_client.read_u8() => {
                let kind = byte.ok()?;
                let message = read_message(&mut from_client).await?;
                let fault = plan.lock().expect("no test panics here").take_fault(kind, &message);
                match fault {
                    Some(Fault::Hang) => std::future::pending().await,
                    Some(Fault::BreakBefore) => return None,
                    Some(Fault::Refuse(code)) => {
                        refuse(&mut to_client, code, &message[4..]).await?;
                        continue;
                    }
                    Some(Fault::Meanwhile(happens)) => {
                        RUNTIME.spawn_blocking(happens).await.ok()?;
                        return None;
                    }
                    Some(Fault::BreakAfter) | None => {}
                }
                to_server.write_all(&[&[kind], message.as_slice()].concat()).await.ok()?;
                if fault.is_some() {
                    // A statement in a Parse message runs before the Sync that follows it.
                    let mut sent = kind;
                    while !matches!(sent, b'Q' | b'S') {
                        sent = from_client.read_u8().await.ok()?;
                        forward(sent, &mut from_client, &mut to_server).await?;
                    }
                    // ReadyForQuery: the server is done.
                    while from_server.read_u8().await.ok()? != b'Z' {
                        read_message(&mut from_server).await?;
                    }
                    return None;
                }
            }
        }
    }
}

async fn forward(kind: u8, from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf) -> Option<()> {
    let message = read_message(from).await?;
    to.write_all(&[&[kind], message.as_slice()].concat()).await.ok()
}

/// A message without its type: the length, which counts itself, and the content.
async fn read_message(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let length = from.read_u32().await.ok()?;
    let mut message = length.to_be_bytes().to_vec();
    message.resize(length as usize, 0);
    from.read_exact(&mut message[4..]).await.ok()?;
    Some(message)
}

/// A parameter of the startup message and its new value; `None` leaves it out.
type Edit = (&'static str, Option<String>);
const USER: &str = "user";
const OPTIONS: &str = "options";

/// Edits a startup message: the protocol's version, then names and values that each end in NUL.
fn edit_startup(startup: &[u8], name: &str, value: Option<&str>) -> Option<Vec<u8>> {
    let mut parameters: Vec<_> = startup.get(8..)?.split(|byte| *byte == 0).collect();
    let place = parameters.iter().position(|part| *part == name.as_bytes())?;
    match value {
        Some(value) => parameters[place + 1] = value.as_bytes(),
        None => drop(parameters.drain(place..place + 2)),
    }
    let parameters = parameters.join(&0);
    let length = u32::try_from(parameters.len() + 8).ok()?;
    Some([&length.to_be_bytes(), &startup[4..8], &parameters].concat())
}

fn contains(message: &[u8], needle: &str) -> bool {
    message.windows(needle.len()).any(|window| window == needle.as_bytes())
}

/// Refuses a statement and quotes all of it, as a server or an extension may.
async fn refuse(to: &mut OwnedWriteHalf, code: &str, statement: &[u8]) -> Option<()> {
    let statement = String::from_utf8_lossy(statement).replace('\0', "");
    let fields = format!("SERROR\0VERROR\0C{code}\0Mrefused by the test: {statement}\0\0");
    to.write_u8(b'E').await.ok()?;
    to.write_u32(u32::try_from(fields.len() + 4).ok()?).await.ok()?;
    to.write_all(fields.as_bytes()).await.ok()?;
    to.write_all(b"Z\0\0\0\x05I").await.ok()
}
