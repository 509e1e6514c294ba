//! Redis: what several engines and their operators share. Every key is under `fiber:`.
//!
//! Nothing on the path of a sample waits for it, and the engine runs without it. One task keeps the
//! connection, asks it once a second with a deadline of 50 ms, and writes the engine's heartbeat to
//! `fiber:etl:status`. What it finds is read by `/api/status` and the metrics.
//!
//! A second one, with a connection of its own, shares the budgets of the probes' rate limits with the
//! other engines (`budgets`); while it cannot, every engine counts for itself and says so: the policy
//! is `local`.

mod budgets;
mod client;
mod heartbeat;

pub use client::{Coordination, Sources, run};
pub use heartbeat::STATUS_KEY;
