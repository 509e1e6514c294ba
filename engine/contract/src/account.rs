//! The account of every sample: the ledger and the receipts.

use crate::UnixMicros;
use serde::{Deserialize, Serialize};

/// `received = stored + duplicate + quarantined`, once nothing is in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LedgerCounts {
    pub received: u64,
    pub stored: u64,
    pub duplicate: u64,
    pub quarantined: u64,
}

impl LedgerCounts {
    /// Samples that no count explains; anything but 0 is a defect to be reported.
    pub const fn unexplained(&self) -> i128 {
        self.received as i128
            - self.stored as i128
            - self.duplicate as i128
            - self.quarantined as i128
    }
}

/// One node in one hour; the hour is that of the samples' own time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LedgerRow {
    pub node_id: String,
    pub hour: UnixMicros,
    #[serde(flatten)]
    pub counts: LedgerCounts,
}

/// What was not taken, by reason, in one hour. Nothing here was ever acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Refusal {
    pub hour: UnixMicros,
    /// An error code of the contract (`RATE_LIMITED`, …), or for a single sample the field at fault (`latency_ms`, …).
    pub reason: String,
    /// Requests refused whole; their samples may never have been read.
    pub requests: u64,
    /// Samples refused out of bodies that were read.
    pub samples: u64,
}

/// This process since its start, read in one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LedgerNow {
    /// Written into the journal, what was found there at start included.
    pub journaled: u64,
    pub stored: u64,
    pub duplicate: u64,
    pub quarantined: u64,
    /// Durable, on their way into the database.
    pub in_flight: u64,
}

/// `GET /api/ledger?node_id=&from=&to=&limit=&cursor=`: newest hour first, then by node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LedgerAnswer {
    pub from: UnixMicros,
    pub to: UnixMicros,
    /// Of the whole range, not of the page.
    pub totals: LedgerCounts,
    pub rows: Vec<LedgerRow>,
    pub refused: Vec<Refusal>,
    pub now: LedgerNow,
}

/// `GET /api/batches/{id}`: the receipt of a batch that came with an id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Receipt {
    pub batch_id: String,
    /// `durable` in the journal, or `committed` in the database.
    pub state: String,
    pub source_region: Option<String>,
    pub received_at: Option<UnixMicros>,
    pub committed_at: Option<UnixMicros>,
    pub accepted: u32,
    pub rejected: u32,
    pub journal_id: Option<String>,
    pub group_seq: Option<u64>,
    /// SHA-256 of the body as sent, in hex.
    pub body_sha256: String,
    pub trace_id: Option<String>,
}
