//! The buckets that the writer has in memory, bounded.
//!
//! Two generations instead of a list of use: what is touched moves to the young one; when that is
//! full the old one is forgotten and the young becomes old. A forgotten bucket is loaded again.

use super::bucket::Bucket;
use crate::model::{NodeKey, SeriesKey};
use fiber_contract::UnixMicros;
use std::collections::HashMap;

/// A bucket's row: series and start.
pub(crate) type BucketKey = (SeriesKey, UnixMicros);

#[derive(Debug)]
pub(super) struct OpenBuckets {
    young: HashMap<BucketKey, Bucket>,
    old: HashMap<BucketKey, Bucket>,
    generation_max: usize,
}

impl OpenBuckets {
    /// Holds between `buckets_max / 2` and `buckets_max`.
    pub(super) fn new(buckets_max: usize) -> Self {
        let generation_max = (buckets_max / 2).max(1);
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            generation_max,
        }
    }

    pub(super) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }

    pub(super) fn contains(&self, key: &BucketKey) -> bool {
        self.young.contains_key(key) || self.old.contains_key(key)
    }

    pub(super) fn insert(&mut self, key: BucketKey, bucket: Bucket) {
        self.young.insert(key, bucket);
    }

    /// The bucket, moved to the young generation; an empty one where there is none.
    pub(super) fn entry(&mut self, key: BucketKey, node_key: NodeKey) -> &mut Bucket {
        if let Some(bucket) = self.old.remove(&key) {
            self.young.insert(key, bucket);
        }
        self.young
            .entry(key)
            .or_insert_with(|| Bucket::new(node_key))
    }

    /// Between transactions: within one, everything touched must stay.
    pub(super) fn turn(&mut self) {
        if self.young.len() >= self.generation_max {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
    }
}
