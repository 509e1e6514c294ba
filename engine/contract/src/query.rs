//! Answers of the query routes: `{"status":"ok","data":…,"meta":{"source":…}}`.

use crate::UnixMicros;
use serde::{Deserialize, Serialize};

/// The frame around every query answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Answer<T> {
    /// Always `ok`.
    pub status: String,
    pub data: T,
    pub meta: Meta,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Meta {
    /// Where the data came from: `metrics`, `rollup_1m`, …, `live`.
    pub source: String,
    /// Pass it as `cursor` for the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// One row of `/api/metrics`, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RawSample {
    pub node_id: String,
    pub target_host: Option<String>,
    pub probe_type: String,
    pub time: UnixMicros,
    pub latency_ms: Option<f32>,
    pub uptime_pct: f32,
    pub packet_loss: f32,
}

/// `/api/metrics/series`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SeriesAnswer {
    pub from: UnixMicros,
    pub to: UnixMicros,
    pub step_s: u32,
    /// Only steps that hold samples, oldest first. A step that is not there was not observed.
    pub points: Vec<SeriesPoint>,
    pub gaps: Vec<Gap>,
    /// With `sketch=true`: the distribution of each point, for heatmap and smoke plot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sketches: Vec<StepSketch>,
}

/// How the latencies of one step are spread.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StepSketch {
    /// Start of the step.
    pub t: UnixMicros,
    /// Latency in milliseconds (within 1 %) and how many samples had it, ascending.
    pub bins: Vec<(f32, u64)>,
}

/// One step. Percentiles come from merged sketches or raw rows, never from averaged percentiles.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SeriesPoint {
    /// Start of the step.
    pub t: UnixMicros,
    pub count: u64,
    pub min: Option<f32>,
    pub avg: Option<f32>,
    pub p50: Option<f32>,
    pub p90: Option<f32>,
    pub p95: Option<f32>,
    pub p99: Option<f32>,
    pub max: Option<f32>,
    /// Mean packet loss in percent.
    pub loss: f32,
    /// Mean uptime in percent.
    pub uptime: f32,
}

/// A stretch without samples. `to` is exclusive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Gap {
    pub from: UnixMicros,
    pub to: UnixMicros,
    /// `no samples`, `no samples of any node`, `samples wait for the database` or `samples are in quarantine`.
    pub reason: String,
}
