//! The least that a server on the engine's runtime and parser can do: one listener and one pinned
//! thread per core, monoio on epoll, `httparse` for the head, the body read to its end and thrown
//! away, a canned 202. What the engine adds to it is the price of its promises.

use anyhow::{Context as _, Result};
use monoio::buf::IoBufMut as _;
use monoio::io::{AsyncReadRent as _, AsyncWriteRentExt as _};
use monoio::net::{TcpListener, TcpStream};
use monoio::{LegacyDriver, RuntimeBuilder};
use std::io;
use std::net::SocketAddr;

/// As long as an answer of the engine to one sample.
const ANSWER: &[u8] = b"HTTP/1.1 202 Accepted\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
Content-Type: application/json\r\nContent-Length: 194\r\n\
X-Trace-ID: 00000000-0000-0000-0000-000000000000\r\nX-RateLimit-Limit: 100000\r\n\
X-RateLimit-Remaining: 199999\r\nX-RateLimit-Reset: 1\r\nX-RateLimit-Policy: local\r\n\r\n\
{\"status\":\"accepted\",\"message\":\"Queued 1 metrics\",\"data\":{\"batch_id\":\
\"00000000-0000-0000-0000-000000000000\",\"source_region\":null,\"queued\":1,\"accepted\":1,\
\"duplicates\":0,\"rejected\":0,\"errors\":[]}}";

const READ_BYTES: usize = 8 * 1024;
const FIELDS_MAX: usize = 64;

/// Serves until the process is killed.
pub fn serve(address: SocketAddr, cores: usize) -> Result<()> {
    let threads: Vec<_> = (0..cores)
        .map(|core| {
            std::thread::Builder::new()
                .name(format!("hello-{core}"))
                .spawn(move || run(address, core))
        })
        .collect::<io::Result<_>>()?;
    for thread in threads {
        match thread.join() {
            Ok(result) => result?,
            Err(_) => anyhow::bail!("a thread panicked"),
        }
    }
    Ok(())
}

fn run(address: SocketAddr, core: usize) -> Result<()> {
    if let Err(error) = monoio::utils::bind_to_cpu_set([core]) {
        eprintln!("core {core} runs unpinned: {error}");
    }
    let mut runtime = RuntimeBuilder::<LegacyDriver>::new().build()?;
    runtime.block_on(async move {
        // With SO_REUSEPORT, which is monoio's default.
        let listener = TcpListener::bind(address).context("listen")?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            monoio::spawn(async move { drop(connection(stream).await) });
        }
    })
}

async fn connection(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer: Vec<u8> = Vec::with_capacity(READ_BYTES);
    loop {
        let mut end = request_end(&buffer);
        while end.is_none_or(|end| buffer.len() < end) {
            let start = buffer.len();
            buffer.reserve(READ_BYTES);
            let (read, slice) = stream
                .read(buffer.slice_mut(start..start + READ_BYTES))
                .await;
            buffer = slice.into_inner();
            if read? == 0 {
                return Ok(());
            }
            end = end.or_else(|| request_end(&buffer));
        }
        buffer.drain(..end.unwrap_or(0));
        stream.write_all(ANSWER).await.0?;
    }
}

fn request_end(bytes: &[u8]) -> Option<usize> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(head) = request.parse(bytes).ok()? else {
        return None;
    };
    let length = request
        .headers
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("content-length"))
        .and_then(|field| std::str::from_utf8(field.value).ok()?.parse::<usize>().ok());
    Some(head + length.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let text = std::str::from_utf8(ANSWER).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let length = head.split("Content-Length: ").nth(1).unwrap();
        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
        assert_eq!(length, body.len());
    }

    #[test]
    fn a_request_ends_after_its_body() {
        let request = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(request_end(request), Some(request.len()));
        assert_eq!(request_end(&request[..20]), None);
    }
}
