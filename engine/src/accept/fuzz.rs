//! Heads and chunked bodies, mutated. What is accepted must have one reading.

use super::chunked::{Decoder, Malformed};
use super::http1::{Framing, head_length, parse};
use crate::testing::fuzz;

fn head(fields: &str) -> Vec<u8> {
    format!("POST /api/push?ack=committed HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes()
}

/// The values of a field, by a reader that knows nothing but lines.
fn values<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let value = |line: &'a str| {
        let (field, value) = line.split_once(':')?;
        field.eq_ignore_ascii_case(name).then(|| value.trim())
    };
    text.split("\r\n").skip(1).filter_map(value).collect()
}

#[test]
fn a_head_is_refused_or_has_one_framing() {
    let seeds = [
        head("Content-Length: 12\r\nContent-Type: application/json\r\n"),
        head("Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n"),
        head("Connection: close\r\nX-Batch-ID: 1\r\nAuthorization: Bearer x\r\n"),
        b"GET / HTTP/1.0\r\n\r\n".to_vec(),
    ];
    let tokens: [&[u8]; 10] = [
        b"\r\n",
        b"Content-Length: 7\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"transfer-encoding : chunked\r\n",
        b"\r\n ",
        b"\t",
        b":",
        b"18446744073709551616",
        b"+",
        b"Host: b\r\n",
    ];
    let mut accepted = 0_u64;
    fuzz::run(1, &seeds, &tokens, |input, random| {
        let whole = head_length(input, 0);
        let split = random.below(input.len() + 1);
        if let (Ok(Some(length)), Ok(None)) = (&whole, head_length(&input[..split], 0)) {
            assert_eq!(head_length(input, split).unwrap(), Some(*length));
        }
        let Ok(Some(length)) = whole else { return };
        let Ok(head) = parse(&input[..length]) else {
            return;
        };
        accepted += 1;
        let text = String::from_utf8_lossy(&input[..length]);
        let lengths = values(&text, "content-length");
        let codings = values(&text, "transfer-encoding");
        match head.framing {
            Framing::Chunked => {
                assert_eq!((lengths.len(), codings.len()), (0, 1));
                assert!(codings[0].eq_ignore_ascii_case("chunked"));
            }
            Framing::Length(bytes) => {
                assert!(codings.is_empty() && lengths.len() <= 1);
                let told = lengths.first().map(|value| value.parse::<u64>().unwrap());
                assert_eq!(told.unwrap_or(0), bytes);
            }
        }
    });
    assert!(accepted > 0);
}

#[test]
fn a_chunked_body_is_the_same_however_it_is_split() {
    let seeds = [
        b"5\r\nhello\r\n0\r\n\r\n".to_vec(),
        b"1;a=b\r\nx\r\n00a\r\n0123456789\r\n0\r\nT: v\r\n\r\nGET /".to_vec(),
    ];
    let tokens: [&[u8]; 6] = [
        b"\r\n",
        b"0\r\n\r\n",
        b"ffffffffffffffff",
        b";",
        b"-1",
        b"0x5",
    ];
    let decode =
        |pieces: &mut dyn Iterator<Item = &[u8]>| -> (Result<usize, Malformed>, Vec<u8>, bool) {
            let (mut decoder, mut out, mut taken) = (Decoder::default(), Vec::new(), 0);
            for piece in pieces {
                match decoder.feed(piece, &mut out) {
                    Ok(bytes) => taken += bytes,
                    Err(malformed) => return (Err(malformed), out, false),
                }
            }
            (Ok(taken), out, decoder.is_done())
        };
    fuzz::run(1, &seeds, &tokens, |input, random| {
        let whole = decode(&mut std::iter::once(input));
        let piece_bytes = 1 + random.below(7);
        let split = decode(&mut input.chunks(piece_bytes));
        assert_eq!(whole, split, "in pieces of {piece_bytes}");
        assert!(whole.1.len() <= input.len());
    });
}
