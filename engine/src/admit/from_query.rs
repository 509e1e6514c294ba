//! Pushes that arrive on a connection of the query side, through the same two steps.

use super::head::{ForwardedFor, Origin, Refusal, RequestHead};
use super::reply::Reply;
use super::service::{Admit, Waits};
use crate::auth::{Memo, SignatureFields, authorization};
use crate::model::BatchId;
use crate::query::{IngestReply, IngestRequest, IngestService, ReadBody};
use fiber_contract::account::Receipt;
use fiber_contract::hex;
use fiber_contract::signature::{NONCE_FIELD, SIGNATURE_FIELD, TIMESTAMP_FIELD};
use futures_util::future::BoxFuture;
use hyper::header::{
    CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use std::time::Duration;

/// The query side's counters are the last.
const QUERY_SIDE: usize = usize::MAX;

struct OnTokio;

impl Waits for OnTokio {
    fn sleep(&self, wait: Duration) -> impl Future<Output = ()> {
        tokio::time::sleep(wait)
    }
}

impl IngestService for Admit {
    fn handle<'a>(
        &'a self,
        request: IngestRequest,
        body: ReadBody<'a>,
    ) -> BoxFuture<'a, IngestReply> {
        Box::pin(async move {
            let trace_id = request.trace_id.clone();
            let head = head_of(&request);
            // The body is polled only once its head was admitted and its bytes are charged.
            let read = match self.head(
                request.route,
                &head,
                Some(request.body_bytes_max),
                &mut Memo::default(),
            ) {
                Ok(admitted) => body
                    .await
                    .map(|body| (admitted, body))
                    .map_err(Refusal::from),
                Err(refusal) => Err(refusal),
            };
            let reply = match read {
                Ok((admitted, body)) => {
                    self.body(QUERY_SIDE, admitted, trace_id, body.into(), OnTokio)
                        .await
                }
                Err(Refusal { reject, quota }) => self.refuse(QUERY_SIDE, reject, trace_id, quota),
            };
            into_hyper(reply)
        })
    }

    fn answered(&self, id: BatchId) -> Option<Receipt> {
        let (body_hash, answer) = self.batch_ids().first_answer(id)?;
        Some(Receipt {
            batch_id: answer.batch_id.clone(),
            state: "durable".to_owned(),
            source_region: answer.source_region.clone(),
            received_at: None,
            committed_at: None,
            accepted: answer.accepted,
            rejected: answer.rejected,
            journal_id: None,
            group_seq: None,
            body_sha256: hex::encode(&body_hash),
            trace_id: None,
        })
    }
}

fn head_of(request: &IngestRequest) -> RequestHead<'_> {
    let headers = &request.headers;
    let get = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    let mut forwarded_for = ForwardedFor::default();
    for line in headers.get_all("x-forwarded-for") {
        forwarded_for.push(line.as_bytes());
    }
    RequestHead {
        authorization: authorization(headers),
        content_type: get("content-type"),
        content_encoding: get("content-encoding"),
        batch_id: get("x-batch-id"),
        region_id: get("x-region-id"),
        signature: SignatureFields {
            timestamp: get(TIMESTAMP_FIELD),
            nonce: get(NONCE_FIELD),
            signature: get(SIGNATURE_FIELD),
        },
        query: request.query.as_deref(),
        origin: Origin {
            peer: request.peer.ip(),
            forwarded_for,
        },
    }
}

fn into_hyper(reply: Reply) -> IngestReply {
    let mut headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    if let Ok(trace_id) = HeaderValue::from_str(reply.trace_id.as_str()) {
        headers.push((HeaderName::from_static("x-trace-id"), trace_id));
    }
    for (name, value) in [
        ("x-ratelimit-limit", HeaderValue::from(reply.quota.limit)),
        (
            "x-ratelimit-remaining",
            HeaderValue::from(reply.quota.remaining),
        ),
        (
            "x-ratelimit-reset",
            HeaderValue::from(reply.quota.reset_s()),
        ),
        (
            "x-ratelimit-policy",
            HeaderValue::from_static(reply.quota.policy.as_str()),
        ),
    ] {
        headers.push((HeaderName::from_static(name), value));
    }
    if let Some(seconds) = reply.retry_after_s() {
        headers.push((RETRY_AFTER, HeaderValue::from(seconds)));
    }
    if reply.close {
        headers.push((CONNECTION, HeaderValue::from_static("close")));
    }
    if reply.status == 401 {
        headers.push((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
    }
    IngestReply {
        status: reply.status,
        headers,
        body: reply.body.into(),
    }
}
