use super::*;
use crate::testing::random::Random;
use fiber_contract::ErrorCode;
use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use std::io::Write as _;

pub(super) fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn zstd(plain: &[u8]) -> Vec<u8> {
    compress_to_vec(plain, CompressionLevel::Fastest)
}

/// What comes of it, with every step within its bound.
pub(super) fn inflate(encoding: Encoding, sent: &[u8]) -> Result<Vec<u8>, Reject> {
    let mut inflation = Inflation::new(encoding, sent).unwrap();
    loop {
        let before = inflation.plain.len();
        let held = inflation.held_bytes();
        let done = inflation.step()?;
        assert!(inflation.plain.len() - before <= held - before + STEP_BYTES_MAX);
        assert!(inflation.held_bytes() <= held + STEP_BYTES_MAX);
        if done {
            return Ok(inflation.into_plain());
        }
    }
}

fn status(encoding: Encoding, sent: &[u8]) -> (u16, bool) {
    let reject = inflate(encoding, sent).unwrap_err();
    (reject.code.http_status(), reject.close)
}

/// As uneven as the JSON of a fleet.
fn body(bytes: usize) -> Vec<u8> {
    let mut random = Random::new(bytes as u64);
    let mut text = Vec::new();
    while text.len() < bytes {
        let latency = random.below(100_000);
        text.extend_from_slice(format!("{{\"latency_ms\":{latency}}},").as_bytes());
    }
    text.truncate(bytes);
    text
}

type Compress = fn(&[u8]) -> Vec<u8>;
const BOTH: [(Encoding, Compress); 2] = [(Encoding::Gzip, gzip), (Encoding::Zstd, zstd)];

#[test]
fn bodies_of_every_size_come_back_in_short_steps() {
    for (encoding, compress) in BOTH {
        for bytes in [1, 2, 100, 4_096, 70_000, 131_073, 1_000_000, BODY_BYTES_MAX] {
            let plain = body(bytes);
            let sent = compress(&plain);
            assert!(
                inflate(encoding, &sent).unwrap() == plain,
                "{encoding:?} {bytes}"
            );
        }
        assert_eq!(inflate(encoding, &compress(b"")).unwrap(), b"");
    }
}

#[test]
fn several_parts_are_one_body_and_too_many_are_none() {
    for (encoding, compress) in BOTH {
        let parts = |count: usize| compress(b"part,").repeat(count);
        assert_eq!(inflate(encoding, &parts(3)).unwrap(), b"part,part,part,");
        assert!(inflate(encoding, &parts(PARTS_MAX)).is_ok());
        assert_eq!(status(encoding, &parts(PARTS_MAX + 1)), (400, false));
    }
    let skipped = [b"\x50\x2a\x4d\x18\x03\0\0\0abc", &zstd(b"x")[..]].concat();
    assert_eq!(inflate(Encoding::Zstd, &skipped).unwrap(), b"x");
    assert_eq!(status(Encoding::Zstd, &skipped[..10]), (400, false));
}

#[test]
fn a_bomb_ends_the_connection() {
    for (encoding, compress) in BOTH {
        let zeros = compress(&vec![b'0'; 9 * BODY_BYTES_MAX]);
        assert!(zeros.len() < BODY_BYTES_MAX / 50);
        assert_eq!(status(encoding, &zeros), (413, true));
        // Within the limit, and still far too much for what was sent.
        let ratio = compress(&vec![b'0'; BODY_BYTES_MAX / 2]);
        assert_eq!(status(encoding, &ratio), (413, true));
        let over = compress(&body(BODY_BYTES_MAX + 1));
        assert_eq!(status(encoding, &over), (413, true));
    }
}

#[test]
fn a_window_larger_than_a_body_is_refused_before_it_is_made() {
    // Magic, no flags, a window of 2^(10 + 31) bytes.
    let frame = b"\x28\xb5\x2f\xfd\0\xf8\x01\0\0";
    assert_eq!(status(Encoding::Zstd, frame), (413, true));
    // One segment of 2^40 bytes.
    let frame = b"\x28\xb5\x2f\xfd\xe0\0\0\0\0\0\x01\0\0\x01\0\0";
    assert_eq!(status(Encoding::Zstd, frame), (413, true));
}

#[test]
fn every_cut_and_everything_behind_the_end_is_broken() {
    for (encoding, compress) in BOTH {
        let sent = compress(&body(3_000));
        for length in 0..sent.len() {
            let (status, _) = status(encoding, &sent[..length]);
            assert_eq!(status, 400, "{encoding:?} cut at {length}");
        }
        for behind in [&b"\0"[..], b"{}", &[0; 40]] {
            let sent = [&sent[..], behind].concat();
            assert_eq!(status(encoding, &sent), (400, false), "{behind:?}");
        }
        for other in [&b""[..], b"{}", b"{\"metrics\":[]}", &[0xff; 64]] {
            assert_eq!(status(encoding, other), (400, false), "{other:?}");
        }
    }
}

#[test]
fn every_flipped_bit_is_refused_or_changes_nothing() {
    for (encoding, compress) in BOTH {
        let plain = body(600);
        let sent = compress(&plain);
        for at in 0..sent.len() {
            for bit in 0..8 {
                let mut sent = sent.clone();
                sent[at] ^= 1 << bit;
                match inflate(encoding, &sent) {
                    Ok(found) => assert!(found == plain, "{encoding:?} {at}.{bit}"),
                    Err(reject) => assert!(
                        [ErrorCode::MalformedBatch, ErrorCode::PayloadTooLarge]
                            .contains(&reject.code)
                    ),
                }
            }
        }
    }
}

#[test]
fn a_gzip_header_may_hold_a_name_a_comment_and_more() {
    let plain = gzip(b"hello");
    let fields = [
        &plain[..3],
        &[0x1e],
        &plain[4..10],
        b"\x02\0xy",
        b"name\0comment\0",
        b"\0\0",
        &plain[10..],
    ]
    .concat();
    assert_eq!(inflate(Encoding::Gzip, &fields).unwrap(), b"hello");
    let mut reserved = plain.clone();
    reserved[3] = 0x20;
    assert_eq!(status(Encoding::Gzip, &reserved), (400, false));
}

/// Thousands of blocks that make nothing must not be one step.
#[test]
fn blocks_that_make_nothing_are_spread_over_steps() {
    let empty_raw_block = [0, 0, 0];
    let frame = [
        &b"\x28\xb5\x2f\xfd\0\x58"[..],
        &empty_raw_block.repeat(10_000),
        b"\x09\0\0x",
    ]
    .concat();
    let mut inflation = Inflation::new(Encoding::Zstd, &frame).unwrap();
    let mut steps = 1;
    while !inflation.step().unwrap() {
        steps += 1;
    }
    assert!(steps >= 5_000, "{steps}");
    assert_eq!(inflation.into_plain(), b"x");
}

/// The reference implementation at its highest usual level, with a checksum.
#[test]
fn what_the_zstd_program_writes_is_read() {
    const SENT: &str = "KLUv/QRo9QoAhpM0G3BPOuB6T0lmEFMJ9eoHtPeWUqYkEVR2//8rAT0AJgAlAG5yXqa5QB4JYhpzjAEgSaNQQTieiY\
     GBmAYJAqgSmTgoD4Q5BgwASRCLyORpIKZBB4oCMQCUWBSexMOBLAF2OtY6mfm5ulA1L9XPKmOx19qb3GvvmDW/brWa\
     0NKJCu/uvc9JAWfH0i5x3ae+no7Ot3hl9/uXY+in629n6uWssi15ZRoR3Tur3+cXwmVhXqGdUDURDbF5mPB4Z0THXk\
     wbvuuWqcNMZ8xTh3e/q3+pvlsDgLCoEbDqpv0zoBUUJI0BIhgExhBgChCEoDP8z94et1zY4YdPLn4iKZnysQVsOfXJ\
     tlWjLGMLVzz0wLXHzyVnU+j7QhEpN8GRlrJdCS96avGzYx4NEc6M/fJQhWgz7ZnB5B6kWY7c6zDTA8pZBg0TN90ot5\
     00jsNKvjJGIIiadtNKAIZmOheXVgWH7ePD";
    let sent = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, SENT).unwrap();
    let plain = inflate(Encoding::Zstd, &sent).unwrap();
    let body: serde_json::Value = serde_json::from_slice(&plain).unwrap();
    assert_eq!(body["metrics"].as_array().unwrap().len(), 60);
    assert_eq!(body["metrics"][59]["seq"], 59);
}
