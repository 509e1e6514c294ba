//! Pushes that arrive on a connection of the query side, through the same two steps.

use super::head::{Admitted, ForwardedFor, Origin, Refusal, RequestHead, SEVERAL_ENCODINGS};
use super::reply::Reply;
use super::service::{Admit, Waits};
use crate::auth::{Memo, SignatureFields, authorization};
use crate::limits::SKIP_BYTES_MAX;
use crate::model::{BatchId, TraceId};
use crate::parse::Reject;
use crate::query::{BodyPieces, IngestReply, IngestRequest, IngestService};
use fiber_contract::account::Receipt;
use fiber_contract::hex;
use fiber_contract::limits::BODY_BYTES_MAX;
use fiber_contract::signature::{NONCE_FIELD, SIGNATURE_FIELD, TIMESTAMP_FIELD};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use hyper::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, EXPECT, HeaderName, HeaderValue, RETRY_AFTER,
    WWW_AUTHENTICATE,
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
        body: BodyPieces<'a>,
    ) -> BoxFuture<'a, IngestReply> {
        Box::pin(async move {
            let trace_id = request.trace_id.clone();
            let head = head_of(&request);
            // The body is polled only once its head was admitted and its bytes are charged.
            let admitted = self.head(
                request.route,
                &head,
                request.body_bytes,
                &mut Memo::default(),
            );
            let read = match admitted {
                Ok(admitted) => read(admitted, request.body_bytes, body)
                    .await
                    .map_err(Refusal::from),
                Err(Refusal { reject, quota }) => Err(Refusal {
                    reject: read_over(reject, &request, body).await,
                    quota,
                }),
            };
            let reply = match read {
                Ok((admitted, body)) => {
                    self.body(QUERY_SIDE, admitted, trace_id, body, OnTokio)
                        .await
                }
                Err(Refusal { reject, quota }) => self.refuse(QUERY_SIDE, reject, trace_id, quota),
            };
            into_hyper(reply)
        })
    }

    fn refuse(&self, reject: Reject, trace_id: TraceId) -> IngestReply {
        into_hyper(Self::refuse(self, QUERY_SIDE, reject, trace_id, None))
    }

    fn answered(&self, id: BatchId) -> Option<Receipt> {
        let (body_hash, answer) = self.batch_ids().first_answer(id)?;
        Some(Receipt {
            batch_id: answer.batch_id,
            state: "durable".to_owned(),
            source_region: answer.source_region,
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

/// The whole body, charged as it grows unless its length was told.
async fn read(
    mut admitted: Admitted,
    told_bytes: Option<usize>,
    mut pieces: BodyPieces<'_>,
) -> Result<(Admitted, Vec<u8>), Reject> {
    let mut whole = Vec::with_capacity(told_bytes.unwrap_or(0).min(BODY_BYTES_MAX));
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        if whole.len() + piece.len() > BODY_BYTES_MAX {
            let reason = format!("a body may have {BODY_BYTES_MAX} bytes");
            return Err(Reject::too_large(reason).closing());
        }
        if told_bytes.is_none() && !admitted.grow(piece.len()) {
            return Err(Reject::overloaded("too many bytes are in flight").closing());
        }
        whole.extend_from_slice(&piece);
    }
    Ok((admitted, whole))
}

/// As on the cores: behind the refusal of a short body the connection goes on.
async fn read_over(reject: Reject, request: &IngestRequest, mut body: BodyPieces<'_>) -> Reject {
    let is_short = request
        .body_bytes
        .is_some_and(|bytes| bytes <= SKIP_BYTES_MAX);
    if reject.close || !is_short || request.headers.contains_key(EXPECT) {
        return reject.closing();
    }
    while let Some(piece) = body.next().await {
        if let Err(broken) = piece {
            return broken;
        }
    }
    reject
}

fn head_of(request: &IngestRequest) -> RequestHead<'_> {
    let headers = &request.headers;
    let get = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    let mut forwarded_for = ForwardedFor::default();
    for line in headers.get_all("x-forwarded-for") {
        forwarded_for.push(line.as_bytes());
    }
    let several = headers.get_all(CONTENT_ENCODING).iter().nth(1).is_some();
    RequestHead {
        authorization: authorization(headers),
        content_type: get("content-type"),
        content_encoding: if several {
            Some(SEVERAL_ENCODINGS)
        } else {
            get("content-encoding")
        },
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
