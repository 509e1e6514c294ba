//! What the fleet measures: who the probes are, and the value of every sample.
//!
//! A probe's values follow from (seed, probe, number) alone, so two runs with one seed send the same
//! values. Every sample is within the contract's limits, and its latency is null exactly when all
//! packets were lost; samples that are bad on purpose ([`faults`]) are marked in the ledger.

pub mod body;
pub mod cities;
pub mod faults;
pub mod fleet_file;
pub mod path;
pub mod roster;
pub mod sample;

pub use roster::ProbeIdentity;
pub use sample::{ProbeWorkload, Values};
