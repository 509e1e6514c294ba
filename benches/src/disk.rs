//! The disk itself: one thread that writes and calls fdatasync, in a file whose blocks are there
//! already. It is what fio does with `--rw=write --fdatasync=1`, without needing fio.

use anyhow::{Context as _, Result};
use fiber_local::scratch::Scratch;
use rustix::fs::fdatasync;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// A file of zeros on the disk: syncing a write to it has no length and no block to make durable.
pub fn laid_out(path: &Path, bytes: u64) -> Result<File> {
    const ZEROS: &[u8] = &[0; 1 << 20];
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).open(path)?;
    let mut at = 0;
    while at < bytes {
        let len = usize::try_from(bytes - at).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
        file.write_all_at(&ZEROS[..len], at)?;
        at += len as u64;
    }
    file.sync_all().context("sync the file")?;
    Ok(file)
}

/// Writes `block` again and again, each time to the next place and synced; the time of each.
pub fn write_and_sync(file: &File, block: &[u8], count: u32) -> Result<Vec<Duration>> {
    (0..u64::from(count))
        .map(|number| {
            let began = Instant::now();
            file.write_all_at(block, number * block.len() as u64)?;
            fdatasync(file)?;
            Ok(began.elapsed())
        })
        .collect()
}

/// What one durable write costs where the engine keeps its data.
#[derive(Clone, Copy, Debug)]
pub struct SyncCost {
    pub p50: Duration,
    pub p99: Duration,
}

pub const SYNC_BLOCK_BYTES: usize = 4_096;

pub fn sync_cost(count: u32) -> Result<SyncCost> {
    let dir = Scratch::new("disk")?;
    let file = laid_out(
        &dir.path().join("file"),
        u64::from(count) * SYNC_BLOCK_BYTES as u64,
    )?;
    let mut times = write_and_sync(&file, &[0xA5; SYNC_BLOCK_BYTES], count)?;
    times.sort_unstable();
    let at = |per_mille: usize| times[(times.len() - 1) * per_mille / 1_000];
    Ok(SyncCost {
        p50: at(500),
        p99: at(990),
    })
}
