use fiber_contract::ErrorCode;

/// Why a request brought nothing. `trace_id` leads the operator to the engine's log line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("The engine cannot be reached")]
    Unreachable,
    #[error("{message}")]
    Refused {
        code: Option<ErrorCode>,
        message: String,
        trace_id: Option<String>,
    },
    #[error("The answer does not read as expected: {0}")]
    Unreadable(String),
}

impl Error {
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                code: Some(ErrorCode::NotFound),
                ..
            }
        )
    }

    pub(crate) fn trace_id(&self) -> Option<&str> {
        match self {
            Self::Refused { trace_id, .. } => trace_id.as_deref(),
            Self::Unreachable | Self::Unreadable(_) => None,
        }
    }
}
