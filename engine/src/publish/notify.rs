//! What a committed transaction tells the rest of the process.

use crate::model::{NodeKey, NodePlace};
use fiber_contract::UnixMicros;
use tokio::sync::mpsc;

/// Sent after COMMIT was confirmed. Bounded: the writer waits for a slow reader, which only ever
/// works in memory.
pub type CommittedSender = mpsc::Sender<Committed>;
pub type CommittedReceiver = mpsc::Receiver<Committed>;

/// Transactions that may wait to be shown.
pub const COMMITTED_QUEUE: usize = 64;

#[derive(Clone, Debug)]
pub struct Committed {
    pub at: UnixMicros,
    /// Only nodes with stored rows.
    pub nodes: Vec<NodeSamples>,
    pub stored: u64,
    pub duplicate: u64,
    pub quarantined: u64,
}

#[derive(Clone, Debug)]
pub struct NodeSamples {
    pub node_key: NodeKey,
    /// Set when the writer registered or updated the node in this transaction.
    pub registered: Option<Box<NodeRegistration>>,
    /// Stored rows, oldest first.
    pub samples: Vec<StoredSample>,
}

#[derive(Clone, Debug)]
pub struct NodeRegistration {
    pub node_id: String,
    pub country: String,
    pub region: String,
    /// What the node said about itself; members not sent are `None` and keep what was known.
    pub place: NodePlace,
    /// Series of this node known to the writer.
    pub series_count: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StoredSample {
    pub time: UnixMicros,
    pub latency_ms: Option<f32>,
    pub uptime_pct: f32,
    pub packet_loss: f32,
}
