//! Requests over sockets of our own, so that a test decides every byte.

use anyhow::{Context as _, Result, bail};
use fiber_contract::UnixMicros;
use fiber_local::servers::Engine;
use serde_json::{Value, json};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("not JSON: {:?}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A connection that stays open.
pub(crate) struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(engine: &Engine) -> Result<Self> {
        Self::over(TcpStream::connect(("127.0.0.1", engine.port()))?)
    }

    pub(crate) fn over(stream: TcpStream) -> Result<Self> {
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            read: Vec::new(),
        })
    }

    /// Over a stream whose deadlines are set already.
    pub(crate) fn waiting(stream: TcpStream) -> Self {
        Self {
            stream,
            read: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// How long an answer is waited for.
    pub(crate) fn be_patient_for(&self, patience: Duration) -> Result<()> {
        Ok(self.stream.set_read_timeout(Some(patience))?)
    }

    /// In two parts with a pause, so that the engine reads them apart.
    pub(crate) fn send_split(&mut self, bytes: &[u8], at: usize) -> Result<()> {
        self.send(&bytes[..at])?;
        std::thread::sleep(Duration::from_millis(2));
        self.send(&bytes[at..])
    }

    /// The next answer with a `Content-Length`; interim answers are left out.
    pub(crate) fn answer(&mut self) -> Result<Answer> {
        loop {
            let end = loop {
                match self
                    .read
                    .windows(4)
                    .position(|window| window == b"\r\n\r\n")
                {
                    Some(at) => break at + 4,
                    None => self.more()?,
                }
            };
            let head = String::from_utf8(self.read[..end].to_vec())?;
            let status: u16 = head.split(' ').nth(1).context("no status")?.parse()?;
            self.read.drain(..end);
            if status == 100 {
                continue;
            }
            let answer = Answer {
                status,
                head,
                body: Vec::new(),
            };
            let length: usize = answer.header("content-length").unwrap_or("0").parse()?;
            while self.read.len() < length {
                self.more()?;
            }
            let body = self.read.drain(..length).collect();
            return Ok(Answer { body, ..answer });
        }
    }

    fn more(&mut self) -> Result<()> {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer)? {
            0 => bail!("closed by the engine"),
            count => self.read.extend_from_slice(&buffer[..count]),
        }
        Ok(())
    }

    /// True when the engine ends the connection, and sends nothing before. It may have ended long ago,
    /// before all of a request was sent, which resets the connection.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut buffer = [0; 1];
        let ended = match self.stream.read(&mut buffer) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        };
        self.read.is_empty() && ended
    }
}

/// A request with the engine's token; `fields` are whole lines without their ends.
pub(crate) fn post(engine: &Engine, path: &str, fields: &[&str], body: &[u8]) -> Vec<u8> {
    let mut head = format!(
        "POST {path} HTTP/1.1\r\nHost: engine\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
        engine.federation_secret(),
        body.len()
    );
    for field in fields {
        head.push_str(field);
        head.push_str("\r\n");
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

/// One request on a connection of its own.
pub(crate) fn exchange(engine: &Engine, request: &[u8]) -> Result<Answer> {
    let mut connection = Connection::open(engine)?;
    connection.send(request)?;
    connection.answer()
}

pub(crate) fn push(engine: &Engine, body: &Value) -> Result<Answer> {
    exchange(
        engine,
        &post(engine, "/api/push", &[], body.to_string().as_bytes()),
    )
}

pub(crate) fn get(engine: &Engine, path: &str) -> Result<Value> {
    let answer = fiber_local::http::get(&format!("{}{path}", engine.url()))?;
    if answer.status != 200 {
        bail!(
            "{path}: {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
    }
    Ok(serde_json::from_slice(&answer.body)?)
}

/// A good sample, some milliseconds ago.
pub(crate) fn sample(node_id: &str, age_ms: i64) -> Value {
    let at = UnixMicros(UnixMicros::now().0 - age_ms * 1_000);
    json!({
        "node_id": node_id, "country": "GH", "region": "Greater Accra", "latency_ms": 12.5,
        "uptime_pct": 100, "packet_loss": 0, "timestamp": at.to_string(),
    })
}

/// A good sample of an instant that no other one has: a thousand made in a hurry are a thousand rows.
pub(crate) fn unlike_sample(node_id: &str) -> Value {
    static START: LazyLock<UnixMicros> = LazyLock::new(UnixMicros::now);
    static NUMBER: AtomicI64 = AtomicI64::new(1);
    let mut sample = sample(node_id, 0);
    let at = UnixMicros(START.0 - NUMBER.fetch_add(1, Ordering::Relaxed) * 10_000);
    sample["timestamp"] = at.to_string().into();
    sample
}

/// A body of samples, with a batch id that no other has.
pub(crate) fn ingest(engine: &Engine, node_id: &str, samples: &[Value]) -> Result<Answer> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let id = format!("X-Batch-ID: 0190a7a0-0000-7000-9000-{number:012}");
    let body = json!({ "node_id": node_id, "metrics": samples }).to_string();
    exchange(
        engine,
        &post(engine, "/api/ingest", &[&id], body.as_bytes()),
    )
}

impl Connection {
    /// Reads until the text has come; what was before it is dropped.
    pub(crate) fn await_text(&mut self, text: &str) -> Result<()> {
        let deadline = std::time::Instant::now() + LIMIT;
        loop {
            let found = self
                .read
                .windows(text.len())
                .position(|window| window == text.as_bytes());
            if let Some(at) = found {
                self.read.drain(..at + text.len());
                return Ok(());
            }
            if std::time::Instant::now() > deadline {
                bail!("{text:?} did not come");
            }
            self.more()?;
        }
    }
}
