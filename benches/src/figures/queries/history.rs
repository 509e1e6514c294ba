//! A day of samples, through the engine's front door and in the order of time, as they would have come.

use super::{HISTORY_EVERY_S, TAG, history_end};
use crate::Size;
use crate::rig::Stack;
use anyhow::{Context as _, Result, ensure};
use fiber_contract::UnixMicros;
use fiber_contract::limits::INGEST_SAMPLES_MAX;
use fiber_loadgen::workload::body::{SampleTemplate, TimestampCache};
use fiber_loadgen::workload::{ProbeWorkload, roster};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;

const SEED: u64 = 9;

/// Sends it and answers how many samples it was.
pub(super) fn send(stack: &Stack, size: Size) -> Result<u64> {
    let nodes = roster::tagged(TAG, size.query_nodes);
    let node_number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let sources: Vec<_> = nodes
        .iter()
        .enumerate()
        .map(|(at, node)| {
            let template = SampleTemplate::new(node, HISTORY_EVERY_S as f64);
            (template, ProbeWorkload::new(SEED, node_number(at)))
        })
        .collect();
    let end = history_end();
    let instants = size.query_span_s / HISTORY_EVERY_S;
    let (mut batch, mut clock) = (Batch::default(), TimestampCache::default());
    let mut stream = Sender::open(stack)?;
    let mut sent = 0;
    for instant in 0..instants {
        let ago_s = (instants - instant) * HISTORY_EVERY_S;
        let time = UnixMicros(end.0 - ago_s * 1_000_000);
        for (template, workload) in &sources {
            let values = workload.values(instant.unsigned_abs());
            template.sample(batch.next(), &mut clock, time, values, instant == 0);
            if batch.samples == INGEST_SAMPLES_MAX {
                sent += stream.send(&mut batch)?;
            }
        }
    }
    if batch.samples > 0 {
        sent += stream.send(&mut batch)?;
    }
    Ok(sent)
}

#[derive(Default)]
struct Batch {
    body: Vec<u8>,
    samples: usize,
    number: u64,
}

impl Batch {
    /// Where the next sample goes.
    fn next(&mut self) -> &mut Vec<u8> {
        if self.samples == 0 {
            self.body.clear();
            self.body
                .extend_from_slice(b"{\"node_id\":\"p9\",\"metrics\":[");
        } else {
            self.body.push(b',');
        }
        self.samples += 1;
        &mut self.body
    }
}

struct Sender<'s> {
    stack: &'s Stack,
    stream: BufReader<TcpStream>,
}

impl<'s> Sender<'s> {
    fn open(stack: &'s Stack) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", stack.engine.port()))?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self {
            stack,
            stream: BufReader::new(stream),
        })
    }

    /// Sends the batch until it is taken: the engine may say that it has enough for the moment.
    fn send(&mut self, batch: &mut Batch) -> Result<u64> {
        batch.body.extend_from_slice(b"]}");
        let head = format!(
            "POST /api/ingest HTTP/1.1\r\nHost: engine\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nX-Batch-ID: 00000000-0000-4000-9000-{:012}\r\n\
             Content-Length: {}\r\n\r\n",
            self.stack.engine.federation_secret(),
            batch.number,
            batch.body.len()
        );
        let samples = std::mem::take(&mut batch.samples);
        batch.number += 1;
        for _ in 0..1_000 {
            let stream = self.stream.get_mut();
            stream.write_all(head.as_bytes())?;
            stream.write_all(&batch.body)?;
            let (status, answer) = self.answer()?;
            if status == 202 {
                let accepted = answer["data"]["accepted"].as_u64();
                ensure!(accepted == Some(samples as u64), "{answer}");
                return Ok(samples as u64);
            }
            ensure!(status == 429 || status == 503, "{status}: {answer}");
            std::thread::sleep(Duration::from_millis(50));
            *self = Self::open(self.stack)?;
        }
        anyhow::bail!("the engine takes no more history")
    }

    fn answer(&mut self) -> Result<(u16, serde_json::Value)> {
        let (mut line, mut status, mut length) = (String::new(), None, 0);
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            match (status, line.split_once(": ")) {
                (None, _) => status = line.split(' ').nth(1).and_then(|word| word.parse().ok()),
                (_, Some((name, value))) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse()?;
                }
                _ => {}
            }
        }
        let mut body = vec![0; length];
        std::io::Read::read_exact(&mut self.stream, &mut body)?;
        Ok((status.context("no status")?, serde_json::from_slice(&body)?))
    }
}
