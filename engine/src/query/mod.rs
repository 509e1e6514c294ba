//! Everything that is read: queries, the live stream, the dashboard's files, `/metrics`.
//!
//! Runs on tokio with hyper. Connections come from the ingest cores (`handoff`) with the bytes that
//! were read there already, so one port serves all. What it guarantees:
//!
//! - The number of connections, the bytes of bodies, the rows behind an answer and the buffer of a
//!   slow browser are bounded (`limits`); beyond a bound the answer is 503 or 422, never growth.
//! - Heads, chunks and deadlines are judged by the cores' rules before hyper sees a byte (`framing`).
//! - `/api/status` and the live stream are answered from memory. A dead database makes queries 503
//!   and the status `degraded`; it makes nothing wait.
//! - Percentiles come from raw values or merged sketches, never from percentiles.
//! - Statements carry bound parameters only.
//!
//! It deliberately does not write samples: the pool's sessions are read-only, and pushes that arrive
//! here go to the same service that the cores use (`ingest::IngestService`). What people change (users,
//! keys, nodes) goes to the writer's database by sessions of their own, with an entry in the audit log.

pub mod assets;
mod audit;
mod auth;
mod body;
mod buckets;
mod connection;
mod context;
mod cors;
mod error;
mod etag;
mod export;
pub(crate) mod federation;
mod framing;
pub mod handoff;
pub mod ingest;
mod kept;
mod ledger;
pub mod live;
mod nodes;
mod openapi;
mod packed;
mod params;
mod raw;
mod receipt;
pub(crate) mod respond;
mod router;
mod same_site;
mod series;
mod service;
pub mod sql;
mod summary;
mod users;
mod write_deadline;

pub use connection::serve_connection;
pub(crate) use error::DatabaseError;

pub use context::{Context, Parts, Reading};
pub use handoff::{Handoff, HandoffReceiver, HandoffSender};
pub use ingest::{BodyPieces, IngestReply, IngestRequest, IngestService};

#[cfg(test)]
mod tests;
