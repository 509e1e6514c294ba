//! The answer to a push.

use serde::{Deserialize, Serialize};

/// `202`, or `200` for a batch id seen before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IngestAnswer {
    pub status: String,
    pub message: String,
    pub data: IngestData,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IngestData {
    pub batch_id: String,
    pub source_region: Option<String>,
    /// Samples of the body.
    pub queued: u32,
    /// Samples that are durable now.
    pub accepted: u32,
    /// Of the accepted, those repeated within the body itself.
    pub duplicates: u32,
    pub rejected: u32,
    pub errors: Vec<SampleError>,
}

/// Why one sample of a body was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SampleError {
    /// Position in `metrics`, from 0.
    pub index: u32,
    pub field: String,
    pub reason: String,
}
