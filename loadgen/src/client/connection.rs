//! One connection: connect, send a request's bytes, read one answer.

use super::framing::{self, BodyLength, Chunk, Head};
use super::{Error, TlsRoots, Url};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

/// Bounds of one exchange.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Name look-up, TCP and TLS together.
    pub connect: Duration,
    /// From the first byte sent to the last byte of the answer.
    pub exchange: Duration,
    pub body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            exchange: Duration::from_secs(10),
            body_bytes: 1024 * 1024,
        }
    }
}

const HEAD_BYTES_MAX: usize = 32 * 1024;
/// `100 Continue` and its like before an answer; more of them is a loop.
const INTERIM_MAX: u32 = 8;

/// An answer. The body is in the connection's buffer until the next request.
#[derive(Debug)]
pub struct Response<'a> {
    pub status: u16,
    pub body: &'a [u8],
    pub retry_after: Option<Duration>,
    /// When the first byte of the answer was there.
    pub first_byte: Instant,
}

/// A kept-alive connection. After an error it is spent: see [`Connection::reusable`].
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    limits: Limits,
    buffer: Vec<u8>,
    body: Vec<u8>,
    reusable: bool,
}

impl Connection {
    pub async fn open(url: &Url, tls: &TlsRoots, limits: Limits) -> Result<Self, Error> {
        let address = || format!("{}:{}", url.host, url.port);
        let connect = async {
            let tcp = TcpStream::connect(url.address()).await?;
            // One small request at a time: waiting to fill a segment only adds delay.
            tcp.set_nodelay(true)?;
            if !url.tls {
                return Ok(Stream::Plain(tcp));
            }
            let name = TlsRoots::server_name(&url.host)?;
            let stream = tls.connector().connect(name, tcp).await?;
            Ok(Stream::Tls(Box::new(stream)))
        };
        match timeout(limits.connect, connect).await {
            Ok(Ok(stream)) => Ok(Self {
                stream,
                limits,
                buffer: Vec::with_capacity(1024),
                body: Vec::new(),
                reusable: true,
            }),
            Ok(Err(source)) => Err(Error::Connect {
                address: address(),
                source,
            }),
            Err(_) => Err(Error::ConnectTimeout {
                address: address(),
                limit: limits.connect,
            }),
        }
    }

    /// Whether another request may be sent on it.
    pub const fn reusable(&self) -> bool {
        self.reusable
    }

    /// Whether the peer closed it, or sent something unasked, while it was idle.
    pub fn is_stale(&self) -> bool {
        let Stream::Plain(tcp) = &self.stream else {
            return false;
        };
        let mut byte = [0];
        !matches!(tcp.try_read(&mut byte), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Sends a whole request (head and body) and reads the answer.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Response<'_>, Error> {
        // Until the answer is read to its end nobody knows where the next one would begin; a
        // cancelled call leaves it so.
        self.reusable = false;
        let limit = self.limits.exchange;
        let head_request = request.starts_with(b"HEAD ");
        let work = async {
            self.stream.write_all(request).await.map_err(Error::Send)?;
            self.stream.flush().await.map_err(Error::Send)?;
            self.read_answer(head_request).await
        };
        let (head, first_byte) = timeout(limit, work)
            .await
            .unwrap_or(Err(Error::Timeout(limit)))?;
        self.reusable = head.keep_alive;
        Ok(Response {
            status: head.status,
            body: &self.body,
            retry_after: head.retry_after,
            first_byte,
        })
    }

    async fn read_answer(&mut self, head_request: bool) -> Result<(Head, Instant), Error> {
        self.buffer.clear();
        self.body.clear();
        self.fill("before its answer").await?;
        let first_byte = Instant::now();
        for _ in 0..=INTERIM_MAX {
            let head = self.read_head(head_request).await?;
            if head.status / 100 != 1 {
                self.read_body(head.body).await?;
                return Ok((head, first_byte));
            }
        }
        Err(Error::Protocol("too many interim answers"))
    }

    async fn read_head(&mut self, head_request: bool) -> Result<Head, Error> {
        loop {
            if let Some(head) = framing::parse_head(&self.buffer, head_request)? {
                self.buffer.drain(..head.len);
                return Ok(head);
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(Error::Protocol("head too long"));
            }
            self.fill("within the head of its answer").await?;
        }
    }

    async fn read_body(&mut self, length: BodyLength) -> Result<(), Error> {
        match length {
            BodyLength::Exact(length) => {
                self.check_size(length)?;
                while self.buffer.len() < length {
                    self.fill("within the body of its answer").await?;
                }
                // What is beyond belongs to no request of ours.
                if self.buffer.len() > length {
                    return Err(Error::Protocol("bytes after the answer"));
                }
                std::mem::swap(&mut self.buffer, &mut self.body);
                Ok(())
            }
            BodyLength::Chunked => self.read_chunks().await,
            BodyLength::UntilClose => loop {
                self.check_size(self.buffer.len())?;
                match self.fill("").await {
                    Ok(()) => {}
                    Err(Error::Closed { .. }) => {
                        std::mem::swap(&mut self.buffer, &mut self.body);
                        return Ok(());
                    }
                    Err(error) => return Err(error),
                }
            },
        }
    }

    async fn read_chunks(&mut self) -> Result<(), Error> {
        loop {
            match framing::parse_chunk(&self.buffer)? {
                Chunk::Partial => {
                    self.check_size(self.buffer.len() + self.body.len())?;
                    self.fill("within a chunk of its answer").await?;
                }
                Chunk::Data { head, data } => {
                    self.check_size(self.body.len() + data)?;
                    self.body.extend_from_slice(&self.buffer[head..head + data]);
                    self.buffer.drain(..head + data + 2);
                }
                Chunk::End { len } if len == self.buffer.len() => return Ok(()),
                Chunk::End { .. } => return Err(Error::Protocol("bytes after the answer")),
            }
        }
    }

    const fn check_size(&self, bytes: usize) -> Result<(), Error> {
        if bytes > self.limits.body_bytes {
            return Err(Error::Protocol("body too long"));
        }
        Ok(())
    }

    async fn fill(&mut self, when: &'static str) -> Result<(), Error> {
        self.buffer.reserve(1024);
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => Err(Error::Closed { when }),
            Ok(_) => Ok(()),
            Err(error) => Err(Error::Receive(error)),
        }
    }
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
