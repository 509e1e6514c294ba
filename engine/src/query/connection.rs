//! One connection under hyper: bounds, panics, and the orderly end. Framing and the deadlines of
//! reading are `framing`'s.

use super::context::Context;
use super::framing::{Answering, Exchange, Guard};
use super::ingest::IngestReply;
use super::respond::{self, Body};
use super::router;
use super::service;
use super::write_deadline::WriteDeadline;
use crate::limits::{HEAD_BYTES_MAX, HEAD_FIELDS_MAX, SKIP_BYTES_MAX, WRITE_DEADLINE};
use crate::parse::Reject;
use bytes::Bytes;
use fiber_contract::ErrorCode;
use futures_util::FutureExt;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, EXPECT, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// Serves requests until the peer, a deadline or the process's end closes the connection. On the
/// last, the answer under way is finished; the caller bounds how long. `read` was read already.
pub async fn serve_connection<T>(read: Bytes, io: T, peer: SocketAddr, context: Arc<Context>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let exchange = Arc::new(Exchange::default());
    let guard = Guard::new(read, io, Arc::clone(&exchange));
    let io = TokioIo::new(WriteDeadline::new(guard, WRITE_DEADLINE));
    let handler = service_fn(|request| answer(request, peer, &context, &exchange));
    let mut connection = pin!(
        http1::Builder::new()
            .max_headers(HEAD_FIELDS_MAX)
            .max_header_size(HEAD_BYTES_MAX)
            .serve_connection(io, handler)
    );
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = context.shutdown.asked() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        // Peers that vanish, speak nonsense or time out: theirs to know, not an operator's.
        tracing::debug!(%peer, %error, "serve a connection");
    }
}

async fn answer(
    mut request: Request<Incoming>,
    peer: SocketAddr,
    context: &Arc<Context>,
    exchange: &Arc<Exchange>,
) -> Result<Response<Answering<Body>>, Infallible> {
    let trace_id = respond::trace_id(request.headers());
    let refuse = |reject| framed(context.ingest.refuse(reject, trace_id.clone()));
    let mut response = match exchange.take_refusal() {
        Some(reject) => refuse(reject),
        None => {
            request.extensions_mut().insert(Arc::clone(exchange));
            read_over(&mut request).await;
            let handled = service::handle(request, peer, Arc::clone(context));
            match AssertUnwindSafe(handled).catch_unwind().await {
                Ok(Ok(response)) => response,
                Err(_) => {
                    let trace_id = trace_id.as_str();
                    tracing::error!(trace_id, "a handler panicked");
                    refuse(Reject::new(ErrorCode::Internal, "internal error").closing())
                }
            }
        }
    };
    // Its body was refused while somebody read it.
    if let Some(reject) = exchange.take_refusal() {
        response = refuse(reject);
    }
    respond::mark(&trace_id, &mut response);
    if exchange.leaves_a_body() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    Ok(response.map(|body| Answering::new(body, exchange)))
}

/// A short body that nobody wants is read over, so that the connection can go on.
async fn read_over(request: &mut Request<Incoming>) {
    let wanted = router::takes_a_body(request.method(), request.uri().path());
    let short = request
        .body()
        .size_hint()
        .upper()
        .is_some_and(|bytes| bytes <= SKIP_BYTES_MAX as u64);
    if wanted || !short || request.headers().contains_key(EXPECT) {
        return;
    }
    while let Some(Ok(_)) = request.body_mut().frame().await {}
}

/// An answer of the ingest side in hyper's way.
pub(super) fn framed(reply: IngestReply) -> Response<Body> {
    let mut response = Response::new(Body::Whole(reply.body));
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().extend(reply.headers);
    response
}
