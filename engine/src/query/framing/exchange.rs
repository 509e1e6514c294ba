//! What the two ends of a connection tell each other: the guard that reads, the service that answers.

use crate::parse::Reject;
use futures_util::task::AtomicWaker;
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// One per connection.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    state: Mutex<State>,
    guard: AtomicWaker,
}

#[derive(Debug, Default)]
struct State {
    /// A request was passed on, and its answer did not end yet.
    busy: bool,
    /// Why the request at hand is refused, or why its body is.
    refusal: Option<Reject>,
    chunked: bool,
    /// The request's body was passed on to its end.
    body_over: bool,
    /// Whoever answered has read a chunked body to its end.
    body_taken: bool,
}

impl Exchange {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, chunked: bool) {
        *self.lock() = State {
            busy: true,
            chunked,
            ..State::default()
        };
    }

    pub(super) fn refuse(&self, reject: Reject) {
        self.lock().refusal = Some(reject);
    }

    pub(super) fn body_is_over(&self) {
        self.lock().body_over = true;
    }

    /// True until the answer ended; then the waker is called.
    pub(super) fn is_busy(&self, waker: &Waker) -> bool {
        self.guard.register(waker);
        self.lock().busy
    }

    /// The body of the request at hand was read to its end.
    pub(crate) fn body_was_taken(&self) {
        self.lock().body_taken = true;
    }

    /// Why the answer must be this refusal, whatever was answered.
    pub(crate) fn take_refusal(&self) -> Option<Reject> {
        self.lock().refusal.take()
    }

    /// hyper drops the connection behind an answer to a request whose body is not read, and says
    /// nothing: then the answer must say it.
    pub(crate) fn leaves_a_body(&self) -> bool {
        let state = self.lock();
        !state.body_over || (state.chunked && !state.body_taken)
    }

    fn end(&self) {
        self.lock().busy = false;
        self.guard.wake();
    }
}

/// An answer's body; once it is gone the next request may come.
#[derive(Debug)]
pub(crate) struct Answering<B> {
    body: B,
    _ends: Ends,
}

#[derive(Debug)]
struct Ends(Arc<Exchange>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl<B> Answering<B> {
    pub(crate) fn new(body: B, exchange: &Arc<Exchange>) -> Self {
        Self {
            body,
            _ends: Ends(Arc::clone(exchange)),
        }
    }
}

impl<B: Body + Unpin> Body for Answering<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
