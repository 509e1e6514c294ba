//! The ledger on disk: text, tab-separated, appended to by one run after the other.
//!
//! ```text
//! fiber-ledger 2                                   opens a run
//! s  node target type                              names its series, in order
//! q  request series time:hash time:hash! …         what a request holds, before it is sent; ! is bad on purpose
//! o  request a|r|u [refused positions, by comma]   how it ended
//! ```
//!
//! A `q` is handed to the kernel before the request's first byte: it survives the generator's death
//! at any moment, not the machine's. An `o` may wait in memory for some milliseconds; a request
//! without one is unknown. (Version 1 had one line `a|r|u series time hash` per sample, after its
//! end; it is still read.)

use super::{Entry, Ledger, Outcome, SeriesName};
use crate::workload::body::decimal;
use anyhow::Context;
use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

#[derive(Debug)]
pub struct LedgerFile {
    file: std::fs::File,
    pending: Vec<u8>,
    /// A write failed: its end may be torn, and nothing may follow it.
    broken: bool,
}

const PENDING_BYTES_MAX: usize = 256 * 1024;

impl LedgerFile {
    /// Opens a run at the end of the file, behind what others left in it.
    pub fn append(path: &Path, series: &[SeriesName]) -> std::io::Result<Self> {
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(path)?;
        if file.try_lock().is_err() {
            let text = "another run writes this ledger";
            return Err(std::io::Error::new(std::io::ErrorKind::WouldBlock, text));
        }
        if file.metadata()?.is_file() {
            cut_torn_end(&mut file)?;
        }
        let mut pending = b"fiber-ledger 2\n".to_vec();
        for name in series {
            writeln!(
                pending,
                "s\t{}\t{}\t{}",
                name.node_id, name.target_host, name.probe_type
            )?;
        }
        let mut ledger = Self {
            file,
            pending,
            broken: false,
        };
        ledger.flush()?;
        Ok(ledger)
    }

    /// What a request holds. On return it is in the file: now it may be sent.
    pub fn intend(&mut self, request: u64, entries: &[Entry]) -> std::io::Result<()> {
        let Some(first) = entries.first() else {
            return Ok(());
        };
        let out = &mut self.pending;
        out.extend_from_slice(b"q\t");
        decimal(out, request);
        out.push(b'\t');
        decimal(out, u64::from(first.series()));
        for entry in entries {
            out.push(b'\t');
            // Samples before 1970 are outside every contract.
            decimal(out, entry.time_us.max(0).cast_unsigned());
            out.push(b':');
            decimal(out, u64::from(entry.hash));
            if entry.is_bad() {
                out.push(b'!');
            }
        }
        out.push(b'\n');
        self.flush()
    }

    /// How it ended.
    pub fn settle(&mut self, request: u64, entries: &[Entry]) -> std::io::Result<()> {
        let acked = entries.iter().any(|e| e.outcome() == Outcome::Acked);
        let unknown = entries.iter().any(|e| e.outcome() == Outcome::Unknown);
        let out = &mut self.pending;
        out.extend_from_slice(b"o\t");
        decimal(out, request);
        out.extend_from_slice(match (acked, unknown) {
            (true, _) => b"\ta",
            (false, true) => b"\tu",
            (false, false) => b"\tr",
        });
        if acked || unknown {
            let mut before = b'\t';
            for (at, entry) in (0..).zip(entries) {
                if entry.outcome() == Outcome::Refused {
                    out.push(before);
                    decimal(out, at);
                    before = b',';
                }
            }
        }
        out.push(b'\n');
        if self.pending.len() > PENDING_BYTES_MAX {
            self.flush()?;
        }
        Ok(())
    }

    pub fn flush(&mut self) -> std::io::Result<()> {
        if self.broken {
            return Err(std::io::Error::other(
                "an earlier write to the ledger failed",
            ));
        }
        let written = self.file.write_all(&self.pending);
        self.broken = written.is_err();
        self.pending.clear();
        written
    }
}

/// A writer that was killed within a line had not sent what the line is about.
fn cut_torn_end(file: &mut std::fs::File) -> std::io::Result<()> {
    const STEP: u64 = 64 * 1024;
    let length = file.metadata()?.len();
    let mut end = length;
    let mut bytes = Vec::new();
    while end > 0 {
        let from = end.saturating_sub(STEP);
        file.seek(SeekFrom::Start(from))?;
        bytes.clear();
        Read::by_ref(file)
            .take(end - from)
            .read_to_end(&mut bytes)?;
        if let Some(at) = bytes.iter().rposition(|byte| *byte == b'\n') {
            end = from + at as u64 + 1;
            break;
        }
        end = from;
    }
    if end < length {
        file.set_len(end)?;
    }
    Ok(())
}

pub(super) fn read(path: &Path) -> anyhow::Result<Ledger> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("read the ledger {}", path.display()))?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut reader = Reader::default();
    for (number, line) in (1..).zip(whole.lines()) {
        reader
            .line(line)
            .ok_or_else(|| anyhow::anyhow!("{}:{number}: not a ledger line", path.display()))?;
    }
    Ok(reader.ledger)
}

#[derive(Default)]
struct Reader {
    ledger: Ledger,
    known: HashMap<SeriesName, u32>,
    of_run: Vec<u32>,
    /// Requests of the run without an end, with the place of their entries.
    open: HashMap<u64, std::ops::Range<usize>>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Option<()> {
        let mut parts = line.split('\t');
        match parts.next()? {
            "fiber-ledger 1" | "fiber-ledger 2" => {
                self.of_run.clear();
                self.open.clear();
            }
            "s" => {
                let mut part = || parts.next().map(str::to_owned);
                self.name(SeriesName {
                    node_id: part()?,
                    target_host: part()?,
                    probe_type: part()?,
                })?;
            }
            "q" => {
                let request = parts.next()?.parse().ok()?;
                let series = self.series(parts.next()?)?;
                let first = self.ledger.entries.len();
                for sample in parts {
                    let entry = intended(series, sample)?;
                    self.ledger.entries.push(entry);
                }
                let place = first..self.ledger.entries.len();
                self.open.insert(request, place);
            }
            "o" => {
                let request: u64 = parts.next()?.parse().ok()?;
                let place = self.open.remove(&request)?;
                let entries = &mut self.ledger.entries[place];
                let outcome = outcome(parts.next()?)?;
                entries
                    .iter_mut()
                    .for_each(|entry| *entry = entry.with(outcome));
                for at in parts.next().into_iter().flat_map(|list| list.split(',')) {
                    let entry = entries.get_mut(at.parse::<usize>().ok()?)?;
                    *entry = entry.with(Outcome::Refused);
                }
            }
            code => {
                let outcome = outcome(code)?;
                let series = self.series(parts.next()?)?;
                let time_us = parts.next()?.parse().ok()?;
                let hash = parts.next()?.parse().ok()?;
                let entry = Entry::new(series, time_us, hash, outcome);
                self.ledger.entries.push(entry);
            }
        }
        Some(())
    }

    fn name(&mut self, name: SeriesName) -> Option<()> {
        let next = u32::try_from(self.ledger.series.len()).ok()?;
        let series = *self.known.entry(name.clone()).or_insert(next);
        if series == next {
            self.ledger.series.push(name);
        }
        self.of_run.push(series);
        Some(())
    }

    fn series(&self, text: &str) -> Option<u32> {
        self.of_run.get(text.parse::<usize>().ok()?).copied()
    }
}

fn outcome(code: &str) -> Option<Outcome> {
    Some(match code {
        "a" => Outcome::Acked,
        "r" => Outcome::Refused,
        "u" => Outcome::Unknown,
        _ => return None,
    })
}

fn intended(series: u32, sample: &str) -> Option<Entry> {
    let (time, rest) = sample.split_once(':')?;
    let (hash, is_bad) = match rest.strip_suffix('!') {
        Some(hash) => (hash, true),
        None => (rest, false),
    };
    let (time_us, hash) = (time.parse().ok()?, hash.parse().ok()?);
    let entry = Entry::new(series, time_us, hash, Outcome::Unknown);
    Some(if is_bad { entry.bad() } else { entry })
}

#[cfg(test)]
mod tests;
