//! A node of the fleet as the operator sees it, and the rule that names its state.

use crate::UnixMicros;
use serde::{Deserialize, Serialize};

/// Three-state time, with "degraded" between up and down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    Down,
    Degraded,
    Unobserved,
    Up,
}

/// Loss from which a node that answers counts as degraded, in percent.
pub const DEGRADED_LOSS_PCT: f32 = 5.0;
/// Uptime below which a node that answers counts as degraded, in percent.
pub const DEGRADED_UPTIME_PCT: f32 = 99.0;
/// Median latency from which a node counts as degraded, in milliseconds.
pub const DEGRADED_LATENCY_MS: f32 = 400.0;
/// A node is unobserved after this many of its own intervals without a sample…
pub const SILENT_INTERVALS: f64 = 3.0;
/// …but not before this many seconds, so that one slow upload is not a silence.
pub const SILENT_MIN_S: f64 = 15.0;
/// Assumed until a node tells its interval or two of its samples show it.
pub const INTERVAL_DEFAULT_S: f64 = 10.0;

impl NodeState {
    /// What the last sample says about the node, whatever its age.
    pub fn of_sample(latency_ms: Option<f32>, uptime_pct: f32, packet_loss: f32) -> Self {
        if uptime_pct <= 0.0 || packet_loss >= 100.0 {
            Self::Down
        } else if packet_loss >= DEGRADED_LOSS_PCT
            || uptime_pct < DEGRADED_UPTIME_PCT
            || latency_ms.is_some_and(|ms| ms >= DEGRADED_LATENCY_MS)
        {
            Self::Degraded
        } else {
            Self::Up
        }
    }

    /// How long a node may be silent before nothing is known about it, in seconds.
    pub fn silent_after_s(interval_s: f64) -> f64 {
        (interval_s * SILENT_INTERVALS).max(SILENT_MIN_S)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Unobserved => "unobserved",
        }
    }
}

/// One row of `/api/nodes`, one member of the live snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NodeView {
    pub node_id: String,
    pub country: String,
    pub region: String,
    pub city: Option<String>,
    pub lat: Option<f64>,
    pub lng: Option<f64>,
    pub tags: Vec<String>,
    pub state: NodeState,
    pub first_seen: Option<UnixMicros>,
    pub last_seen: Option<UnixMicros>,
    pub interval_s: f64,
    /// Of the newest sample.
    pub latency_ms: Option<f32>,
    pub uptime_pct: Option<f32>,
    pub packet_loss: Option<f32>,
    /// Over the engine's live window (the last `SPARK_POINTS` samples); from sorted values, not a mean of means.
    pub p50_ms: Option<f32>,
    pub p95_ms: Option<f32>,
    /// The newest samples, oldest first; `None` where all packets were lost.
    #[serde(default)]
    pub spark_ms: Vec<Option<f32>>,
    /// What each of those samples says, oldest first, for the state strip.
    #[serde(default)]
    pub strip: Vec<NodeState>,
    /// Targets this node measures.
    #[serde(default)]
    pub targets: u32,
}

/// Samples kept per node for sparkline and state strip.
pub const SPARK_POINTS: usize = 60;

/// `POST /api/nodes`: a node that has not sent yet, or one that was taken out of the fleet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NewNode {
    /// 1–64 of `[A-Za-z0-9._:-]`.
    pub node_id: String,
    /// ISO 3166-1 alpha-2, upper case.
    pub country: String,
    pub region: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lat: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lng: Option<f64>,
    /// Seconds between the node's rounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_s: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
}

/// `PATCH /api/nodes/{id}`. What is not there stays. A value counts from now on, whatever the node says
/// of itself; `null` lets the node's own word count again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChangeNode {
    #[serde(default, with = "given", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub country: Option<Option<String>>,
    #[serde(default, with = "given", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub region: Option<Option<String>>,
    #[serde(default, with = "given", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub city: Option<Option<String>>,
    #[serde(default, with = "given", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<f64>"))]
    pub lat: Option<Option<f64>>,
    #[serde(default, with = "given", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<f64>"))]
    pub lng: Option<Option<f64>>,
    /// Seconds between the node's rounds.
    #[serde(default, with = "given", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<f64>"))]
    pub interval_s: Option<Option<f64>>,
    #[serde(default, with = "given", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<String>>"))]
    pub tags: Option<Option<Vec<String>>>,
}

/// A member that is there, also as `null`, is another thing than one that is not.
mod given {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(
        value: &Option<Option<T>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value
            .as_ref()
            .and_then(Option::as_ref)
            .serialize(serializer)
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Option<T>>, D::Error> {
        Option::deserialize(deserializer).map(Some)
    }
}
