//! From the journal into the tables, exactly once.
//!
//! **The transaction that copies a group's rows also writes the group's sequence into
//! `commit_ledger`.** A session starts by reading the newest sequence there and goes on after it,
//! with nothing remembered from before. So a COMMIT whose answer was lost, a server that crashed
//! and lost asynchronous commits, and a restart of the engine are all one path. A group leaves the
//! journal only when the server's own log is flushed past its commit (`flushed`).
//!
//! Several groups are one batch, as many as are there, up to what the database commits in a fifth
//! of a second; a small one lingers for company unless somebody waits for it. While a batch is under
//! way the next is gathered and sorted (`ahead`).
//!
//! A batch is one transaction, or, while the database is what binds, one for each of several
//! sessions, each with nodes of its own (`crew`). The position is kept by 64th of the nodes (`shard`),
//! so a batch of which one transaction committed and another did not is simply finished. One of
//! them commits last and writes the receipts: who reads one finds all of its samples. An advisory
//! lock, taken alone by the first session and shared with the others, keeps every other process away
//! and tells that no older session is left. Sessions never wait for a row of each other: their nodes
//! differ, marks and positions are rows of their own, and chunks are made before (`Crew::make_room`).
//!
//! A row newer than everything stored of its series is new by definition and goes through binary
//! COPY as the journal has it. Any other takes the exact path (`exact`), which counts what was
//! stored. A row that the database refuses is set aside in `quarantine`; every other failure is
//! tried again for ever, because an acknowledged sample may not be given up. Every call has a
//! deadline on this side, after which the socket is abandoned.
//!
//! What this stage does not do: order samples across nodes, merge colliding names, or write for
//! another engine's journal.

mod ahead;
mod batch_size;
mod commit;
mod crew;
mod error;
mod exact;
mod flushed;
pub(crate) mod instant;
mod ledger;
#[cfg(any(test, feature = "testing"))]
pub mod memory;
mod names;
mod newest;
mod plan;
mod progress;
pub(crate) mod receipts;
pub(crate) mod refusals;
mod retention;
mod retry;
pub mod row;
pub(crate) mod session;
mod settlement;
pub mod shard;
#[cfg(test)]
mod simulation;
pub mod source;
mod tables;
mod transaction;
mod writer;

pub use error::{Error, Remedy};
pub use progress::{CommitWatch, CopySnapshot, CopyStatus};
pub use source::Groups;
pub use writer::{Context, run};
