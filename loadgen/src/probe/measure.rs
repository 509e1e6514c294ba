//! One round: N packets to one target.
//!
//! * **tcp** – the time of a TCP connect to the first address of the name; the connection is closed
//!   again. Looking the name up is not counted, but failing to is a failed packet.
//! * **http** – from sending a request to the first byte of its answer, over one connection that is
//!   opened at the start of the round (not counted) and kept: so the figure is the path and the
//!   server, not the handshakes, and each round still proves that connecting works. `HEAD`, or
//!   `GET` where the server refuses it (405, 501). A status of 500 and above is a failed packet.
//! * **icmp** – echo over an unprivileged ping socket (see [`super::icmp`]).

use super::icmp;
use super::target::Target;
use crate::client::{Connection, Limits, TlsRoots, Url};
use futures_util::future::join_all;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::time::{sleep_until, timeout};

/// Round trips in the order of sending; `None` where a packet failed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Round {
    trips: Vec<Option<Duration>>,
    failure: Option<String>,
}

/// Longer round trips are not samples but losses, by contract.
const TRIP_MAX: Duration = Duration::from_secs(10);

impl Round {
    fn of(results: Vec<Result<Duration, String>>) -> Self {
        let mut round = Self::default();
        for result in results {
            match result {
                Ok(trip) if trip <= TRIP_MAX => round.trips.push(Some(trip)),
                Ok(trip) => round.fail(format!("answered only after {trip:?}")),
                Err(failure) => round.fail(failure),
            }
        }
        round
    }

    fn fail(&mut self, failure: String) {
        self.trips.push(None);
        self.failure = Some(failure);
    }

    pub const fn packets(&self) -> usize {
        self.trips.len()
    }

    pub fn answered(&self) -> usize {
        self.trips.iter().flatten().count()
    }

    /// Why the last failed packet failed.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Percent.
    pub fn packet_loss(&self) -> f64 {
        let lost = self.packets() - self.answered();
        if self.trips.is_empty() {
            100.0
        } else {
            lost as f64 * 100.0 / self.packets() as f64
        }
    }

    pub fn uptime_pct(&self) -> f64 {
        if self.answered() > 0 { 100.0 } else { 0.0 }
    }

    /// The median of the answered; of an even number, the mean of the two in the middle.
    pub fn latency_ms(&self) -> Option<f64> {
        let sorted = self.sorted_ms();
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => None,
            odd if odd % 2 == 1 => Some(sorted[middle]),
            _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
        }
    }

    pub fn min_ms(&self) -> Option<f64> {
        self.sorted_ms().first().copied()
    }

    pub fn max_ms(&self) -> Option<f64> {
        self.sorted_ms().last().copied()
    }

    /// Mean absolute difference of neighbouring answered packets.
    pub fn jitter_ms(&self) -> Option<f64> {
        let answered: Vec<_> = self.trips.iter().flatten().map(|trip| ms(*trip)).collect();
        let steps: Vec<_> = answered
            .windows(2)
            .map(|pair| (pair[1] - pair[0]).abs())
            .collect();
        (!steps.is_empty()).then(|| steps.iter().sum::<f64>() / steps.len() as f64)
    }

    fn sorted_ms(&self) -> Vec<f64> {
        let mut sorted: Vec<_> = self.trips.iter().flatten().map(|trip| ms(*trip)).collect();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

fn ms(trip: Duration) -> f64 {
    trip.as_secs_f64() * 1e3
}

/// Sends `packets`, one each `spacing`; each may take `limit`. Never fails: failures are packets.
pub async fn round(
    target: &Target,
    tls: &TlsRoots,
    packets: u32,
    spacing: Duration,
    limit: Duration,
) -> Round {
    let first = Instant::now();
    let moment = |n: u32| first + spacing * n;
    Round::of(match target {
        Target::Http(url) => http(url, tls, packets, moment, limit).await,
        Target::Tcp { host, port } => match resolve(host, *port, limit).await {
            Ok(address) => {
                join_all((0..packets).map(|n| async move {
                    sleep_until(moment(n).into()).await;
                    connect(address, limit).await
                }))
                .await
            }
            Err(failure) => vec![Err(failure); packets as usize],
        },
        Target::Icmp { host } => match resolve(host, 0, limit).await {
            Ok(address) => {
                join_all((0..packets).map(|n| async move {
                    sleep_until(moment(n).into()).await;
                    icmp::echo(address.ip(), n, limit).await
                }))
                .await
            }
            Err(failure) => vec![Err(failure); packets as usize],
        },
    })
}

async fn resolve(host: &str, port: u16, limit: Duration) -> Result<SocketAddr, String> {
    match timeout(limit, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(mut found)) => found.next().ok_or_else(|| format!("{host} has no address")),
        Ok(Err(error)) => Err(format!("look {host} up: {error}")),
        Err(_) => Err(format!("look {host} up: no answer within {limit:?}")),
    }
}

async fn connect(address: SocketAddr, limit: Duration) -> Result<Duration, String> {
    let begin = Instant::now();
    match timeout(limit, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(begin.elapsed()),
        Ok(Err(error)) => Err(format!("connect to {address}: {error}")),
        Err(_) => Err(format!("connect to {address}: no answer within {limit:?}")),
    }
}

async fn http(
    url: &Url,
    tls: &TlsRoots,
    packets: u32,
    moment: impl Fn(u32) -> Instant,
    limit: Duration,
) -> Vec<Result<Duration, String>> {
    let mut method = "HEAD";
    let mut kept = None;
    let mut results = Vec::with_capacity(packets as usize);
    for n in 0..packets {
        sleep_until(moment(n).into()).await;
        let mut result = http_packet(url, tls, limit, method, &mut kept).await;
        if let Err(HttpFailure::Method) = result {
            method = "GET";
            result = http_packet(url, tls, limit, method, &mut kept).await;
        }
        results.push(result.map_err(|failure| match failure {
            HttpFailure::Other(text) => text,
            HttpFailure::Method => "neither HEAD nor GET is allowed".to_owned(),
        }));
    }
    results
}

enum HttpFailure {
    Method,
    Other(String),
}

async fn http_packet(
    url: &Url,
    tls: &TlsRoots,
    limit: Duration,
    method: &str,
    kept: &mut Option<Connection>,
) -> Result<Duration, HttpFailure> {
    let other = |error: crate::client::Error| HttpFailure::Other(describe(&error));
    let limits = Limits {
        connect: limit,
        exchange: limit,
        ..Limits::default()
    };
    let mut connection = match kept.take().filter(|kept| !kept.is_stale()) {
        Some(connection) => connection,
        None => Connection::open(url, tls, limits).await.map_err(other)?,
    };
    let request = format!(
        "{method} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: fiber-probe/{}\r\nAccept: */*\r\n\r\n",
        url.path,
        url.authority(),
        env!("CARGO_PKG_VERSION")
    );
    let begin = Instant::now();
    let answer = connection
        .exchange(request.as_bytes())
        .await
        .map_err(other)?;
    let (status, trip) = (answer.status, answer.first_byte.duration_since(begin));
    if connection.reusable() {
        *kept = Some(connection);
    }
    match status {
        405 | 501 => Err(HttpFailure::Method),
        500.. => Err(HttpFailure::Other(format!("status {status}"))),
        _ => Ok(trip),
    }
}

/// An error with its cause, in one line.
pub(super) fn describe(error: &crate::client::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_of(trips_ms: &[Option<u64>]) -> Round {
        let result = |ms: &Option<u64>| ms.map(Duration::from_millis).ok_or("lost".to_owned());
        Round::of(trips_ms.iter().map(result).collect())
    }

    #[test]
    fn a_round_becomes_median_loss_uptime_and_jitter() {
        let round = round_of(&[Some(10), Some(30), None, Some(20), Some(1_000)]);
        assert_eq!(round.latency_ms(), Some(25.0));
        assert_eq!((round.packet_loss(), round.uptime_pct()), (20.0, 100.0));
        assert_eq!(round.jitter_ms(), Some((20.0 + 10.0 + 980.0) / 3.0));
        assert_eq!(
            (round.min_ms(), round.max_ms()),
            (Some(10.0), Some(1_000.0))
        );
        assert_eq!(round.failure(), Some("lost"));
        assert_eq!(
            round_of(&[Some(3), Some(1), Some(2)]).latency_ms(),
            Some(2.0)
        );
    }

    #[test]
    fn a_round_without_an_answer_has_no_latency() {
        for trips in [&[None, None][..], &[]] {
            let round = round_of(trips);
            assert_eq!((round.latency_ms(), round.jitter_ms()), (None, None));
            assert_eq!((round.packet_loss(), round.uptime_pct()), (100.0, 0.0));
        }
    }

    #[test]
    fn an_answer_beyond_the_contract_is_a_loss() {
        let round = round_of(&[Some(10_001), Some(10_000)]);
        assert_eq!(
            (round.latency_ms(), round.packet_loss()),
            (Some(10_000.0), 50.0)
        );
    }
}
