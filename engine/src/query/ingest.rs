//! Pushes that arrive on a connection of the query side. The same service as on the cores judges the
//! head first, and only then asks for the body, which is read here under the same bounds.

use super::context::Context;
use super::error::Error;
use super::respond::Body;
use crate::admit::Route;
use crate::limits::{BODY_WINDOW, BODY_WINDOW_BYTES_MIN};
use crate::model::{BatchId, TraceId};
use crate::parse::Reject;
use bytes::{Bytes, BytesMut};
use fiber_contract::ErrorCode;
use fiber_contract::account::Receipt;
use fiber_contract::limits::BODY_BYTES_MAX;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::header::{EXPECT, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use std::net::SocketAddr;
use tokio::time::{Instant, timeout_at};

/// A request whose body is not read yet.
#[derive(Debug)]
pub struct IngestRequest {
    pub route: Route,
    pub headers: HeaderMap,
    /// What the body may hold: its length if it was told, else the longest.
    pub body_bytes_max: usize,
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

/// Reads the body when it is first polled; dropped without, nothing of the body is taken.
pub type ReadBody<'a> = BoxFuture<'a, Result<Bytes, Reject>>;

/// What makes samples durable; the cores' path behind one call.
pub trait IngestService: Send + Sync {
    fn handle<'a>(
        &'a self,
        request: IngestRequest,
        body: ReadBody<'a>,
    ) -> BoxFuture<'a, IngestReply>;

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
    if request
        .headers()
        .get(EXPECT)
        .is_some_and(|value| !is_continue(value))
    {
        return Err(Error::Expectation);
    }
    let (head, body) = request.into_parts();
    let length = body.size_hint().upper().unwrap_or(BODY_BYTES_MAX as u64);
    if length > BODY_BYTES_MAX as u64 {
        return Err(Error::BodyTooLarge {
            limit_bytes: BODY_BYTES_MAX,
        });
    }
    let request = IngestRequest {
        route,
        headers: head.headers,
        body_bytes_max: usize::try_from(length).unwrap_or(usize::MAX),
        query: head.uri.query().map(str::to_owned),
        peer,
        trace_id: trace_id.clone(),
    };
    let reply = context.ingest.handle(request, Box::pin(read(body))).await;
    let status =
        StatusCode::from_u16(reply.status).map_err(|error| Error::Internal(Box::new(error)))?;
    let mut response = Response::new(Body::Whole(reply.body));
    *response.status_mut() = status;
    response.headers_mut().extend(reply.headers);
    Ok(response)
}

fn is_continue(value: &HeaderValue) -> bool {
    value.as_bytes().eq_ignore_ascii_case(b"100-continue")
}

/// The body, or the reason to give up on it: longer than the limit, slower than the least rate.
async fn read(mut body: Incoming) -> Result<Bytes, Reject> {
    let mut whole = BytesMut::new();
    let mut window_ends = Instant::now() + BODY_WINDOW;
    let mut window_bytes = 0;
    loop {
        let frame = match timeout_at(window_ends, body.frame()).await {
            Err(_) => {
                return Err(
                    Reject::new(ErrorCode::RequestTimeout, "the body came too slowly").closing(),
                );
            }
            Ok(None) => return Ok(whole.freeze()),
            Ok(Some(Err(_))) => return Err(Reject::malformed("the body ended early").closing()),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if whole.len() + data.len() > BODY_BYTES_MAX {
            return Err(
                Reject::too_large(format!("a body may have {BODY_BYTES_MAX} bytes")).closing(),
            );
        }
        window_bytes += data.len();
        if window_bytes >= BODY_WINDOW_BYTES_MIN {
            window_bytes = 0;
            window_ends = Instant::now() + BODY_WINDOW;
        }
        whole.extend_from_slice(&data);
    }
}
