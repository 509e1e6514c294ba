//! The way of a probe: name, connection, TLS, token, and a sample to its committed row.

use super::http::{self, Answer, Url};
use super::report::{Report, Trouble};
use super::{DEADLINE, Options};
use crate::config::Config;
use crate::limits::COMMITTED_ACK_WAIT;
use fiber_contract::UnixMicros;
use fiber_contract::query::{self, RawSample};
use fiber_contract::status::Status;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Belongs to no country, and never will (ISO 3166 leaves it to users).
const NO_COUNTRY: &str = "ZZ";
const MARK: &str = "fiber-check";

/// What was sent, for the one who looks for its row.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) node_id: String,
    pub(super) time: UnixMicros,
}

struct Central<'a> {
    config: &'a Config,
    url: Url,
    address: SocketAddr,
    connector: TlsConnector,
}

/// The sample that was committed, if it came so far.
pub(super) async fn check(config: &Config, options: &Options, report: &mut Report) -> Option<Sent> {
    let Some(central) = reach(config, options, report).await else {
        for name in ["status", "auth", "round trip", "read back"] {
            report.skipped(name, "the engine cannot be reached");
        }
        return None;
    };
    let began = Instant::now();
    report.found("status", began, central.status().await);
    let began = Instant::now();
    report.found("auth", began, central.wrong_token_is_refused().await);
    let began = Instant::now();
    let (sent, found) = match central.round_trip().await {
        Ok((sent, what)) => (Some(sent), Ok(what)),
        Err(trouble) => (None, Err(trouble)),
    };
    report.found("round trip", began, found);
    match &sent {
        None => report.skipped("read back", "no sample was committed"),
        Some(sent) => {
            let began = Instant::now();
            report.found("read back", began, central.read_back(sent).await);
        }
    }
    sent
}

/// Name, connection and TLS, each a line.
async fn reach<'a>(
    config: &'a Config,
    options: &Options,
    report: &mut Report,
) -> Option<Central<'a>> {
    let (url, addresses) = name(config, options, report).await?;
    let began = Instant::now();
    let reached = first_that_answers(&addresses).await;
    let found = match &reached {
        Ok((address, _)) => Ok(format!("{address} takes connections")),
        Err(error) => Err(Trouble::new(
            format!("{url}: {error}"),
            "start the engine there, look at its port (FIBER_LISTEN) and at what filters between here and there",
        )),
    };
    report.found("tcp", began, found);
    let (address, stream) = reached.ok()?;
    let connector = tls(&url, options, stream, report).await?;
    Some(Central {
        config,
        url,
        address,
        connector,
    })
}

async fn name(
    config: &Config,
    options: &Options,
    report: &mut Report,
) -> Option<(Url, Vec<SocketAddr>)> {
    let own = || format!("http://127.0.0.1:{}", config.listen.port());
    let text = options.url.clone().unwrap_or_else(own);
    let began = Instant::now();
    let Some(url) = Url::parse(&text) else {
        let fix = "give --url http://fiber-api:8000";
        let trouble = Trouble::new("the URL is not http:// or https://", fix);
        report.found("dns", began, Err(trouble));
        return None;
    };
    let addresses = http::resolve(&url).await;
    let found = match &addresses {
        Ok(addresses) => {
            let all: Vec<_> = addresses.iter().map(|one| one.ip().to_string()).collect();
            Ok(format!("{} is {}", url.host, all.join(", ")))
        }
        Err(error) => Err(Trouble::new(
            format!("{}: {error}", url.host),
            "look at the name in --url, at the network's DNS, and whether this container is in the same network",
        )),
    };
    report.found("dns", began, found);
    Some((url, addresses.ok()?))
}

async fn tls(
    url: &Url,
    options: &Options,
    stream: TcpStream,
    report: &mut Report,
) -> Option<TlsConnector> {
    let began = Instant::now();
    let connector = match http::connector(options.ca_file.as_deref()) {
        Ok(connector) => connector,
        Err(error) => {
            let fix = "give --ca-file the PEM certificates of your own authority";
            report.found("tls", began, Err(Trouble::new(error.to_string(), fix)));
            return None;
        }
    };
    if !url.tls {
        report.skipped("tls", "the URL is http://");
        return Some(connector);
    }
    let found = match http::handshake(url, &connector, stream).await {
        Ok(stream) => Ok(told(stream.get_ref().1.protocol_version())),
        Err(error) => Err(Trouble::new(
            error.to_string(),
            "the certificate must be valid today, name this host, and come from an authority that is trusted; \
             your own goes into --ca-file",
        )),
    };
    report.found("tls", began, found).then_some(connector)
}

fn told(version: Option<tokio_rustls::rustls::ProtocolVersion>) -> String {
    let version = version
        .and_then(|version| version.as_str())
        .unwrap_or("TLS");
    format!("{version}, the certificate is good for this name")
}

async fn first_that_answers(addresses: &[SocketAddr]) -> io::Result<(SocketAddr, TcpStream)> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no address");
    for address in addresses {
        match http::connect(*address).await {
            Ok(stream) => return Ok((*address, stream)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl Central<'_> {
    async fn ask(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: &[u8],
        limit: Duration,
    ) -> Result<Answer, Trouble> {
        let head = format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n");
        http::request(
            &self.url,
            self.address,
            &self.connector,
            (method, path, &head, body),
            limit,
        )
        .await
        .map_err(|error| {
            Trouble::new(
                format!("{method} {path}: {error}"),
                "look at the engine's log, and at a proxy between here and there",
            )
        })
    }

    fn secret(&self) -> &str {
        self.config.federation_secret.expose()
    }

    async fn status(&self) -> Result<String, Trouble> {
        let answer = self
            .ask("GET", "/api/status", self.secret(), b"", DEADLINE)
            .await?;
        let no_engine = |what: String| {
            Trouble::new(
                what,
                "is this the address of a FiberStack engine, and does the proxy pass /api on?",
            )
        };
        if answer.status != 200 {
            return Err(no_engine(format!("GET /api/status: {}", answer.status)));
        }
        let status: Status = serde_json::from_slice(&answer.body)
            .map_err(|error| no_engine(format!("GET /api/status is not ours: {error}")))?;
        let what = format!(
            "{} {}, {}: database {}, redis {}, journal {}",
            status.instance,
            status.version,
            status.status,
            status.database.state,
            status.redis.state,
            status.journal.state
        );
        if status.status == "ok" {
            return Ok(what);
        }
        let details: Vec<_> = [status.database.detail, status.redis.detail]
            .into_iter()
            .flatten()
            .collect();
        Err(Trouble::new(
            format!("{what} ({})", details.join("; ")),
            "the lines below say which part; OPERATING.md lists what to do in each state",
        ))
    }

    async fn wrong_token_is_refused(&self) -> Result<String, Trouble> {
        let body = self.sample(UnixMicros::now());
        let answer = self
            .ask("POST", "/api/push", "not-the-secret", &body, DEADLINE)
            .await?;
        match answer.status {
            401 => Ok("a wrong token is refused with 401".to_owned()),
            // So many came before this one that the address has to wait.
            429 => Ok("a wrong token is refused with 429".to_owned()),
            status => Err(Trouble::new(
                format!("a push with a wrong token was answered {status}, not 401"),
                "whoever reaches this address can push: does a proxy add a token, or answer by itself?",
            )),
        }
    }

    fn node_id(&self) -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
        let instance = self
            .config
            .instance
            .bytes()
            .filter(|byte| plain(*byte))
            .take(40);
        format!("{MARK}-{}", instance.map(char::from).collect::<String>())
    }

    fn sample(&self, time: UnixMicros) -> Vec<u8> {
        serde_json::json!({
            "node_id": self.node_id(), "country": NO_COUNTRY, "region": MARK, "latency_ms": 1.0, "uptime_pct": 100,
            "packet_loss": 0, "timestamp": time.to_string(), "target_host": MARK, "probe_type": "check",
            "metadata": {"tags": [MARK]},
        })
        .to_string()
        .into_bytes()
    }

    /// From here to the table: the answer comes when the row is committed.
    async fn round_trip(&self) -> Result<(Sent, String), Trouble> {
        let time = UnixMicros::now();
        let began = Instant::now();
        let limit = COMMITTED_ACK_WAIT + DEADLINE;
        let answer = self
            .ask(
                "POST",
                "/api/push?ack=committed",
                self.secret(),
                &self.sample(time),
                limit,
            )
            .await?;
        let took = began.elapsed();
        let says = String::from_utf8_lossy(&answer.body[..answer.body.len().min(300)]).into_owned();
        let fix = match answer.status {
            200 | 202 if took < COMMITTED_ACK_WAIT => {
                let node_id = self.node_id();
                let what = format!("a sample of {node_id} was committed");
                return Ok((Sent { node_id, time }, what));
            }
            200 | 202 => {
                "it is durable but not in the table: the database is away or the writer is behind; see /api/status"
            }
            401 | 403 => "the FEDERATION_SECRET here is not the one that the engine has",
            422 => "the clocks here and at the engine differ by more than 5 minutes: set up NTP",
            429 => "the quota of a probe is used up; wait, or raise RATE_LIMIT_INGEST_BURST",
            503 => "the engine refuses: its journal is full or it is at its limit; see /api/status",
            _ => "look at the engine's log for this push",
        };
        Err(Trouble::new(
            format!("POST /api/push?ack=committed: {} {says}", answer.status),
            fix,
        ))
    }

    async fn read_back(&self, sent: &Sent) -> Result<String, Trouble> {
        let path = format!(
            "/api/metrics?node_id={}&start_time={}&limit=10",
            sent.node_id, sent.time
        );
        let answer = self.ask("GET", &path, self.secret(), b"", DEADLINE).await?;
        if answer.status != 200 {
            let says =
                String::from_utf8_lossy(&answer.body[..answer.body.len().min(200)]).into_owned();
            return Err(Trouble::new(
                format!("GET /api/metrics: {} {says}", answer.status),
                "queries fail while pushes work: look at DB_READ_HOST and at the engine's log",
            ));
        }
        let rows: Vec<RawSample> = serde_json::from_slice::<query::Answer<_>>(&answer.body)
            .map(|answer| answer.data)
            .unwrap_or_default();
        if rows.iter().any(|row| row.time == sent.time) {
            return Ok("the API shows the row".to_owned());
        }
        Err(Trouble::new(
            "the row was committed and the API does not show it",
            "the read replica (DB_READ_HOST) is behind, or is another database",
        ))
    }
}
