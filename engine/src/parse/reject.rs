//! The whole list of reasons for which a request is refused, each with its status in one place.

use crate::auth::Denied;
use fiber_contract::ErrorCode;
use fiber_contract::ingest::SampleError;
use std::borrow::Cow;
use std::time::Duration;

/// A refused request. Nothing of it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Reject {
    pub code: ErrorCode,
    pub message: Cow<'static, str>,
    pub errors: Vec<SampleError>,
    pub retry_after: Option<Duration>,
    /// The connection cannot go on: its framing is lost, or its peer is not to be trusted with more.
    pub close: bool,
}

impl Reject {
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            errors: Vec::new(),
            retry_after: None,
            close: false,
        }
    }

    #[must_use]
    pub fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    pub fn malformed(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::MalformedBatch, message)
    }

    /// The body as a whole is valid JSON of the wrong shape.
    pub fn shape(field: &str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self {
            message: format!("{field} {reason}").into(),
            errors: vec![SampleError {
                index: 0,
                field: field.to_owned(),
                reason,
            }],
            ..Self::new(ErrorCode::InvalidMetric, "")
        }
    }

    /// All samples of the body were bad.
    pub fn samples(errors: Vec<SampleError>) -> Self {
        let message: Cow<'static, str> = match errors.first() {
            Some(first) => {
                format!("metric {}: {} {}", first.index, first.field, first.reason).into()
            }
            None => "no metric was valid".into(),
        };
        Self {
            errors,
            ..Self::new(ErrorCode::InvalidMetric, message)
        }
    }

    pub fn too_large(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::PayloadTooLarge, message)
    }

    pub fn overloaded(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::Overloaded, message).retry_after(Duration::from_secs(1))
    }
}

impl From<Denied> for Reject {
    fn from(denied: Denied) -> Self {
        let reject = Self::new(denied.code(), denied.to_string());
        match denied {
            Denied::Unchecked => reject.retry_after(Duration::from_secs(2)),
            Denied::Unknown | Denied::Forbidden => reject,
        }
    }
}
