//! Answers that sum up many nodes: by region or node, for the whole fleet, and who pushes where.

use crate::{NodeState, UnixMicros};
use serde::{Deserialize, Serialize};

/// One region or one node over the window. Percentiles come from merged sketches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AggregateRow {
    /// The region's name or the node's id.
    pub key: String,
    /// Samples.
    pub count: u64,
    pub avg_ms: Option<f32>,
    pub min_ms: Option<f32>,
    pub max_ms: Option<f32>,
    pub p50_ms: Option<f32>,
    pub p95_ms: Option<f32>,
    pub p99_ms: Option<f32>,
    /// Mean packet loss in percent.
    pub loss: f32,
    /// Mean uptime in percent.
    pub uptime: f32,
    /// Nodes with a sample in the window, and registered nodes.
    pub reporting: u32,
    pub nodes: u32,
    /// Summed over the nodes: each observed bucket's length times the share of it that was down
    /// (100 % less its mean uptime).
    pub downtime_s: f64,
    /// Observed time without downtime, in percent of observed time; nothing observed, nothing said.
    pub availability_pct: Option<f32>,
}

/// `GET /api/metrics/aggregated?dimension=region|node&from=&to=`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AggregatedAnswer {
    pub dimension: String,
    pub from: UnixMicros,
    pub to: UnixMicros,
    pub rows: Vec<AggregateRow>,
}

/// `GET /api/metrics/cluster?from=&to=&top_n=`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClusterAnswer {
    pub from: UnixMicros,
    pub to: UnixMicros,
    /// The whole fleet, with the key `fleet`.
    pub summary: AggregateRow,
    pub regions: Vec<AggregateRow>,
    pub worst: Vec<WorstNode>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorstNode {
    pub node_id: String,
    pub region: String,
    pub state: NodeState,
    /// 0 is healthy, 100 is down all the time; the formula is in the API's description.
    pub score: f32,
    pub p95_ms: Option<f32>,
    pub loss: f32,
    pub uptime: f32,
}

/// `POST /api/probe/heartbeat`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Heartbeat {
    #[cfg_attr(
        feature = "schema",
        schemars(regex(pattern = r"^[A-Za-z0-9._:-]{1,64}$"))
    )]
    pub node_id: String,
    /// Where the probe pushes now: `primary`, `failover`, or a host.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 255)))]
    pub active_target: String,
    /// RFC 3339, by the probe's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum TargetState {
    Primary,
    Failover,
    Degraded,
    /// No heartbeat, or an old one.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProbeTarget {
    pub node_id: String,
    pub state: TargetState,
    pub active_target: Option<String>,
    pub reported_at: Option<UnixMicros>,
}

/// `GET /api/federation/status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FederationStatus {
    pub primary: u32,
    pub failover: u32,
    pub degraded: u32,
    pub unknown: u32,
    pub probes: Vec<ProbeTarget>,
}
