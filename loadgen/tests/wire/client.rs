//! The client and the fleet against servers that misbehave on purpose.
//!
//! The servers here are written byte by byte: the real engine never answers like this.

use crate::hostile::{Answer, Server, accepted};
use fiber_loadgen::client::{Connection, Error, Limits, TlsRoots, Url};
use fiber_loadgen::fleet::{self, Config, Rate};
use fiber_loadgen::ledger::Outcome;
use std::time::Duration;

fn limits() -> Limits {
    Limits {
        exchange: Duration::from_millis(400),
        ..Limits::default()
    }
}

/// What one exchange with this script gives: status and body, or the kind of error.
async fn exchange(script: Vec<Answer>) -> Result<(u16, Vec<u8>, bool), Error> {
    let server = Server::start(script);
    let url = Url::parse(&server.url()).unwrap();
    let mut connection = Connection::open(&url, &TlsRoots::new(None).unwrap(), limits()).await?;
    let request = b"POST /api/push HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}";
    let answer = connection.exchange(request).await?;
    let (status, body) = (answer.status, answer.body.to_vec());
    Ok((status, body, connection.reusable()))
}

#[tokio::test]
async fn an_answer_split_at_every_byte_is_one_answer() {
    let text = "HTTP/1.1 202 Accepted\r\nContent-Length: 4\r\n\r\nbody";
    for cut in 1..text.len() {
        let (head, tail) = text.split_at(cut);
        let got = exchange(vec![Answer::Parts(vec![head.into(), tail.into()])])
            .await
            .unwrap();
        assert_eq!(got, (202, b"body".to_vec(), true), "cut at {cut}");
    }
}

#[tokio::test]
async fn chunked_answers_with_extensions_and_trailers_are_joined() {
    let text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                3;a=b\r\nabc\r\n1\r\nd\r\n0\r\nX: y\r\n\r\n";
    let bytes: Vec<String> = text.chars().map(String::from).collect();
    for parts in [vec![text.to_owned()], bytes] {
        let got = exchange(vec![Answer::Parts(parts)]).await.unwrap();
        assert_eq!(got, (200, b"abcd".to_vec(), true));
    }
}

#[tokio::test]
async fn interim_answers_are_skipped() {
    let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 A\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(
        exchange(vec![Answer::text(text)]).await.unwrap(),
        (202, Vec::new(), true)
    );
}

#[tokio::test]
async fn a_broken_answer_is_an_error_of_its_kind() {
    for (answer, kind) in [
        (Answer::Hangup(""), "connection lost"),
        (
            Answer::Hangup("HTTP/1.1 202 A\r\nContent-"),
            "connection lost",
        ),
        (
            Answer::Hangup("HTTP/1.1 202 A\r\nContent-Length: 9\r\n\r\nhalf"),
            "connection lost",
        ),
        (Answer::Silence, "timeout"),
        (
            Answer::text("HTTP/1.1 202 A\r\nContent-Length: 9\r\n\r\nhalf"),
            "timeout",
        ),
        (Answer::text("SSH-2.0-OpenSSH\r\n\r\n"), "protocol"),
        (
            Answer::text("HTTP/1.1 202 A\r\nContent-Length: 2\r\n\r\nmore"),
            "protocol",
        ),
        (
            Answer::text("HTTP/1.1 202 A\r\nContent-Length: 2\r\nContent-Length: 4\r\n\r\nmore"),
            "protocol",
        ),
    ] {
        let shown = format!("{answer:?}");
        let error = exchange(vec![answer]).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{shown}");
        assert!(error.maybe_processed(), "{shown}");
    }
}

#[tokio::test]
async fn a_refused_connection_never_reached_the_server() {
    let url = Url::parse(&Server::closed_port()).unwrap();
    let error = Connection::open(&url, &TlsRoots::new(None).unwrap(), limits())
        .await
        .unwrap_err();
    assert_eq!((error.kind(), error.maybe_processed()), ("connect", false));
}

fn one_probe(server: &Server, samples: u32) -> Config {
    Config {
        url: server.url(),
        probes: 1,
        rate: Rate::PerSecond(100.0),
        duration: Duration::from_millis(u64::from(samples) * 10),
        request_timeout: Duration::from_millis(300),
        retry_for: Duration::from_secs(3),
        keep_ledger: true,
        ..Config::default()
    }
}

#[test]
fn after_503_the_same_request_is_sent_again_and_acked() {
    let busy = "HTTP/1.1 503 S\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n";
    let server = Server::start(vec![
        Answer::text(busy),
        Answer::text(&accepted(5, 0, "[]")),
    ]);
    let report = fleet::run(Config {
        batch: 5,
        ..one_probe(&server, 5)
    })
    .unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0], requests[1], "body and batch id stay");
    assert!(requests[0].contains("X-Batch-ID: "));
    assert_eq!((report.samples.acked, report.requests.retries), (5, 1));
    assert_eq!(report.answers.get(&503), Some(&1));
    assert_eq!(report.ledger.unwrap().count(Outcome::Acked), 5);
}

#[test]
fn a_lost_answer_leaves_the_sample_unknown_even_if_a_later_try_is_refused() {
    let refusal = "HTTP/1.1 422 U\r\nContent-Length: 0\r\n\r\n";
    let server = Server::start(vec![Answer::Hangup(""), Answer::text(refusal)]);
    let report = fleet::run(one_probe(&server, 1)).unwrap();
    assert_eq!((report.samples.unknown, report.samples.refused), (1, 0));

    let server = Server::start(vec![Answer::text(refusal)]);
    let report = fleet::run(one_probe(&server, 1)).unwrap();
    assert_eq!((report.samples.unknown, report.samples.refused), (0, 1));
}

#[test]
fn members_that_an_accepted_batch_names_are_refused_alone() {
    let errors =
        r#"[{"index":1,"field":"latency_ms","reason":"r"},{"index":3,"field":"x","reason":"r"}]"#;
    let server = Server::start(vec![Answer::text(&accepted(3, 2, errors))]);
    let report = fleet::run(Config {
        batch: 5,
        ..one_probe(&server, 5)
    })
    .unwrap();
    let outcomes: Vec<_> = report
        .ledger
        .unwrap()
        .entries
        .iter()
        .map(|entry| entry.outcome())
        .collect();
    use Outcome::{Acked, Refused};
    assert_eq!(outcomes, [Acked, Refused, Acked, Refused, Acked]);
    assert_eq!((report.samples.acked, report.samples.refused), (3, 2));
}

#[test]
fn a_202_that_says_nothing_readable_is_no_ack() {
    let server = Server::start(vec![Answer::text(
        "HTTP/1.1 202 A\r\nContent-Length: 2\r\n\r\nok",
    )]);
    let report = fleet::run(one_probe(&server, 1)).unwrap();
    assert_eq!((report.samples.acked, report.samples.unknown), (0, 1));
}

#[test]
fn a_stalled_server_shows_in_the_latencies_from_the_scheduled_moment() {
    // A hundred sends at 100/s; the server stops for 600 ms at its fifth answer.
    let mut script = vec![Answer::text(&accepted(1, 0, "[]")); 4];
    script.push(Answer::Late(
        Duration::from_millis(600),
        accepted(1, 0, "[]"),
    ));
    let server = Server::start(script);
    let config = Config {
        request_timeout: Duration::from_secs(5),
        ..one_probe(&server, 100)
    };
    let report = fleet::run(config).unwrap();
    assert_eq!(report.samples.acked, 100, "{report}");
    // Sixty sends fell into the stall and waited 600 ms down to 0: the 90th percentile of a
    // hundred is some 500 ms. From their sending, ninety-nine of them look fast.
    assert!(report.latency_ms.p90 > 350.0, "{report}");
    assert!(report.service_ms.p90 < 200.0, "{report}");
    assert!(
        report.latency_ms.max >= 590.0 && report.requests.behind_schedule > 20,
        "{report}"
    );
    assert!(
        report.generator.late_share < 0.5,
        "the server was the reason: {report}"
    );
}

#[test]
fn a_run_can_be_stopped_and_says_what_it_left_out() {
    let server = Server::start(Vec::new());
    let run = fleet::start(Config {
        duration: Duration::from_secs(600),
        ..one_probe(&server, 1)
    });
    let run = run.unwrap();
    while run.progress().acked_samples < 5 {
        std::thread::park_timeout(Duration::from_millis(20));
    }
    run.stop();
    let report = run.wait().unwrap();
    let samples = report.samples;
    assert_eq!(samples.intended, Some(60_000));
    assert_eq!(
        samples.acked + samples.refused + samples.unknown + samples.unsent,
        60_000
    );
    assert!(samples.acked >= 5 && samples.unsent > 50_000, "{report}");
}
