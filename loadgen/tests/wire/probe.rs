//! Measuring real listeners, and delivering through refusals and outages.

use crate::hostile::{Answer, Server, accepted};
use clap::Parser;
use fiber_contract::Batch;
use fiber_loadgen::client::TlsRoots;
use fiber_loadgen::probe::config::Flags;
use fiber_loadgen::probe::deliver::Courier;
use fiber_loadgen::probe::measure::{Round, round};
use fiber_loadgen::probe::target::Target;
use fiber_loadgen::probe::{self, Config, Store};
use fiber_loadgen::spool::{Limits, Spool};
use fiber_loadgen::stack_env::StackEnv;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

async fn measure(target: &str, packets: u32) -> Round {
    let tls = TlsRoots::new(None).unwrap();
    let (spacing, limit) = (Duration::from_millis(10), Duration::from_millis(500));
    round(
        &Target::parse(target).unwrap(),
        &tls,
        packets,
        spacing,
        limit,
    )
    .await
}

#[tokio::test]
async fn a_listening_port_answers_and_a_closed_one_is_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("tcp://{}", listener.local_addr().unwrap());
    let up = measure(&target, 5).await;
    assert_eq!(
        (up.answered(), up.packet_loss(), up.uptime_pct()),
        (5, 0.0, 100.0)
    );
    assert!(up.latency_ms().is_some_and(|ms| ms > 0.0 && ms < 500.0));
    drop(listener);
    let down = measure(&target, 5).await;
    assert_eq!(
        (down.latency_ms(), down.packet_loss(), down.uptime_pct()),
        (None, 100.0, 0.0)
    );
    assert!(down.failure().unwrap().contains("refused"), "{down:?}");
    let nameless = measure("tcp://no-such-host.invalid:1", 2).await;
    assert_eq!((nameless.packets(), nameless.packet_loss()), (2, 100.0));
}

#[tokio::test]
async fn http_counts_server_errors_as_lost_and_waits_for_the_first_byte() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let bad = "HTTP/1.1 500 E\r\nContent-Length: 0\r\n\r\n";
    let not_found = "HTTP/1.1 404 N\r\nContent-Length: 0\r\n\r\n";
    let late = Answer::Late(Duration::from_millis(120), bad.replace("500 E", "200 OK"));
    let server = Server::start(vec![
        Answer::text(bad),
        late,
        Answer::text(not_found),
        Answer::text(ok),
    ]);
    let got = measure(&server.url(), 4).await;
    assert_eq!(
        (got.packets(), got.answered(), got.packet_loss()),
        (4, 3, 25.0),
        "{got:?}"
    );
    assert!(got.max_ms().is_some_and(|ms| ms >= 120.0), "{got:?}");
    assert_eq!(got.failure(), Some("status 500"));
    assert!(
        server
            .requests()
            .iter()
            .all(|request| request.starts_with("HEAD / HTTP/1.1\r\n"))
    );
    assert_eq!(
        server.connections(),
        1,
        "the connection is kept for the round"
    );
}

#[tokio::test]
async fn a_server_without_head_is_measured_with_get() {
    let refuse = "HTTP/1.1 405 M\r\nContent-Length: 0\r\n\r\n";
    let server = Server::start(vec![Answer::text(refuse)]);
    let got = measure(&server.url(), 3).await;
    assert_eq!(got.answered(), 3);
    let methods: Vec<_> = server
        .requests()
        .iter()
        .map(|r| r[..4].to_owned())
        .collect();
    assert_eq!(methods, ["HEAD", "GET ", "GET ", "GET "]);
}

/// Either the kernel lets us ping, and loopback answers, or the reason is named.
#[tokio::test]
async fn icmp_answers_or_says_why_it_may_not() {
    let got = measure("icmp://127.0.0.1", 3).await;
    if got.answered() == 0 {
        assert!(
            got.failure().unwrap().contains("ping_group_range"),
            "{got:?}"
        );
    } else {
        assert_eq!((got.answered(), got.uptime_pct()), (3, 100.0), "{got:?}");
    }
}

fn config(urls: &[String], spool: &Path) -> Config {
    let mut flags: Vec<String> = [
        "fiber-probe",
        "--secret",
        "s3cret",
        "--node-id",
        "p1",
        "--country",
        "GH",
        "--region",
        "Accra",
        "--city",
        "Accra",
        "--lat",
        "5.6",
        "--lng",
        "-0.2",
        "--target",
        "tcp://127.0.0.1:9",
        "--interval",
        "1s",
        "--timeout",
        "300ms",
        "--packets",
        "2",
        "--spool",
    ]
    .map(str::to_owned)
    .into();
    flags.push(spool.display().to_string());
    for url in urls {
        flags.extend(["--url".to_owned(), url.clone()]);
    }
    Flags::try_parse_from(flags)
        .unwrap()
        .check(&StackEnv::default())
        .unwrap()
}

/// Samples numbered in `latency_ms`, delivered until the spool is empty.
async fn deliver(urls: &[String], samples: u32) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    let config = config(urls, &path);
    let (mut spool, _) = Spool::open(&path, Limits::default()).unwrap();
    for n in 0..samples {
        let json = sample_json(n);
        spool
            .append(fiber_contract::UnixMicros::now(), json.as_bytes())
            .unwrap();
    }
    let store = Arc::new(Store::new(spool));
    let (stopper, stop) = watch::channel(false);
    let tls = TlsRoots::new(None).unwrap();
    let courier = Courier::new(&config, tls, Arc::clone(&store), stop).unwrap();
    let running = tokio::spawn(courier.run());
    for _ in 0..400 {
        if store.with(|spool| spool.waiting()) == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    stopper.send(true).unwrap();
    running.await.unwrap();
    store.with(|spool| spool.waiting())
}

fn sample_json(n: u32) -> String {
    format!(
        "{{\"node_id\":\"p1\",\"country\":\"GH\",\"region\":\"Accra\",\"latency_ms\":{n},\
         \"uptime_pct\":100,\"packet_loss\":0,\"timestamp\":\"2026-11-23T20:00:00.{n:06}Z\"}}"
    )
}

/// (batch id, numbers of the samples) of every request.
fn received(server: &Server) -> Vec<(String, Vec<u32>)> {
    let parse = |request: &String| {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /api/ingest HTTP/1.1") && head.contains("Bearer s3cret"));
        let id = head
            .lines()
            .find_map(|line| line.strip_prefix("X-Batch-ID: "))
            .unwrap();
        let batch: Batch = serde_json::from_str(body).unwrap();
        assert_eq!(batch.node_id, "p1");
        (
            id.to_owned(),
            batch
                .metrics
                .iter()
                .map(|s| s.latency_ms.unwrap() as u32)
                .collect(),
        )
    };
    server.requests().iter().map(parse).collect()
}

#[tokio::test]
async fn a_batch_is_repeated_unchanged_until_it_is_accepted() {
    let busy = "HTTP/1.1 503 S\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n";
    let server = Server::start(vec![
        Answer::text(busy),
        Answer::Hangup(""),
        Answer::text(busy),
    ]);
    assert_eq!(deliver(&[server.url()], 3).await, 0);
    let got = received(&server);
    assert_eq!(got.len(), 4);
    assert!(got.iter().all(|request| *request == got[0]), "{got:?}");
    assert_eq!(got[0].1, [0, 1, 2]);
}

#[tokio::test]
async fn named_samples_are_dropped_and_the_others_delivered_under_a_new_id() {
    let refusal = r#"{"status":"error","code":"INVALID_METRIC","message":"m","trace_id":"t",
        "errors":[{"index":1,"field":"f","reason":"r"},{"index":3,"field":"f","reason":"r"}]}"#;
    let refusal = format!(
        "HTTP/1.1 422 U\r\nContent-Length: {}\r\n\r\n{refusal}",
        refusal.len()
    );
    let server = Server::start(vec![Answer::text(&refusal)]);
    assert_eq!(deliver(&[server.url()], 5).await, 0);
    let got = received(&server);
    assert_eq!(
        got.iter().map(|(_, n)| n.clone()).collect::<Vec<_>>(),
        [vec![0, 1, 2, 3, 4], vec![0, 2, 4]]
    );
    assert_ne!(got[0].0, got[1].0);
}

#[tokio::test]
async fn an_unnamed_bad_sample_is_found_by_halving_and_only_it_is_lost() {
    // The script refuses whatever holds sample 2: 0-4, then 0-1 passes, 2-4, 2, then 3-4 passes.
    let bad = || Answer::text("HTTP/1.1 400 B\r\nContent-Length: 0\r\n\r\n");
    let good = |n| Answer::text(&accepted(n, 0, "[]"));
    let server = Server::start(vec![bad(), good(2), bad(), bad(), good(2)]);
    assert_eq!(deliver(&[server.url()], 5).await, 0);
    let numbers: Vec<_> = received(&server)
        .into_iter()
        .map(|(_, numbers)| numbers)
        .collect();
    assert_eq!(
        numbers,
        [
            vec![0, 1, 2, 3, 4],
            vec![0, 1],
            vec![2, 3, 4],
            vec![2],
            vec![3, 4]
        ]
    );
}

#[tokio::test]
async fn a_dead_region_is_left_for_central_with_the_same_batch() {
    let central = Server::start(Vec::new());
    assert_eq!(deliver(&[Server::closed_port(), central.url()], 4).await, 0);
    let got = received(&central);
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].1, [0, 1, 2, 3]);
}

#[tokio::test]
async fn a_backlog_goes_in_batches_of_a_thousand_oldest_first() {
    let server = Server::start(Vec::new());
    assert_eq!(deliver(&[server.url()], 2_500).await, 0);
    let got = received(&server);
    assert_eq!(
        got.iter().map(|(_, n)| n.len()).collect::<Vec<_>>(),
        [1_000, 1_000, 500]
    );
    let all: Vec<_> = got.into_iter().flat_map(|(_, numbers)| numbers).collect();
    assert!(all.iter().copied().eq(0..2_500));
}

#[tokio::test]
async fn once_measures_sends_and_tells() {
    let server = Server::start(Vec::new());
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config(
        &[Server::closed_port(), server.url()],
        &folder.path().join("s"),
    );
    config
        .targets
        .push(Target::parse(&format!("tcp://{}", listener.local_addr().unwrap())).unwrap());
    let once = probe::once(&config).await.unwrap();
    assert!(once.accepted(), "{once}");
    assert_eq!(once.sent_to.to_string(), server.url());
    let body = server.requests()[0]
        .split_once("\r\n\r\n")
        .unwrap()
        .1
        .to_owned();
    let batch: Batch = serde_json::from_str(&body).unwrap();
    let [closed, open] = &batch.metrics[..] else {
        panic!("{body}")
    };
    assert_eq!(
        (closed.latency_ms, closed.packet_loss, closed.uptime_pct),
        (None, 100.0, 0.0)
    );
    assert_eq!((open.packet_loss, open.uptime_pct), (0.0, 100.0));
    assert_eq!(open.probe_type.as_deref(), Some("tcp"));
    let metadata = open.metadata.as_ref().unwrap();
    assert_eq!(
        (metadata.city.as_deref(), metadata.lng, metadata.interval_s),
        (Some("Accra"), Some(-0.2), Some(1.0))
    );
    assert!(once.to_string().contains("100 %"));
}
