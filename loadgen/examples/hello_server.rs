//! The least a server can do: reads each request to its end and answers a canned 202.
//!
//! Against it one measures what the generator itself can do:
//! `cargo run --release -p fiber-loadgen --example hello_server 127.0.0.1:9900`

use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ANSWER: &[u8] = b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 149\r\n\r\n\
{\"status\":\"accepted\",\"message\":\"Queued\",\"data\":{\"batch_id\":\"0\",\"source_region\":null,\
\"queued\":1,\"accepted\":1,\"duplicates\":0,\"rejected\":0,\"errors\":[]}}";

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:9900".to_owned());
    let listener = TcpListener::bind(&address).await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move { drop(serve(stream).await) });
    }
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(64 * 1024);
    loop {
        let mut end = None;
        while end.is_none_or(|end| buffer.len() < end) {
            buffer.reserve(16 * 1024);
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            end = end.or_else(|| request_end(&buffer));
        }
        buffer.drain(..end.unwrap_or(0));
        stream.write_all(ANSWER).await?;
    }
}

fn request_end(bytes: &[u8]) -> Option<usize> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(head) = request.parse(bytes).ok()? else {
        return None;
    };
    let length = request
        .headers
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("content-length"))
        .and_then(|field| std::str::from_utf8(field.value).ok()?.parse::<usize>().ok())
        .unwrap_or(0);
    Some(head + length)
}
