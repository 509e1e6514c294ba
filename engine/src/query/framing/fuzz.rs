//! Our framing beside hyper's, over mutated streams of requests: what we take hyper reads the same,
//! so what hyper refuses we refuse; and what passes the guard is what the cores would take.

use super::*;
use crate::accept::{Decoder, Framing, head_length, parse};
use crate::testing::fuzz;
use crate::testing::random::Random;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A request as one of the two read it, or the status of a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Read {
    Request {
        method: String,
        target: String,
        fields: Vec<(String, Vec<u8>)>,
        body: Vec<u8>,
    },
    Refused(u16),
}

/// The stream as the cores read it, and how much of it is whole, good requests.
fn ours(stream: &[u8]) -> (Vec<Read>, usize) {
    let (mut reads, mut at) = (Vec::new(), 0);
    loop {
        let mut start = at;
        while stream[start..].starts_with(b"\r\n") {
            start += 2;
        }
        let judged = head_length(&stream[start..], 0);
        let judged = judged.and_then(|length| match length {
            None => Ok(None),
            Some(length) => {
                let head = &stream[start..start + length];
                parse(head).map(|parsed| Some((length, parsed.framing, parsed.keep_alive)))
            }
        });
        let (length, framing, keep_alive) = match judged {
            Ok(Some(head)) => head,
            Ok(None) => return (reads, at),
            Err(reject) => {
                reads.push(Read::Refused(reject.code.http_status()));
                return (reads, at);
            }
        };
        let body_at = start + length;
        let mut body = Vec::new();
        let body_bytes = match framing {
            Framing::Length(bytes) => {
                let bytes = usize::try_from(bytes).unwrap();
                let Some(whole) = stream[body_at..].get(..bytes) else {
                    return (reads, at);
                };
                body.extend_from_slice(whole);
                bytes
            }
            Framing::Chunked => {
                let mut decoder = Decoder::default();
                match decoder.feed(&stream[body_at..], &mut body) {
                    Ok(bytes) if decoder.is_done() => bytes,
                    Ok(_) => return (reads, at),
                    Err(_) => {
                        reads.push(Read::Refused(400));
                        return (reads, at);
                    }
                }
            }
        };
        reads.push(read_of(&stream[start..body_at], body));
        at = body_at + body_bytes;
        if !keep_alive {
            return (reads, at);
        }
    }
}

/// By lines and colons alone, as little as a reader can know.
fn read_of(head: &[u8], body: Vec<u8>) -> Read {
    let text: String = head.iter().map(|byte| char::from(*byte)).collect();
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let mut words = lines.next().unwrap().split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let fields = lines.map(|line| {
        let (name, value) = line.split_once(':').unwrap();
        let value = value.trim_matches([' ', '\t']);
        let bytes = value
            .chars()
            .map(|char| u8::try_from(u32::from(char)).unwrap());
        (name.to_ascii_lowercase(), bytes.collect())
    });
    sorted(method.to_owned(), target, fields.collect(), body)
}

/// hyper keeps the order of fields of one name only.
fn sorted(method: String, target: &str, mut fields: Vec<(String, Vec<u8>)>, body: Vec<u8>) -> Read {
    fields.sort_by(|(a, _), (b, _)| a.cmp(b));
    // As the parsed form shows it: an address without a path has the path "/".
    let target = target.parse::<hyper::Uri>().unwrap().to_string();
    Read::Request {
        method,
        target,
        fields,
        body,
    }
}

/// A peer that sends the stream in pieces, then ends; it hears nothing.
struct Peer {
    stream: Bytes,
    random: Random,
}

impl AsyncRead for Peer {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Nothing yet, now and then.
        if this.random.below(4) == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let most = this.stream.len().min(buf.remaining());
        let count = if this.random.below(2) == 0 {
            most
        } else {
            most.min(1 + this.random.below(9))
        };
        buf.put_slice(&this.stream.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Peer {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

async fn note(
    request: Request<Incoming>,
    exchange: Arc<Exchange>,
    reads: Arc<Mutex<Vec<Read>>>,
) -> Result<Response<Answering<Empty<Bytes>>>, Infallible> {
    let refused = exchange.take_refusal();
    let (head, body) = request.into_parts();
    let body = body.collect().await;
    let refused = refused.or_else(|| exchange.take_refusal());
    let read = match (refused, body) {
        (Some(reject), _) => Some(Read::Refused(reject.code.http_status())),
        (None, Ok(body)) => {
            let fields = head
                .headers
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
            let target = head.uri.to_string();
            let body = body.to_bytes().to_vec();
            Some(sorted(
                head.method.to_string(),
                &target,
                fields.collect(),
                body,
            ))
        }
        // It ended early.
        (None, Err(_)) => None,
    };
    reads.lock().unwrap().extend(read);
    exchange.body_was_taken();
    Ok(Response::new(Answering::new(Empty::new(), &exchange)))
}

/// What hyper makes of the stream, alone or behind the guard.
fn hypers(runtime: &tokio::runtime::Runtime, stream: &[u8], seed: u64, guarded: bool) -> Vec<Read> {
    let reads = Arc::new(Mutex::new(Vec::new()));
    let exchange = Arc::new(Exchange::default());
    let peer = Peer {
        stream: Bytes::copy_from_slice(stream),
        random: Random::new(seed),
    };
    let (noted, shared) = (Arc::clone(&reads), Arc::clone(&exchange));
    let handler = service_fn(move |request| note(request, Arc::clone(&shared), Arc::clone(&noted)));
    let mut builder = http1::Builder::new();
    // A peer that ends behind its last request is answered all the same.
    builder
        .half_close(true)
        .max_headers(crate::limits::HEAD_FIELDS_MAX);
    runtime.block_on(async {
        let served = if guarded {
            let guard = Guard::new(Bytes::new(), peer, exchange);
            builder.serve_connection(TokioIo::new(guard), handler).await
        } else {
            builder.serve_connection(TokioIo::new(peer), handler).await
        };
        drop(served);
    });
    Arc::into_inner(reads).unwrap().into_inner().unwrap()
}

fn request(line: &str, fields: &str, body: &str) -> Vec<u8> {
    format!("{line} HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}").into_bytes()
}

#[test]
fn what_we_take_hyper_reads_the_same_and_the_guard_passes_no_more() {
    let push = request("POST /api/push", "Content-Length: 5\r\n", "hello");
    let chunked = request(
        "POST /api/ingest?ack=durable",
        "Transfer-Encoding: chunked\r\nX-A: b\r\nx-a: \tc \r\n",
        "5;e=f\r\nhello\r\n0\r\nT: v\r\n\r\n",
    );
    let get = request(
        "GET /api/status?a=b",
        "Connection: keep-alive\r\nExpect: 100-continue\r\n",
        "",
    );
    let whole = request("GET http://a.b/c", "Content-Length: 0\r\n", "");
    let old = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_vec();
    let seeds = [
        push.repeat(2),
        [&chunked[..], &push, &get].concat(),
        [&get[..], &whole, &chunked].concat(),
        [&old[..], b"\r\n", &get].concat(),
    ];
    let tokens: [&[u8]; 22] = [
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\t",
        b":",
        b"0\r\n\r\n",
        b"\r\n\r\n",
        b"Content-Length: 5\r\n",
        b"content-length:3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding: \x0bchunked\r\n",
        b"Connection: close\r\n",
        b"Connection: keep-alive, close\r\n",
        b"Upgrade: h2c\r\n",
        b"Host: b\r\n",
        b"+5",
        b"0x5",
        b"\x80",
        b"#",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let (mut requests, mut refused) = (0, 0);
    fuzz::run(2, &seeds, &tokens, |input, random| {
        let (reads, good_bytes) = ours(input);
        let (seed, other) = (random.bits(), random.bits());
        let good: Vec<Read> = reads
            .iter()
            .filter(|read| matches!(read, Read::Request { .. }))
            .cloned()
            .collect();
        assert_eq!(good, hypers(&runtime, &input[..good_bytes], seed, false));
        assert_eq!(
            reads,
            hypers(&runtime, input, other, true),
            "behind the guard"
        );
        requests += good.len();
        refused += reads.len() - good.len();
    });
    assert!(requests > 0 && refused > 0);
}
