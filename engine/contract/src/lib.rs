//! The types that travel between probes, engine, dashboard and tests.
//!
//! Everything here is plain data with serde, and builds for wasm32: the dashboard decodes with the
//! same structs that the engine encodes with, so the two cannot disagree about a field.

pub mod access;
pub mod account;
pub mod audit;
pub mod error;
pub mod geo;
pub mod hex;
pub mod ingest;
pub mod limits;
pub mod live;
pub mod node;
pub mod query;
pub mod sample;
#[cfg(feature = "signature")]
pub mod signature;
pub mod status;
pub mod summary;
pub mod time;

pub use error::{ErrorBody, ErrorCode};
pub use node::{NodeState, NodeView};
pub use sample::{Batch, Sample};
pub use time::UnixMicros;
