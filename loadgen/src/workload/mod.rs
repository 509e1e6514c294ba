//! What the fleet measures: who the probes are, and the value of every sample.
//!
//! A sample is a pure function of (seed, probe, number): nothing is kept per sample, a retry
//! renders the same bytes, and two runs with one seed send the same values. Every sample is within
//! the contract's limits, and its latency is null exactly when all packets were lost.

pub mod body;
pub mod cities;
pub mod path;
pub mod roster;
pub mod sample;

pub use roster::ProbeIdentity;
pub use sample::{ProbeWorkload, Values};
