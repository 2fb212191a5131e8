//! A proxy between the function and PostgreSQL: it reads the protocol, in plaintext, and makes
//! statements and logins fail.

use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::application::Application;
use super::postgres::{PLAINTEXT_ROLES, admin};
use super::{RUNTIME, block_on, unique, world};

/// What goes wrong with a statement or a login.
#[derive(Debug, Clone)]
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
    /// It takes effect, the superuser runs this, and then the answer is passed on.
    Then(String),
    /// It takes effect, and all other faults are disarmed.
    Disarm,
    /// It takes effect and is not answered, until the client goes.
    Silence,
    /// It takes effect and is not answered. When the client goes, the server does not learn of it.
    Orphan,
    /// The login is one to this database.
    Database(String),
    /// The login waits for the notification.
    Hold(Arc<Notify>),
}

/// What fails.
#[derive(Debug, Clone, Copy)]
enum Trigger {
    /// The next statement that contains this text.
    Needle(&'static str),
    /// The statement with this number, counted from 1.
    Statement(usize),
    /// The login with this number, counted from 1.
    Login(usize),
    /// That login and each one after it, until the faults are disarmed.
    LoginsFrom(usize),
}

#[derive(Default)]
struct Plan {
    /// Each strikes once; of several that fit, the first.
    faults: Vec<(Trigger, Fault)>,
    statements: usize,
    logins: usize,
    hits: usize,
    /// Statements that the server got and that commit.
    commits: usize,
}

pub struct Wire {
    pub port: u16,
    plan: Arc<Mutex<Plan>>,
}

impl Wire {
    pub fn start(needle: &'static str, fault: Fault) -> Self {
        let wire = Self::idle();
        wire.arm_for(needle, fault);
        wire
    }

    /// Passes everything on until a fault is armed.
    pub fn idle() -> Self {
        Self::serve(None)
    }

    /// Passes everything on, but logs in as that role, whatever role the function names.
    pub fn impersonating(role: &str) -> Self {
        Self::serve(Some((USER, Some(role.to_owned()))))
    }

    /// Passes everything on except a session's options, as some poolers can be told to.
    pub fn without_options() -> Self {
        Self::serve(Some((OPTIONS, None)))
    }

    /// Makes the next statement that contains `needle` fail.
    pub fn arm_for(&self, needle: &'static str, fault: Fault) {
        self.set([(Trigger::Needle(needle), fault)]);
    }

    /// Makes one statement after another fail: each the next one that contains its text.
    pub fn arm_each(&self, faults: impl IntoIterator<Item = (&'static str, Fault)>) {
        self.set(faults.into_iter().map(|(needle, fault)| (Trigger::Needle(needle), fault)));
    }

    /// Makes the `nth` statement from now fail.
    pub fn arm(&self, nth: usize, fault: Fault) {
        self.set([(Trigger::Statement(nth), fault)]);
    }

    /// Makes the `nth` login from now fail.
    pub fn arm_login(&self, nth: usize, fault: Fault) {
        self.set([(Trigger::Login(nth), fault)]);
    }

    /// Makes the `nth` login from now and all later ones fail.
    pub fn arm_logins_from(&self, nth: usize, fault: Fault) {
        self.set([(Trigger::LoginsFrom(nth), fault)]);
    }

    /// Makes the `nth` login from now and all later ones fail, until a statement that contains
    /// `needle` has taken effect twice.
    pub fn arm_logins_until(&self, nth: usize, fault: Fault, needle: &'static str) {
        self.set([
            (Trigger::Needle(needle), Fault::Then(String::new())),
            (Trigger::Needle(needle), Fault::Disarm),
            (Trigger::LoginsFrom(nth), fault),
        ]);
    }

    fn set(&self, faults: impl IntoIterator<Item = (Trigger, Fault)>) {
        *self.plan.lock().expect("no test panics here") =
            Plan { faults: faults.into_iter().collect(), ..Plan::default() };
    }

    fn serve(edit: Option<Edit>) -> Self {
        let listener = block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let plan = Arc::<Mutex<Plan>>::default();
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
        self.plan.lock().expect("no test panics here").faults.clear();
    }

    /// How many statements and logins failed since the last fault was armed.
    pub fn hits(&self) -> usize {
        self.plan.lock().expect("no test panics here").hits
    }

    /// How many statements and logins there were since the last fault was armed.
    pub fn seen(&self) -> (usize, usize) {
        let plan = self.plan.lock().expect("no test panics here");
        (plan.statements, plan.logins)
    }

    /// Whether the server was told to commit since the last fault was armed.
    pub fn committed(&self) -> bool {
        self.plan.lock().expect("no test panics here").commits > 0
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
    fn of_message(&mut self, kind: u8, message: &[u8]) -> Option<Fault> {
        // Only Query and Parse hold a statement.
        if !matches!(kind, b'Q' | b'P') {
            return None;
        }
        self.statements += 1;
        let nth = self.statements;
        let fault = self.take(|trigger| match trigger {
            Trigger::Needle(needle) => contains(message, needle),
            Trigger::Statement(number) => number == nth,
            Trigger::Login(_) | Trigger::LoginsFrom(_) => false,
        });
        let never_sent = matches!(
            fault,
            Some(Fault::Refuse(_) | Fault::Hang | Fault::BreakBefore | Fault::Meanwhile(_))
        );
        self.commits += usize::from(!never_sent && contains(message, "COMMIT"));
        fault
    }

    /// The fault that strikes this login.
    fn of_login(&mut self) -> Option<Fault> {
        self.logins += 1;
        let nth = self.logins;
        self.take(|trigger| match trigger {
            Trigger::Login(number) => number == nth,
            Trigger::LoginsFrom(number) => number <= nth,
            Trigger::Needle(_) | Trigger::Statement(_) => false,
        })
    }

    fn take(&mut self, fits: impl Fn(Trigger) -> bool) -> Option<Fault> {
        let at = self.faults.iter().position(|(trigger, _)| fits(*trigger))?;
        self.hits += 1;
        if matches!(self.faults[at], (Trigger::LoginsFrom(_), _)) {
            return Some(self.faults[at].1.clone());
        }
        Some(self.faults.remove(at).1)
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
    let fault = plan.lock().expect("no test panics here").of_login();
    // It takes effect, and the client does not learn of it.
    let mut break_when_accepted = false;
    match fault {
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Hold(released)) => released.notified().await,
        Some(Fault::BreakBefore) => return None,
        Some(Fault::Refuse(code)) => return refuse(&mut to_client, "FATAL", code, b"").await,
        Some(Fault::BreakAfter) => break_when_accepted = true,
        Some(Fault::Database(name)) => startup = edit_startup(&startup, DATABASE, Some(&name))?,
        _ => {}
    }
    to_server.write_all(&startup).await.ok()?;
    loop {
        tokio::select! {
            byte = from_server.read_u8() => {
                let kind = byte.ok()?;
                let message = read_message(&mut from_server).await?;
                if break_when_accepted && kind == b'R' && message[4..] == AUTHENTICATION_OK {
                    return None;
                }
                to_client.write_all(&[&[kind], message.as_slice()].concat()).await.ok()?;
            }
            byte = from_client.read_u8() => {
                let kind = byte.ok()?;
                let message = read_message(&mut from_client).await?;
                let fault = plan.lock().expect("no test panics here").of_message(kind, &message);
                match fault {
                    Some(Fault::Hang) => std::future::pending().await,
                    Some(Fault::BreakBefore) => return None,
                    Some(Fault::Refuse(code)) => {
                        refuse(&mut to_client, "ERROR", code, &message[4..]).await?;
                        to_client.write_all(b"Z\0\0\0\x05I").await.ok()?;
                        continue;
                    }
                    Some(Fault::Meanwhile(happens)) => {
                        RUNTIME.spawn_blocking(happens).await.ok()?;
                        return None;
                    }
                    _ => {}
                }
                to_server.write_all(&[&[kind], message.as_slice()].concat()).await.ok()?;
                let Some(fault) = fault else { continue };
                // A statement in a Parse message runs before the Sync that follows it.
                let mut sent = kind;
                while !matches!(sent, b'Q' | b'S') {
                    sent = from_client.read_u8().await.ok()?;
                    forward(sent, &mut from_client, &mut to_server).await?;
                }
                let answer = read_until_ready(&mut from_server).await?;
                match fault {
                    Fault::Then(sql) => {
                        admin().await.batch_execute(&sql).await.expect("the superuser may");
                    }
                    Fault::Disarm => plan.lock().expect("no test panics here").faults.clear(),
                    Fault::Silence => return from_client.read_u8().await.ok().map(drop),
                    Fault::Orphan => std::future::pending().await,
                    _ => return None,
                }
                to_client.write_all(&answer).await.ok()?;
            }
        }
    }
}

/// All that the server sends until it is done.
async fn read_until_ready(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let mut answer = Vec::new();
    loop {
        let kind = from.read_u8().await.ok()?;
        let message = read_message(from).await?;
        answer.push(kind);
        answer.extend(message);
        if kind == b'Z' {
            return Some(answer);
        }
    }
}

pub(super) async fn forward(
    kind: u8,
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
) -> Option<()> {
    let message = read_message(from).await?;
    to.write_all(&[&[kind], message.as_slice()].concat()).await.ok()
}

/// A message without its type: the length, which counts itself, and the content.
pub(super) async fn read_message(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let length = from.read_u32().await.ok()?;
    let mut message = length.to_be_bytes().to_vec();
    message.resize(length as usize, 0);
    from.read_exact(&mut message[4..]).await.ok()?;
    Some(message)
}

/// A parameter of the startup message and its new value; `None` leaves it out.
type Edit = (&'static str, Option<String>);
const USER: &str = "user";
pub(super) const OPTIONS: &str = "options";
pub(super) const APPLICATION_NAME: &str = "application_name";
const DATABASE: &str = "database";
/// The content of the message by which a server accepts a login.
const AUTHENTICATION_OK: [u8; 4] = [0; 4];

/// Edits a startup message: the protocol's version, then names and values that each end in NUL.
pub(super) fn edit_startup(startup: &[u8], name: &str, value: Option<&str>) -> Option<Vec<u8>> {
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

/// Refuses a statement and quotes all of it, as a server or an extension may; or a login.
async fn refuse(
    to: &mut OwnedWriteHalf,
    severity: &str,
    code: &str,
    statement: &[u8],
) -> Option<()> {
    let statement = String::from_utf8_lossy(statement).replace('\0', "");
    let fields =
        format!("S{severity}\0V{severity}\0C{code}\0Mrefused by the test: {statement}\0\0");
    to.write_u8(b'E').await.ok()?;
    to.write_u32(u32::try_from(fields.len() + 4).ok()?).await.ok()?;
    to.write_all(fields.as_bytes()).await.ok()
}
