//! The body of every answer that is not a success.

use crate::ingest::SampleError;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ErrorBody {
    /// Always `error`.
    pub status: String,
    pub code: ErrorCode,
    pub message: String,
    pub trace_id: String,
    /// Set when samples of the body were at fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<SampleError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    MalformedBatch,
    MissingBatchId,
    InvalidToken,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    BatchConflict,
    Conflict,
    PayloadTooLarge,
    UriTooLong,
    UnsupportedMedia,
    ExpectationFailed,
    InvalidMetric,
    RateLimited,
    HeadTooLarge,
    Internal,
    NotImplemented,
    Overloaded,
    HttpVersion,
}

impl ErrorCode {
    /// The one place that pairs a code with its HTTP status.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::MalformedBatch | Self::MissingBatchId => 400,
            Self::InvalidToken => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::BatchConflict | Self::Conflict => 409,
            Self::PayloadTooLarge => 413,
            Self::UriTooLong => 414,
            Self::UnsupportedMedia => 415,
            Self::ExpectationFailed => 417,
            Self::InvalidMetric => 422,
            Self::RateLimited => 429,
            Self::HeadTooLarge => 431,
            Self::Internal => 500,
            Self::NotImplemented => 501,
            Self::Overloaded => 503,
            Self::HttpVersion => 505,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MalformedBatch => "MALFORMED_BATCH",
            Self::MissingBatchId => "MISSING_BATCH_ID",
            Self::InvalidToken => "INVALID_TOKEN",
            Self::Forbidden => "FORBIDDEN",
            Self::NotFound => "NOT_FOUND",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::RequestTimeout => "REQUEST_TIMEOUT",
            Self::BatchConflict => "BATCH_CONFLICT",
            Self::Conflict => "CONFLICT",
            Self::PayloadTooLarge => "PAYLOAD_TOO_LARGE",
            Self::UriTooLong => "URI_TOO_LONG",
            Self::UnsupportedMedia => "UNSUPPORTED_MEDIA",
            Self::ExpectationFailed => "EXPECTATION_FAILED",
            Self::InvalidMetric => "INVALID_METRIC",
            Self::RateLimited => "RATE_LIMITED",
            Self::HeadTooLarge => "HEAD_TOO_LARGE",
            Self::Internal => "INTERNAL",
            Self::NotImplemented => "NOT_IMPLEMENTED",
            Self::Overloaded => "OVERLOADED",
            Self::HttpVersion => "HTTP_VERSION",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serde_and_as_str_agree() {
        for code in [
            ErrorCode::MalformedBatch,
            ErrorCode::HttpVersion,
            ErrorCode::InvalidMetric,
        ] {
            let json = serde_json::to_string(&code).unwrap();
            assert_eq!(json, format!("\"{}\"", code.as_str()));
        }
    }
}
