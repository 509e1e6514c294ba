//! Rows into points.

use crate::model::NodeKey;
use crate::publish::rollup::{Bucket, Sketch};
use crate::query::live::nearest_rank;
use fiber_contract::UnixMicros;
use fiber_contract::query::{SeriesPoint, StepSketch};
use std::collections::BTreeMap;

const SHARES: [f64; 4] = [0.50, 0.90, 0.95, 0.99];

/// Raw values per step, for exact percentiles.
#[derive(Debug)]
pub(super) struct RawFold {
    step_s: i64,
    steps: BTreeMap<UnixMicros, RawStep>,
}

#[derive(Debug, Default)]
struct RawStep {
    count: u64,
    latencies: Vec<f32>,
    loss_sum: f64,
    uptime_sum: f64,
}

impl RawFold {
    pub(super) fn new(step_s: u32) -> Self {
        Self {
            step_s: i64::from(step_s),
            steps: BTreeMap::new(),
        }
    }

    pub(super) fn add(
        &mut self,
        time: UnixMicros,
        latency_ms: Option<f32>,
        uptime: f32,
        loss: f32,
    ) {
        let step = self.steps.entry(time.floor_to(self.step_s)).or_default();
        step.count += 1;
        step.latencies.extend(latency_ms);
        step.loss_sum += f64::from(loss);
        step.uptime_sum += f64::from(uptime);
    }

    pub(super) fn sketches(&self) -> Vec<StepSketch> {
        let sketch = |step: &RawStep| {
            let mut sketch = Sketch::default();
            for ms in &step.latencies {
                sketch.add(f64::from(*ms));
            }
            sketch
        };
        self.steps
            .iter()
            .map(|(start, step)| bins(*start, &sketch(step)))
            .collect()
    }

    pub(super) fn points(self) -> Vec<SeriesPoint> {
        self.steps
            .into_iter()
            .map(|(start, step)| step.point(start))
            .collect()
    }
}

impl RawStep {
    fn point(mut self, start: UnixMicros) -> SeriesPoint {
        self.latencies.sort_by(f32::total_cmp);
        let sum: f64 = self.latencies.iter().map(|ms| f64::from(*ms)).sum();
        let [p50, p90, p95, p99] = SHARES.map(|share| nearest_rank(&self.latencies, share));
        SeriesPoint {
            t: start,
            count: self.count,
            min: self.latencies.first().copied(),
            avg: mean(sum, self.latencies.len() as u64),
            p50,
            p90,
            p95,
            p99,
            max: self.latencies.last().copied(),
            loss: mean(self.loss_sum, self.count).unwrap_or_default(),
            uptime: mean(self.uptime_sum, self.count).unwrap_or_default(),
        }
    }
}

/// Stored buckets per step; sketches are merged, sums are added.
#[derive(Debug)]
pub(super) struct RollupFold {
    step_s: i64,
    steps: BTreeMap<UnixMicros, Bucket>,
}

impl RollupFold {
    pub(super) fn new(step_s: u32) -> Self {
        Self {
            step_s: i64::from(step_s),
            steps: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, start: UnixMicros, bucket: &Bucket) {
        // A step may hold many nodes: whose key it carries means nothing here.
        let nobody = || Bucket::new(NodeKey(0));
        self.steps
            .entry(start.floor_to(self.step_s))
            .or_insert_with(nobody)
            .merge(bucket);
    }

    pub(super) fn sketches(&self) -> Vec<StepSketch> {
        self.steps
            .iter()
            .map(|(start, bucket)| bins(*start, &bucket.sketch))
            .collect()
    }

    pub(super) fn points(self) -> Vec<SeriesPoint> {
        self.steps
            .iter()
            .map(|(start, bucket)| point(*start, bucket))
            .collect()
    }
}

fn bins(start: UnixMicros, sketch: &Sketch) -> StepSketch {
    StepSketch {
        t: start,
        bins: sketch
            .values()
            .map(|(value, count)| (narrow(value), count))
            .collect(),
    }
}

/// A bucket as one point, whatever it was merged from.
pub(in crate::query) fn summed_up(bucket: &Bucket) -> SeriesPoint {
    point(UnixMicros(0), bucket)
}

fn point(start: UnixMicros, bucket: &Bucket) -> SeriesPoint {
    let (min, max) = (bucket.latency_min, bucket.latency_max);
    let quantiles = bucket.sketch.quantiles(SHARES);
    // The extremes are known exactly, so no estimate may pass them.
    let bounded = |value: f64| match (min, max) {
        (Some(min), Some(max)) => Some(narrow(value).clamp(min, max)),
        _ => None,
    };
    let [p50, p90, p95, p99] = quantiles.map_or([None; 4], |values| values.map(bounded));
    let count = bucket.count.unsigned_abs();
    SeriesPoint {
        t: start,
        count,
        min,
        avg: mean(bucket.latency_sum, bucket.latency_count.unsigned_abs()),
        p50,
        p90,
        p95,
        p99,
        max,
        loss: mean(bucket.loss_sum, count).unwrap_or_default(),
        uptime: mean(bucket.uptime_sum, count).unwrap_or_default(),
    }
}

fn mean(sum: f64, count: u64) -> Option<f32> {
    (count > 0).then(|| narrow(sum / count as f64))
}

#[expect(clippy::cast_possible_truncation, reason = "the values came as f32")]
fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::notify::StoredSample;

    fn sample(time_s: i64, latency_ms: Option<f32>) -> StoredSample {
        let lost = latency_ms.is_none();
        StoredSample {
            time: UnixMicros::from_secs(time_s),
            latency_ms,
            uptime_pct: if lost { 0.0 } else { 100.0 },
            packet_loss: if lost { 100.0 } else { 0.0 },
        }
    }

    fn close(a: Option<f32>, b: Option<f32>) -> bool {
        a.zip(b).is_some_and(|(a, b)| (a - b).abs() <= 0.0101 * b)
    }

    /// Two very different halves: averaging their percentiles would be far off.
    fn samples() -> Vec<StoredSample> {
        let slow = (0..100_u8).map(|at| sample(i64::from(at), Some(f32::from(at) + 400.0)));
        let fast = (100..200_u8).map(|at| sample(i64::from(at), Some(f32::from(at) / 100.0)));
        slow.chain(fast).chain([sample(201, None)]).collect()
    }

    #[test]
    fn merged_sketches_agree_with_the_raw_rows() {
        let (mut raw, mut rollup) = (RawFold::new(3_600), RollupFold::new(3_600));
        for sample in samples() {
            raw.add(
                sample.time,
                sample.latency_ms,
                sample.uptime_pct,
                sample.packet_loss,
            );
        }
        for minute in samples().chunk_by(|a, b| a.time.floor_to(60) == b.time.floor_to(60)) {
            let mut bucket = Bucket::new(NodeKey(1));
            minute.iter().for_each(|sample| bucket.add(sample));
            rollup.add(minute[0].time.floor_to(60), &bucket);
        }
        let (raw, rollup) = (raw.points(), rollup.points());
        assert_eq!((raw.len(), rollup.len()), (1, 1));
        let (raw, rollup) = (raw[0], rollup[0]);
        assert_eq!((raw.count, rollup.count), (201, 201));
        assert_eq!((raw.min, raw.max), (rollup.min, rollup.max));
        assert!(
            close(rollup.avg, raw.avg) && close(rollup.p90, raw.p90),
            "{raw:?} {rollup:?}"
        );
        assert!(
            close(rollup.p95, raw.p95) && close(rollup.p99, raw.p99),
            "{raw:?} {rollup:?}"
        );
        assert!((raw.loss - 100.0 / 201.0).abs() < 1e-4 && (raw.loss - rollup.loss).abs() < 1e-4);
    }

    #[test]
    fn few_samples_have_the_same_percentiles_from_either_source() {
        for count in 1..=40_u8 {
            let (mut raw, mut bucket) = (RawFold::new(60), Bucket::new(NodeKey(1)));
            for at in 0..count {
                let sample = sample(0, Some(f32::from(at) * 10.0 + 1.0));
                raw.add(sample.time, sample.latency_ms, 100.0, 0.0);
                bucket.add(&sample);
            }
            let (raw, rollup) = (raw.points()[0], point(UnixMicros(0), &bucket));
            for (raw, rollup) in [
                (raw.p50, rollup.p50),
                (raw.p90, rollup.p90),
                (raw.p95, rollup.p95),
                (raw.p99, rollup.p99),
            ] {
                assert!(close(rollup, raw), "{raw:?} {rollup:?} of {count}");
            }
        }
    }

    #[test]
    fn the_sketch_is_the_same_from_either_source_and_holds_every_latency() {
        let (mut raw, mut rollup) = (RawFold::new(60), RollupFold::new(60));
        let mut bucket = Bucket::new(NodeKey(1));
        for (time_s, latency_ms) in [(0, Some(1.0)), (1, Some(1.0)), (2, Some(80.0)), (3, None)] {
            let sample = sample(time_s, latency_ms);
            raw.add(sample.time, sample.latency_ms, 100.0, 0.0);
            bucket.add(&sample);
        }
        rollup.add(UnixMicros(0), &bucket);
        assert_eq!(raw.sketches(), rollup.sketches());
        let [step] = &raw.sketches()[..] else {
            panic!("one step")
        };
        assert_eq!(
            step.bins.iter().map(|(_, n)| *n).collect::<Vec<_>>(),
            [2, 1]
        );
        assert!(close(Some(step.bins[1].0), Some(80.0)), "{:?}", step.bins);
    }

    #[test]
    fn steps_are_aligned_and_empty_ones_are_left_out() {
        let mut raw = RawFold::new(15);
        for time_s in [0, 14, 15, 61] {
            raw.add(UnixMicros::from_secs(time_s), Some(1.0), 100.0, 0.0);
        }
        let starts: Vec<_> = raw
            .points()
            .iter()
            .map(|point| (point.t.0 / 1_000_000, point.count))
            .collect();
        assert_eq!(starts, [(0, 2), (15, 1), (60, 1)]);
    }

    #[test]
    fn a_step_that_lost_everything_has_no_latency() {
        let mut raw = RawFold::new(15);
        raw.add(UnixMicros(0), None, 0.0, 100.0);
        let point = raw.points()[0];
        assert_eq!((point.p50, point.avg, point.min), (None, None, None));
        assert!((point.loss - 100.0).abs() < f32::EPSILON);
        let mut bucket = Bucket::new(NodeKey(1));
        bucket.add(&sample(0, None));
        let mut rollup = RollupFold::new(60);
        rollup.add(UnixMicros(0), &bucket);
        assert_eq!(rollup.points()[0].p99, None);
    }
}
