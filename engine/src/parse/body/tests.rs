use super::*;
use crate::copy::row::Tuples;
use fiber_contract::ErrorCode;
use serde_json::{Value, json};

const PUSH: Limits = Limits {
    samples_max: 1_000,
    single_allowed: true,
};
const NOW: UnixMicros = UnixMicros(1_795_460_400_000_000);

fn sample() -> Value {
    json!({
        "node_id": "accra-01", "country": "GH", "region": "Greater Accra", "latency_ms": 12.5,
        "uptime_pct": 100, "packet_loss": 0, "timestamp": "2026-11-23T19:00:00Z",
    })
}

fn with(field: &str, value: Value) -> Value {
    let mut sample = sample();
    sample[field] = value;
    sample
}

fn without(field: &str) -> Value {
    let mut sample = sample();
    sample.as_object_mut().unwrap().remove(field);
    sample
}

fn parse_text(text: &str) -> Result<Parsed, Reject> {
    parse(
        &mut text.as_bytes().to_vec(),
        PUSH,
        NOW,
        &mut Scratch::default(),
    )
}

fn parse_value(value: &Value) -> Result<Parsed, Reject> {
    parse_text(&value.to_string())
}

#[test]
fn a_sample_becomes_its_tuple() {
    let parsed = parse_value(&sample()).unwrap();
    let row = Tuples::new(&parsed.tuples).next().unwrap().row;
    assert_eq!(
        (row.time, row.latency_ms, row.uptime_pct),
        (NOW, Some(12.5), 100.0)
    );
    let series = parsed.series();
    assert_eq!(series[0].node_id, "accra-01");
    assert_eq!(series[0].probe_type, "ping");
    assert_eq!(row.series_key, series[0].series_key);
}

#[test]
fn each_bad_field_is_named() {
    let cases = [
        ("node_id", without("node_id")),
        ("node_id", with("node_id", json!("a b"))),
        ("node_id", with("node_id", json!("x".repeat(65)))),
        ("node_id", with("node_id", json!(7))),
        ("country", without("country")),
        ("country", with("country", json!("gh"))),
        ("country", with("country", json!("GHA"))),
        ("region", without("region")),
        ("region", with("region", json!(""))),
        ("region", with("region", json!("a\u{0}b"))),
        ("latency_ms", without("latency_ms")),
        ("latency_ms", with("latency_ms", json!(null))),
        ("latency_ms", with("latency_ms", json!("12"))),
        ("latency_ms", with("latency_ms", json!(-0.1))),
        ("latency_ms", with("latency_ms", json!(10_000.1))),
        ("uptime_pct", without("uptime_pct")),
        ("uptime_pct", with("uptime_pct", json!(101))),
        ("packet_loss", without("packet_loss")),
        ("packet_loss", with("packet_loss", json!(true))),
        ("timestamp", without("timestamp")),
        ("timestamp", with("timestamp", json!("yesterday"))),
        ("timestamp", with("timestamp", json!(1_795_460_400))),
        (
            "timestamp",
            with("timestamp", json!("2026-11-23T19:05:01Z")),
        ),
        (
            "timestamp",
            with("timestamp", json!("2026-11-16T18:59:59Z")),
        ),
        ("target_host", with("target_host", json!("h".repeat(256)))),
        ("probe_type", with("probe_type", json!(""))),
        ("metadata", with("metadata", json!([1]))),
        ("metadata", with("metadata", json!({"a": "\u{0}"}))),
        (
            "metadata",
            with("metadata", json!({"a": "x".repeat(5_000)})),
        ),
        ("seq", with("seq", json!(-1))),
    ];
    for (field, body) in cases {
        // A body of 5,000 bytes would be refused for its size; as a batch it is refused for the field.
        let batch = json!({"node_id": "b", "metrics": [body]});
        let whole = if field == "node_id" { body } else { batch };
        let reject = parse_value(&whole).unwrap_err();
        assert_eq!(reject.code, ErrorCode::InvalidMetric, "{whole}");
        assert_eq!(reject.errors[0].field, field, "{whole}");
    }
}

#[test]
fn the_edges_of_each_range_are_in() {
    for body in [
        with("latency_ms", json!(0)),
        with("latency_ms", json!(10_000)),
        with("timestamp", json!("2026-11-23T19:05:00Z")),
        with("timestamp", json!("2026-11-16T19:00:00Z")),
        with("seq", json!(u64::MAX)),
        with("unknown", json!({"deep": [1, {"er": null}]})),
        with("_meta", json!(1)),
    ] {
        assert!(parse_value(&body).is_ok(), "{body}");
    }
}

#[test]
fn a_lost_round_has_no_latency() {
    let mut lost = with("latency_ms", json!(null));
    lost["packet_loss"] = json!(100);
    let parsed = parse_value(&lost).unwrap();
    assert_eq!(
        Tuples::new(&parsed.tuples).next().unwrap().row.latency_ms,
        None
    );
}

#[test]
fn broken_json_is_malformed() {
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let huge = sample().to_string().replace("12.5", "1e400");
    for text in [
        "",
        "{",
        "{}x",
        "nul",
        "{\"a\":NaN}",
        "{\"a\":01}",
        "{'a':1}",
        "\"\\ud800\"",
        &deep,
        &huge,
    ] {
        let reject = parse_text(text).unwrap_err();
        assert_eq!(reject.code, ErrorCode::MalformedBatch, "{text} {reject:?}");
    }
    let reject = parse(
        &mut b"{\"a\":\"\xff\"}".to_vec(),
        PUSH,
        NOW,
        &mut Scratch::default(),
    );
    assert_eq!(reject.unwrap_err().code, ErrorCode::MalformedBatch);
}

#[test]
fn json_of_another_shape_names_what_is_missing() {
    for (text, field) in [
        ("[]", "body"),
        ("7", "body"),
        ("{}", "node_id"),
        (r#"{"node_id":"a","metrics":[]}"#, "metrics"),
        (r#"{"node_id":"a","metrics":{}}"#, "metrics"),
        (r#"{"metrics":[{}]}"#, "node_id"),
        (r#"{"node_id":"a","metrics":[7]}"#, "metrics"),
    ] {
        let reject = parse_text(text).unwrap_err();
        assert_eq!(reject.code, ErrorCode::InvalidMetric, "{text}");
        assert_eq!(reject.errors[0].field, field, "{text}");
    }
}

#[test]
fn a_batch_is_taken_for_its_good_members() {
    let mut other = with("node_id", json!("lagos-01"));
    other["metadata"] = json!({"city": "Lagos", "lat": 6.5});
    let body = json!({"node_id": "hub", "metrics": [without("node_id"), with("country", json!("x")), other]});
    let parsed = parse_value(&body).unwrap();
    assert_eq!((parsed.queued, parsed.rows, parsed.rejected), (3, 2, 1));
    assert_eq!(parsed.errors[0].index, 1);
    let series = parsed.series();
    assert_eq!((series[0].node_id, series[1].node_id), ("hub", "lagos-01"));
    assert_eq!(series[1].place, r#"{"city":"Lagos","lat":6.5}"#);
}

#[test]
fn repeats_within_a_body_are_counted_in_any_order() {
    let at = |second: u32| with("timestamp", json!(format!("2026-11-23T18:59:{second:02}Z")));
    let body = json!({"node_id": "a", "metrics": [at(2), at(1), at(2), at(3), at(1)]});
    let parsed = parse_value(&body).unwrap();
    assert_eq!((parsed.rows, parsed.duplicates), (5, 2));
}

#[test]
fn more_samples_than_the_route_takes_are_too_large() {
    let body = json!({"node_id": "a", "metrics": vec![json!(1); 1_001]});
    assert_eq!(
        parse_value(&body).unwrap_err().code,
        ErrorCode::PayloadTooLarge
    );
}

/// Bytes of good bodies changed, taken away, doubled and cut, by seed: what serde_json calls no JSON is
/// refused as malformed, and nothing panics.
#[test]
fn what_another_parser_refuses_is_malformed() {
    use crate::testing::random::Random;
    const INTERESTING: &[u8] = b"{}[]\",:\\-+.eE0123456789ntf \x00\x1f\x7f\x80\xc3\xff/u";
    let (mut random, mut scratch) = (Random::new(20_261_124), Scratch::default());
    let batch = json!({"node_id": "hub", "metrics": [sample(), with("metadata", json!({"a": [1, "\u{e9}"]}))]});
    let good = [sample().to_string(), batch.to_string()];
    let (mut refused, mut taken) = (0, 0);
    for round in 0..20_000 {
        let mut body = good[random.below(good.len())].clone().into_bytes();
        for _ in 0..1 + random.below(3) {
            let at = random.below(body.len());
            let byte = INTERESTING[random.below(INTERESTING.len())];
            match random.below(5) {
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                2 => drop(body.remove(at)),
                3 => body[at] ^= 1 << random.below(8),
                _ => body.truncate(at.max(8)),
            }
        }
        let sent = body.clone();
        let is_json = serde_json::from_slice::<Value>(&sent).is_ok();
        let malformed = match parse(&mut body, PUSH, NOW, &mut scratch) {
            Ok(_) => false,
            Err(reject) => reject.code == ErrorCode::MalformedBatch,
        };
        assert!(
            is_json || malformed,
            "round {round}: no JSON, and not refused as such: {:?}",
            String::from_utf8_lossy(&sent)
        );
        refused += u32::from(!is_json);
        taken += u32::from(is_json && !malformed);
    }
    assert!(refused > 5_000 && taken > 500, "{refused} {taken}");
}
