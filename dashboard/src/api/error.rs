use fiber_contract::ErrorCode;

use super::json::Bad;

/// Why a request brought nothing. `trace_id` leads the operator to the engine's log line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("The engine cannot be reached")]
    Unreachable,
    #[error("{message}")]
    Refused {
        status: u16,
        /// As `ErrorCode` names it; none when something before the engine answered.
        code: Option<String>,
        message: String,
        trace_id: Option<String>,
    },
    #[error("The answer does not read as expected: {}", .0.0)]
    Unreadable(Bad),
}

impl Error {
    pub(crate) fn is_not_found(&self) -> bool {
        self.is(ErrorCode::NotFound)
    }

    pub(crate) fn is(&self, wanted: ErrorCode) -> bool {
        match self {
            Self::Refused { code, .. } => code.as_deref() == Some(wanted.as_str()),
            Self::Unreachable | Self::Unreadable(_) => false,
        }
    }

    pub(crate) fn trace_id(&self) -> Option<&str> {
        match self {
            Self::Refused { trace_id, .. } => trace_id.as_deref(),
            Self::Unreachable | Self::Unreadable(_) => None,
        }
    }
}
