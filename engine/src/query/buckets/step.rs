//! The buckets of one step of time, close together: the sketches stay in the bytes that they are stored in.

use super::Group;
use crate::model::NodeKey;
use crate::publish::rollup::{Bucket, Sketch};
use fiber_contract::UnixMicros;
use std::ops::Range;
use tokio_postgres::Row;

#[derive(Debug)]
pub(in crate::query) struct Step {
    pub(in crate::query) start: UnixMicros,
    /// By node; a node has one for each of its series.
    parts: Box<[Part]>,
    sketches: Box<[u8]>,
}

#[derive(Debug)]
struct Part {
    /// Its sketch is empty.
    bucket: Bucket,
    sketch: Range<u32>,
}

impl Step {
    /// Nodes one after the other; of a group in one bucket, that.
    pub(in crate::query) fn buckets(&self) -> impl Iterator<Item = Bucket> + '_ {
        self.parts.iter().map(|part| {
            let (from, to) = (part.sketch.start as usize, part.sketch.end as usize);
            let mut bucket = part.bucket.clone();
            bucket.sketch = sketch_of(self.sketches.get(from..to).unwrap_or_default());
            bucket
        })
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.parts) + self.sketches.len()
    }
}

/// An unreadable one is told and taken for empty: the counts stay right, and the percentiles are those
/// of the other buckets.
fn sketch_of(bytes: &[u8]) -> Sketch {
    if bytes.is_empty() {
        return Sketch::default();
    }
    Sketch::from_bytes(bytes).unwrap_or_else(|error| {
        tracing::error!(%error, "read the sketch of a bucket");
        Sketch::default()
    })
}

/// A step while its rows come.
#[derive(Debug)]
pub(super) struct Builder {
    start: UnixMicros,
    parts: Vec<Part>,
    sketches: Vec<u8>,
    /// Where all rows become one bucket.
    total: Option<Bucket>,
}

impl Builder {
    pub(super) fn new(start: UnixMicros, group: Group<'_>) -> Self {
        let is_total = !matches!(group, Group::EachNode);
        Self {
            start,
            parts: Vec::new(),
            sketches: Vec::new(),
            total: is_total.then(|| Bucket::new(NodeKey(0))),
        }
    }

    pub(super) fn add(&mut self, row: &Row) -> Result<(), tokio_postgres::Error> {
        let sketch: Option<&[u8]> = row.try_get(8)?;
        let bucket = Bucket {
            node_key: NodeKey(row.try_get(9)?),
            ..counts(row)?
        };
        self.push(bucket, sketch.unwrap_or_default());
        Ok(())
    }

    pub(super) fn push(&mut self, mut bucket: Bucket, sketch: &[u8]) {
        if let Some(total) = &mut self.total {
            bucket.sketch = sketch_of(sketch);
            total.merge(&bucket);
        } else {
            self.put(bucket, sketch);
        }
    }

    fn put(&mut self, bucket: Bucket, sketch: &[u8]) {
        let at = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let from = at(self.sketches.len());
        self.sketches.extend_from_slice(sketch);
        let sketch = from..at(self.sketches.len());
        self.parts.push(Part { bucket, sketch });
    }

    pub(super) fn finish(mut self) -> Step {
        if let Some(mut total) = self.total.take().filter(|total| total.count > 0) {
            let sketch = std::mem::take(&mut total.sketch).to_bytes();
            self.put(total, &sketch);
        }
        self.parts.sort_by_key(|part| part.bucket.node_key.0);
        Step {
            start: self.start,
            parts: self.parts.into(),
            sketches: self.sketches.into(),
        }
    }
}

/// A row whose columns 1 to 8 are those of a bucket, from its count to its sketch.
pub(in crate::query) fn stored_bucket(row: &Row) -> Result<Bucket, tokio_postgres::Error> {
    let sketch: Option<&[u8]> = row.try_get(8)?;
    Ok(Bucket {
        sketch: sketch_of(sketch.unwrap_or_default()),
        ..counts(row)?
    })
}

fn counts(row: &Row) -> Result<Bucket, tokio_postgres::Error> {
    Ok(Bucket {
        count: row.try_get(1)?,
        latency_count: row.try_get(2)?,
        latency_sum: row.try_get(3)?,
        latency_min: row.try_get(4)?,
        latency_max: row.try_get(5)?,
        loss_sum: row.try_get(6)?,
        uptime_sum: row.try_get(7)?,
        ..Bucket::new(NodeKey(0))
    })
}
