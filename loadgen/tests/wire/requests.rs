//! What the fleet sends when it is asked for more than plain samples: signatures, keys, compressed
//! bodies, faults, a backlog.

use crate::hostile::{Answer, Server, accepted};
use fiber_contract::signature::{self, Message, SigningKey};
use fiber_contract::{Batch, Sample, hex};
use fiber_loadgen::fleet::{self, Config, Rate};
use fiber_loadgen::ledger::Outcome;
use fiber_loadgen::pace::Curve;
use fiber_loadgen::workload::faults::Faults;
use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::time::Duration;

fn config(server: &Server) -> Config {
    Config {
        url: server.url(),
        secret: "0123456789abcdef0123456789abcdef".to_owned(),
        probes: 4,
        rate: Rate::PerSecond(200.0),
        duration: Duration::from_millis(500),
        keep_ledger: true,
        ..Config::default()
    }
}

fn field<'a>(request: &'a str, name: &str) -> &'a str {
    let head = request.split("\r\n\r\n").next().unwrap();
    head.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        .unwrap_or_else(|| panic!("no {name} in {head}"))
}

fn body(request: &str) -> &str {
    request.split_once("\r\n\r\n").unwrap().1
}

#[test]
fn signed_pushes_verify_and_no_nonce_comes_twice() {
    for batch in [1, 5] {
        let server = Server::start(Vec::new());
        let config = Config {
            sign: true,
            batch,
            ..config(&server)
        };
        let key = SigningKey::new(&config.secret);
        let report = fleet::run(config).unwrap();
        assert_eq!(report.samples.acked, 100, "{report}");
        let mut nonces = HashSet::new();
        for request in server.requests() {
            let batch_id = if batch > 1 {
                field(&request, "X-Batch-ID")
            } else {
                ""
            };
            let nonce = field(&request, signature::NONCE_FIELD);
            let message = Message {
                batch_id: batch_id.as_bytes(),
                timestamp: field(&request, signature::TIMESTAMP_FIELD).as_bytes(),
                nonce: nonce.as_bytes(),
                body_sha256: &signature::body_sha256(body(&request).as_bytes()),
            };
            let signed = hex::decode_32(field(&request, signature::SIGNATURE_FIELD).as_bytes());
            assert!(key.verify(&message, &signed.unwrap()));
            assert!(nonces.insert(nonce.to_owned()));
        }
    }
}

#[test]
fn each_probe_uses_its_own_key() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    let lines: String = (1..=4)
        .map(|n| format!("fk1.0a.0.t-000{n}.{n}{n}\n"))
        .collect();
    std::fs::write(&keys, lines).unwrap();
    let server = Server::start(Vec::new());
    let with_keys = Config {
        keys_file: Some(keys.clone()),
        tag: Some("t".to_owned()),
        ..config(&server)
    };
    fleet::run(with_keys.clone()).unwrap();
    for request in server.requests() {
        let sample: Sample = serde_json::from_str(body(&request)).unwrap();
        let number = sample.node_id.chars().last().unwrap();
        let expect = format!("Bearer fk1.0a.0.{}.{number}{number}", sample.node_id);
        assert_eq!(field(&request, "Authorization"), expect);
    }
    let short = fleet::run(Config {
        probes: 5,
        ..with_keys
    })
    .unwrap_err();
    assert!(
        format!("{short:#}").contains("no key for t-0005"),
        "{short:#}"
    );
}

#[test]
fn a_token_is_read_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let jwt = folder.path().join("jwt");
    std::fs::write(&jwt, "aaa.bbb.ccc\n").unwrap();
    let server = Server::start(Vec::new());
    let with_token = Config {
        jwt_file: Some(jwt),
        ..config(&server)
    };
    fleet::run(with_token).unwrap();
    let requests = server.requests();
    assert!(
        requests
            .iter()
            .all(|r| field(r, "Authorization") == "Bearer aaa.bbb.ccc")
    );
}

/// The scripted server reads text, so this one is raw.
#[test]
fn compressed_bodies_are_gzip_of_the_same_json() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let run = std::thread::spawn(move || {
        fleet::run(Config {
            url,
            gzip: true,
            probes: 1,
            batch: 50,
            rate: Rate::PerSecond(500.0),
            duration: Duration::from_millis(100),
            retry_for: Duration::ZERO,
            ..Config::default()
        })
    });
    let (mut stream, _) = listener.accept().unwrap();
    let mut bytes = Vec::new();
    let (head, body) = loop {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).unwrap();
        bytes.extend_from_slice(&chunk[..read]);
        let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8(bytes[..end + 4].to_vec()).unwrap();
        let length: usize = field(&head, "Content-Length").parse().unwrap();
        if bytes.len() >= end + 4 + length {
            break (head, bytes.split_off(end + 4));
        }
    };
    drop((stream, listener));
    assert_eq!(field(&head, "Content-Encoding"), "gzip");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&body[..])
        .read_to_string(&mut text)
        .unwrap();
    let batch: Batch = serde_json::from_str(&text).unwrap();
    assert!(batch.metrics.len() == 50 && body.len() * 3 < text.len());
    assert_eq!(run.join().unwrap().unwrap().samples.unknown, 50);
}

/// Identities of all samples that the server saw, with how often.
fn seen(server: &Server) -> HashMap<(String, i64), u32> {
    let mut seen = HashMap::new();
    for request in server.requests() {
        let body: serde_json::Value = serde_json::from_str(body(&request)).unwrap();
        let one = [body.clone()];
        let samples = body["metrics"].as_array().map_or(&one[..], Vec::as_slice);
        for sample in samples {
            let Ok(sample) = serde_json::from_value::<Sample>(sample.clone()) else {
                continue;
            };
            *seen
                .entry((sample.node_id, sample.timestamp.0))
                .or_default() += 1;
        }
    }
    seen
}

#[test]
fn faults_reach_the_server_as_the_ledger_has_them() {
    for batch in [1, 10] {
        let server = Server::start(Vec::new());
        let faults = Faults {
            late: 0.1,
            duplicate: 0.1,
            reorder: 0.3,
            skew: 0.5,
            bad: 0.2,
        };
        let report = fleet::run(Config {
            faults,
            batch,
            rate: Rate::PerSecond(1_000.0),
            ..config(&server)
        })
        .unwrap();
        let planted = report.planted.unwrap();
        assert!(
            planted.late > 20 && planted.duplicate > 20 && planted.reordered > 50,
            "{planted:?}"
        );
        assert!(planted.bad > 50 && planted.skewed > 0, "{planted:?}");
        // This server takes everything: the report says so, and the outcome stays what it was.
        assert_eq!(planted.bad_accepted, planted.bad);
        let ledger = report.ledger.unwrap();
        assert_eq!(ledger.entries.len(), 500);
        assert_eq!(ledger.count(Outcome::Acked), 500);
        assert_eq!(
            ledger.entries.iter().filter(|e| e.is_bad()).count() as u64,
            planted.bad
        );
        let seen = seen(&server);
        let mut repeated = 0;
        for entry in ledger.entries.iter().filter(|entry| !entry.is_bad()) {
            let node = &ledger.series[entry.series() as usize].node_id;
            let count = seen[&(node.clone(), entry.time_us)];
            repeated += u64::from(count > 1);
        }
        assert!(repeated >= planted.duplicate, "{repeated} of {planted:?}");
    }
}

#[test]
fn a_single_bad_sample_that_is_refused_by_its_field_is_as_it_must_be() {
    let told = |field: &str| {
        let body = format!(
            r#"{{"status":"error","code":"INVALID_METRIC","message":"m","trace_id":"t","errors":[{{"index":0,"field":"{field}","reason":"r"}}]}}"#
        );
        let length = body.len();
        format!("HTTP/1.1 422 U\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let script = vec![Answer::text(&told("no such field")); 100];
    let server = Server::start(script);
    let report = fleet::run(Config {
        faults: Faults {
            bad: 1.0,
            ..Faults::default()
        },
        ..config(&server)
    })
    .unwrap();
    let planted = report.planted.unwrap();
    assert_eq!(
        (planted.bad, planted.bad_misnamed, planted.bad_refused),
        (100, 100, 0)
    );
    assert_eq!(
        report.samples.refused, 0,
        "what was to be refused is no refusal: {report}"
    );
    assert_eq!(report.ledger.unwrap().count(Outcome::Refused), 100);
}

#[test]
fn after_an_outage_the_probes_come_back_on_new_connections_with_one_body_each() {
    let server = Server::start(Vec::new());
    let report = fleet::run(Config {
        curve: Curve::Storm {
            at: Some(Duration::from_millis(500)),
            lasting: Some(Duration::from_millis(1_000)),
        },
        duration: Duration::from_secs(2),
        ..config(&server)
    })
    .unwrap();
    assert_eq!(report.samples.acked, 400, "{report}");
    assert_eq!(server.connections(), 8, "each probe connects again");
    let backlogs: Vec<_> = server
        .requests()
        .iter()
        .filter(|request| request.starts_with("POST /api/ingest "))
        .map(|request| {
            serde_json::from_str::<Batch>(body(request))
                .unwrap()
                .metrics
                .len()
        })
        .collect();
    assert_eq!(backlogs, [50; 4]);
    assert!(seen(&server).values().all(|count| *count == 1));
    // The samples of the outage were measured on time, a second before they could be sent; their
    // request was due when the outage ended.
    assert_eq!(report.requests.begun, 204);
}

#[test]
fn an_answer_that_accepts_is_enough_for_other_databases() {
    let server = Server::start(vec![Answer::text("HTTP/1.1 204 N\r\n\r\n"); 10]);
    let report = fleet::run(Config {
        url: format!("{}/write?db=x", server.url()),
        format: fleet::Format::Line,
        keep_ledger: false,
        batch: 10,
        ..config(&server)
    })
    .unwrap();
    assert_eq!(report.samples.acked, 100, "{report}");
    for request in server.requests() {
        assert!(
            request.starts_with("POST /write?db=x HTTP/1.1\r\n"),
            "{request}"
        );
        assert_eq!(body(&request).lines().count(), 10);
        assert!(
            body(&request)
                .lines()
                .all(|line| line.starts_with("fiber,node_id="))
        );
    }
    assert_eq!(accepted(1, 0, "[]").matches("202").count(), 1);
}
