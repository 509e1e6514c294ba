//! Answers in gzip, for who takes it: JSON of many alike rows shrinks to a tenth, and a phone pays
//! for every byte.
//!
//! Only answers to GET: what comes of a change may hold a token or a key, and the length of
//! compressed text tells about secrets that stand beside what somebody else chose.
//!
//! The live stream is the same bytes for every browser, so each event is compressed once, from a
//! fresh state and ended by a full flush: such pieces may follow each other in any order behind
//! one gzip head, and nothing is kept per browser.

use super::assets::Encoding;
use super::respond::{Body, JSON};
use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};
use hyper::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, VARY,
};
use hyper::{Method, Response};
use std::io::Write as _;
use std::sync::{Arc, OnceLock};

/// Below this the head is most of the answer.
const PACKED_BYTES_MIN: usize = 1_024;
/// A tenth of a percent larger than the best, at a third of its time.
const LEVEL: u32 = 4;
/// No name, no time, an unknown system.
const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

pub(super) const GZIP: HeaderValue = HeaderValue::from_static("gzip");

pub(super) fn is_taken(headers: &HeaderMap) -> bool {
    let accept = headers
        .get(ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| Encoding::Gzip.is_accepted(accept))
}

/// Says what the answer depends on, and packs it where that is worth it.
pub(super) fn pack(method: &Method, taken: bool, response: &mut Response<Body>) {
    let is_json = response.headers().get(CONTENT_TYPE) == Some(&JSON);
    if *method != Method::GET || !is_json || response.headers().contains_key(CONTENT_ENCODING) {
        return;
    }
    let Body::Whole(plain) = response.body() else {
        return;
    };
    if plain.len() < PACKED_BYTES_MIN {
        return;
    }
    let packed = taken.then(|| gzip(plain)).flatten();
    response
        .headers_mut()
        .insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Some(packed) = packed {
        response.headers_mut().insert(CONTENT_ENCODING, GZIP);
        *response.body_mut() = Body::Whole(packed);
    }
}

fn gzip(plain: &[u8]) -> Option<Bytes> {
    let out = Vec::with_capacity(plain.len() / 4);
    let mut writer = flate2::write::GzEncoder::new(out, Compression::new(LEVEL));
    writer.write_all(plain).ok()?;
    writer.finish().ok().map(Bytes::from)
}

/// What a packed stream begins with.
pub(super) const fn stream_head() -> Bytes {
    Bytes::from_static(&GZIP_HEAD)
}

/// One event of the live stream; packed when the first browser wants it so.
#[derive(Clone, Debug)]
pub(super) struct Event(Arc<Forms>);

#[derive(Debug)]
struct Forms {
    plain: Bytes,
    packed: OnceLock<Bytes>,
}

impl Event {
    pub(super) fn new(plain: Bytes) -> Self {
        Self(Arc::new(Forms {
            plain,
            packed: OnceLock::new(),
        }))
    }

    pub(super) fn bytes(&self, packed: bool) -> Bytes {
        if packed {
            self.0.packed.get_or_init(|| piece(&self.0.plain)).clone()
        } else {
            self.0.plain.clone()
        }
    }
}

/// Blocks that refer to nothing before them and end at a byte.
fn piece(plain: &[u8]) -> Bytes {
    let mut deflate = Compress::new(Compression::new(LEVEL), false);
    let mut out = Vec::with_capacity(plain.len() / 4 + 64);
    loop {
        let read = usize::try_from(deflate.total_in()).unwrap_or(plain.len());
        let rest = plain.get(read..).unwrap_or_default();
        // Fails only for a dictionary, and there is none.
        let done = deflate.compress_vec(rest, &mut out, FlushCompress::Full);
        let all_read = usize::try_from(deflate.total_in()) == Ok(plain.len());
        if done.is_err() || (all_read && out.len() < out.capacity()) {
            return out.into();
        }
        out.reserve(plain.len() / 4 + 64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::write::GzDecoder;

    fn events() -> Vec<Event> {
        let mut noise = 7_u32;
        let texts = [1, 20, 3_000, 200_000].map(|length| {
            let letters = (0..length).map(|_| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                char::from(b'a' + (noise >> 28) as u8)
            });
            format!("event: change\ndata: {}\n\n", letters.collect::<String>())
        });
        texts
            .into_iter()
            .map(|text| Event::new(text.into_bytes().into()))
            .collect()
    }

    /// What a browser has read after these pieces, without the end of the stream.
    fn unpack(pieces: &[Bytes]) -> Vec<u8> {
        let mut decoder = GzDecoder::new(Vec::new());
        for piece in pieces {
            decoder.write_all(piece).unwrap();
            decoder.flush().unwrap();
        }
        decoder.get_ref().clone()
    }

    #[test]
    fn events_read_back_in_any_order_and_each_at_once() {
        let events = events();
        for order in [[0, 1, 2, 3], [3, 3, 0, 2], [2, 0, 1, 1]] {
            let (mut sent, mut expect) = (vec![stream_head()], Vec::new());
            for event in order.map(|at| &events[at]) {
                sent.push(event.bytes(true));
                expect.extend_from_slice(&event.bytes(false));
                assert_eq!(unpack(&sent), expect, "nothing may wait for the next event");
            }
        }
    }

    #[test]
    fn only_long_json_read_by_get_is_packed_and_only_when_taken() {
        let long = format!("[{}]", "\"up\",".repeat(1_000));
        let check = |method: Method, taken, text: &str, expect: bool| {
            let body = Bytes::from(text.to_owned());
            let mut response = super::super::respond::whole(hyper::StatusCode::OK, JSON, body);
            pack(&method, taken, &mut response);
            let packed = response.headers().get(CONTENT_ENCODING) == Some(&GZIP);
            assert_eq!(packed, expect, "{method} {taken} {}", text.len());
            let Body::Whole(bytes) = response.into_body() else {
                panic!("a stream")
            };
            if packed {
                assert_eq!(unpack(&[bytes]), text.as_bytes());
            } else {
                assert_eq!(bytes, text.as_bytes());
            }
        };
        check(Method::GET, true, &long, true);
        check(Method::GET, false, &long, false);
        check(Method::POST, true, &long, false);
        check(Method::GET, true, "[]", false);
    }
}
