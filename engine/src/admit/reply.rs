//! An answer, before it is written in either runtime's way.

use super::rate::Quota;
use crate::model::TraceId;
use crate::parse::Reject;
use fiber_contract::ErrorBody;
use fiber_contract::ingest::{IngestAnswer, IngestData};
use std::time::Duration;

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
    pub trace_id: TraceId,
    pub quota: Option<Quota>,
    pub retry_after: Option<Duration>,
    /// The connection ends after it.
    pub close: bool,
}

/// Waits are spread by up to this share, so that refused clients do not come back as one.
const RETRY_JITTER: f64 = 0.5;

impl Reply {
    pub(super) fn accepted(
        status: u16,
        message: String,
        data: IngestData,
        trace_id: TraceId,
        quota: Option<Quota>,
    ) -> Self {
        let answer = IngestAnswer {
            status: "accepted".to_owned(),
            message,
            data,
        };
        Self {
            status,
            body: to_json(&answer),
            trace_id,
            quota,
            retry_after: None,
            close: false,
        }
    }

    /// Seconds for `Retry-After`, at least one.
    pub fn retry_after_s(&self) -> Option<u64> {
        self.retry_after.map(|wait| {
            // The trace id is random or the client's own: jitter enough, without a generator.
            let spread = xxhash_rust::xxh3::xxh3_64(self.trace_id.as_str().as_bytes()) % 1_000;
            #[expect(clippy::cast_precision_loss, reason = "below 1000")]
            let wait_s = wait.as_secs_f64() * (1.0 + RETRY_JITTER * spread as f64 / 1_000.0);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a few seconds"
            )]
            let whole_s = wait_s.ceil() as u64;
            whole_s.max(1)
        })
    }
}

pub fn render_reject(reject: Reject, trace_id: TraceId, quota: Option<Quota>) -> Reply {
    let body = ErrorBody {
        status: "error".to_owned(),
        code: reject.code,
        message: reject.message.into_owned(),
        trace_id: trace_id.as_str().to_owned(),
        errors: reject.errors,
    };
    Reply {
        status: reject.code.http_status(),
        body: to_json(&body),
        trace_id,
        quota,
        retry_after: reject.retry_after,
        close: reject.close,
    }
}

fn to_json<T: serde::Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain structs of strings and numbers serialise")
}
