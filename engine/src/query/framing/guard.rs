//! Judges what a peer sends before hyper sees it.

use super::exchange::Exchange;
use crate::accept::{Decoder, Framing, head_length, parse, told_trace_id};
use crate::limits::{BODY_WINDOW, BODY_WINDOW_BYTES_MIN, HEAD_DEADLINE, IDLE_DEADLINE};
use crate::model::TraceId;
use crate::parse::Reject;
use bytes::{Buf, Bytes, BytesMut};
use fiber_contract::ErrorCode;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Read from the socket at once.
const READ_BYTES: usize = 16 * 1024;
/// Takes the place of what is refused, with its trace id.
const STAND_IN: [&str; 2] = [
    "GET / HTTP/1.1\r\nHost: refused\r\nConnection: close\r\nX-Trace-ID: ",
    "\r\n\r\n",
];
/// How long, and how much, is read over behind the last answer, so that closing does not take it away.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A connection whose first bytes were read by somebody else. Yields what was judged good; writes go
/// straight through.
#[derive(Debug)]
pub(crate) struct Guard<T> {
    io: T,
    exchange: Arc<Exchange>,
    /// Read and not passed on.
    buffer: BytesMut,
    phase: Phase,
    clock: Clock,
    lingered_bytes: usize,
}

#[derive(Debug)]
enum Phase {
    /// Before or within a head, of which so many bytes were searched for its end.
    Head {
        searched: usize,
    },
    /// Of a good head so many bytes are to be passed on.
    Pass {
        left: usize,
        body: Coming,
    },
    Body(Coming),
    /// The rest of a body is for nobody; its reader is told after what was good of it.
    Broken,
    /// Refused; nothing passes any more.
    Over,
}

/// What of a body is still to come.
#[derive(Debug)]
enum Coming {
    Bytes(u64),
    Chunks(Decoder),
    /// Behind the head of a refusal.
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Idle,
    Head,
    Body,
    Linger,
}

/// One timer, for whatever is waited for.
#[derive(Debug)]
struct Clock {
    sleep: Pin<Box<Sleep>>,
    wait: Option<Wait>,
    /// Bytes of the body since the window opened.
    body_bytes: usize,
}

impl Clock {
    /// Ready when it took too long. Starts with the first call for something else.
    fn poll(&mut self, wait: Wait, cx: &mut Context<'_>) -> Poll<()> {
        if self.wait != Some(wait) {
            self.wait = Some(wait);
            let limit = match wait {
                Wait::Idle => IDLE_DEADLINE,
                Wait::Head => HEAD_DEADLINE,
                Wait::Body => BODY_WINDOW,
                Wait::Linger => LINGER,
            };
            self.sleep.as_mut().reset(Instant::now() + limit);
        }
        self.sleep.as_mut().poll(cx)
    }

    fn stop(&mut self) {
        self.wait = None;
        self.body_bytes = 0;
    }

    fn count(&mut self, bytes: usize) {
        self.body_bytes += bytes;
        if self.body_bytes >= BODY_WINDOW_BYTES_MIN {
            self.stop();
        }
    }
}

impl<T> Guard<T> {
    /// `read` was taken from `io` already.
    pub(crate) fn new(read: Bytes, io: T, exchange: Arc<Exchange>) -> Self {
        Self {
            io,
            exchange,
            buffer: BytesMut::from(read),
            phase: Phase::Head { searched: 0 },
            clock: Clock {
                sleep: Box::pin(sleep(IDLE_DEADLINE)),
                wait: None,
                body_bytes: 0,
            },
            lingered_bytes: 0,
        }
    }

    fn refuse(&mut self, reject: Reject) {
        self.clock.stop();
        self.exchange.begin(false);
        self.exchange.body_is_over();
        self.exchange.refuse(reject);
        let trace_id = TraceId::of(told_trace_id(&self.buffer));
        let stand_in = [STAND_IN[0], trace_id.as_str(), STAND_IN[1]].concat();
        self.buffer = BytesMut::from(stand_in.as_bytes());
        self.phase = Phase::Pass {
            left: stand_in.len(),
            body: Coming::Nothing,
        };
    }

    fn begin(&mut self, head_bytes: usize, framing: Framing) {
        self.clock.stop();
        self.exchange.begin(framing == Framing::Chunked);
        self.phase = Phase::Pass {
            left: head_bytes,
            body: match framing {
                Framing::Length(bytes) => Coming::Bytes(bytes),
                Framing::Chunked => Coming::Chunks(Decoder::default()),
            },
        };
    }

    /// The body at hand is bad; its request is answered with the reason.
    fn spoil(&mut self, reject: Reject) -> io::Error {
        self.exchange.refuse(reject);
        self.phase = Phase::Over;
        io::Error::from(io::ErrorKind::InvalidData)
    }

    /// Passes on what may pass. False when there is nothing of it.
    fn pass(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let before = buf.filled().len();
        if let Phase::Pass { left, body } = &mut self.phase {
            let count = (*left).min(buf.remaining());
            buf.put_slice(&self.buffer[..count]);
            self.buffer.advance(count);
            *left -= count;
            if *left == 0 {
                self.phase = match std::mem::replace(body, Coming::Nothing) {
                    Coming::Nothing => Phase::Over,
                    coming => Phase::Body(coming),
                };
            }
        }
        if let Phase::Body(coming) = &mut self.phase {
            let some = &self.buffer[..self.buffer.len().min(buf.remaining())];
            let (count, over) = match coming {
                Coming::Nothing => (0, true),
                Coming::Bytes(left) => {
                    let count = some.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= count as u64;
                    (count, *left == 0)
                }
                Coming::Chunks(decoder) => match decoder.skip(some) {
                    Ok(count) => (count, decoder.is_done()),
                    Err(_) => {
                        self.phase = Phase::Broken;
                        return buf.filled().len() > before;
                    }
                },
            };
            buf.put_slice(&some[..count]);
            self.buffer.advance(count);
            if over {
                self.clock.stop();
                self.exchange.body_is_over();
                self.phase = Phase::Head { searched: 0 };
            }
        }
        buf.filled().len() > before
    }
}

impl<T: AsyncRead + Unpin> Guard<T> {
    /// Adds to the buffer; 0 at the peer's end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [std::mem::MaybeUninit::uninit(); READ_BYTES];
        let mut read = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
        self.buffer.extend_from_slice(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    }

    /// Goes on within a head. `Ready(false)`: the connection ends here.
    fn poll_head(&mut self, mut searched: usize, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        // An empty line before a request is read over (RFC 9112, 2.2).
        while self.buffer.starts_with(b"\r\n") {
            self.buffer.advance(2);
            searched = 0;
        }
        let judged = match head_length(&self.buffer, searched) {
            Ok(Some(length)) => {
                parse(&self.buffer[..length]).map(|head| Some((length, head.framing)))
            }
            Ok(None) => Ok(None),
            Err(reject) => Err(reject),
        };
        match judged {
            Err(reject) => self.refuse(reject),
            Ok(Some((length, framing))) => self.begin(length, framing),
            Ok(None) => {
                self.phase = Phase::Head {
                    searched: self.buffer.len(),
                };
                return self.poll_more_of_a_head(cx);
            }
        }
        Poll::Ready(Ok(true))
    }

    fn poll_more_of_a_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if let Poll::Ready(count) = self.poll_fill(cx)? {
            return Poll::Ready(Ok(count > 0));
        }
        // Once a head began it must end in time, also if it was an empty line.
        if self.buffer.is_empty() && self.clock.wait != Some(Wait::Head) {
            ready!(self.clock.poll(Wait::Idle, cx));
            return Poll::Ready(Ok(false));
        }
        ready!(self.clock.poll(Wait::Head, cx));
        self.refuse(too_slow("the head"));
        Poll::Ready(Ok(true))
    }

    /// While an answer is made: is the peer still there? What comes meanwhile waits in the buffer.
    fn poll_busy(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if !self.buffer.is_empty() {
            return Poll::Pending;
        }
        Poll::Ready(Ok(ready!(self.poll_fill(cx))? > 0))
    }

    fn poll_more_of_a_body(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if let Poll::Ready(count) = self.poll_fill(cx)? {
            self.clock.count(count);
            return Poll::Ready(Ok(count > 0));
        }
        ready!(self.clock.poll(Wait::Body, cx));
        Poll::Ready(Err(self.spoil(too_slow("the body"))))
    }

    /// Reads over what still comes, for a moment.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if matches!(self.phase, Phase::Head { .. }) && self.buffer.is_empty() {
            return Poll::Ready(());
        }
        while let Poll::Ready(read) = self.poll_fill(cx) {
            self.lingered_bytes += self.buffer.len();
            self.buffer.clear();
            if !matches!(read, Ok(1..)) || self.lingered_bytes > LINGER_BYTES_MAX {
                return Poll::Ready(());
            }
        }
        self.phase = Phase::Over;
        self.clock.poll(Wait::Linger, cx)
    }
}

fn too_slow(what: &'static str) -> Reject {
    Reject::new(ErrorCode::RequestTimeout, format!("{what} came too slowly")).closing()
}

impl<T: AsyncRead + Unpin> AsyncRead for Guard<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.pass(buf) {
                return Poll::Ready(Ok(()));
            }
            let goes_on = match this.phase {
                Phase::Head { .. } if this.exchange.is_busy(cx.waker()) => {
                    ready!(this.poll_busy(cx))?
                }
                Phase::Head { searched } => ready!(this.poll_head(searched, cx))?,
                Phase::Body(_) => ready!(this.poll_more_of_a_body(cx))?,
                Phase::Broken => {
                    let reject = Reject::malformed("the chunked coding is broken");
                    return Poll::Ready(Err(this.spoil(reject.closing())));
                }
                Phase::Over if this.exchange.is_busy(cx.waker()) => return Poll::Pending,
                Phase::Over => false,
                // A reader without room gets nothing.
                Phase::Pass { .. } => return Poll::Ready(Ok(())),
            };
            if !goes_on {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    /// Closing with unread bytes would reset the connection, and could take the answer with it.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.clock.wait != Some(Wait::Linger) {
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
        }
        this.poll_linger(cx).map(Ok)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
