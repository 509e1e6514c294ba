//! One connection under hyper: deadlines, bounds, and the orderly end.

use super::context::Context;
use super::service;
use super::write_deadline::WriteDeadline;
use crate::limits::{HEAD_BYTES_MAX, HEAD_DEADLINE, HEAD_FIELDS_MAX, WRITE_DEADLINE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// Serves requests until the peer, a deadline or the process's end closes the connection. On the
/// last, the answer under way is finished; the caller bounds how long.
pub async fn serve_connection<T>(io: T, peer: SocketAddr, context: Arc<Context>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(WriteDeadline::new(io, WRITE_DEADLINE));
    let handler = service_fn(|request| service::handle(request, peer, Arc::clone(&context)));
    // Without the timer hyper ignores the header deadline. It counts from the end of the answer
    // before, so it is the idle deadline too.
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_DEADLINE)
            .max_headers(HEAD_FIELDS_MAX)
            .max_header_size(HEAD_BYTES_MAX)
            .serve_connection(io, handler)
    );
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = context.shutdown.asked() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        // Peers that vanish, speak nonsense or time out: theirs to know, not an operator's.
        tracing::debug!(%peer, %error, "serve a connection");
    }
}
