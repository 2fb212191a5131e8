//! The window in which a single user's AWSCURRENT is refused, with both ends taken at the wire:
//! from the server's answer to COMMIT to the effect of the move.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::application::{Application, STEPS};
use super::https::Authority;
use super::lambda::Function;
use super::proxy::AwsProxy;
use super::{RUNTIME, block_on, world};

/// The pause that Secrets Manager makes between two events.
const PAUSE: Duration = Duration::from_millis(200);
const MOVE: &str = "UpdateSecretVersionStage";

/// A connection: when the server sent anything, in order.
type Answers = Arc<Mutex<Vec<Instant>>>;

/// Passes connections on to PostgreSQL, as they are, and notes when the server answers. TLS goes
/// through, so the contents stay unknown.
pub struct Tap {
    pub port: u16,
    connections: Arc<Mutex<Vec<Answers>>>,
}

impl Tap {
    pub fn start() -> Self {
        let listener = block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let connections = Arc::<Mutex<Vec<Answers>>>::default();
        let shared = Arc::clone(&connections);
        RUNTIME.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let answers = Answers::default();
                shared.lock().expect("no test panics here").push(Arc::clone(&answers));
                RUNTIME.spawn(async move { pass_on(client, &answers).await });
            }
        });
        Self { port, connections }
    }

    /// The last rotation's window; `effects` are the times at which AWSCURRENT moved.
    ///
    /// The last two connections before the move are those of `finishSecret`: the first one changes
    /// the password, and hears nothing after the COMMIT; the second one proves it.
    pub fn window(&self, effects: &[Instant]) -> Duration {
        let moved = *effects.last().expect("AWSCURRENT moved");
        let connections = self.connections.lock().expect("no test panics here");
        let last_answers: Vec<_> = connections
            .iter()
            .filter_map(|answers| {
                let answers = answers.lock().expect("no test panics here");
                answers.iter().copied().rfind(|answer| *answer < moved)
            })
            .collect();
        let [.., committed, proven] = last_answers[..] else {
            panic!("finishSecret opens two connections")
        };
        assert!(committed < proven, "the proof comes after the COMMIT");
        moved - committed
    }
}

async fn pass_on(client: TcpStream, answers: &Mutex<Vec<Instant>>) -> Option<()> {
    let server = TcpStream::connect(("127.0.0.1", world().postgres.port)).await.ok()?;
    for stream in [&client, &server] {
        stream.set_nodelay(true).ok()?;
    }
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let requests = async {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
        let _ = to_server.shutdown().await;
    };
    let responses = async {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
            answers.lock().expect("no test panics here").push(Instant::now());
            if to_client.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
        let _ = to_client.shutdown().await;
    };
    tokio::join!(requests, responses);
    Some(())
}

/// The windows of so many rotations, PostgreSQL and Secrets Manager by TLS, with the pauses of
/// Secrets Manager between the events.
pub async fn windows(rotations: usize) -> Vec<Duration> {
    let authority = Authority::new();
    let (tap, proxy) = (Tap::start(), AwsProxy::start_with(&authority));
    let roots = authority.bundle(&[]).display().to_string();
    let function =
        Function::start(&[("AWS_ENDPOINT_URL", proxy.url.as_str()), ("AWS_CA_BUNDLE", &roots)]);
    let application =
        Application::edited(|document| document["port"] = serde_json::json!(tap.port)).await;
    let mut windows = Vec::new();
    for _ in 0..rotations {
        let token = application.begin().await;
        for step in STEPS {
            application.steps(&function, &[step], &token).await;
            tokio::time::sleep(PAUSE).await;
        }
        windows.push(tap.window(&proxy.effects_of(MOVE)));
    }
    windows
}
