//! The yardstick of rows: psql's COPY, in the binary format, over two connections, into the tables
//! that the engine made. Files and tuples are ready before the clock starts; no JSON, no HTTP, no
//! journal, no rollup and no look for duplicates but the table's unique index.

use crate::pairs::Side;
use crate::rig::{BATCH, HUBS, Rig};
use anyhow::{Context as _, Result, ensure};
use fiber_contract::UnixMicros;
use fiber_engine::copy::row::{COLUMNS, COPY_HEADER, COPY_TRAILER, Row};
use fiber_engine::model::{NodeKey, SeriesKey};
use fiber_loadgen::workload::{ProbeWorkload, roster};
use fiber_local::scratch::Scratch;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

const CONNECTIONS: u32 = 2;

/// The files, made once.
#[derive(Debug)]
pub struct CopyFiles {
    files: Vec<PathBuf>,
    rows: u64,
    _home: Scratch,
}

impl CopyFiles {
    /// The rows of a fleet in the order in which it sends them, each series in one file.
    pub fn write(rows: u64) -> Result<Self> {
        let home = Scratch::new("copy")?;
        let files: Vec<_> = (0..CONNECTIONS)
            .map(|file| home.path().join(format!("{file}.pgcopy")))
            .collect();
        let mut outs = Vec::new();
        for path in &files {
            let mut out = BufWriter::new(std::fs::File::create(path)?);
            out.write_all(&COPY_HEADER)?;
            outs.push(out);
        }
        let start = UnixMicros::now();
        let mut probes: Vec<_> = roster::tagged("copy", HUBS)
            .iter()
            .zip(0..)
            .map(|(probe, number)| Series {
                node_key: NodeKey::of(&probe.node_id),
                series_key: SeriesKey::of(&probe.node_id, &probe.target_host, &probe.probe_type),
                values: ProbeWorkload::new(1, number),
                sent: 0,
            })
            .collect();
        let (mut tuples, mut written) = (Vec::new(), 0);
        for at in (0..probes.len()).cycle() {
            if written >= rows {
                break;
            }
            let count = u64::from(BATCH).min(rows - written);
            tuples.clear();
            probes[at].encode(start, count, &mut tuples);
            outs[at % CONNECTIONS as usize].write_all(&tuples)?;
            written += count;
        }
        for mut out in outs {
            out.write_all(&COPY_TRAILER)?;
            out.flush()?;
        }
        Ok(Self {
            files,
            rows,
            _home: home,
        })
    }

    /// One run into new tables.
    pub fn measure(&self, rig: &Rig) -> Result<Side> {
        let database = rig.tables()?;
        let cpu_before = rig.cpu_s();
        let began = Instant::now();
        let mut running = Vec::new();
        for file in &self.files {
            let copy = format!(
                "\\copy metrics ({COLUMNS}) from '{}' with (format binary)",
                file.display()
            );
            let mut psql = database.psql_command();
            psql.args(["-c", &copy]).stdin(Stdio::null());
            running.push(psql.spawn().context("run psql")?);
        }
        for mut psql in running {
            ensure!(psql.wait()?.success(), "psql's copy failed");
        }
        let elapsed_s = began.elapsed().as_secs_f64();
        let cpu_s = rig.cpu_s() - cpu_before;
        let rows: u64 = database.psql("SELECT count(*) FROM metrics")?.parse()?;
        ensure!(rows == self.rows, "COPY stored {rows} of {}", self.rows);
        rig.drop_database(&database)?;
        Ok(Side {
            rate: self.rows as f64 / elapsed_s,
            cpu_us_each: vec![("database", cpu_s * 1e6 / self.rows as f64)],
            rss_peak_bytes: 0,
        })
    }
}

struct Series {
    node_key: NodeKey,
    series_key: SeriesKey,
    values: ProbeWorkload,
    sent: u64,
}

impl Series {
    /// Spaced as a fleet at a million samples a second spaces them.
    const SPACING_US: u64 = 64;

    fn encode(&mut self, start: UnixMicros, count: u64, out: &mut Vec<u8>) {
        for number in self.sent..self.sent + count {
            let values = self.values.values(number);
            let offset_us = i64::try_from(number * Self::SPACING_US).unwrap_or(i64::MAX);
            Row {
                time: UnixMicros(start.0 + offset_us),
                series_key: self.series_key,
                node_key: self.node_key,
                latency_ms: values.latency_ms(),
                uptime_pct: values.uptime_pct(),
                packet_loss: values.packet_loss(),
                metadata: None,
            }
            .encode(out);
        }
        self.sent += count;
    }
}
