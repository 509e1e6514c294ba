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
    pub quota: Quota,
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
        quota: Quota,
    ) -> Self {
        Self {
            status,
            body: render_accepted(message, data),
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

pub fn render_reject(reject: Reject, trace_id: TraceId, quota: Quota) -> Reply {
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

/// As serde writes it. Nearly every answer has no errors, and no text that needs an escape: that
/// one is pushed piece by piece, at a fifth of the instructions.
fn render_accepted(message: String, data: IngestData) -> Vec<u8> {
    let plain = data.errors.is_empty()
        && data.source_region.as_deref().is_none_or(is_plain)
        && is_plain(&message)
        && is_plain(&data.batch_id);
    if !plain {
        return to_json(&IngestAnswer {
            status: "accepted".to_owned(),
            message,
            data,
        });
    }
    let mut out = Vec::with_capacity(256);
    let mut text = |part: &str| out.extend_from_slice(part.as_bytes());
    text(r#"{"status":"accepted","message":""#);
    text(&message);
    text(r#"","data":{"batch_id":""#);
    text(&data.batch_id);
    match &data.source_region {
        None => text(r#"","source_region":null"#),
        Some(region) => {
            text(r#"","source_region":""#);
            text(region);
            text("\"");
        }
    }
    for (name, count) in [
        (r#","queued":"#, data.queued),
        (r#","accepted":"#, data.accepted),
        (r#","duplicates":"#, data.duplicates),
        (r#","rejected":"#, data.rejected),
    ] {
        text(name);
        text(itoa::Buffer::new().format(count));
    }
    text(r#","errors":[]}}"#);
    out
}

/// Stands in JSON as it is.
fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    text.bytes().all(plain)
}

fn to_json<T: serde::Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain structs of strings and numbers serialise")
}

#[cfg(test)]
mod tests {
    use super::*;
    use fiber_contract::ingest::SampleError;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_accepted_answer_is_what_serde_writes(
            message in "[ -~]{0,20}|\\PC{0,8}",
            batch_id in "[0-9a-f-]{36}",
            source_region in proptest::option::of("[a-z]{1,8}|[\"\\\\é\u{7f}\u{1}]{1,4}"),
            counts in any::<[u32; 4]>(),
            errors in 0..2_usize,
        ) {
            let data = IngestData {
                batch_id,
                source_region,
                queued: counts[0],
                accepted: counts[1],
                duplicates: counts[2],
                rejected: counts[3],
                errors: vec![
                    SampleError { index: 1, field: "f".to_owned(), reason: "r".to_owned() };
                    errors
                ],
            };
            let answer = IngestAnswer {
                status: "accepted".to_owned(),
                message: message.clone(),
                data: data.clone(),
            };
            prop_assert_eq!(render_accepted(message, data), to_json(&answer));
        }
    }
}
