//! HTTP/1.1 as a probe speaks it.
//!
//! One connection carries one request at a time and is kept between them. Reading is strict: an
//! answer whose framing is not certain (two lengths, a length beside `chunked`, a bad chunk size)
//! is an error and closes the connection, because what follows on it cannot be trusted. Every wait
//! has a limit. Nothing is retried here: [`backoff`] says how long to wait, callers decide.
//!
//! No redirects, no proxies, no HTTP/2, no compression.

pub mod backoff;
pub mod connection;
mod framing;
pub mod tls;
pub mod url;

pub use backoff::Backoff;
pub use connection::{Connection, Limits, Response};
pub use tls::TlsRoots;
pub use url::Url;

use std::time::Duration;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("connect to {address}")]
    Connect {
        address: String,
        #[source]
        source: std::io::Error,
    },
    #[error("no connection to {address} within {limit:?}")]
    ConnectTimeout { address: String, limit: Duration },
    #[error("send the request")]
    Send(#[source] std::io::Error),
    #[error("read the answer")]
    Receive(#[source] std::io::Error),
    #[error("the peer closed the connection {when}")]
    Closed { when: &'static str },
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("the answer is not HTTP/1.1: {0}")]
    Protocol(&'static str),
}

impl Error {
    /// Whether the server may have acted on the request although we have no answer.
    pub const fn maybe_processed(&self) -> bool {
        !matches!(self, Self::Connect { .. } | Self::ConnectTimeout { .. })
    }

    /// Whether another try would end the same: the peer is there, and is not whom we mean.
    pub fn is_lasting(&self) -> bool {
        use std::io::ErrorKind::{InvalidData, InvalidInput};
        match self {
            Self::Connect { source, .. } => matches!(source.kind(), InvalidData | InvalidInput),
            _ => false,
        }
    }

    /// A short name for counting.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "connect",
            Self::ConnectTimeout { .. } => "connect timeout",
            Self::Send(_) | Self::Receive(_) | Self::Closed { .. } => "connection lost",
            Self::Timeout(_) => "timeout",
            Self::Protocol(_) => "protocol",
        }
    }
}
