//! Buckets that are in no table yet, as tuples of binary COPY: an insertion that looks for a
//! conflict row by row costs twice as much.

use super::bucket::Bucket;
use super::open::BucketKey;
use super::store::Level;
use crate::copy::Error;
use crate::copy::instant::PgInstant;
use crate::copy::session::Session;

/// Fewer are not worth a statement of their own.
pub(super) const ROWS_MIN: usize = 256;

const FIELDS: i16 = 15;
const NULL: i32 = -1;

#[derive(Debug, Default)]
pub(crate) struct FreshRows {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl FreshRows {
    pub(super) fn push(&mut self, key: &BucketKey, bucket: &Bucket) {
        self.bytes.extend_from_slice(&FIELDS.to_be_bytes());
        self.field(&key.0.0.to_be_bytes());
        self.field(&PgInstant(key.1).wire().to_be_bytes());
        self.field(&bucket.node_key.0.to_be_bytes());
        self.field(&bucket.rev.to_be_bytes());
        self.field(&bucket.count.to_be_bytes());
        self.field(&bucket.latency_count.to_be_bytes());
        self.field(&bucket.latency_sum.to_be_bytes());
        self.float4(bucket.latency_min);
        self.float4(bucket.latency_max);
        self.field(&bucket.loss_sum.to_be_bytes());
        self.field(&bucket.uptime_sum.to_be_bytes());
        let percentiles = bucket.percentiles();
        for at in 0..3 {
            self.float4(percentiles.map(|values| values[at]));
        }
        if bucket.sketch.is_empty() {
            self.null();
        } else {
            self.field(&bucket.sketch.to_bytes());
        }
        self.ends.push(self.bytes.len());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// A row that is there after all was written by somebody else: 23505.
    pub(super) async fn copy(&self, session: &mut Session, level: &Level) -> Result<(), Error> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let tuples = starts
            .zip(&self.ends)
            .map(|(start, end)| &self.bytes[start..*end]);
        session
            .copy("write new rollup buckets", level.copy, tuples)
            .await?;
        Ok(())
    }

    fn float4(&mut self, value: Option<f32>) {
        match value {
            Some(value) => self.field(&value.to_be_bytes()),
            None => self.null(),
        }
    }

    fn field(&mut self, bytes: &[u8]) {
        let len = i32::try_from(bytes.len()).expect("a sketch has at most some 10 KiB");
        self.bytes.extend_from_slice(&len.to_be_bytes());
        self.bytes.extend_from_slice(bytes);
    }

    fn null(&mut self) {
        self.bytes.extend_from_slice(&NULL.to_be_bytes());
    }
}
