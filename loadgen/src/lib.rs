//! The fleet's side of the system: a load generator that proves it, and the real probe.
//!
//! The modules follow a sample from the moment it is meant to be sent:
//!
//! ```text
//! workload ▶ pace ▶ client ──HTTP──▶ engine          probe: measure ▶ spool ▶ client
//!    │                 └─▶ ledger ──┐                demo:  60 simulated probes ▶ client
//!    └─ same values, by index       ▼
//!                         verify: ledger against the database ▶ report
//! ```
//!
//! [`fleet::run`] drives a fleet from Rust, [`verify::settle`] settles what became of its samples.
//! [`ceiling::measure`] tells what the generator itself could have sent, against [`hello`].

pub mod stack_env;
pub mod workload;

pub mod client;
pub mod pace;

pub mod ceiling;
pub mod demo;
pub mod fleet;
pub mod hello;
pub mod ledger;
pub mod report;
pub mod verify;

pub mod probe;
pub mod spool;
