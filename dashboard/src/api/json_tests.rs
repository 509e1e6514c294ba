use fiber_contract::access::{IssuedKey, KeyView, Me, Role, UserView};
use fiber_contract::account::{LedgerAnswer, LedgerCounts, LedgerNow, LedgerRow, Receipt, Refusal};
use fiber_contract::live::{LiveChange, LiveSnapshot, LiveTotals, NodeChange};
use fiber_contract::query::{Answer, Gap, Meta, SeriesAnswer, SeriesPoint, StepSketch};
use fiber_contract::status::{Component, EtlStatus, JournalStatus, Status};
use fiber_contract::summary::{FederationStatus, ProbeTarget, TargetState};
use fiber_contract::{NodeState, NodeView};
use serde::Serialize;

use super::*;

/// What the engine writes is read back as it was.
fn check<T: Read + Serialize + PartialEq + std::fmt::Debug>(value: &T) {
    let text = serde_json::to_string(value).unwrap();
    assert_eq!(from_text::<T>(&text).as_ref(), Ok(value), "{text}");
}

fn at(secs: i64) -> UnixMicros {
    UnixMicros(secs * 1_000_000 + 123_456)
}

fn node() -> NodeView {
    NodeView {
        node_id: "lagos-01".to_owned(),
        country: "NG".to_owned(),
        region: "Lagos \"Mainland\" \\ ö \u{1f600} \u{1}\n".to_owned(),
        city: None,
        lat: Some(6.524_379_3),
        lng: Some(-0.000_001_25),
        tags: vec!["fibre".to_owned(), String::new()],
        state: NodeState::Degraded,
        first_seen: None,
        last_seen: Some(at(1_795_460_400)),
        interval_s: 10.0,
        latency_ms: Some(42.531_25),
        uptime_pct: Some(99.999_99),
        packet_loss: Some(1.0e-7),
        p50_ms: Some(f32::MAX),
        p95_ms: None,
        spark_ms: vec![Some(1.5), None],
        strip: vec![NodeState::Up, NodeState::Down, NodeState::Unobserved],
        targets: 3,
    }
}

#[test]
fn the_live_stream_is_read_as_it_was_written() {
    let totals = LiveTotals {
        received: u64::MAX,
        stored: 9_007_199_254_740_993,
        duplicate: 1,
        quarantined: 2,
        in_flight: 3,
        rate_per_s: 1234.5,
        lag_s: 0.25,
    };
    check(&LiveSnapshot {
        now: at(5),
        nodes: vec![node(), node()],
        totals,
    });
    check(&LiveChange {
        now: at(6),
        nodes: vec![NodeChange {
            node_id: "a".to_owned(),
            state: NodeState::Up,
            last_seen: None,
            latency_ms: None,
            uptime_pct: Some(100.0),
            packet_loss: Some(0.0),
            p50_ms: None,
            p95_ms: Some(3.25),
            spark_ms: vec![None],
            strip: Vec::new(),
        }],
        added: vec![node()],
        removed: vec!["b".to_owned()],
        totals,
    });
}

#[test]
fn a_series_is_read_as_it_was_written() {
    let point = SeriesPoint {
        t: at(60),
        count: 12,
        min: Some(1.0),
        avg: None,
        p50: Some(2.125),
        p90: Some(3.0e9),
        p95: None,
        p99: Some(0.1),
        max: Some(0.3),
        loss: 0.0,
        uptime: 99.5,
    };
    let mut answer = Answer {
        status: "ok".to_owned(),
        data: SeriesAnswer {
            from: at(0),
            to: at(3_600),
            step_s: 60,
            points: vec![point],
            gaps: vec![Gap {
                from: at(1),
                to: at(2),
                reason: "no samples".to_owned(),
            }],
            sketches: Vec::new(),
        },
        meta: Meta {
            source: "rollup_1m".to_owned(),
            next_cursor: None,
        },
    };
    check(&answer);
    answer.data.sketches.push(StepSketch {
        t: at(60),
        bins: vec![(1.5, 3), (99.25, u64::MAX)],
    });
    answer.meta.next_cursor = Some("x".to_owned());
    check(&answer);
}

#[test]
fn the_account_is_read_as_it_was_written() {
    let counts = LedgerCounts {
        received: 1,
        stored: 2,
        duplicate: 3,
        quarantined: 4,
    };
    check(&LedgerAnswer {
        from: at(0),
        to: at(1),
        totals: counts,
        rows: vec![LedgerRow {
            node_id: "a".to_owned(),
            hour: at(0),
            counts,
        }],
        refused: vec![Refusal {
            hour: at(0),
            reason: "RATE_LIMITED".to_owned(),
            requests: 1,
            samples: 0,
        }],
        now: LedgerNow::default(),
    });
    check(&Receipt {
        batch_id: "b".to_owned(),
        state: "durable".to_owned(),
        source_region: None,
        received_at: Some(at(3)),
        committed_at: None,
        accepted: 1,
        rejected: 2,
        journal_id: Some("j".to_owned()),
        group_seq: Some(7),
        body_sha256: "00".to_owned(),
        trace_id: None,
    });
}

#[test]
fn the_status_is_read_as_it_was_written() {
    let part = |detail: Option<&str>| Component {
        state: "up".to_owned(),
        detail: detail.map(str::to_owned),
    };
    check(&Status {
        status: "ok".to_owned(),
        version: "0".to_owned(),
        environment: "e".to_owned(),
        role: "r".to_owned(),
        instance: "i".to_owned(),
        uptime_s: 1.5,
        api: part(None),
        database: part(Some("17 ms")),
        redis: part(None),
        search: part(None),
        journal: JournalStatus {
            state: "open".to_owned(),
            bytes: 1,
            bytes_max: 2,
            segments: 3,
            oldest_age_s: 0.0,
            durable_seq: 4,
            committed_seq: 5,
        },
        etl: EtlStatus {
            state: "running".to_owned(),
            lag_s: 0.125,
            in_flight: 0,
            last_error: Some("x".to_owned()),
        },
        rate_limit_policy: "p".to_owned(),
        driver: "epoll".to_owned(),
        ingest_cores: 1,
    });
    let probe = |state| ProbeTarget {
        node_id: "a".to_owned(),
        state,
        active_target: None,
        reported_at: Some(at(9)),
    };
    check(&FederationStatus {
        primary: 1,
        failover: 1,
        degraded: 1,
        unknown: 1,
        probes: [
            TargetState::Primary,
            TargetState::Failover,
            TargetState::Degraded,
            TargetState::Unknown,
        ]
        .map(probe)
        .to_vec(),
    });
}

#[test]
fn a_field_that_is_missing_or_wrong_is_named() {
    for (text, name) in [
        (
            r#"{"from":"x","to":"2026-01-01T00:00:00Z","reason":"r"}"#,
            "from",
        ),
        (r#"{"from":"2026-01-01T00:00:00Z","reason":"r"}"#, "to"),
        (r#"[]"#, "from"),
    ] {
        assert_eq!(from_text::<Gap>(text), Err(Bad(name)), "{text}");
    }
    for text in ["-1", "1.5", "18446744073709551616", "\"1\"", "null"] {
        assert!(from_text::<u64>(text).is_err(), "{text}");
    }
}

#[test]
fn floats_are_exact_where_the_engine_writes_them() {
    let mut bits = 1_u32;
    for _ in 0..20_000 {
        // Every 200,003rd float, from the smallest to the largest.
        bits = bits.wrapping_add(200_003);
        let value = f32::from_bits(bits);
        if value.is_finite() {
            let text = serde_json::to_string(&value).unwrap();
            let near = from_text::<f32>(&text).unwrap();
            assert!((near - value).abs() <= value.abs() * 1e-6, "{text} {near}");
            if value.abs() > 1e-6 && value.abs() < 1e9 {
                assert_eq!(near, value, "{text}");
            }
        }
    }
}

#[test]
fn what_is_not_json_is_refused_and_never_a_panic() {
    for text in [
        "",
        " ",
        "{",
        "}",
        "[1,]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "nul",
        "+1",
        ".5",
        "1.",
        "1e",
        "--1",
        "1-1",
        "\"",
        "\"\\",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\q\"",
        "\"\n\"",
        "[1]x",
        "\u{feff}1",
        "\"\\u00e\u{e9}\"",
        "tru\u{e9}",
    ] {
        assert_eq!(Json::parse(text), Err(SYNTAX), "{text}");
    }
    let deep = "[".repeat(10_000);
    assert_eq!(Json::parse(&deep), Err(SYNTAX));
    let text = serde_json::to_string(&node()).unwrap();
    for cut in (0..text.len()).filter(|at| text.is_char_boundary(*at)) {
        assert!(from_text::<NodeView>(&text[..cut]).is_err(), "{cut}");
    }
    assert_eq!(from_text::<f64>("1e999").unwrap(), f64::INFINITY);
    assert_eq!(from_text::<f64>("0e-999").unwrap(), 0.0);
}

#[test]
fn people_and_keys_are_read() {
    for role in [Role::Viewer, Role::Operator, Role::Admin] {
        check(&Me {
            name: "ama".to_owned(),
            role,
            anonymous: false,
        });
        check(&UserView {
            name: "kofi \"k\"".to_owned(),
            role,
            created_at: at(1),
            last_login_at: None,
            disabled: true,
        });
    }
    let view = KeyView {
        key_id: "0190".to_owned(),
        node_id: "accra-01".to_owned(),
        created_at: at(1),
        expires_at: Some(at(2)),
        revoked_at: None,
    };
    check(&view);
    let issued = IssuedKey {
        view,
        key: "fk_x".to_owned(),
    };
    let text = serde_json::to_string(&issued).unwrap();
    let read: IssuedKey = from_text(&text).unwrap();
    assert_eq!((read.view, read.key), (issued.view, issued.key));
    assert_eq!(from_text::<Role>("\"OWNER\""), Err(Bad("a role")));
}
