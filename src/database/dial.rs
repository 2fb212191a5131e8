//! The TCP connection to a server. The addresses of its name are tried side by side.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::fault::DatabaseFailure;
use super::progress::{Part, Progress};
use super::target::Target;
use crate::deadline::Deadline;
use crate::error::DatabaseFault;

/// How long an address is tried before the next one joins in, as RFC 8305 recommends.
const HEAD_START: Duration = Duration::from_millis(250);
/// After this time without a connection, the name is resolved again. A failover gives it another
/// address.
const RESOLVE_AGAIN: Duration = Duration::from_secs(5);
/// A longer wait would not help.
const ENOUGH: Duration = Duration::from_secs(55);
/// A name server must not make the function connect without end.
const MOST_ADDRESSES: usize = 8;

/// Resolves the name and connects. The driver would do both, but not tell the failures apart.
///
/// # Errors
/// A fault, and what happened at each address.
pub(super) async fn dial(
    target: &Target,
    until: Deadline,
    progress: &Progress,
) -> Result<(TcpStream, SocketAddr), DatabaseFailure> {
    let (mut race, started) = (Race::default(), Instant::now());
    let resolved = until.limit(Duration::MAX, addresses(target)).await.map_err(|_| {
        let text = format!("the name server: no answer {}", within(started.elapsed()));
        DatabaseFailure::new(DatabaseFault::TimedOut, text)
    })?;
    race.add(resolved.map_err(|error| {
        DatabaseFailure::new(DatabaseFault::NameNotResolved, error.to_string())
    })?);
    progress.reached(Part::Dns);
    loop {
        match until.limit(RESOLVE_AGAIN, race.winner()).await {
            Ok(Some((stream, address))) => {
                // Each request is one small packet, which must not wait for more.
                let _ = stream.set_nodelay(true);
                progress.reached(Part::Tcp);
                return Ok((stream, address));
            }
            Ok(None) => return Err(race.failure(DatabaseFault::Unreachable, "")),
            Err(elapsed) if elapsed.cut_short => {
                let within = format!(" {}", within(started.elapsed()));
                return Err(race.failure(DatabaseFault::TimedOut, &within));
            }
            Err(_) => {
                let again = until.limit(RESOLVE_AGAIN, addresses(target)).await;
                race.add(again.ok().and_then(Result::ok).unwrap_or_default());
            }
        }
    }
}

/// How long the function waited, and how to make it wait longer.
pub(super) fn within(waited: Duration) -> String {
    let seconds = waited.as_secs_f32();
    if waited > ENOUGH {
        return format!("within {seconds:.1} s");
    }
    format!(
        "within {seconds:.1} s. Set the function's time-out to at least 30 s, and to 75 s for a \
         database that pauses when idle"
    )
}

async fn addresses(target: &Target) -> io::Result<Vec<SocketAddr>> {
    if let Some(address) = target.pinned_to {
        return Ok(vec![address]);
    }
    let found = tokio::net::lookup_host((target.host.as_str(), target.port)).await?;
    Ok(found.collect())
}

/// Attempts to connect to several addresses, of which the first that succeeds wins.
#[derive(Default)]
struct Race {
    waiting: VecDeque<SocketAddr>,
    /// The addresses that were tried, and why they failed, if they did.
    tried: Vec<(SocketAddr, Option<io::Error>)>,
    attempts: JoinSet<(SocketAddr, io::Result<TcpStream>)>,
}

impl Race {
    /// Adds addresses that are not in the race yet.
    fn add(&mut self, addresses: Vec<SocketAddr>) {
        for address in addresses {
            let known = self.waiting.contains(&address)
                || self.tried.iter().any(|(tried, _)| *tried == address);
            if !known && self.waiting.len() + self.tried.len() < MOST_ADDRESSES {
                self.waiting.push_back(address);
            }
        }
    }

    /// The first connection; `None` if every address failed.
    async fn winner(&mut self) -> Option<(TcpStream, SocketAddr)> {
        loop {
            if let Some(address) = self.waiting.pop_front() {
                self.tried.push((address, None));
                self.attempts.spawn(async move { (address, TcpStream::connect(address).await) });
            }
            tokio::select! {
                ended = self.attempts.join_next() => match ended? {
                    Ok((address, Ok(stream))) => return Some((stream, address)),
                    Ok((address, Err(error))) => self.note(address, error),
                    // Nothing cancels an attempt or lets it panic.
                    Err(_) => {}
                },
                () = tokio::time::sleep(HEAD_START), if !self.waiting.is_empty() => {}
            }
        }
    }

    fn note(&mut self, address: SocketAddr, error: io::Error) {
        if let Some((_, cause)) = self.tried.iter_mut().find(|(tried, _)| *tried == address) {
            *cause = Some(error);
        }
    }

    /// The fault with what happened at each address, and how long that took.
    fn failure(&self, fault: DatabaseFault, within: &str) -> DatabaseFailure {
        let of_each = self.tried.iter().map(|(address, cause)| match cause {
            Some(error) => format!("{address}: {error}"),
            None => format!("{address}: no answer"),
        });
        let causes = of_each.collect::<Vec<_>>().join("; ");
        let text = if causes.is_empty() { "the name has no address" } else { &causes };
        let fault = if causes.is_empty() { DatabaseFault::NameNotResolved } else { fault };
        DatabaseFailure::new(fault, format!("{text}{within}"))
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    async fn listening() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// An address at which nothing listens.
    async fn closed() -> SocketAddr {
        listening().await.1
    }

    /// An address that answers no connection: its queue is full. It lasts as long as the streams.
    async fn silent() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut streams = Vec::new();
        loop {
            let stream = TcpStream::connect(address);
            match tokio::time::timeout(Duration::from_millis(100), stream).await {
                Ok(stream) => streams.push(stream.unwrap()),
                Err(_) => return (listener, streams, address),
            }
        }
    }

    fn race(addresses: &[SocketAddr]) -> Race {
        let mut race = Race::default();
        race.add(addresses.to_vec());
        race
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_delays_by_its_head_start_only() {
        let ((_full, _streams, silent), (_open, open)) = (silent().await, listening().await);
        let started = Instant::now();
        let (_, winner) = race(&[silent, open]).winner().await.unwrap();
        assert_eq!(winner, open);
        assert!(started.elapsed() >= HEAD_START, "{:?}", started.elapsed());
        assert!(started.elapsed() < HEAD_START * 10, "{:?}", started.elapsed());
    }

    #[tokio::test]
    async fn an_address_that_refuses_delays_by_nothing() {
        let (closed, (_open, open)) = (closed().await, listening().await);
        let started = Instant::now();
        assert_eq!(race(&[closed, open]).winner().await.unwrap().1, open);
        assert!(started.elapsed() < HEAD_START, "{:?}", started.elapsed());
    }

    #[tokio::test]
    async fn an_address_that_answers_is_not_given_up_for_a_later_one() {
        let ((_one, first), (_two, second)) = (listening().await, listening().await);
        assert_eq!(race(&[first, second]).winner().await.unwrap().1, first);
    }

    #[tokio::test]
    async fn each_address_is_named_with_its_cause() {
        let (one, two) = (closed().await, closed().await);
        let mut refused = race(&[one, two]);
        assert!(refused.winner().await.is_none());
        let DatabaseFailure { fault, detail } = refused.failure(DatabaseFault::Unreachable, "");
        let text = detail.to_string();
        assert_eq!(fault, DatabaseFault::Unreachable);
        assert_eq!(text.matches("refused").count(), 2, "{text}");
        assert!(text.contains(&one.to_string()) && text.contains(&two.to_string()), "{text}");

        let (_full, _streams, silent) = silent().await;
        let mut mixed = race(&[one, silent]);
        let waited = tokio::time::timeout(HEAD_START, mixed.winner()).await;
        assert!(waited.is_err());
        let text = mixed.failure(DatabaseFault::TimedOut, "").detail.to_string();
        assert!(text.contains(&format!("{silent}: no answer")), "{text}");
        assert!(text.contains(&format!("{one}: Connection refused")), "{text}");
    }

    #[tokio::test]
    async fn a_name_with_many_addresses_is_not_tried_at_all_of_them() {
        let many: Vec<_> = (1..=100).map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect();
        assert_eq!(race(&many).waiting.len(), MOST_ADDRESSES);
    }

    /// The proof of a new password must not reach another server of the same name.
    #[tokio::test]
    async fn a_pinned_target_is_dialled_without_its_name() {
        let target = Target {
            host: "no-such-name.invalid".to_owned(),
            port: 1,
            dbname: "postgres".to_owned(),
            server_name: None,
            proof_required: false,
            pinned_to: None,
        };
        let until = Deadline::after(Duration::from_secs(30));
        let fault = dial(&target, until, &Progress::start()).await.unwrap_err().fault;
        assert_eq!(fault, DatabaseFault::NameNotResolved);
        let (_listener, address) = listening().await;
        let pinned = target.pinned_to(address);
        let (_, peer) = dial(&pinned, until, &Progress::start()).await.unwrap();
        assert_eq!(peer, address);
    }
}
