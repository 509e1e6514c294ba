//! The two steps of a request.

use super::batch_ids::{BatchIds, Seen};
use super::head::{self, Ack, Admitted, Origin, Refusal, RequestHead, Route};
use super::in_flight::InFlight;
use super::rate::{OverLimit, Quota, RateLimiter};
use super::reply::{Reply, render_reject};
use crate::auth::{Authorizer, Denied, Memo, Principal, Signed};
use crate::copy::CommitWatch;
use crate::journal::record::Record;
use crate::journal::{Answers, Appender, CommitFailed, Refused};
use crate::limits::COMMITTED_ACK_WAIT;
use crate::model::{GroupSeq, TraceId, clock};
use crate::parse::{Inflation, Parsed, Reject, STEP_BYTES_MAX, Scratch, parse};
use crate::planted::planted;
use crate::shutdown::Shutdown;
use crate::telemetry::metrics::{IngestCounters, Metrics};
use fiber_contract::ingest::IngestData;
use fiber_contract::limits::BODY_BYTES_MAX;
use fiber_contract::{ErrorCode, UnixMicros};
use futures_util::future::{Either, select};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// One per process, shared by all cores and by the query side.
#[derive(Debug)]
pub struct Admit {
    authorizer: Arc<Authorizer>,
    rate: Arc<RateLimiter>,
    in_flight: InFlight,
    batch_ids: Arc<BatchIds>,
    appender: Appender,
    committed: CommitWatch,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
}

/// How a runtime waits; a future made for one must not be polled on the other.
pub trait Waits {
    fn sleep(&self, wait: Duration) -> impl Future<Output = ()>;

    /// Who gives the journal's answers out on this thread, where somebody does.
    fn answers(&self) -> Option<Arc<Answers>> {
        None
    }
}

thread_local! {
    /// Decoding never waits, so one set of buffers serves all requests of a thread.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Admit {
    pub fn new(
        authorizer: Arc<Authorizer>,
        rate: Arc<RateLimiter>,
        batch_ids: Arc<BatchIds>,
        appender: Appender,
        committed: CommitWatch,
        metrics: Arc<Metrics>,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            authorizer,
            rate,
            in_flight: InFlight::default(),
            batch_ids,
            appender,
            committed,
            metrics,
            shutdown,
        }
    }

    /// Counters of an ingest core; the query side has the last.
    pub fn counters(&self, core: usize) -> &IngestCounters {
        let last = self.metrics.ingest.len() - 1;
        &self.metrics.ingest[core.min(last)]
    }

    pub fn batch_ids(&self) -> &BatchIds {
        &self.batch_ids
    }

    /// Decides all that needs no body. `length` is the body's, if it was told; `memo` the
    /// connection's.
    pub fn head(
        &self,
        route: Route,
        head: &RequestHead<'_>,
        length: Option<usize>,
        memo: &mut Memo,
    ) -> Result<Admitted, Refusal> {
        let known = self.authorizer.pusher(head.authorization, memo);
        let known = known.and_then(|principal| {
            let signed = self.authorizer.signed(head.signature, head.batch_id)?;
            Ok((principal, signed))
        });
        match known {
            Ok((principal, signed)) => Ok(self.known(route, head, length, principal, signed)?),
            Err(Denied::Unknown) => Err(self.stranger(head.origin)),
            Err(denied) => Err(Reject::from(denied).into()),
        }
    }

    /// A 401, or a 429 for a client that has got many of them.
    fn stranger(&self, origin: Origin<'_>) -> Refusal {
        let (client, quota, taken) = self.rate.take_stranger(origin);
        let reject = match taken {
            Ok(()) => Reject::from(Denied::Unknown),
            Err(wait) => {
                tracing::debug!(%client, "too many requests without a valid token");
                Reject::new(
                    ErrorCode::RateLimited,
                    "too many requests without a valid token came from this address",
                )
                .retry_after(wait)
            }
        };
        let quota = Some(quota);
        Refusal { reject, quota }
    }

    /// The rest of a head whose sender is known.
    fn known(
        &self,
        route: Route,
        head: &RequestHead<'_>,
        length: Option<usize>,
        principal: Arc<Principal>,
        signed: Option<Signed>,
    ) -> Result<Admitted, Reject> {
        if self.shutdown.is_asked() {
            return Err(Reject::overloaded("the engine is stopping").closing());
        }
        let encoding = head::media(head)?;
        let ack = head::ack(head.query)?;
        let (batch_id, named_by_client) = head::batch_id(route, head)?;
        let source_region = head::source_region(head)?;
        if length.is_some_and(|length| length > BODY_BYTES_MAX) {
            return Err(
                Reject::too_large(format!("a body may have {BODY_BYTES_MAX} bytes")).closing(),
            );
        }
        self.rate.take_global().map_err(|wait| {
            Reject::new(
                ErrorCode::Overloaded,
                "the instance takes no more requests at this moment",
            )
            .retry_after(wait)
        })?;
        self.appender
            .has_room(length.unwrap_or(0))
            .map_err(refused)?;
        let permit = self
            .in_flight
            .acquire(length.unwrap_or(0))
            .ok_or_else(|| Reject::overloaded("too many bytes are in flight"))?;
        Ok(Admitted {
            route,
            ack,
            encoding,
            principal,
            signed,
            batch_id,
            named_by_client,
            source_region,
            permit,
        })
    }

    /// Parses, journals and answers. The future may be polled on either runtime.
    pub async fn body(
        &self,
        core: usize,
        mut admitted: Admitted,
        trace_id: TraceId,
        body: Vec<u8>,
        waits: impl Waits,
    ) -> Reply {
        let counters = self.counters(core);
        counters.requests.add(1);
        counters.body_bytes.add(body.len() as u64);
        let mut quota = None;
        let done = self
            .store(counters, &mut admitted, &trace_id, body, &mut quota, waits)
            .await;
        match done {
            Ok((status, message, data)) => {
                let quota = quota.unwrap_or_else(|| self.rate.instance_quota());
                Reply::accepted(status, message, data, trace_id, quota)
            }
            Err(reject) => self.refuse(core, reject, trace_id, quota),
        }
    }

    /// The answer to a refusal, counted.
    pub fn refuse(
        &self,
        core: usize,
        reject: Reject,
        trace_id: TraceId,
        quota: Option<Quota>,
    ) -> Reply {
        self.counters(core).refuse(reject.code);
        let quota = quota.unwrap_or_else(|| self.rate.instance_quota());
        render_reject(reject, trace_id, quota)
    }

    async fn store(
        &self,
        counters: &IngestCounters,
        admitted: &mut Admitted,
        trace_id: &TraceId,
        mut body: Vec<u8>,
        quota: &mut Option<Quota>,
        waits: impl Waits,
    ) -> Result<(u16, String, IngestData), Reject> {
        // Before parsing, which changes the bytes; and the signature before anything is told.
        let body_hash: [u8; 32] = if admitted.named_by_client || admitted.signed.is_some() {
            Sha256::digest(&body).into()
        } else {
            [0; 32]
        };
        if let Some(signed) = &admitted.signed {
            self.authorizer.check_signature(signed, &body_hash)?;
        }
        if admitted.named_by_client {
            match self.batch_ids.look(admitted.batch_id, &body_hash) {
                Seen::New => {}
                Seen::Answered(first) => {
                    return Ok((200, "Already processed".to_owned(), first));
                }
                Seen::Conflict => {
                    return Err(Reject::new(
                        ErrorCode::BatchConflict,
                        "this X-Batch-ID was used with another body",
                    ));
                }
            }
        }
        if let Some(plain) = inflate(admitted, &body).await? {
            body = plain;
        }
        let now = clock::now();
        let limits = admitted.route.limits();
        let parsed = SCRATCH.with_borrow_mut(|scratch| parse(&mut body, limits, now, scratch));
        let parsed = parsed
            .inspect_err(|reject| counters.reject_samples(reject.errors.len(), &reject.errors))?;
        check_nodes(&admitted.principal, &parsed)?;
        // Held until the answer.
        let mut _under_way = None;
        if let Some(probe) = parsed.first_node() {
            let crowded = self.in_flight.is_crowded();
            let (told, taken) = self.rate.take(probe, body.len(), crowded);
            *quota = Some(told);
            _under_way = Some(taken.map_err(|over| over_limit(counters, over))?);
        }
        let (record, data) = record_of(admitted, trace_id, body_hash, now, &parsed);
        let pending = self
            .appender
            .try_append_for(record, parsed.rows, waits.answers())
            .map_err(refused)?;
        let seq = match pending.await {
            Ok(Ok(seq)) => seq,
            Ok(Err(failed)) => return Err(commit_failed(failed)),
            Err(_) => return Err(commit_failed(CommitFailed::Poisoned)),
        };
        counters.samples_received.add(u64::from(parsed.rows));
        counters.reject_samples(parsed.rejected as usize, &parsed.errors);
        if admitted.named_by_client && !planted("answer-not-remembered") {
            self.batch_ids
                .remember(admitted.batch_id, body_hash, data.clone());
        }
        let message = self
            .acknowledge(admitted.ack, seq, parsed.rows, waits)
            .await;
        Ok((202, message, data))
    }

    async fn acknowledge(&self, ack: Ack, seq: GroupSeq, rows: u32, waits: impl Waits) -> String {
        if ack == Ack::Committed {
            let committed = pin!(self.committed.wait(seq));
            let gave_up = pin!(waits.sleep(COMMITTED_ACK_WAIT));
            if let Either::Right(_) = select(committed, gave_up).await {
                return format!("Queued {rows} metrics; durable, the commit is still pending");
            }
        }
        format!("Queued {rows} metrics")
    }
}

/// Makes a compressed body plain. What it grows to is charged step by step, before each; and between steps the
/// other tasks of the thread have their turn.
async fn inflate(admitted: &mut Admitted, body: &[u8]) -> Result<Option<Vec<u8>>, Reject> {
    let Some(mut inflation) = Inflation::new(admitted.encoding, body) else {
        return Ok(None);
    };
    let permit = &mut admitted.permit;
    let sent_bytes = permit.held();
    loop {
        if !permit.hold(sent_bytes + inflation.held_bytes() + STEP_BYTES_MAX) {
            return Err(Reject::overloaded("too many bytes are in flight"));
        }
        if inflation.step()? {
            break;
        }
        let_others_go().await;
    }
    let plain = inflation.into_plain();
    let held = permit.hold(sent_bytes + plain.len());
    debug_assert!(held, "it is no more than before");
    Ok(Some(plain))
}

async fn let_others_go() {
    let mut went = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut went, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A probe's key speaks for that probe alone.
fn check_nodes(principal: &Principal, parsed: &Parsed) -> Result<(), Denied> {
    if parsed
        .nodes()
        .all(|node_id| principal.may_push_for(node_id))
    {
        Ok(())
    } else {
        Err(Denied::Forbidden)
    }
}

fn record_of(
    admitted: &Admitted,
    trace_id: &TraceId,
    body_hash: [u8; 32],
    now: UnixMicros,
    parsed: &Parsed,
) -> (Vec<u8>, IngestData) {
    let data = IngestData {
        batch_id: admitted.batch_id.0.to_string(),
        source_region: admitted.source_region.clone(),
        queued: parsed.queued,
        accepted: parsed.rows,
        duplicates: parsed.duplicates,
        rejected: parsed.rejected,
        errors: parsed.errors.clone(),
    };
    let answer = if admitted.named_by_client {
        serde_json::to_vec(&data).expect("plain structs of strings and numbers serialise")
    } else {
        Vec::new()
    };
    let record = Record {
        batch_id: admitted.batch_id,
        named_by_client: admitted.named_by_client,
        received_at: now,
        body_hash,
        source_region: admitted.source_region.as_deref().unwrap_or(""),
        trace_id: trace_id.as_str(),
        rejected: parsed.rejected,
        answer: &answer,
        series: parsed.series(),
        rows: parsed.rows,
        tuples: &parsed.tuples,
    };
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    (bytes, data)
}

fn over_limit(counters: &IngestCounters, over: OverLimit) -> Reject {
    let (message, wait) = match over {
        OverLimit::Quota(wait) => ("this probe sends more than its quota", wait),
        OverLimit::Share(wait) => {
            counters.refused_by_share.add(1);
            (
                "the engine is overloaded, and this probe has its share of it",
                wait,
            )
        }
    };
    Reject::new(ErrorCode::RateLimited, message).retry_after(wait)
}

fn refused(refused: Refused) -> Reject {
    let reject = Reject::overloaded(refused.to_string());
    match refused {
        Refused::Busy => reject,
        Refused::TooLarge => Reject::too_large(refused.to_string()),
        // The database must catch up first, which takes more than a moment.
        Refused::Full | Refused::Aged => reject.retry_after(Duration::from_secs(5)),
        Refused::Stopping | Refused::Poisoned => reject.closing(),
    }
}

fn commit_failed(failed: CommitFailed) -> Reject {
    match failed {
        CommitFailed::NoSpace => Reject::overloaded(failed.to_string()),
        CommitFailed::Poisoned => Reject::overloaded(failed.to_string()).closing(),
    }
}
