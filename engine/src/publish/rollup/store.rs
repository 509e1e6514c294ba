//! The rows of `rollup_1m`, `rollup_1h` and `rollup_1d`.

use super::bucket::Bucket;
use super::fresh::FreshRows;
use super::mark::{self, Marker};
use super::open::BucketKey;
use super::sketch::Sketch;
use crate::copy::Error;
use crate::copy::instant::PgInstant;
use crate::copy::session::Session;
use crate::model::{NodeKey, SeriesKey};
use fiber_contract::UnixMicros;
use std::future::Future;

/// One table and its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    pub step_s: i64,
    pub table: &'static str,
    pub(super) load: &'static str,
    pub(super) upsert: &'static str,
    pub(super) copy: &'static str,
}

macro_rules! level {
    ($step_s:expr, $table:literal) => {
        Level {
            step_s: $step_s,
            table: $table,
            load: concat!(
                "SELECT r.series_key, r.bucket, r.node_key, r.rev, r.count, r.latency_count,
                        r.latency_sum, r.latency_min, r.latency_max, r.loss_sum, r.uptime_sum,
                        r.sketch
                 FROM UNNEST($1::int8[], $2::timestamptz[]) AS k (series_key, bucket)
                 JOIN ",
                $table,
                " r USING (series_key, bucket)"
            ),
            // A row whose `rev` is not the one we added to was written by somebody else: it is
            // left alone, and the count of affected rows tells.
            upsert: concat!(
                "INSERT INTO ",
                $table,
                " AS r (series_key, bucket, node_key, rev, count, latency_count, latency_sum,
                        latency_min, latency_max, loss_sum, uptime_sum, p50, p95, p99, sketch)
                 SELECT * FROM UNNEST($1::int8[], $2::timestamptz[], $3::int8[], $4::int4[],
                     $5::int8[], $6::int8[], $7::float8[], $8::float4[], $9::float4[],
                     $10::float8[], $11::float8[], $12::float4[], $13::float4[], $14::float4[],
                     $15::bytea[])
                 ON CONFLICT (series_key, bucket) DO UPDATE SET
                     rev = excluded.rev, count = excluded.count,
                     latency_count = excluded.latency_count, latency_sum = excluded.latency_sum,
                     latency_min = excluded.latency_min, latency_max = excluded.latency_max,
                     loss_sum = excluded.loss_sum, uptime_sum = excluded.uptime_sum,
                     p50 = excluded.p50, p95 = excluded.p95, p99 = excluded.p99,
                     sketch = excluded.sketch
                 WHERE r.rev = excluded.rev - 1"
            ),
            copy: concat!(
                "COPY ",
                $table,
                " (series_key, bucket, node_key, rev, count, latency_count, latency_sum,
                   latency_min, latency_max, loss_sum, uptime_sum, p50, p95, p99, sketch)
                 FROM STDIN (FORMAT binary)"
            ),
        }
    };
}

/// Fine to coarse; each is made of the one before.
pub const LEVELS: [Level; 3] = [
    level!(60, "rollup_1m"),
    level!(3_600, "rollup_1h"),
    level!(86_400, "rollup_1d"),
];

const _: () = assert!(
    LEVELS[1].step_s % LEVELS[0].step_s == 0 && LEVELS[2].step_s % LEVELS[1].step_s == 0,
    "a coarse bucket is made of whole fine ones"
);

/// Where buckets are kept.
pub(crate) trait BucketStore {
    /// Those that are there.
    fn load_buckets(
        &mut self,
        level: &Level,
        keys: &[BucketKey],
    ) -> impl Future<Output = Result<Vec<(BucketKey, Bucket)>, Error>> + Send;

    /// Each must be as it was when it was loaded, or not there when it was not.
    fn upsert_buckets(
        &mut self,
        level: &Level,
        columns: &Columns,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Says of minutes that they were written, each with a number that nobody had before.
    fn mark_minutes(
        &mut self,
        marker: Marker,
        minutes: &[UnixMicros],
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// None may be there.
    fn copy_buckets(
        &mut self,
        level: &Level,
        rows: &FreshRows,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

impl BucketStore for Session {
    async fn load_buckets(
        &mut self,
        level: &Level,
        keys: &[BucketKey],
    ) -> Result<Vec<(BucketKey, Bucket)>, Error> {
        load(self, level, keys).await
    }

    async fn upsert_buckets(&mut self, level: &Level, columns: &Columns) -> Result<(), Error> {
        columns.upsert(self, level).await
    }

    async fn mark_minutes(&mut self, marker: Marker, minutes: &[UnixMicros]) -> Result<(), Error> {
        mark::write(self, marker, minutes).await
    }

    async fn copy_buckets(&mut self, level: &Level, rows: &FreshRows) -> Result<(), Error> {
        rows.copy(self, level).await
    }
}

async fn load(
    session: &mut Session,
    level: &Level,
    keys: &[BucketKey],
) -> Result<Vec<(BucketKey, Bucket)>, Error> {
    let series: Vec<i64> = keys.iter().map(|(series, _)| series.0).collect();
    let starts: Vec<PgInstant> = keys.iter().map(|(_, start)| PgInstant(*start)).collect();
    let rows = session
        .query("load rollup buckets", level.load, &[&series, &starts])
        .await?;
    Ok(rows
        .iter()
        .map(|row| (key_of(row), bucket_of(row, level)))
        .collect())
}

fn key_of(row: &tokio_postgres::Row) -> BucketKey {
    (SeriesKey(row.get(0)), row.get::<_, PgInstant>(1).0)
}

fn bucket_of(row: &tokio_postgres::Row, level: &Level) -> Bucket {
    let bytes: Option<&[u8]> = row.get(11);
    let sketch = bytes
        .map(Sketch::from_bytes)
        .transpose()
        .unwrap_or_else(|_| {
            // The counts are right without it. Only the percentiles of this bucket start anew.
            tracing::error!(
                table = level.table,
                series_key = row.get::<_, i64>(0),
                "unreadable sketch"
            );
            None
        });
    Bucket {
        node_key: NodeKey(row.get(2)),
        rev: row.get(3),
        count: row.get(4),
        latency_count: row.get(5),
        latency_sum: row.get(6),
        latency_min: row.get(7),
        latency_max: row.get(8),
        loss_sum: row.get(9),
        uptime_sum: row.get(10),
        sketch: sketch.unwrap_or_default(),
    }
}

/// Column by column, as `UNNEST` wants it.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    series: Vec<i64>,
    start: Vec<PgInstant>,
    node: Vec<i64>,
    rev: Vec<i32>,
    count: Vec<i64>,
    latency_count: Vec<i64>,
    latency_sum: Vec<f64>,
    latency_min: Vec<Option<f32>>,
    latency_max: Vec<Option<f32>>,
    loss_sum: Vec<f64>,
    uptime_sum: Vec<f64>,
    percentiles: [Vec<Option<f32>>; 3],
    sketch: Vec<Option<Vec<u8>>>,
}

impl Columns {
    pub(super) fn push(&mut self, key: &BucketKey, bucket: &Bucket) {
        self.series.push(key.0.0);
        self.start.push(PgInstant(key.1));
        self.node.push(bucket.node_key.0);
        self.rev.push(bucket.rev);
        self.count.push(bucket.count);
        self.latency_count.push(bucket.latency_count);
        self.latency_sum.push(bucket.latency_sum);
        self.latency_min.push(bucket.latency_min);
        self.latency_max.push(bucket.latency_max);
        self.loss_sum.push(bucket.loss_sum);
        self.uptime_sum.push(bucket.uptime_sum);
        let percentiles = bucket.percentiles();
        for (at, column) in self.percentiles.iter_mut().enumerate() {
            column.push(percentiles.map(|values| values[at]));
        }
        self.sketch
            .push((!bucket.sketch.is_empty()).then(|| bucket.sketch.to_bytes()));
    }

    #[cfg(test)]
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (BucketKey, Bucket)> + '_ {
        (0..self.series.len()).map(|at| {
            let sketch = self.sketch[at].as_deref();
            let bucket = Bucket {
                node_key: NodeKey(self.node[at]),
                rev: self.rev[at],
                count: self.count[at],
                latency_count: self.latency_count[at],
                latency_sum: self.latency_sum[at],
                latency_min: self.latency_min[at],
                latency_max: self.latency_max[at],
                loss_sum: self.loss_sum[at],
                uptime_sum: self.uptime_sum[at],
                sketch: sketch
                    .map(|bytes| Sketch::from_bytes(bytes).unwrap())
                    .unwrap_or_default(),
            };
            ((SeriesKey(self.series[at]), self.start[at].0), bucket)
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    async fn upsert(&self, session: &mut Session, level: &Level) -> Result<(), Error> {
        let doing = "write rollup buckets";
        let [p50, p95, p99] = &self.percentiles;
        let written = session
            .execute(
                doing,
                level.upsert,
                &[
                    &self.series,
                    &self.start,
                    &self.node,
                    &self.rev,
                    &self.count,
                    &self.latency_count,
                    &self.latency_sum,
                    &self.latency_min,
                    &self.latency_max,
                    &self.loss_sum,
                    &self.uptime_sum,
                    p50,
                    p95,
                    p99,
                    &self.sketch,
                ],
            )
            .await?;
        if written == self.series.len() as u64 {
            Ok(())
        } else {
            Err(Error::OtherWriter { doing })
        }
    }
}
