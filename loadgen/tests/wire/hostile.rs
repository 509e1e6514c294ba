//! A server that follows a script, one answer per request, then accepts everything.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Written piece by piece, each flushed.
    Parts(Vec<String>),
    /// Written, then the connection is closed.
    Hangup(&'static str),
    /// Nothing, for longer than any client waits.
    Silence,
    Late(Duration, String),
}

impl Answer {
    pub(crate) fn text(text: &str) -> Self {
        Self::Parts(vec![text.to_owned()])
    }
}

/// A whole 202 as the contract has it.
pub(crate) fn accepted(accepted: u32, rejected: u32, errors: &str) -> String {
    let body = format!(
        "{{\"status\":\"accepted\",\"message\":\"Queued\",\"data\":{{\"batch_id\":\"b\",\
         \"source_region\":null,\"queued\":{},\"accepted\":{accepted},\"duplicates\":0,\
         \"rejected\":{rejected},\"errors\":{errors}}}}}",
        accepted + rejected
    );
    format!(
        "HTTP/1.1 202 Accepted\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[derive(Debug, Default)]
struct State {
    script: Mutex<VecDeque<Answer>>,
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
}

#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    state: Arc<State>,
}

impl Server {
    pub(crate) fn start(script: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            script: Mutex::new(script.into()),
            ..State::default()
        });
        let shared = Arc::clone(&state);
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                state.connections.fetch_add(1, Ordering::Relaxed);
                std::thread::spawn(move || drop(serve(stream, &state)));
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far, head and body, in the order of arrival.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.state.requests.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// A URL that nobody listens on.
    pub(crate) fn closed_port() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    }
}

fn serve(mut stream: TcpStream, state: &State) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = Vec::new();
    while let Some(request) = next_request(&mut stream, &mut bytes)? {
        let is_head = request.starts_with("HEAD ");
        let samples = request.matches("\"timestamp\"").count() as u32;
        state.requests.lock().unwrap().push(request);
        let answer = state.script.lock().unwrap().pop_front();
        match answer.unwrap_or_else(|| Answer::text(&accepted(samples, 0, "[]"))) {
            Answer::Parts(parts) => {
                for part in parts {
                    let head_only = is_head.then(|| part.find("\r\n\r\n")).flatten();
                    let end = head_only.map_or(part.len(), |end| end + 4);
                    stream.write_all(&part.as_bytes()[..end])?;
                }
            }
            Answer::Hangup(text) => return stream.write_all(text.as_bytes()),
            Answer::Silence => std::thread::park_timeout(Duration::from_secs(30)),
            Answer::Late(wait, text) => {
                std::thread::park_timeout(wait);
                stream.write_all(text.as_bytes())?;
            }
        }
    }
    Ok(())
}

fn next_request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> std::io::Result<Option<String>> {
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(bytes);
        if let Some(head) = text.find("\r\n\r\n") {
            let length = text[..head]
                .lines()
                .find_map(|line| line.strip_prefix("Content-Length: ")?.parse::<usize>().ok())
                .unwrap_or(0);
            let end = head + 4 + length;
            if bytes.len() >= end {
                let request = String::from_utf8_lossy(&bytes[..end]).into_owned();
                bytes.drain(..end);
                return Ok(Some(request));
            }
        }
        match stream.read(&mut chunk)? {
            0 => return Ok(None),
            n => bytes.extend_from_slice(&chunk[..n]),
        }
    }
}
