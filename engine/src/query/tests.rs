//! Round trips over loopback: what a client sees, byte for byte where that matters. No database is
//! there, which is the point of half of them.

use super::assets::Assets;
use super::live::{Hub, Sources};
use super::*;
use crate::admin::health::Health;
use crate::admit::{RateLimiter, Sharing};
use crate::auth::Authorizer;
use crate::config::{Config, load};
use crate::coordination::Coordination;
use crate::model::{NodeKey, TraceId};
use crate::parse::Reject;
use crate::publish::notify::{Committed, NodeRegistration, NodeSamples, StoredSample};
use crate::shutdown::Shutdown;
use crate::telemetry::metrics::Metrics;
use bytes::Bytes;
use fiber_contract::UnixMicros;
use fiber_contract::limits::BODY_BYTES_MAX;
use fiber_contract::live::{LiveChange, LiveSnapshot};
use fiber_contract::status::{EtlStatus, JournalStatus, Status};
use fiber_contract::{ErrorBody, ErrorCode};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use hyper::header::{CONNECTION, HeaderValue};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// Answers with what it was given.
struct Echo;

impl IngestService for Echo {
    fn handle<'a>(
        &'a self,
        request: IngestRequest,
        mut body: BodyPieces<'a>,
    ) -> BoxFuture<'a, IngestReply> {
        Box::pin(async move {
            if request
                .body_bytes
                .is_some_and(|bytes| bytes > BODY_BYTES_MAX)
            {
                let reject = Reject::too_large("too long").closing();
                return self.refuse(reject, request.trace_id);
            }
            assert!(
                !request.headers.contains_key("x-panic"),
                "as it was asked to"
            );
            let mut read = 0;
            while let Some(Ok(piece)) = body.next().await {
                read += piece.len();
            }
            let body = format!("{:?} {} {}", request.route, read, request.trace_id.as_str());
            IngestReply {
                status: 202,
                headers: Vec::new(),
                body: body.into(),
            }
        })
    }

    fn refuse(&self, reject: Reject, trace_id: TraceId) -> IngestReply {
        let body = ErrorBody {
            status: "error".to_owned(),
            code: reject.code,
            message: reject.message.into_owned(),
            trace_id: trace_id.as_str().to_owned(),
            errors: Vec::new(),
        };
        let close = (CONNECTION, HeaderValue::from_static("close"));
        IngestReply {
            status: reject.code.http_status(),
            headers: reject.close.then_some(close).into_iter().collect(),
            body: serde_json::to_vec(&body).unwrap().into(),
        }
    }

    fn answered(&self, _: crate::model::BatchId) -> Option<fiber_contract::account::Receipt> {
        None
    }
}

fn config(environment: &'static str) -> Config {
    let values = move |name: &str| match name {
        "ENV" => Some(environment.to_owned()),
        "DB_HOST" => Some("127.0.0.1".to_owned()),
        // Nobody listens there.
        "DB_PORT" => Some("1".to_owned()),
        "DB_PASS" | "FEDERATION_SECRET" => Some("0123456789abcdef0123456789abcdef".to_owned()),
        _ => None,
    };
    load(&values).unwrap()
}

struct Server {
    address: std::net::SocketAddr,
    hub: Hub,
    shutdown: Shutdown,
    committed: crate::publish::notify::CommittedSender,
    served: tokio::task::JoinHandle<()>,
}

fn waiting() -> EtlStatus {
    EtlStatus {
        state: "waiting".to_owned(),
        lag_s: 0.0,
        in_flight: 0,
        last_error: None,
    }
}

fn empty_journal() -> JournalStatus {
    JournalStatus {
        state: "ok".to_owned(),
        bytes: 1,
        bytes_max: 2,
        segments: 1,
        oldest_age_s: 0.0,
        durable_seq: 0,
        committed_seq: 0,
    }
}

async fn serve(environment: &'static str) -> Server {
    let config = Arc::new(config(environment));
    let shutdown = Shutdown::new();
    let metrics = Metrics::new(1);
    let journal = crate::journal::Stats::new(1 << 26, 1 << 28, std::time::Duration::from_secs(60));
    metrics.journal.set(Arc::new(journal)).unwrap();
    let pool = sql::pool(&config.database).unwrap();
    let hub = Hub::new(7);
    let (etl, journal) = (Reading::new(waiting), Reading::new(empty_journal));
    let counted = Arc::clone(&metrics);
    let accounts = Reading::new(move || counted.copy.accounts(|| 0));
    let context = Context::new(Parts {
        metrics: Arc::clone(&metrics),
        journal,
        etl: etl.clone(),
        accounts: accounts.clone(),
        driver: "epoll",
        pool: pool.clone(),
        fallback: None,
        health: Health::new(),
        coordination: Coordination::new(false),
        live: hub.clone(),
        federation: Arc::default(),
        ingest: Arc::new(Echo),
        assets: Assets::missing(),
        shutdown: shutdown.clone(),
        authorizer: Arc::new(Authorizer::new(&config)),
        limiter: Arc::new(RateLimiter::new(
            config.rate_limit,
            config.trusted_proxies.clone(),
            Sharing::OFF,
        )),
        config,
    });
    let (committed, receiver) = tokio::sync::mpsc::channel(4);
    let sources = Sources {
        committed: receiver,
        etl,
        accounts,
        pool,
    };
    tokio::spawn(live::run(hub.clone(), sources, shutdown.clone()));
    let (sender, receiver) = handoff::channel();
    let served = tokio::spawn(handoff::run(receiver, context));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, peer) = listener.accept().await.unwrap();
            // Like a core: some bytes are read before the connection is handed over.
            let mut first = vec![0; 5];
            let len = stream.read(&mut first).await.unwrap();
            first.truncate(len);
            let stream = stream.into_std().unwrap();
            sender
                .offer(Handoff {
                    stream,
                    read: first.into(),
                    peer,
                })
                .unwrap();
        }
    });
    Server {
        address,
        hub,
        shutdown,
        committed,
        served,
    }
}

/// One request on its own connection: head and body of the answer.
async fn ask(server: &Server, request: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let body = all.split_off(end);
    (String::from_utf8(all).unwrap().to_ascii_lowercase(), body)
}

async fn get(server: &Server, target: &str, fields: &str) -> (String, Vec<u8>) {
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n");
    ask(server, &request).await
}

fn error(body: &[u8]) -> ErrorBody {
    serde_json::from_slice(body).unwrap()
}

#[tokio::test]
async fn the_status_is_200_and_degraded_while_the_database_is_away() {
    let server = serve("prod").await;
    let (head, body) = get(&server, "/api/status", "").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    let status: Status = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (status.status.as_str(), status.redis.state.as_str()),
        ("degraded", "off")
    );
}

const REFUSALS: [(&str, u16, ErrorCode); 13] = [
    (
        "GET /api/nothing HTTP/1.1\r\nHost: a\r\n",
        404,
        ErrorCode::NotFound,
    ),
    (
        "DELETE /api/nodes HTTP/1.1\r\nHost: a\r\n",
        405,
        ErrorCode::MethodNotAllowed,
    ),
    (
        "GET /api/push HTTP/1.1\r\nHost: a\r\n",
        405,
        ErrorCode::MethodNotAllowed,
    ),
    (
        "BREW /api/nodes HTTP/1.1\r\nHost: a\r\n",
        501,
        ErrorCode::NotImplemented,
    ),
    (
        "GET /api/nodes HTTP/1.1\r\n",
        400,
        ErrorCode::MalformedBatch,
    ),
    (
        "GET /api/nodes HTTP/1.1\r\nHost: a\r\nHost: b\r\n",
        400,
        ErrorCode::MalformedBatch,
    ),
    (
        "GET /api/nodes/a%20b HTTP/1.1\r\nHost: a\r\n",
        422,
        ErrorCode::InvalidMetric,
    ),
    (
        "GET /api/nodes/nobody HTTP/1.1\r\nHost: a\r\n",
        404,
        ErrorCode::NotFound,
    ),
    (
        "GET /api/metrics?limit=5000 HTTP/1.1\r\nHost: a\r\n",
        422,
        ErrorCode::InvalidMetric,
    ),
    (
        "GET /api/metrics HTTP/1.1\r\nHost: a\r\n",
        503,
        ErrorCode::Overloaded,
    ),
    (
        "GET /a/../b HTTP/1.1\r\nHost: a\r\n",
        404,
        ErrorCode::NotFound,
    ),
    (
        "POST /api/push HTTP/1.1\r\nHost: a\r\nContent-Length: 10485761\r\n",
        413,
        ErrorCode::PayloadTooLarge,
    ),
    (
        "POST /api/push HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: tea\r\n",
        417,
        ErrorCode::ExpectationFailed,
    ),
];

#[tokio::test]
async fn refusals_have_the_frame_the_status_and_the_trace_id() {
    let server = serve("dev").await;
    for (request, status, code) in REFUSALS {
        let request = format!("{request}Connection: close\r\nX-Trace-ID: t-1\r\n\r\n");
        let (head, body) = ask(&server, &request).await;
        assert!(
            head.starts_with(&format!("http/1.1 {status}")),
            "{request}{head}"
        );
        assert!(head.contains("x-trace-id: t-1\r\n"), "{head}");
        assert_eq!(head.contains("\r\nallow: "), status == 405, "{head}");
        assert_eq!(head.contains("\r\nretry-after: "), status == 503, "{head}");
        let error = error(&body);
        assert_eq!(
            (error.code, error.trace_id.as_str()),
            (code, "t-1"),
            "{request}"
        );
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let server = serve("dev").await;
    for target in ["/api/status", "/", "/metrics", "/api/live"] {
        let request = format!("HEAD {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let (head, body) = ask(&server, &request).await;
        assert!(head.starts_with("http/1.1 200"), "{target}: {head}");
        assert!(body.is_empty(), "{target}");
    }
}

#[tokio::test]
async fn outside_development_queries_need_the_secret() {
    let server = serve("prod").await;
    let right = "Authorization: Bearer 0123456789abcdef0123456789abcdef\r\n";
    let wrong = "Authorization: Bearer 0123456789abcdef0123456789abcdee\r\n";
    for target in ["/api/nodes", "/metrics", "/api/live?last_event_id=x"] {
        for fields in ["", wrong] {
            let (head, body) = get(&server, target, fields).await;
            assert!(head.starts_with("http/1.1 401"), "{target}: {head}");
            assert_eq!(error(&body).code, ErrorCode::InvalidToken);
        }
    }
    assert!(
        get(&server, "/api/nodes", right)
            .await
            .0
            .starts_with("http/1.1 200")
    );
    assert!(get(&server, "/", "").await.0.starts_with("http/1.1 200"));
}

#[tokio::test]
async fn a_push_on_a_handed_over_connection_reaches_the_service() {
    let server = serve("prod").await;
    let chunked = "POST /api/ingest HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Trace-ID: t-2\r\n\
                   Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let (head, body) = ask(&server, chunked).await;
    assert!(head.starts_with("http/1.1 202"), "{head}");
    assert_eq!(String::from_utf8(body).unwrap(), "Ingest 5 t-2");
}

#[tokio::test]
async fn a_panic_is_500_with_a_trace_id_and_ends_only_its_connection() {
    let server = serve("prod").await;
    let request = "POST /api/push HTTP/1.1\r\nHost: a\r\nX-Trace-ID: t-3\r\nX-Panic: yes\r\n\r\n";
    let (head, body) = ask(&server, request).await;
    assert!(head.starts_with("http/1.1 500"), "{head}");
    assert!(head.contains("connection: close"), "{head}");
    let error = error(&body);
    assert_eq!(
        (error.code, error.message.as_str(), error.trace_id.as_str()),
        (ErrorCode::Internal, "internal error", "t-3")
    );
    let (head, _) = get(&server, "/api/status", "").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
}

#[tokio::test]
async fn the_scrape_is_valid_text() {
    let server = serve("dev").await;
    let (_, body) = get(&server, "/metrics", "").await;
    let text = String::from_utf8(body).unwrap();
    let judged = crate::admin::judge_exposition(&text);
    assert!(judged.is_ok_and(|samples| samples > 40), "{text}");
    assert!(
        text.lines()
            .all(|line| line.starts_with("fiber_") || line.starts_with("# "))
    );
}

#[tokio::test]
async fn the_description_is_open_and_tells_every_metric() {
    let server = serve("prod").await;
    let (head, body) = get(&server, "/api/openapi.json", "").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let told = document["paths"]["/metrics"]["get"]["x-metrics"].as_array();
    let told = told.unwrap().iter();
    let told: Vec<_> = told.map(|one| one["name"].as_str().unwrap()).collect();
    let secret = "Authorization: Bearer 0123456789abcdef0123456789abcdef\r\n";
    let (_, scrape) = get(&server, "/metrics", secret).await;
    let scrape = String::from_utf8(scrape).unwrap();
    let names = scrape
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    assert_eq!(told, names.collect::<Vec<_>>());
    let (head, page) = get(&server, "/api/docs", "").await;
    assert!(head.contains("content-security-policy: default-src 'none'"));
    assert!(String::from_utf8(page).unwrap().contains(told[0]));
}

/// The page is for those who have no engine at hand.
#[tokio::test]
async fn every_metric_is_on_its_page() {
    const PAGE: &str = include_str!("../../../deploy/METRICS.md");
    let server = serve("dev").await;
    let (_, scrape) = get(&server, "/metrics", "").await;
    let scrape = String::from_utf8(scrape).unwrap();
    let mut lines = scrape.lines();
    let mut expect = Vec::new();
    while let Some(line) = lines.next() {
        let Some((name, help)) = line
            .strip_prefix("# HELP ")
            .and_then(|rest| rest.split_once(' '))
        else {
            continue;
        };
        let kind = lines.next().unwrap().rsplit(' ').next().unwrap();
        expect.push(format!("| `{name}` | {kind} | {help} |"));
    }
    expect.sort_unstable();
    let told: Vec<&str> = PAGE
        .lines()
        .filter(|line| line.starts_with("| `fiber_"))
        .collect();
    let differ: Vec<_> = expect
        .iter()
        .map(String::as_str)
        .filter(|row| !told.contains(row))
        .collect();
    assert!(
        differ.is_empty(),
        "deploy/METRICS.md lacks:\n{}",
        differ.join("\n")
    );
    assert_eq!(
        told.len(),
        expect.len(),
        "deploy/METRICS.md has rows of nothing"
    );
}

#[tokio::test]
async fn a_heartbeat_needs_the_rights_of_a_probe() {
    let server = serve("prod").await;
    let body = r#"{"node_id":"a","active_target":"primary"}"#;
    for (secret, status) in [("", 401), ("e", 401), ("f", 200)] {
        let token = format!("0123456789abcdef0123456789abcde{secret}");
        let request = format!(
            "POST /api/probe/heartbeat HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
             Authorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let (head, _) = ask(&server, &request).await;
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{head}");
    }
}

/// Reads events until `count` came; (event, id, data).
async fn events(stream: &mut BufReader<TcpStream>, count: usize) -> Vec<(String, String, Bytes)> {
    let mut found = Vec::new();
    let mut text = Vec::new();
    while found.len() < count {
        text.push(stream.read_u8().await.unwrap());
        if !text.ends_with(b"\n\n") {
            continue;
        }
        let whole = String::from_utf8(std::mem::take(&mut text)).unwrap();
        let field = |name: &str| {
            whole
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap_or_default()
                .to_owned()
        };
        if whole.contains("event: ") {
            found.push((field("event: "), field("id: "), field("data: ").into()));
        }
    }
    found
}

async fn watch(server: &Server, last: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = format!("GET /api/live HTTP/1.1\r\nHost: a\r\nLast-Event-ID: {last}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    BufReader::new(stream)
}

fn committed(time_s: i64, latency_ms: f32) -> Committed {
    let registration = NodeRegistration {
        node_id: "accra-01".to_owned(),
        country: "GH".to_owned(),
        region: "Greater Accra".to_owned(),
        place: fiber_contract::sample::Metadata::default(),
        series_count: 1,
    };
    let sample = StoredSample {
        time: UnixMicros::from_secs(time_s),
        latency_ms: Some(latency_ms),
        uptime_pct: 100.0,
        packet_loss: 0.0,
    };
    let node = NodeSamples {
        node_key: NodeKey(1),
        registered: Some(Box::new(registration)),
        samples: vec![sample],
    };
    Committed {
        at: sample.time,
        nodes: vec![node],
        stored: 1,
        duplicate: 0,
        quarantined: 0,
    }
}

#[tokio::test]
async fn the_stream_starts_with_a_snapshot_and_resumes_without_a_hole() {
    let server = serve("dev").await;
    let mut stream = watch(&server, "").await;
    let first = events(&mut stream, 1).await;
    assert_eq!(first[0].0, "snapshot");
    let snapshot: LiveSnapshot = serde_json::from_slice(&first[0].2).unwrap();
    assert!(snapshot.nodes.is_empty());

    server.committed.send(committed(10, 1.0)).await.unwrap();
    let added = events(&mut stream, 1).await.remove(0);
    let change: LiveChange = serde_json::from_slice(&added.2).unwrap();
    assert_eq!(change.added[0].spark_ms, [Some(1.0)]);
    drop(stream);

    // Missed while away, each in its own tick.
    for (time_s, latency_ms) in [(20, 2.0), (30, 3.0)] {
        server
            .committed
            .send(committed(time_s, latency_ms))
            .await
            .unwrap();
        let seen = UnixMicros::from_secs(time_s);
        while server.hub.node("accra-01").unwrap().last_seen != Some(seen) {
            tokio::time::sleep(crate::limits::LIVE_TICK / 10).await;
        }
    }
    let mut stream = watch(&server, &added.1).await;
    let missed = events(&mut stream, 2).await;
    let sparks: Vec<_> = missed
        .iter()
        .map(|(_, _, data)| serde_json::from_slice::<LiveChange>(data).unwrap())
        .flat_map(|change| change.nodes[0].spark_ms.clone())
        .collect();
    assert_eq!(sparks, [Some(2.0), Some(3.0)]);

    let mut stream = watch(&server, "6-1").await;
    let again = events(&mut stream, 1).await.remove(0);
    assert_eq!(again.0, "snapshot", "an id of another run is no resume");
    let snapshot: LiveSnapshot = serde_json::from_slice(&again.2).unwrap();
    assert_eq!(
        snapshot.nodes[0].spark_ms,
        [Some(1.0), Some(2.0), Some(3.0)]
    );
}

#[tokio::test]
async fn the_end_closes_streams_and_idle_connections() {
    let server = serve("dev").await;
    let mut stream = watch(&server, "").await;
    events(&mut stream, 1).await;
    server.shutdown.ask();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "the stream ends in order");
    server.served.await.unwrap();
}
