//! Compressed pushes, on the cores and on the query side, which share the code behind the framing.

use crate::support::client::{Answer, Connection, get, post, sample, unlike_sample};
use crate::support::{DRIVERS, Stack};
use anyhow::{Result, ensure};
use fiber_contract::signature::{Message, SigningKey, body_sha256};
use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::json;
use std::io::Write as _;

const LIMIT_BYTES: usize = 10 * 1024 * 1024;

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder
        .write_all(plain)
        .and_then(|()| encoder.finish())
        .expect("a buffer takes all")
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    compress_to_vec(plain, CompressionLevel::Fastest)
}

type Compress = fn(&[u8]) -> Vec<u8>;
const BOTH: [(&str, Compress); 2] = [("gzip", gzip), ("zstd", zstd)];

/// A connection that a core serves, and one that the query side does.
fn open(stack: &Stack, after_a_query: bool) -> Result<Connection> {
    let mut connection = Connection::open(&stack.engine)?;
    if after_a_query {
        connection.send(b"GET /api/status HTTP/1.1\r\nHost: e\r\n\r\n")?;
        ensure!(connection.answer()?.status == 200);
    }
    Ok(connection)
}

fn send(
    connection: &mut Connection,
    stack: &Stack,
    fields: &[&str],
    body: &[u8],
) -> Result<Answer> {
    connection.send(&post(&stack.engine, "/api/push", fields, body))?;
    connection.answer()
}

/// Of a size that takes many steps: random names do not shrink away.
fn large_body() -> Vec<u8> {
    let metrics: Vec<_> = (0..1_000)
        .map(|age| {
            let mut sample = sample("hub", age);
            let noise: String = (0..50)
                .map(|n| {
                    let number = (age * 50 + n).unsigned_abs();
                    format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
                })
                .collect();
            sample["metadata"] = json!({ "noise": noise });
            sample
        })
        .collect();
    json!({ "node_id": "hub", "metrics": metrics })
        .to_string()
        .into_bytes()
}

#[test]
fn compressed_pushes_are_stored_and_bad_ones_refused_on_both_sides() -> Result<()> {
    for driver in DRIVERS {
        let stack = Stack::with(&[("FIBER_DRIVER", driver)])?;
        let mut good = 0;
        for after_a_query in [false, true] {
            for (name, compress) in BOTH {
                let what = format!("{driver} {name} after a query: {after_a_query}");
                let encoding = format!("Content-Encoding: {name}");
                let encoding = encoding.as_str();
                let mut connection = open(&stack, after_a_query)?;
                let mut next_good = |connection: &mut Connection| -> Result<()> {
                    good += 1;
                    let body = compress(unlike_sample("one").to_string().as_bytes());
                    let answer = send(connection, &stack, &[encoding], &body)?;
                    ensure!(answer.status == 202, "{what}: {answer:?}");
                    Ok(())
                };
                next_good(&mut connection)?;
                let plain = sample("bad", 0).to_string().into_bytes();
                let whole = compress(&plain);
                let broken = [
                    &whole[..whole.len() / 2],
                    &whole[..whole.len() - 1],
                    &plain,
                    b"",
                ];
                for body in broken {
                    let answer = send(&mut connection, &stack, &[encoding], body)?;
                    ensure!(answer.status == 400, "{what}: {answer:?}");
                    next_good(&mut connection)?;
                }
                for fields in [
                    &[encoding, encoding][..],
                    &["Content-Encoding: gzip, zstd"],
                    &["Content-Encoding: br"],
                ] {
                    let answer = send(&mut connection, &stack, fields, &whole)?;
                    ensure!(answer.status == 415, "{what}: {fields:?} {answer:?}");
                    next_good(&mut connection)?;
                }
                for bomb in [vec![b' '; 9 * LIMIT_BYTES], vec![b' '; LIMIT_BYTES / 4]] {
                    let mut connection = open(&stack, after_a_query)?;
                    let answer = send(&mut connection, &stack, &[encoding], &compress(&bomb))?;
                    ensure!(answer.status == 413, "{what}: {answer:?}");
                    ensure!(connection.is_closed(), "{what}: a bomb left it open");
                }
                next_good(&mut connection)?;
            }
        }
        let large = large_body();
        for (name, compress) in BOTH {
            let encoding = format!("Content-Encoding: {name}");
            let answer = send(
                &mut open(&stack, false)?,
                &stack,
                &[&encoding],
                &compress(&large),
            )?;
            ensure!(answer.status == 202, "{driver} {name}: {answer:?}");
        }
        // The same body twice.
        good += 1_000;
        stack.await_rows(good)?;
        let status = get(&stack.engine, "/api/status")?;
        ensure!(status["status"] == "ok", "{status}");
    }
    Ok(())
}

/// What is signed are the bytes on the wire, and a wrong signature is told before a bomb.
#[test]
fn a_signature_is_over_the_bytes_as_they_were_sent() -> Result<()> {
    let stack = Stack::start()?;
    let key = SigningKey::new(stack.engine.federation_secret());
    let plain = sample("signed", 0).to_string().into_bytes();
    let bomb = gzip(&vec![b' '; LIMIT_BYTES / 4]);
    let sent = gzip(&plain);
    for (number, (signed, body, status)) in [
        (&sent, &sent, 202),
        (&plain, &sent, 401),
        (&plain, &bomb, 401),
        (&bomb, &bomb, 413),
    ]
    .into_iter()
    .enumerate()
    {
        let timestamp = fiber_contract::UnixMicros::now().to_string();
        let (batch_id, nonce) = (
            format!("0190a7a0-0000-7000-8000-{number:012}"),
            format!("n-{number}"),
        );
        let message = Message {
            batch_id: batch_id.as_bytes(),
            timestamp: timestamp.as_bytes(),
            nonce: nonce.as_bytes(),
            body_sha256: &body_sha256(signed),
        };
        let signature = key.sign(&message);
        let fields = [
            format!("X-Batch-ID: {batch_id}"),
            format!("X-Fiber-Timestamp: {timestamp}"),
            format!("X-Fiber-Nonce: {nonce}"),
            format!("X-Fiber-Signature: {signature}"),
            "Content-Encoding: gzip".to_owned(),
        ];
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let answer = send(&mut open(&stack, number % 2 == 1)?, &stack, &fields, body)?;
        ensure!(answer.status == status, "{number}: {answer:?}");
    }
    stack.await_rows(1)
}
