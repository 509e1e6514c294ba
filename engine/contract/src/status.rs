//! `/api/status`: 200 while serving, whatever is broken behind it.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Status {
    /// `ok` or `degraded`.
    pub status: String,
    pub version: String,
    pub environment: String,
    pub role: String,
    pub instance: String,
    pub uptime_s: f64,
    pub api: Component,
    pub database: Component,
    pub redis: Component,
    pub search: Component,
    pub journal: JournalStatus,
    pub etl: EtlStatus,
    pub rate_limit_policy: String,
    /// `epoll` or `io_uring`.
    pub driver: String,
    pub ingest_cores: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Component {
    /// `up`, `down`, `off` (not configured).
    pub state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JournalStatus {
    pub state: String,
    pub bytes: u64,
    pub bytes_max: u64,
    pub segments: u32,
    /// Age of the oldest group that the database does not hold yet.
    pub oldest_age_s: f64,
    pub durable_seq: u64,
    pub committed_seq: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EtlStatus {
    /// `running`, `waiting` (database away), `stopped`.
    pub state: String,
    pub lag_s: f64,
    pub in_flight: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}
