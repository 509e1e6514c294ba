//! Percentile-true summaries per series and minute, hour and day, exact at every commit.
//!
//! The rows of a transaction are added to the buckets in memory, a bucket that is not there is
//! loaded, and absolute values are written in the same transaction as the rows themselves. So late
//! data is no special case, a replay cannot count twice, and no refresh has to catch up. Every
//! level is written at once, the coarse ones from the fine ones of the transaction.
//!
//! `rev` counts the writes of a row. An engine that would overwrite what it has not seen finds the
//! count changed, and the transaction starts over with nothing remembered.
//!
//! Every transaction leaves a mark at each minute that it wrote (`rollup_marks`), so a reader may keep what
//! it read and knows what to read again.
//!
//! What is in memory is ahead of the database between [`Rollups::write`] and COMMIT: if anything
//! fails there, call [`Rollups::forget`].

mod bucket;
mod fresh;
mod mark;
mod open;
mod sketch;
mod store;

#[cfg(test)]
mod tests;

pub use bucket::Bucket;
pub(crate) use fresh::FreshRows;
pub(crate) use mark::Marker;
pub(crate) use open::BucketKey;
pub use sketch::{NotASketch, RELATIVE_ERROR, Sketch};
pub(crate) use store::{BucketStore, Columns};
pub use store::{LEVELS, Level};

use crate::copy::Error;
use crate::model::{NodeKey, SeriesKey};
use crate::planted::planted;
use crate::publish::notify::StoredSample;
use fiber_contract::UnixMicros;
use open::OpenBuckets;

/// Buckets per level, of all writers. A bucket of a minute is some 200 bytes, one of a day some 5 KiB.
const OPEN_BUCKETS_MAX: usize = 100_000;

/// A stored row, as far as rollups care. `newest_before` is the newest stored instant of the
/// series before this transaction, where it is known and may be trusted: no bucket that starts
/// later can be in the database, so it need not be asked for.
#[derive(Clone, Copy, Debug)]
pub struct Stored {
    pub series_key: SeriesKey,
    pub node_key: NodeKey,
    pub newest_before: Option<UnixMicros>,
    pub sample: StoredSample,
}

/// What one transaction adds to one bucket.
#[derive(Clone, Debug)]
struct Delta {
    key: BucketKey,
    newest_before: Option<UnixMicros>,
    bucket: Bucket,
}

#[derive(Debug)]
pub struct Rollups {
    open: [OpenBuckets; LEVELS.len()],
}

impl Rollups {
    /// Of one of so many writers.
    pub fn of_one(writers: usize) -> Self {
        Self {
            open: std::array::from_fn(|_| OpenBuckets::new(OPEN_BUCKETS_MAX / writers)),
        }
    }

    pub fn forget(&mut self) {
        for open in &mut self.open {
            open.clear();
        }
    }

    /// Adds rows, ordered by series and time, within the session's open transaction.
    pub(crate) async fn write(
        &mut self,
        session: &mut impl BucketStore,
        marker: Marker,
        rows: impl Iterator<Item = Stored>,
    ) -> Result<(), Error> {
        let mut deltas = fold_rows(rows, LEVELS[0].step_s);
        if deltas.is_empty() {
            return Ok(());
        }
        if !planted("minute-not-marked") {
            let minutes = mark::minutes(&deltas);
            session.mark_minutes(marker, &minutes).await?;
        }
        for (at, level) in LEVELS.iter().enumerate() {
            if at > 0 {
                deltas = fold_deltas(&deltas, level.step_s);
            }
            let open = &mut self.open[at];
            open.turn();
            let missing = missing_keys(open, &deltas);
            if !missing.is_empty() {
                for (key, bucket) in session.load_buckets(level, &missing).await? {
                    open.insert(key, bucket);
                }
            }
            write_level(session, level, open, &deltas).await?;
        }
        Ok(())
    }
}

/// Adds to the buckets in memory, which all are there, and writes them.
async fn write_level(
    session: &mut impl BucketStore,
    level: &Level,
    open: &mut OpenBuckets,
    deltas: &[Delta],
) -> Result<(), Error> {
    let are_fresh = deltas
        .iter()
        .filter(|delta| !open.contains(&delta.key))
        .count();
    let (mut columns, mut fresh) = (Columns::default(), FreshRows::default());
    for delta in deltas {
        let bucket = add(open, delta);
        if bucket.rev == 1 && are_fresh >= fresh::ROWS_MIN {
            fresh.push(&delta.key, bucket);
        } else {
            columns.push(&delta.key, bucket);
        }
    }
    if !fresh.is_empty() {
        session.copy_buckets(level, &fresh).await?;
    }
    if !columns.is_empty() {
        session.upsert_buckets(level, &columns).await?;
    }
    Ok(())
}

fn missing_keys(open: &OpenBuckets, deltas: &[Delta]) -> Vec<BucketKey> {
    deltas
        .iter()
        .filter(|delta| {
            delta
                .newest_before
                .is_none_or(|newest| newest >= delta.key.1)
        })
        .map(|delta| delta.key)
        .filter(|key| !open.contains(key))
        .collect()
}

/// The bucket as it is to be written.
fn add<'o>(open: &'o mut OpenBuckets, delta: &Delta) -> &'o Bucket {
    let bucket = open.entry(delta.key, delta.bucket.node_key);
    bucket.merge(&delta.bucket);
    bucket.rev += 1;
    bucket
}

/// One delta per run of rows in the same bucket; the order of the rows becomes that of the deltas.
fn fold_rows(rows: impl Iterator<Item = Stored>, step_s: i64) -> Vec<Delta> {
    let mut deltas: Vec<Delta> = Vec::new();
    for row in rows {
        let key = (row.series_key, row.sample.time.floor_to(step_s));
        let delta = run(&mut deltas, key, row.node_key, row.newest_before);
        delta.bucket.add(&row.sample);
    }
    deltas
}

fn fold_deltas(fine: &[Delta], step_s: i64) -> Vec<Delta> {
    let mut deltas: Vec<Delta> = Vec::new();
    for part in fine {
        let key = (part.key.0, part.key.1.floor_to(step_s));
        let delta = run(&mut deltas, key, part.bucket.node_key, part.newest_before);
        delta.bucket.merge(&part.bucket);
    }
    deltas
}

fn run(
    deltas: &mut Vec<Delta>,
    key: BucketKey,
    node_key: NodeKey,
    newest_before: Option<UnixMicros>,
) -> &mut Delta {
    if deltas.last().is_none_or(|delta| delta.key != key) {
        deltas.push(Delta {
            key,
            newest_before,
            bucket: Bucket::new(node_key),
        });
    }
    deltas.last_mut().expect("one was just pushed")
}
