//! What was sent, and what the server said about it: the witness that `verify` believes.
//!
//! One entry of 16 bytes per sample, written when its fate is known to the client. On disk it is
//! a text file that only grows (see [`LedgerFile`]), so that several runs can share one.

use crate::workload::{ProbeIdentity, body};
use std::io::Write;
use std::path::Path;

/// What the client knows about a sample that it sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered 202 or 200: it must be stored, once.
    Acked,
    /// Every try was answered with a refusal, or never reached the server.
    Refused,
    /// A try was sent and not answered: stored or not, both are right.
    Unknown,
}

/// One sample: which series, when, a hash of its values, and its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub time_us: i64,
    pub hash: u32,
    series_and_outcome: u32,
}

const OUTCOME_BITS: u32 = 2;
/// Series one ledger can name.
pub const SERIES_MAX: u32 = 1 << (32 - OUTCOME_BITS);

impl Entry {
    pub const fn new(series: u32, time_us: i64, hash: u32, outcome: Outcome) -> Self {
        let code = match outcome {
            Outcome::Acked => 0,
            Outcome::Refused => 1,
            Outcome::Unknown => 2,
        };
        Self {
            time_us,
            hash,
            series_and_outcome: series << OUTCOME_BITS | code,
        }
    }

    pub const fn series(self) -> u32 {
        self.series_and_outcome >> OUTCOME_BITS
    }

    pub const fn outcome(self) -> Outcome {
        match self.series_and_outcome & 3 {
            0 => Outcome::Acked,
            1 => Outcome::Refused,
            _ => Outcome::Unknown,
        }
    }
}

/// The names behind a series number.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesName {
    pub node_id: String,
    /// Empty when the samples name no target.
    pub target_host: String,
    pub probe_type: String,
}

impl SeriesName {
    pub fn of_probe(probe: &ProbeIdentity) -> Self {
        Self {
            node_id: probe.node_id.clone(),
            target_host: probe.target_host.clone(),
            probe_type: probe.probe_type.to_owned(),
        }
    }
}

/// The whole witness of one or more runs.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pub series: Vec<SeriesName>,
    pub entries: Vec<Entry>,
}

impl Ledger {
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.entries
            .iter()
            .filter(|entry| entry.outcome() == outcome)
            .count() as u64
    }

    /// First and last time of any sample.
    pub fn span_us(&self) -> Option<(i64, i64)> {
        let times = self.entries.iter().map(|entry| entry.time_us);
        times.clone().min().zip(times.max())
    }

    /// Reads what [`LedgerFile`] wrote. A torn last line is what a killed writer leaves; it is
    /// ignored. Anything else that cannot be read is an error: a witness must not guess.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut ledger = Self::default();
        let mut known = std::collections::HashMap::new();
        let mut of_run: Vec<u32> = Vec::new();
        for (number, line) in (1..).zip(whole.lines()) {
            ledger
                .read_line(line, &mut known, &mut of_run)
                .ok_or_else(|| anyhow::anyhow!("{}:{number}: not a ledger line", path.display()))?;
        }
        Ok(ledger)
    }

    fn read_line(
        &mut self,
        line: &str,
        known: &mut std::collections::HashMap<SeriesName, u32>,
        of_run: &mut Vec<u32>,
    ) -> Option<()> {
        let mut parts = line.split('\t');
        let outcome = match parts.next()? {
            "fiber-ledger 1" => {
                of_run.clear();
                return Some(());
            }
            "s" => {
                let mut part = || parts.next().map(str::to_owned);
                let name = SeriesName {
                    node_id: part()?,
                    target_host: part()?,
                    probe_type: part()?,
                };
                let next = u32::try_from(self.series.len()).ok()?;
                let series = *known.entry(name.clone()).or_insert(next);
                if series == next {
                    self.series.push(name);
                }
                of_run.push(series);
                return Some(());
            }
            "a" => Outcome::Acked,
            "r" => Outcome::Refused,
            "u" => Outcome::Unknown,
            _ => return None,
        };
        let series = *of_run.get(parts.next()?.parse::<usize>().ok()?)?;
        let time_us = parts.next()?.parse().ok()?;
        let hash = parts.next()?.parse().ok()?;
        self.entries
            .push(Entry::new(series, time_us, hash, outcome));
        Some(())
    }
}

/// A ledger on disk, tab-separated: `fiber-ledger 1` opens a run, `s node target type` names its
/// series in order, then one line `a|r|u series time_us hash` per sample.
#[derive(Debug)]
pub struct LedgerFile {
    file: std::fs::File,
    pending: Vec<u8>,
}

const PENDING_BYTES_MAX: usize = 256 * 1024;

impl LedgerFile {
    pub fn append(path: &Path, series: &[SeriesName]) -> std::io::Result<Self> {
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)?;
        let mut pending = b"fiber-ledger 1\n".to_vec();
        for name in series {
            writeln!(
                pending,
                "s\t{}\t{}\t{}",
                name.node_id, name.target_host, name.probe_type
            )?;
        }
        let mut ledger = Self { file, pending };
        ledger.flush()?;
        Ok(ledger)
    }

    pub fn write(&mut self, entries: &[Entry]) -> std::io::Result<()> {
        for entry in entries {
            self.pending.extend_from_slice(match entry.outcome() {
                Outcome::Acked => b"a\t",
                Outcome::Refused => b"r\t",
                Outcome::Unknown => b"u\t",
            });
            body::decimal(&mut self.pending, u64::from(entry.series()));
            self.pending.push(b'\t');
            // Samples before 1970 are outside every contract.
            body::decimal(&mut self.pending, entry.time_us.max(0).cast_unsigned());
            self.pending.push(b'\t');
            body::decimal(&mut self.pending, u64::from(entry.hash));
            self.pending.push(b'\n');
            if self.pending.len() > PENDING_BYTES_MAX {
                self.flush()?;
            }
        }
        Ok(())
    }

    pub fn flush(&mut self) -> std::io::Result<()> {
        self.file.write_all(&self.pending)?;
        self.pending.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(node: &str) -> SeriesName {
        SeriesName {
            node_id: node.to_owned(),
            target_host: String::new(),
            probe_type: "tcp".into(),
        }
    }

    #[test]
    fn an_entry_is_sixteen_bytes_and_keeps_its_parts() {
        assert_eq!(size_of::<Entry>(), 16);
        for outcome in [Outcome::Acked, Outcome::Refused, Outcome::Unknown] {
            let entry = Entry::new(SERIES_MAX - 1, i64::MIN, u32::MAX, outcome);
            assert_eq!((entry.series(), entry.outcome()), (SERIES_MAX - 1, outcome));
        }
    }

    #[test]
    fn two_runs_in_one_file_read_back_with_their_series_merged_and_a_torn_line_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let first = [
            Entry::new(0, 5, 77, Outcome::Acked),
            Entry::new(1, 6, 78, Outcome::Unknown),
        ];
        let mut file = LedgerFile::append(&path, &[name("a"), name("b")]).unwrap();
        file.write(&first).unwrap();
        file.flush().unwrap();
        let mut file = LedgerFile::append(&path, &[name("b"), name("c")]).unwrap();
        file.write(&[Entry::new(0, 9, 1, Outcome::Refused)])
            .unwrap();
        file.flush().unwrap();
        std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(b"a\t1\t7")
            .unwrap();

        let ledger = Ledger::read(&path).unwrap();
        assert_eq!(ledger.series, [name("a"), name("b"), name("c")]);
        assert_eq!(ledger.entries[..2], first);
        assert_eq!(ledger.entries[2..], [Entry::new(1, 9, 1, Outcome::Refused)]);
        assert_eq!(ledger.span_us(), Some((5, 9)));

        std::fs::write(&path, "fiber-ledger 1\na\t0\t1\t1\n").unwrap();
        assert!(Ledger::read(&path).is_err());
    }
}
