//! What is kept of the samples of one series in one step of time.

use super::sketch::{Place, Sketch};
use crate::model::NodeKey;
use crate::publish::notify::StoredSample;

#[derive(Clone, Debug, PartialEq)]
pub struct Bucket {
    pub node_key: NodeKey,
    /// Writes of the stored row; 0 while there is none.
    pub rev: i32,
    pub count: i64,
    /// Samples with a latency.
    pub latency_count: i64,
    pub latency_sum: f64,
    pub latency_min: Option<f32>,
    pub latency_max: Option<f32>,
    pub loss_sum: f64,
    pub uptime_sum: f64,
    pub sketch: Sketch,
}

impl Bucket {
    pub fn new(node_key: NodeKey) -> Self {
        Self {
            node_key,
            rev: 0,
            count: 0,
            latency_count: 0,
            latency_sum: 0.0,
            latency_min: None,
            latency_max: None,
            loss_sum: 0.0,
            uptime_sum: 0.0,
            sketch: Sketch::default(),
        }
    }

    pub fn add(&mut self, sample: &StoredSample) {
        self.count += 1;
        self.loss_sum += f64::from(sample.packet_loss);
        self.uptime_sum += f64::from(sample.uptime_pct);
        if let Some(latency_ms) = sample.latency_ms {
            self.latency_count += 1;
            self.latency_sum += f64::from(latency_ms);
            self.latency_min = lesser(self.latency_min, Some(latency_ms));
            self.latency_max = greater(self.latency_max, Some(latency_ms));
            self.sketch.add_at(Place::of(f64::from(latency_ms)), 1);
        }
    }

    /// Adds the samples of `other`; `rev` and `node_key` stay.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.latency_count += other.latency_count;
        self.latency_sum += other.latency_sum;
        self.latency_min = lesser(self.latency_min, other.latency_min);
        self.latency_max = greater(self.latency_max, other.latency_max);
        self.loss_sum += other.loss_sum;
        self.uptime_sum += other.uptime_sum;
        self.sketch.merge(&other.sketch);
    }

    /// p50, p95, p99. The extremes are known exactly, so no estimate may pass them.
    pub fn percentiles(&self) -> Option<[f32; 3]> {
        let (least, most) = (self.latency_min?, self.latency_max?);
        let quantiles = self.sketch.quantiles([0.5, 0.95, 0.99])?;
        #[expect(clippy::cast_possible_truncation, reason = "latencies came as f32")]
        Some(quantiles.map(|value| (value as f32).clamp(least, most)))
    }
}

fn lesser(a: Option<f32>, b: Option<f32>) -> Option<f32> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn greater(a: Option<f32>, b: Option<f32>) -> Option<f32> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}
