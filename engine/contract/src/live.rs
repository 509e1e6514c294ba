//! `/api/live`: one `snapshot` event, then `change` events, at most two a second.

use crate::{NodeState, NodeView, UnixMicros};
use serde::{Deserialize, Serialize};

/// SSE event names.
pub const EVENT_SNAPSHOT: &str = "snapshot";
pub const EVENT_CHANGE: &str = "change";

/// Everything, sent once at the start, or when the client asks to resume from too long ago.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LiveSnapshot {
    pub now: UnixMicros,
    pub nodes: Vec<NodeView>,
    pub totals: LiveTotals,
}

/// What changed since the event before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LiveChange {
    pub now: UnixMicros,
    pub nodes: Vec<NodeChange>,
    /// Whole nodes: seen for the first time, or changed beyond what a `NodeChange` can say (a new
    /// place, late samples inside the window). They replace what is known; apply them first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<NodeView>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    pub totals: LiveTotals,
}

/// The newest sample of one node, coalesced over the tick.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NodeChange {
    pub node_id: String,
    pub state: NodeState,
    pub last_seen: Option<UnixMicros>,
    pub latency_ms: Option<f32>,
    pub uptime_pct: Option<f32>,
    pub packet_loss: Option<f32>,
    pub p50_ms: Option<f32>,
    pub p95_ms: Option<f32>,
    /// Samples since the event before, oldest first: append them to `spark_ms` and `strip`.
    pub spark_ms: Vec<Option<f32>>,
    pub strip: Vec<NodeState>,
}

/// The engine's own counters, so that the page can show that the numbers move and close.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LiveTotals {
    /// Samples made durable since the engine started.
    pub received: u64,
    /// Of those, rows in the table.
    pub stored: u64,
    pub duplicate: u64,
    pub quarantined: u64,
    /// Durable, not yet in the table.
    pub in_flight: u64,
    /// Samples committed in the last second.
    pub rate_per_s: f64,
    /// Age of the oldest sample that is durable but not yet in the table.
    pub lag_s: f64,
}
