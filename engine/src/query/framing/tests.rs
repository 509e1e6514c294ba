//! Deadlines and answers of the guarded side, on a paused clock.

use super::*;
use crate::limits::{BODY_WINDOW, HEAD_DEADLINE, IDLE_DEADLINE};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Answers with the reason of a refusal or the length of the body; `/slow` takes its time.
async fn answer(
    request: Request<Incoming>,
    exchange: Arc<Exchange>,
) -> Result<Response<Answering<Full<Bytes>>>, Infallible> {
    let first = exchange.take_refusal();
    if request.uri().path() == "/slow" {
        tokio::time::sleep(3 * IDLE_DEADLINE).await;
    }
    let body = request
        .into_body()
        .collect()
        .await
        .map(|body| body.to_bytes().len());
    let (status, text) = match (first.or_else(|| exchange.take_refusal()), body) {
        (Some(reject), _) => (reject.code.http_status(), reject.message.into_owned()),
        (None, Ok(bytes)) => (200, bytes.to_string()),
        (None, Err(_)) => (400, "broken".to_owned()),
    };
    let mut response = Response::new(Answering::new(Full::new(text.into()), &exchange));
    *response.status_mut() = status.try_into().unwrap();
    Ok(response)
}

fn open() -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move {
        let exchange = Arc::new(Exchange::default());
        let guard = Guard::new(Bytes::new(), theirs, Arc::clone(&exchange));
        let handler = service_fn(move |request| answer(request, Arc::clone(&exchange)));
        let served = http1::Builder::new()
            .serve_connection(TokioIo::new(guard), handler)
            .await;
        drop(served);
    });
    ours
}

/// What comes until the other side closes, and after how long it does.
async fn rest(connection: &mut DuplexStream) -> (String, Duration) {
    let since = tokio::time::Instant::now();
    let mut text = String::new();
    connection.read_to_string(&mut text).await.unwrap();
    (text, since.elapsed())
}

async fn answered(connection: &mut DuplexStream, status: &str) {
    let mut bytes = [0; 512];
    let count = connection.read(&mut bytes).await.unwrap();
    let text = String::from_utf8_lossy(&bytes[..count]);
    assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{text}");
}

#[tokio::test(start_paused = true)]
async fn silence_between_requests_ends_the_connection_after_a_minute() {
    for first in [&b""[..], GET] {
        let mut connection = open();
        connection.write_all(first).await.unwrap();
        if !first.is_empty() {
            answered(&mut connection, "200").await;
        }
        let (text, after) = rest(&mut connection).await;
        assert_eq!(text, "");
        assert!(after >= IDLE_DEADLINE && after < IDLE_DEADLINE + Duration::from_secs(2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_drips_is_told_so_after_ten_seconds() {
    for piece in [&b"G"[..], b"\r\n"] {
        let mut connection = open();
        connection.write_all(GET).await.unwrap();
        answered(&mut connection, "200").await;
        let (mut theirs, mut ours) = tokio::io::split(connection);
        let drips = tokio::spawn(async move {
            for byte in piece.iter().chain(GET).cycle().take(100) {
                let sent = ours.write_all(std::slice::from_ref(byte)).await;
                tokio::time::sleep(Duration::from_millis(990)).await;
                if sent.is_err() {
                    break;
                }
            }
        });
        let since = tokio::time::Instant::now();
        let mut text = String::new();
        theirs.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 408"), "{text}");
        let after = since.elapsed();
        assert!(
            after >= HEAD_DEADLINE && after < 2 * HEAD_DEADLINE,
            "{after:?}"
        );
        drips.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_below_a_kilobyte_a_second_is_told_so() {
    for head in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n",
    ] {
        for (bytes_a_second, status) in [(1_000, "408"), (1_100, "200")] {
            let mut connection = open();
            connection.write_all(head.as_bytes()).await.unwrap();
            let since = tokio::time::Instant::now();
            for _ in 0..100_000 / bytes_a_second + 1 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let sent = connection.write_all(&vec![b'x'; bytes_a_second]).await;
                if sent.is_err() || since.elapsed() > 2 * BODY_WINDOW && status == "408" {
                    break;
                }
            }
            if head.contains("chunked") && status == "200" {
                // What was written beyond the chunk's length breaks the coding.
                answered(&mut connection, "400").await;
            } else {
                answered(&mut connection, status).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_answer_is_not_cut_by_the_silence_of_who_waits_for_it() {
    let mut connection = open();
    let slow = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n";
    connection.write_all(&[slow, GET].concat()).await.unwrap();
    let (text, after) = rest(&mut connection).await;
    assert_eq!(text.matches("HTTP/1.1 200").count(), 2, "{text}");
    assert!(after >= 4 * IDLE_DEADLINE, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_comes_behind_the_answers_before_it_and_is_the_last() {
    let mut connection = open();
    let bad = b"GET / HTTP/1.1\nHost: a\r\n\r\n";
    let all = [GET, GET, bad, GET].concat();
    connection.write_all(&all).await.unwrap();
    let (text, _) = rest(&mut connection).await;
    let statuses: Vec<&str> = text
        .match_indices("HTTP/1.1 ")
        .map(|(at, _)| &text[at + 9..at + 12])
        .collect();
    assert_eq!(statuses, ["200", "200", "400"], "{text}");
}
