//! What a probe sends. The engine reads these bodies with its own parser; clients write them from here.

use crate::UnixMicros;
use serde::{Deserialize, Serialize};

/// One measurement of one target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Sample {
    /// 1–64 of `[A-Za-z0-9._:-]`.
    #[cfg_attr(
        feature = "schema",
        schemars(regex(pattern = r"^[A-Za-z0-9._:-]{1,64}$"))
    )]
    pub node_id: String,
    /// ISO 3166-1 alpha-2, upper case.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^[A-Z]{2}$")))]
    pub country: String,
    /// Free text, 1–100 characters: a city or an administrative region.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 100)))]
    pub region: String,
    /// Median round trip in milliseconds, 0–10000; `None` only when every packet was lost.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 10000)))]
    pub latency_ms: Option<f64>,
    /// 0–100.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub uptime_pct: f64,
    /// Percent, 0–100.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub packet_loss: f64,
    pub timestamp: UnixMicros,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_host: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_type: Option<String>,
    /// At most 4 KiB. The engine reads `city`, `lat`, `lng`, `interval_s` and `tags` from it into
    /// the node's registration; send those with a probe's first sample and now and then after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

/// The part of `metadata` that the engine understands. Other members are stored as sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Metadata {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// Degrees, WGS 84.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lat: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lng: Option<f64>,
    /// Seconds between the probe's rounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_s: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
}

/// Several samples in one body: `POST /api/ingest`, and `POST /api/push` too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Batch {
    #[cfg_attr(
        feature = "schema",
        schemars(regex(pattern = r"^[A-Za-z0-9._:-]{1,64}$"))
    )]
    pub node_id: String,
    pub metrics: Vec<Sample>,
}
