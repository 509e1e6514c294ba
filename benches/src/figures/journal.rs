//! P7: what the journal adds to the disk.

use crate::pairs::{self, Side, Spread};
use crate::report::{Section, Value, put};
use crate::{Size, disk};
use anyhow::{Context as _, Result};
use fiber_engine::journal::{Options, open_dir};
use fiber_engine::limits::JOURNAL_BYTES_MAX_DEFAULT;
use fiber_local::scratch::Scratch;
use std::collections::VecDeque;
use std::time::Instant;

/// Records on their way at once. With one, every group is exactly one record, so both sides write
/// the same blocks, and the threads' wake-ups are in the figure: this is the headline. With sixteen,
/// as under load, there is something to write whenever a flush ends; but how many share a group then
/// differs from run to run, and the disk is given the mean of a run before.
const ON_THE_WAY: [usize; 2] = [1, 16];

/// Bytes per record, and which part of the size's count makes one run: large ones take longer.
const BLOCKS: [(usize, u32); 3] = [(4 << 10, 1), (64 << 10, 2), (1 << 20, 10)];

pub(super) fn run(size: Size) -> Result<Section> {
    let mut text = String::from(
        "Journal: a record is appended, written, synced and answered, and another thread sends the \
         next, with so many on their way; what waits when a flush ends is one group. With one on its way both \
         sides write the same blocks; with sixteen the disk's block is the mean of a run before, so read \
         it as a direction. The journal's second \
         thread prepares segments meanwhile. Disk: one thread that writes and syncs blocks of the groups' size in \
         a file laid out before (our own loop; fio does the same with `--rw=write --fdatasync=1`).\n\n\
         | record | on their way | ratio, median (range) | journal, MB/s | disk, MB/s | block |\n\
         |---:|---:|---|---:|---:|---:|\n",
    );
    let mut medians = Vec::new();
    let cases = ON_THE_WAY
        .into_iter()
        .flat_map(|on_the_way| BLOCKS.map(|block| (on_the_way, block)));
    for (on_the_way, (block_bytes, fewer)) in cases {
        // Of many that share a group, more, so that there are enough groups.
        let times = if on_the_way > 1 { 3 } else { 1 };
        let records = (size.flushes * times / fewer).max(2);
        let (_, groups) = journal(block_bytes, on_the_way, records)?;
        let bytes = block_bytes * records as usize;
        let (block, flushes) = (bytes / groups as usize, groups);
        let measured = pairs::measure(
            size.pairs,
            |_| Ok(journal(block_bytes, on_the_way, records)?.0),
            |_| plain(block, flushes),
        )?;
        let spread = Spread::of(measured.ratios());
        if on_the_way == ON_THE_WAY[0] {
            medians.push(spread.median);
        }
        let rate = |sides: &[Side]| Spread::of(sides.iter().map(|side| side.rate / 1e6)).median;
        put(
            &mut text,
            format_args!(
                "| {} KiB | {on_the_way} | {:.2} ({:.2}–{:.2}) | {:.1} | {:.1} | {:.1} KiB |\n",
                block_bytes / 1_024,
                spread.median,
                spread.least,
                spread.most,
                rate(&measured.a),
                rate(&measured.b),
                block as f64 / 1_024.0
            ),
        );
    }
    Ok(Section {
        id: "P7",
        title: "journal append + fdatasync ÷ plain write + fdatasync (4 KiB · 64 KiB · 1 MiB)",
        target: "0.90",
        headline: medians
            .iter()
            .map(|median| format!("**{median:.2}**"))
            .collect::<Vec<_>>()
            .join(" · "),
        text,
        values: BLOCKS
            .iter()
            .zip(&medians)
            .map(|((bytes, _), median)| {
                Value::at_least(0.90, format!("records of {} KiB", bytes / 1_024), *median)
            })
            .collect(),
    })
}

fn side(block_bytes: usize, flushes: u32, began: Instant) -> Side {
    let bytes = block_bytes as f64 * f64::from(flushes);
    Side {
        rate: bytes / began.elapsed().as_secs_f64(),
        cpu_us_each: Vec::new(),
        rss_peak_bytes: 0,
    }
}

fn journal(block_bytes: usize, on_the_way: usize, records: u32) -> Result<(Side, u32)> {
    let dir = Scratch::new("journal")?;
    let options = Options::new(dir.path().join("journal"), JOURNAL_BYTES_MAX_DEFAULT);
    let running = open_dir(&options)?.start()?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let record = vec![0xA5; block_bytes];
    let began = Instant::now();
    runtime.block_on(async {
        let mut waiting = VecDeque::new();
        let mut next = record.clone();
        for _ in 0..records {
            waiting.push_back(running.appender.try_append(next, 1)?);
            // While the journal is at work: making records is not what is measured.
            next = record.clone();
            if waiting.len() == on_the_way
                && let Some(pending) = waiting.pop_front()
            {
                pending.await.context("the journal ended")??;
            }
        }
        for pending in waiting {
            pending.await.context("the journal ended")??;
        }
        anyhow::Ok(())
    })?;
    let side = side(block_bytes, records, began);
    let groups = u32::try_from(running.stats.groups_written())?;
    running.stop();
    Ok((side, groups))
}

fn plain(block_bytes: usize, flushes: u32) -> Result<Side> {
    let dir = Scratch::new("plain")?;
    let bytes = block_bytes as u64 * u64::from(flushes);
    let file = disk::laid_out(&dir.path().join("file"), bytes)?;
    let block = vec![0xA5; block_bytes];
    let began = Instant::now();
    disk::write_and_sync(&file, &block, flushes)?;
    Ok(side(block_bytes, flushes, began))
}
