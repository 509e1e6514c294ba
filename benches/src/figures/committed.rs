//! P1: from JSON over HTTP to a committed, deduplicated, summarised row.

use super::{Bench, micros_each};
use crate::pairs::{self, Side};
use crate::report::{Labels, Section, pairs_table, ratio_headline, ratio_values};
use crate::rig::{Rig, Stack, send_rows};
use anyhow::Result;
use fiber_loadgen::report::Report;
use std::time::{Duration, Instant};

const LABELS: Labels = Labels {
    a: "engine",
    b: "COPY",
    unit: "rows/s",
};

pub(super) fn run(bench: &Bench) -> Result<Section> {
    let (rig, files, rows) = (bench.rig()?, bench.files()?, bench.size.rows);
    let pairs = pairs::measure(
        bench.size.pairs,
        |_| engine(rig, rows),
        |_| files.measure(rig),
    )?;
    Ok(Section {
        id: "P1",
        title: "rows committed over HTTP ÷ psql COPY BINARY",
        target: "0.75",
        headline: ratio_headline(&pairs),
        values: ratio_values(&pairs, 0.75),
        text: format!(
            "Engine: from the first request sent until the last acknowledged row is committed, \
             rollups and ledger with it; then the table is counted. Acks follow the fdatasync. \
             COPY: two psql into the same tables, which have their chunk, rows only.\n\n{}",
            pairs_table(&pairs, LABELS)
        ),
    })
}

fn engine(rig: &Rig, rows: u64) -> Result<Side> {
    until_committed(rig, |stack| send_rows(stack.fleet(), rows))
}

/// From the first request of `send` until all that was acknowledged is committed and counted.
pub(super) fn until_committed(
    rig: &Rig,
    send: impl FnOnce(&Stack) -> Result<Report>,
) -> Result<Side> {
    let stack = rig.stack(&[])?;
    let (engine_before, database_before) = (stack.engine_cpu_s(), rig.cpu_s());
    let report = send(&stack)?;
    let sent = Instant::now();
    stack.await_drained()?;
    let elapsed = Duration::from_secs_f64(report.throughput.elapsed_s) + sent.elapsed();
    let cpu_s = [
        ("engine", stack.engine_cpu_s() - engine_before),
        ("database", rig.cpu_s() - database_before),
        ("generator", report.generator.cpu_s),
    ];
    let rows = report.samples.acked;
    let side = Side {
        rate: rows as f64 / elapsed.as_secs_f64(),
        cpu_us_each: micros_each(&cpu_s, rows as f64),
        rss_peak_bytes: stack.memory().rss_peak_bytes,
    };
    stack.expect_rows(rows)?;
    let database = stack.database.clone();
    drop(stack);
    rig.drop_database(&database)?;
    Ok(side)
}
