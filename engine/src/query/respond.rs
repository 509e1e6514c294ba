//! Answers: the body type, the frames around data and errors, and the trace id.

use super::error::Error;
use crate::auth::people;
use crate::model::TraceId;
use bytes::Bytes;
use fiber_contract::ErrorBody;
use fiber_contract::query::{Answer, Meta};
use hyper::body::{Frame, SizeHint};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use serde::Serialize;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Whole in memory, or made as it goes.
#[derive(Debug)]
pub(crate) enum Body {
    Whole(Bytes),
    /// Ends when the sender is dropped.
    Stream(mpsc::Receiver<Bytes>),
    /// The same, and may end before it is whole.
    Pages(mpsc::Receiver<Result<Bytes, Aborted>>),
}

/// The body cannot be finished: the connection is cut, so that nobody takes a part for the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer was cut short")]
pub(crate) struct Aborted;

impl Body {
    pub(crate) const EMPTY: Self = Self::Whole(Bytes::new());
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Stream(chunks) => chunks
                .poll_recv(cx)
                .map(|chunk| chunk.map(|bytes| Ok(Frame::data(bytes)))),
            Self::Pages(pages) => pages
                .poll_recv(cx)
                .map(|page| page.map(|bytes| bytes.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(_) | Self::Pages(_) => SizeHint::default(),
        }
    }
}

/// The id that the client sent, or a new one.
pub(crate) fn trace_id(headers: &HeaderMap) -> TraceId {
    let sent = headers.get(TRACE_ID).or_else(|| headers.get(REQUEST_ID));
    TraceId::of(sent.map(HeaderValue::as_bytes))
}

/// Puts the id on an answer that does not carry one yet.
pub(crate) fn mark(trace_id: &TraceId, response: &mut Response<Body>) {
    if let Ok(value) = HeaderValue::from_str(trace_id.as_str()) {
        response.headers_mut().entry(TRACE_ID).or_insert(value);
    }
}

pub(crate) fn whole(status: StatusCode, content_type: HeaderValue, bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::Whole(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Any value as JSON, without the frame.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Result<Response<Body>, Error> {
    let bytes = serde_json::to_vec(value).map_err(|error| Error::Internal(Box::new(error)))?;
    Ok(whole(status, JSON, bytes.into()))
}

/// `{"status":"ok","data":…,"meta":…}`.
pub(crate) fn answer<T: Serialize>(data: T, meta: Meta) -> Result<Response<Body>, Error> {
    json(
        StatusCode::OK,
        &Answer {
            status: "ok".to_owned(),
            data,
            meta,
        },
    )
}

pub(crate) fn no_content() -> Response<Body> {
    let mut response = Response::new(Body::EMPTY);
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(crate) fn error(error: &Error, trace_id: &TraceId) -> Response<Body> {
    let code = error.code();
    match error {
        Error::Database(cause) => {
            tracing::warn!(trace_id = trace_id.as_str(), %cause, "query the database");
        }
        Error::Internal(cause) => {
            tracing::error!(trace_id = trace_id.as_str(), %cause, "answer a query");
        }
        _ => {}
    }
    let body = ErrorBody {
        status: "error".to_owned(),
        code,
        message: error.to_string(),
        trace_id: trace_id.as_str().to_owned(),
        errors: Vec::new(),
    };
    let status =
        StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let bytes = serde_json::to_vec(&body).unwrap_or_default();
    let mut response = whole(status, JSON, bytes.into());
    let headers = response.headers_mut();
    if let Error::MethodNotAllowed { allow } = error {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, retry_after(trace_id));
    }
    if let Error::TooManyUnknown { wait } = error {
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
    }
    if let Error::People(people::Error::Throttled { retry_after }) = error {
        headers.insert(RETRY_AFTER, (retry_after.as_secs() + 1).into());
    }
    if error.closes() {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// 1–3 s, spread by the trace id so that a crowd does not come back at once.
fn retry_after(trace_id: &TraceId) -> HeaderValue {
    let spread = xxhash_rust::xxh3::xxh3_64(trace_id.as_str().as_bytes()) % 3;
    HeaderValue::from_static(
        ["1", "2", "3"][usize::from(spread == 1) + 2 * usize::from(spread == 2)],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sent: &str, echoed: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(TRACE_ID, HeaderValue::from_bytes(sent.as_bytes()).unwrap());
        assert_eq!(trace_id(&headers).as_str() == sent, echoed, "{sent:?}");
    }

    #[test]
    fn a_sane_trace_id_is_echoed_and_others_are_replaced() {
        check("abc-123", true);
        check(&"x".repeat(128), true);
        check(&"x".repeat(129), false);
        check("", false);
        check("two words", false);
        check("umläut", false);
    }

    #[test]
    fn the_request_id_serves_when_there_is_no_trace_id() {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_static("r1"));
        assert_eq!(trace_id(&headers).as_str(), "r1");
    }
}
