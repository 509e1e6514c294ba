//! What the head of an ingest request says, and what is decided from it alone.

use super::in_flight::Permit;
use super::rate::Quota;
use crate::auth::{Principal, SignatureFields, Signed};
use crate::model::BatchId;
use crate::parse::{Encoding, Limits, Reject};
use fiber_contract::ErrorCode;
use fiber_contract::limits::{INGEST_SAMPLES_MAX, PUSH_SAMPLES_MAX, REGION_CHARS_MAX};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    Push,
    Ingest,
}

impl Route {
    pub fn of_path(path: &str) -> Option<Self> {
        match path {
            "/api/push" => Some(Self::Push),
            "/api/ingest" => Some(Self::Ingest),
            _ => None,
        }
    }

    pub(super) const fn limits(self) -> Limits {
        match self {
            Self::Push => Limits {
                samples_max: PUSH_SAMPLES_MAX,
                single_allowed: true,
            },
            Self::Ingest => Limits {
                samples_max: INGEST_SAMPLES_MAX,
                single_allowed: false,
            },
        }
    }
}

/// Where a request comes from, as far as it is told.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    pub peer: IpAddr,
    pub forwarded_for: ForwardedFor<'a>,
}

impl Default for Origin<'_> {
    fn default() -> Self {
        Self {
            peer: Ipv4Addr::UNSPECIFIED.into(),
            forwarded_for: ForwardedFor::default(),
        }
    }
}

/// The last values of X-Forwarded-For, in their order. Only their end is ever believed.
#[derive(Clone, Copy, Debug, Default)]
pub struct ForwardedFor<'a>([Option<&'a [u8]>; FORWARDED_LINES]);

/// Proxies append to the last line, or add one each.
const FORWARDED_LINES: usize = 4;

impl<'a> ForwardedFor<'a> {
    pub fn push(&mut self, line: &'a [u8]) {
        self.0.rotate_left(1);
        self.0[FORWARDED_LINES - 1] = Some(line);
    }

    pub fn lines(&self) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        self.0.into_iter().flatten()
    }
}

/// A refusal, and the quota that it tells when that is not the instance's.
#[derive(Debug)]
pub struct Refusal {
    pub reject: Reject,
    pub quota: Option<Quota>,
}

impl From<Reject> for Refusal {
    fn from(reject: Reject) -> Self {
        Self {
            reject,
            quota: None,
        }
    }
}

/// Header values as they came. A repeated header counts as its first, but a repeated Authorization as
/// none, and a repeated Content-Encoding as [`SEVERAL_ENCODINGS`].
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestHead<'a> {
    pub authorization: Option<&'a [u8]>,
    pub content_type: Option<&'a [u8]>,
    pub content_encoding: Option<&'a [u8]>,
    pub batch_id: Option<&'a [u8]>,
    pub region_id: Option<&'a [u8]>,
    pub signature: SignatureFields<'a>,
    /// Of the target, after `?`.
    pub query: Option<&'a str>,
    pub origin: Origin<'a>,
}

/// Stands for more than one Content-Encoding: no encoding that is known.
pub const SEVERAL_ENCODINGS: &[u8] = b"several";

/// When the answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    Durable,
    Committed,
}

/// A request that may bring its body: the only way to `Admit::body`.
#[derive(Debug)]
pub struct Admitted {
    pub(super) route: Route,
    pub(super) ack: Ack,
    pub(super) encoding: Encoding,
    pub(super) principal: Arc<Principal>,
    pub(super) signed: Option<Signed>,
    pub(super) batch_id: BatchId,
    pub(super) named_by_client: bool,
    pub(super) source_region: Option<String>,
    pub(super) permit: Permit,
}

impl Admitted {
    /// Room for more of a body that did not tell its length.
    #[must_use]
    pub fn grow(&mut self, bytes: usize) -> bool {
        self.permit.grow(bytes)
    }
}

/// `application/json`, with or without parameters, plain or compressed.
pub(super) fn media(head: &RequestHead<'_>) -> Result<Encoding, Reject> {
    let essence = head.content_type.map(|value| {
        value
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or_default()
            .trim_ascii()
    });
    if !essence.is_some_and(|essence| essence.eq_ignore_ascii_case(b"application/json")) {
        return Err(Reject::new(
            ErrorCode::UnsupportedMedia,
            "send the body as Content-Type: application/json",
        ));
    }
    Encoding::of(head.content_encoding).ok_or_else(|| {
        Reject::new(
            ErrorCode::UnsupportedMedia,
            "send the body plain, or with one Content-Encoding: gzip or zstd",
        )
    })
}

/// The id that the client named, or one of ours.
pub(super) fn batch_id(route: Route, head: &RequestHead<'_>) -> Result<(BatchId, bool), Reject> {
    match head.batch_id {
        Some(text) => std::str::from_utf8(text)
            .ok()
            .and_then(|text| Uuid::try_parse(text.trim()).ok())
            .map(|id| (BatchId(id), true))
            .ok_or_else(|| Reject::malformed("X-Batch-ID must be a UUID")),
        None if route == Route::Ingest => Err(Reject::new(
            ErrorCode::MissingBatchId,
            "send X-Batch-ID, a UUID of your own, so that a retry is recognised",
        )),
        None => Ok((BatchId(Uuid::new_v4()), false)),
    }
}

pub(super) fn source_region(head: &RequestHead<'_>) -> Result<Option<String>, Reject> {
    let Some(value) = head.region_id else {
        return Ok(None);
    };
    let text = std::str::from_utf8(value).ok().filter(|text| {
        let chars = text.chars().count();
        (1..=REGION_CHARS_MAX).contains(&chars) && !text.chars().any(char::is_control)
    });
    match text {
        Some(text) => Ok(Some(text.to_owned())),
        None => Err(Reject::malformed(format!(
            "X-Region-ID must have 1 to {REGION_CHARS_MAX} characters"
        ))),
    }
}

pub(super) fn ack(query: Option<&str>) -> Result<Ack, Reject> {
    let asked = query
        .unwrap_or("")
        .split('&')
        .find_map(|pair| pair.strip_prefix("ack="));
    match asked {
        None | Some("durable") => Ok(Ack::Durable),
        Some("committed") => Ok(Ack::Committed),
        Some(_) => Err(Reject::shape("ack", "must be durable or committed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ingest_needs_a_batch_id_and_a_push_does_not() {
        let head = RequestHead::default();
        assert_eq!(
            batch_id(Route::Ingest, &head).unwrap_err().code,
            ErrorCode::MissingBatchId
        );
        assert!(!batch_id(Route::Push, &head).unwrap().1);
        let bad = RequestHead {
            batch_id: Some(b"7"),
            ..head
        };
        assert_eq!(
            batch_id(Route::Push, &bad).unwrap_err().code,
            ErrorCode::MalformedBatch
        );
    }

    #[test]
    fn media_types_other_than_json_are_refused() {
        let head = |content_type: &'static [u8]| RequestHead {
            content_type: Some(content_type),
            ..RequestHead::default()
        };
        assert!(media(&head(b"application/json")).is_ok());
        assert!(media(&head(b"Application/JSON; charset=utf-8")).is_ok());
        assert!(media(&head(b"text/json")).is_err());
        assert!(media(&RequestHead::default()).is_err());
    }

    #[test]
    fn one_encoding_of_three_is_taken() {
        let encoding = |field: &'static [u8]| {
            let head = RequestHead {
                content_type: Some(b"application/json"),
                content_encoding: Some(field),
                ..RequestHead::default()
            };
            media(&head).map_err(|reject| reject.code.http_status())
        };
        assert_eq!(encoding(b"GZip"), Ok(Encoding::Gzip));
        assert_eq!(encoding(b"zstd"), Ok(Encoding::Zstd));
        assert_eq!(encoding(b"identity"), Ok(Encoding::Identity));
        for other in [
            &b"br"[..],
            b"",
            b"gzip, gzip",
            b"gzip,identity",
            SEVERAL_ENCODINGS,
        ] {
            assert_eq!(encoding(other), Err(415), "{}", other.escape_ascii());
        }
    }
}
