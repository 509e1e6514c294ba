//! Bodies, mutated, beside another reader of JSON.

use super::{Limits, Scratch, parse};
use crate::copy::row::Tuples;
use crate::testing::fuzz;
use fiber_contract::UnixMicros;

#[test]
fn a_body_is_refused_or_is_json_and_its_samples_are_counted() {
    let sample = r#"{"node_id":"accra-01","country":"GH","region":"Greater Accra","latency_ms":12.5,"uptime_pct":100,"packet_loss":0,"timestamp":"2026-11-23T19:00:00.5Z","metadata":{"lat":5.6,"tags":["a"]},"probe_type":"tcp"}"#;
    let seeds = [
        sample.as_bytes().to_vec(),
        format!(r#"{{"node_id":"hub","metrics":[{sample},{sample}]}}"#).into_bytes(),
        format!(r#" {{ "node_id" : "é\u00e9", "metrics" : [ {sample} , {{}} , null ] }} "#)
            .into_bytes(),
    ];
    let tokens: [&[u8]; 16] = [
        b"\"",
        b"\\u0000",
        b"\\ud800",
        b"1e999",
        b"-0",
        b"null",
        b"[",
        b"]",
        b"{",
        b"}",
        b",",
        b"\xff",
        b"0123",
        b"\"latency_ms\":1,",
        b"2016-12-31T23:59:60Z",
        b"\xed\xa0\x80",
    ];
    let limits = Limits {
        samples_max: 100,
        single_allowed: true,
    };
    let now = UnixMicros(1_795_460_400_000_000);
    let mut scratch = Scratch::default();
    let mut accepted = 0_u64;
    fuzz::run(1, &seeds, &tokens, |input, _| {
        let Ok(parsed) = parse(&mut input.to_vec(), limits, now, &mut scratch) else {
            return;
        };
        accepted += 1;
        serde_json::from_slice::<serde::de::IgnoredAny>(input).unwrap();
        let mut tuples = Tuples::new(&parsed.tuples);
        let rows = tuples.by_ref().count();
        assert!(!tuples.is_damaged());
        assert_eq!(rows, parsed.rows as usize);
        assert_eq!(parsed.queued, parsed.rows + parsed.rejected);
    });
    assert!(accepted > 0);
}

#[test]
fn fuzz_an_instant_is_refused_or_written_as_it_is_read() {
    let seeds = [
        "2026-11-23T19:00:00Z",
        "2024-02-29t23:59:59.999999+05:30",
        "1970-01-01T00:00:00",
    ];
    let seeds = seeds.map(|text| text.as_bytes().to_vec());
    let tokens: [&[u8]; 6] = [b"-", b"T24:00:00", b"99", b".", b"\xc3\xa9", b"+14:00"];
    fuzz::run(1, &seeds, &tokens, |input, _| {
        let Ok(text) = std::str::from_utf8(input) else {
            return;
        };
        if let Ok(instant) = UnixMicros::parse(text) {
            assert_eq!(
                UnixMicros::parse(&instant.to_string()),
                Ok(instant),
                "{text}"
            );
        }
    });
}
