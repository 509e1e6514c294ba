//! Pushes that arrive on a connection of the query side. The same service as on the cores judges the
//! head first, and only then asks for the body, piece by piece.

use super::connection::framed;
use super::context::Context;
use super::error::Error;
use super::framing::Exchange;
use super::respond::Body;
use crate::admit::Route;
use crate::model::{BatchId, TraceId};
use crate::parse::Reject;
use bytes::Bytes;
use fiber_contract::account::Receipt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response};
use std::net::SocketAddr;
use std::sync::Arc;

/// A request whose body is not read yet.
#[derive(Debug)]
pub struct IngestRequest {
    pub route: Route,
    pub headers: HeaderMap,
    /// The body's length, if it was told.
    pub body_bytes: Option<usize>,
    /// After the `?`, not decoded.
    pub query: Option<String>,
    pub peer: SocketAddr,
    /// The client's trace id if it sent a sane one, else a new one.
    pub trace_id: TraceId,
}

#[derive(Clone, Debug)]
pub struct IngestReply {
    pub status: u16,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
}

/// The body in the pieces in which it comes. Dropped without being polled, nothing of it is taken.
pub type BodyPieces<'a> = BoxStream<'a, Result<Bytes, Reject>>;

/// What makes samples durable; the cores' path behind one call.
pub trait IngestService: Send + Sync {
    fn handle<'a>(
        &'a self,
        request: IngestRequest,
        body: BodyPieces<'a>,
    ) -> BoxFuture<'a, IngestReply>;

    /// The answer to a request that is none, counted.
    fn refuse(&self, reject: Reject, trace_id: TraceId) -> IngestReply;

    /// What is remembered of a batch that was answered.
    fn answered(&self, id: BatchId) -> Option<Receipt>;
}

pub(crate) async fn handle(
    route: Route,
    request: Request<Incoming>,
    peer: SocketAddr,
    context: &Context,
    trace_id: &TraceId,
) -> Result<Response<Body>, Error> {
    let (mut head, body) = request.into_parts();
    let exchange = head.extensions.remove::<Arc<Exchange>>();
    let told = body.size_hint().exact();
    let request = IngestRequest {
        route,
        headers: head.headers,
        body_bytes: told.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
        query: head.uri.query().map(str::to_owned),
        peer,
        trace_id: trace_id.clone(),
    };
    let pieces = pieces(body, exchange).boxed();
    Ok(framed(context.ingest.handle(request, pieces).await))
}

/// How fast it must come is the guard's to judge.
fn pieces(
    body: Incoming,
    exchange: Option<Arc<Exchange>>,
) -> impl Stream<Item = Result<Bytes, Reject>> {
    stream::unfold((body, exchange), |(mut body, exchange)| async move {
        loop {
            let piece = match body.frame().await {
                None => {
                    if let Some(exchange) = exchange {
                        exchange.body_was_taken();
                    }
                    return None;
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => Ok(data),
                    // Trailers.
                    Err(_) => continue,
                },
                Some(Err(_)) => Err(Reject::malformed("the body ended early").closing()),
            };
            return Some((piece, (body, exchange)));
        }
    })
}
