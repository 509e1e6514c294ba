//! The least a server can do: reads each request to its end and answers a canned 202.
//!
//! Against it the generator finds its own ceiling. It keeps no sample, and says it has every one.

use anyhow::Context;
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

/// As long as an answer of the engine to one sample.
pub const ANSWER: &[u8] = b"HTTP/1.1 202 Accepted\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
Content-Type: application/json\r\nContent-Length: 194\r\n\
X-Trace-ID: 00000000-0000-0000-0000-000000000000\r\nX-RateLimit-Limit: 100000\r\n\
X-RateLimit-Remaining: 199999\r\nX-RateLimit-Reset: 1\r\nX-RateLimit-Policy: local\r\n\r\n\
{\"status\":\"accepted\",\"message\":\"Queued 1 metrics\",\"data\":{\"batch_id\":\
\"00000000-0000-0000-0000-000000000000\",\"source_region\":null,\"queued\":1,\"accepted\":1,\
\"duplicates\":0,\"rejected\":0,\"errors\":[]}}";

const BAD_REQUEST: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

const READ_BYTES: usize = 64 * 1024;
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// A server in threads of this process, until it is dropped.
#[derive(Debug)]
pub struct Hello {
    address: SocketAddr,
    stop: Vec<tokio::sync::oneshot::Sender<()>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Hello {
    /// Listens before it returns. Port 0 takes a free one.
    pub fn start(address: SocketAddr, threads: u32) -> anyhow::Result<Self> {
        let first = listen(address).with_context(|| format!("listen on {address}"))?;
        let address = first.local_addr()?;
        let mut listeners = vec![first];
        for _ in 1..threads {
            listeners.push(listen(address)?);
        }
        let mut hello = Self {
            address,
            stop: Vec::new(),
            threads: Vec::new(),
        };
        for listener in listeners {
            let (stop, stopped) = tokio::sync::oneshot::channel();
            let thread = std::thread::Builder::new()
                .name("hello".to_owned())
                .spawn(move || {
                    if let Err(error) = serve(listener, stopped) {
                        tracing::error!(%error, "the hello server ended");
                    }
                })?;
            hello.stop.push(stop);
            hello.threads.push(thread);
        }
        Ok(hello)
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Serves until the process ends.
    pub fn wait(mut self) {
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

impl Drop for Hello {
    fn drop(&mut self) {
        self.stop.clear();
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

/// Each thread has a listener of its own on the port.
fn listen(address: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(4_096)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn serve(listener: StdListener, stopped: tokio::sync::oneshot::Receiver<()>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = LocalSet::new();
    local.block_on(&runtime, async move {
        let listener = TcpListener::from_std(listener)?;
        let accept = async {
            loop {
                // A connection that is gone before it is taken is the peer's affair.
                if let Ok((stream, _)) = listener.accept().await {
                    tokio::task::spawn_local(async move { drop(connection(stream).await) });
                }
            }
        };
        tokio::select! {
            () = accept => {}
            _ = stopped => {}
        }
        Ok(())
    })
}

async fn connection(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(READ_BYTES);
    loop {
        let (head, length) = match request_head(&buffer) {
            Ok(Some(found)) => found,
            Ok(None) if buffer.len() <= HEAD_BYTES_MAX => {
                if stream.read_buf(&mut buffer).await? == 0 {
                    return Ok(());
                }
                continue;
            }
            Ok(None) | Err(_) => return stream.write_all(BAD_REQUEST).await,
        };
        let end = head + length;
        if buffer.len() >= end {
            buffer.drain(..end);
        } else {
            // The body is read and thrown away.
            let mut left = end - buffer.len();
            while left > 0 {
                buffer.clear();
                let read = (&mut stream)
                    .take(left as u64)
                    .read_buf(&mut buffer)
                    .await?;
                if read == 0 {
                    return Ok(());
                }
                left -= read;
            }
            buffer.clear();
        }
        stream.write_all(ANSWER).await?;
    }
}

/// Lengths of the head and the body, once the head is whole.
fn request_head(bytes: &[u8]) -> Result<Option<(usize, usize)>, httparse::Error> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(head) = request.parse(bytes)? else {
        return Ok(None);
    };
    let length = request
        .headers
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("content-length"))
        .and_then(|field| std::str::from_utf8(field.value).ok()?.parse::<usize>().ok())
        .unwrap_or(0);
    Ok(Some((head, length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let text = std::str::from_utf8(ANSWER).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let length = head.split("Content-Length: ").nth(1).unwrap();
        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
        assert_eq!(length, body.len());
    }

    #[test]
    fn requests_split_and_joined_get_one_answer_each() {
        let hello = Hello::start(([127, 0, 0, 1], 0).into(), 2).unwrap();
        let mut stream = std::net::TcpStream::connect(hello.address()).unwrap();
        let body = "x".repeat(200_000);
        let long = format!("POST /a HTTP/1.1\r\nContent-Length: 200000\r\n\r\n{body}");
        let short = "POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}";
        let parts = [
            &long[..20],
            &long[20..],
            short,
            &short[..short.len() - 1],
            "}",
        ];
        for part in parts {
            stream.write_all(part.as_bytes()).unwrap();
        }
        let mut answers = vec![0; 3 * ANSWER.len()];
        stream.read_exact(&mut answers).unwrap();
        assert!(answers.chunks(ANSWER.len()).all(|answer| answer == ANSWER));
    }
}
