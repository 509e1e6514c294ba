//! Pushes that arrive on a connection of the query side. The body is read here, under the same
//! bounds as on the cores; what it means is decided by the same service.

use super::context::Context;
use super::error::Error;
use super::respond::Body;
use crate::admit::Route;
use crate::limits::{BODY_WINDOW, BODY_WINDOW_BYTES_MIN};
use crate::model::{BatchId, TraceId};
use bytes::{Bytes, BytesMut};
use fiber_contract::account::Receipt;
use fiber_contract::limits::BODY_BYTES_MAX;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::header::{EXPECT, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

/// A whole request, its body still as sent (`Content-Encoding` included).
#[derive(Debug)]
pub struct IngestRequest {
    pub route: Route,
    pub headers: HeaderMap,
    pub body: Bytes,
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

/// What makes samples durable; the cores' path behind one call.
pub trait IngestService: Send + Sync {
    fn handle(&self, request: IngestRequest) -> BoxFuture<'_, IngestReply>;

    /// What is remembered of a batch that was answered.
    fn answered(&self, id: BatchId) -> Option<Receipt>;
}

/// One KiB of the bytes that bodies may hold together.
const BUDGET_UNIT_BYTES: usize = 1024;

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
    let budget = budget(&body, context)?;
    let body = read(body).await?;
    let request = IngestRequest {
        route,
        headers: head.headers,
        body,
        query: head.uri.query().map(str::to_owned),
        peer,
        trace_id: trace_id.clone(),
    };
    let reply = context.ingest.handle(request).await;
    drop(budget);
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

/// Room for the body before its first byte is read; the length decides, and none means the longest.
fn budget(body: &Incoming, context: &Context) -> Result<OwnedSemaphorePermit, Error> {
    let limit = BODY_BYTES_MAX as u64;
    let length = body.size_hint().upper().unwrap_or(limit);
    if length > limit {
        return Err(Error::BodyTooLarge {
            limit_bytes: BODY_BYTES_MAX,
        });
    }
    let units = u32::try_from(length.div_ceil(BUDGET_UNIT_BYTES as u64)).unwrap_or(u32::MAX);
    Arc::clone(&context.bodies)
        .try_acquire_many_owned(units)
        .map_err(|_| Error::Busy("too many bodies are being read"))
}

/// The body, or the reason to give up on it: longer than the limit, slower than the least rate.
async fn read(mut body: Incoming) -> Result<Bytes, Error> {
    let mut whole = BytesMut::new();
    let mut window_ends = Instant::now() + BODY_WINDOW;
    let mut window_bytes = 0;
    loop {
        let frame = match timeout_at(window_ends, body.frame()).await {
            Err(_) => return Err(Error::BodyTooSlow),
            Ok(None) => return Ok(whole.freeze()),
            Ok(Some(Err(_))) => return Err(Error::BodyBroken),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if whole.len() + data.len() > BODY_BYTES_MAX {
            return Err(Error::BodyTooLarge {
                limit_bytes: BODY_BYTES_MAX,
            });
        }
        window_bytes += data.len();
        if window_bytes >= BODY_WINDOW_BYTES_MIN {
            window_bytes = 0;
            window_ends = Instant::now() + BODY_WINDOW;
        }
        whole.extend_from_slice(&data);
    }
}
