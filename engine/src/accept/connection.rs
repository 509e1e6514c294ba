//! One connection: request after request, until something ends it.

use super::chunked::Decoder;
use super::http1::{self, Framing, Head};
use super::listener::Core;
use super::respond;
use crate::admit::{Admitted, Origin, Refusal, Reply, RequestHead, Route, Waits};
use crate::auth::Memo;
use crate::journal::Answers;
use crate::limits::{
    BODY_WINDOW, BODY_WINDOW_BYTES_MIN, HEAD_DEADLINE, IDLE_DEADLINE, SKIP_BYTES_MAX,
    WRITE_DEADLINE,
};
use crate::model::TraceId;
use crate::parse::Reject;
use crate::query::handoff::Handoff;
use bytes::Bytes;
use fiber_contract::ErrorCode;
use fiber_contract::limits::BODY_BYTES_MAX;
use futures_util::FutureExt;
use monoio::buf::IoBufMut;
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::TcpStream;
use std::net::SocketAddr;
use std::os::fd::{FromRawFd, IntoRawFd};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Read at once; an idle connection holds this much. A push of one sample has some 800 bytes, and what
/// is longer is read in the size that its head tells.
const READ_BYTES: usize = 2 * 1024;
/// A body that does not tell its length is charged in steps of this size.
const CHUNKED_STEP_BYTES: usize = 64 * 1024;

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    /// Read and not used yet.
    buffer: Vec<u8>,
    core: Rc<Core>,
    /// Most send the same token with every request.
    memo: Memo,
}

/// Why a connection ends.
enum End {
    /// The peer closed, was silent between requests, or broke off.
    Gone,
    /// Answer this, then close.
    Refuse(Box<(Refusal, TraceId)>),
}

impl From<Reject> for End {
    fn from(reject: Reject) -> Self {
        Self::Refuse(Box::new((reject.into(), TraceId::of(None))))
    }
}

/// What a head leads to.
enum Next {
    Body {
        admitted: Admitted,
        framing: Framing,
        expects_continue: bool,
    },
    Refused {
        refusal: Refusal,
        framing: Framing,
        expects_continue: bool,
    },
    Query,
}

struct Request {
    next: Next,
    trace_id: TraceId,
    keep_alive: bool,
}

/// Counts a connection or a request for as long as it lives.
struct Counted<'c>(&'c std::cell::Cell<usize>);

impl<'c> Counted<'c> {
    fn new(cell: &'c std::cell::Cell<usize>) -> Self {
        cell.set(cell.get() + 1);
        Self(cell)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// On an ingest core.
struct OnCore<'c>(&'c Core);

impl Waits for OnCore<'_> {
    fn sleep(&self, wait: Duration) -> impl Future<Output = ()> {
        monoio::time::sleep(wait)
    }

    fn answers(&self) -> Option<Arc<Answers>> {
        Some(Arc::clone(&self.0.answers))
    }
}

pub(super) async fn serve(stream: TcpStream, peer: SocketAddr, core: Rc<Core>) {
    let shared = Rc::clone(&core);
    let _counted = Counted::new(&shared.connections);
    let counters = shared.admit.counters(shared.index);
    counters.connections_opened.add(1);
    counters.connections_open.add(1);
    let mut connection = Connection {
        stream,
        peer,
        buffer: Vec::new(),
        core,
        memo: Memo::default(),
    };
    loop {
        match connection.request().await {
            Ok(Some(Outcome::Again)) => {}
            Ok(Some(Outcome::Query)) => {
                connection.hand_over().await;
                break;
            }
            Ok(None) | Err(End::Gone) => break,
            Err(End::Refuse(refusal)) => {
                let (Refusal { reject, quota }, trace_id) = *refusal;
                let reply = shared.admit.refuse(shared.index, reject, trace_id, quota);
                if connection
                    .write(respond::render(&reply, true))
                    .await
                    .is_ok()
                {
                    connection.linger().await;
                }
                break;
            }
        }
    }
    counters.connections_open.add(-1);
}

enum Outcome {
    Again,
    Query,
}

impl Connection {
    /// Serves one request. `None`: it was the last.
    async fn request(&mut self) -> Result<Option<Outcome>, End> {
        let head_length = self.read_head().await?;
        let core = Rc::clone(&self.core);
        let _counted = Counted::new(&core.requests);
        let Request {
            next,
            trace_id,
            keep_alive,
        } = self.judge(head_length)?;
        let reply = match next {
            Next::Query => return Ok(Some(Outcome::Query)),
            Next::Body {
                admitted,
                framing,
                expects_continue,
            } => {
                self.buffer.drain(..head_length);
                self.serve_body(admitted, framing, expects_continue, trace_id)
                    .await?
            }
            Next::Refused {
                refusal,
                framing,
                expects_continue,
            } => {
                self.buffer.drain(..head_length);
                self.skip_or_end(refusal, framing, expects_continue, trace_id)
                    .await?
            }
        };
        let close = reply.close || !keep_alive || core.shutdown.is_asked();
        self.write(respond::render(&reply, close)).await?;
        if close {
            self.linger().await;
            return Ok(None);
        }
        Ok(Some(Outcome::Again))
    }

    /// Reads until a whole head is in the buffer; answers its length.
    async fn read_head(&mut self) -> Result<usize, End> {
        let mut searched = 0;
        let mut deadline = Instant::now() + HEAD_DEADLINE;
        if self.buffer.is_empty() {
            // Between requests memory goes back, and silence is no offence.
            self.buffer = Vec::new();
            self.read(IDLE_DEADLINE, READ_BYTES)
                .await
                .map_err(|_| End::Gone)?;
            deadline = Instant::now() + HEAD_DEADLINE;
        }
        loop {
            // An empty line before a request is read over (RFC 9112, 2.2).
            while self.buffer.starts_with(b"\r\n") {
                self.buffer.drain(..2);
                searched = 0;
            }
            if let Some(length) = http1::head_length(&self.buffer, searched)? {
                return Ok(length);
            }
            searched = self.buffer.len();
            let left = deadline.saturating_duration_since(Instant::now());
            self.read(left, READ_BYTES)
                .await
                .map_err(|failed| failed.into_end("the head"))?;
        }
    }

    /// Decides by the head alone, while it is borrowed from the buffer.
    fn judge(&mut self, head_length: usize) -> Result<Request, End> {
        let bytes = &self.buffer[..head_length];
        let head: Head<'_> = http1::parse(bytes).map_err(|reject| {
            let trace_id = TraceId::of(http1::told_trace_id(bytes));
            End::Refuse(Box::new((reject.into(), trace_id)))
        })?;
        let trace_id = TraceId::of(head.fields.trace_id);
        let route = Route::of_path(head.path).filter(|_| head.method == "POST");
        let Some(route) = route else {
            return Ok(Request {
                next: Next::Query,
                trace_id,
                keep_alive: true,
            });
        };
        let fields = RequestHead {
            authorization: head.fields.authorization,
            content_type: head.fields.content_type,
            content_encoding: head.fields.content_encoding,
            batch_id: head.fields.batch_id,
            region_id: head.fields.region_id,
            signature: head.fields.signature,
            query: head.query,
            origin: Origin {
                peer: self.peer.ip(),
                forwarded_for: head.fields.forwarded_for,
            },
        };
        let length = match head.framing {
            Framing::Length(length) => Some(usize::try_from(length).unwrap_or(usize::MAX)),
            Framing::Chunked => None,
        };
        let (framing, expects_continue) = (head.framing, head.expects_continue);
        let judged = self.core.admit.head(route, &fields, length, &mut self.memo);
        let next = match judged {
            Ok(admitted) => Next::Body {
                admitted,
                framing,
                expects_continue,
            },
            Err(refusal) => Next::Refused {
                refusal,
                framing,
                expects_continue,
            },
        };
        Ok(Request {
            next,
            trace_id,
            keep_alive: head.keep_alive,
        })
    }

    async fn serve_body(
        &mut self,
        mut admitted: Admitted,
        framing: Framing,
        expects_continue: bool,
        trace_id: TraceId,
    ) -> Result<Reply, End> {
        if expects_continue && self.buffer.is_empty() {
            self.write(respond::CONTINUE.to_vec()).await?;
        }
        let read = match framing {
            Framing::Length(length) => {
                self.read_length(usize::try_from(length).unwrap_or(usize::MAX))
                    .await
            }
            Framing::Chunked => self.read_chunked(&mut admitted).await,
        };
        let body = match read {
            Ok(body) => body,
            Err(End::Refuse(refusal)) => return Err(End::Refuse(Box::new((refusal.0, trace_id)))),
            Err(gone) => return Err(gone),
        };
        let core = Rc::clone(&self.core);
        let judged = core
            .admit
            .body(core.index, admitted, trace_id.clone(), body, OnCore(&core));
        // A bug ends its request, not the core and all of its connections.
        Ok(AssertUnwindSafe(judged)
            .catch_unwind()
            .await
            .unwrap_or_else(|_| {
                tracing::error!(trace_id = trace_id.as_str(), "a push panicked");
                let reject = Reject::new(ErrorCode::Internal, "internal error").closing();
                core.admit.refuse(core.index, reject, trace_id, None)
            }))
    }

    /// Answers a refusal on a connection that can go on, by reading over a short body; ends it otherwise.
    async fn skip_or_end(
        &mut self,
        refusal: Refusal,
        framing: Framing,
        expects_continue: bool,
        trace_id: TraceId,
    ) -> Result<Reply, End> {
        let length = match framing {
            Framing::Length(length) => usize::try_from(length).unwrap_or(usize::MAX),
            Framing::Chunked => usize::MAX,
        };
        // Who waits for "100 Continue" may send the body or not: the framing is lost.
        let lost = refusal.reject.close
            || length > SKIP_BYTES_MAX
            || (expects_continue && length > self.buffer.len());
        if lost {
            return Err(End::Refuse(Box::new((refusal, trace_id))));
        }
        self.read_length(length).await?;
        let Refusal { reject, quota } = refusal;
        Ok(self
            .core
            .admit
            .refuse(self.core.index, reject, trace_id, quota))
    }

    async fn read_length(&mut self, length: usize) -> Result<Vec<u8>, End> {
        if self.buffer.len() >= length {
            let rest = self.buffer.split_off(length);
            return Ok(std::mem::replace(&mut self.buffer, rest));
        }
        let mut window = Window::open();
        self.buffer.reserve_exact(length - self.buffer.len());
        while self.buffer.len() < length {
            let want = length - self.buffer.len();
            let read = self
                .read(window.left(), want)
                .await
                .map_err(|failed| failed.into_end("the body"))?;
            window.count(read);
        }
        // `read` never takes more than it is asked for, so nothing of a next request is in here.
        Ok(std::mem::take(&mut self.buffer))
    }

    async fn read_chunked(&mut self, admitted: &mut Admitted) -> Result<Vec<u8>, End> {
        let (mut decoder, mut body, mut charged) = (Decoder::default(), Vec::new(), 0);
        let mut window = Window::open();
        loop {
            let taken = decoder
                .feed(&self.buffer, &mut body)
                .map_err(|_| Reject::malformed("the chunked coding is broken").closing())?;
            self.buffer.drain(..taken);
            if body.len() > BODY_BYTES_MAX {
                return Err(
                    Reject::too_large(format!("a body may have {BODY_BYTES_MAX} bytes"))
                        .closing()
                        .into(),
                );
            }
            while body.len() > charged {
                if !admitted.grow(CHUNKED_STEP_BYTES) {
                    return Err(Reject::overloaded("too many bytes are in flight")
                        .closing()
                        .into());
                }
                charged += CHUNKED_STEP_BYTES;
            }
            if decoder.is_done() {
                return Ok(body);
            }
            let read = self
                .read(window.left(), CHUNKED_STEP_BYTES)
                .await
                .map_err(|failed| failed.into_end("the body"))?;
            window.count(read);
        }
    }

    /// Appends at most `bytes_max` bytes to the buffer; answers how many came, never 0.
    async fn read(&mut self, wait: Duration, bytes_max: usize) -> Result<usize, ReadFailed> {
        let start = self.buffer.len();
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.reserve_exact(bytes_max);
        let slice = buffer.slice_mut(start..start + bytes_max);
        match monoio::time::timeout(wait, self.stream.read(slice)).await {
            Err(_) => Err(ReadFailed::TimedOut),
            Ok((read, slice)) => {
                self.buffer = slice.into_inner();
                match read {
                    Ok(0) | Err(_) => Err(ReadFailed::Gone),
                    Ok(read) => Ok(read),
                }
            }
        }
    }

    async fn write(&mut self, bytes: Vec<u8>) -> Result<(), End> {
        match monoio::time::timeout(WRITE_DEADLINE, self.stream.write_all(bytes)).await {
            Ok((Ok(_), _)) => Ok(()),
            Ok((Err(_), _)) | Err(_) => Err(End::Gone),
        }
    }

    /// Closing with unread bytes would reset the connection and could take the answer with it: end
    /// our side, and read over what comes for a moment.
    async fn linger(&mut self) {
        const LINGER: Duration = Duration::from_secs(1);
        /// Small, because thousands may be refused at once: with 64 KiB each, 5,000 slow connections
        /// that ran out of time together took 300 MiB.
        const LINGER_READ_BYTES: usize = 4 * 1024;
        /// 4 MiB in all.
        const LINGER_READS_MAX: u32 = 1_024;
        use monoio::io::AsyncWriteRent;
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let deadline = Instant::now() + LINGER;
        for _ in 0..LINGER_READS_MAX {
            self.buffer.clear();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.read(left, LINGER_READ_BYTES).await.is_err() {
                return;
            }
        }
    }

    /// The query side takes the connection, with what was read of it.
    async fn hand_over(self) {
        let Self {
            stream,
            peer,
            buffer,
            core,
            memo,
        } = self;
        let fd = stream.into_raw_fd();
        // SAFETY: `into_raw_fd` gave up the runtime's registration and the only ownership of the
        // descriptor; no operation on it is in flight, because `self` was borrowed by each until
        // it ended. JUSTIFICATION: monoio offers no safe way out of a stream.
        #[expect(unsafe_code, reason = "monoio offers no safe way out of a stream")]
        let stream = unsafe { std::net::TcpStream::from_raw_fd(fd) };
        let handoff = Handoff {
            stream,
            read: Bytes::from(buffer),
            peer,
        };
        let Err(refused) = core.query.offer(handoff) else {
            return;
        };
        let reject = Reject::overloaded("too many queries are waiting").closing();
        let reply = core
            .admit
            .refuse(core.index, reject, TraceId::of(None), None);
        if let Ok(stream) = TcpStream::from_std(refused.stream) {
            let mut connection = Self {
                stream,
                peer,
                buffer: Vec::new(),
                core,
                memo,
            };
            if connection
                .write(respond::render(&reply, true))
                .await
                .is_ok()
            {
                connection.linger().await;
            }
        }
    }
}

enum ReadFailed {
    Gone,
    TimedOut,
}

impl ReadFailed {
    fn into_end(self, what: &'static str) -> End {
        match self {
            Self::Gone => End::Gone,
            Self::TimedOut => {
                Reject::new(ErrorCode::RequestTimeout, format!("{what} came too slowly"))
                    .closing()
                    .into()
            }
        }
    }
}

/// A body must bring `BODY_WINDOW_BYTES_MIN` in every `BODY_WINDOW`.
struct Window {
    ends: Instant,
    bytes: usize,
}

impl Window {
    fn open() -> Self {
        Self {
            ends: Instant::now() + BODY_WINDOW,
            bytes: 0,
        }
    }

    fn left(&self) -> Duration {
        self.ends.saturating_duration_since(Instant::now())
    }

    fn count(&mut self, bytes: usize) {
        self.bytes += bytes;
        if self.bytes >= BODY_WINDOW_BYTES_MIN {
            *self = Self::open();
        }
    }
}
