//! What the system can do, measured so that the figures of two machines can be compared: every one
//! is a ratio of two sides measured in turns in the same run, on the same machine and disk.
//!
//! ```text
//! main ▶ figures (one module each) ▶ report ▶ RESULTS.md
//!            │ rig: real servers, engines, a fleet        copy: psql's COPY, the yardstick of rows
//!            │ pairs: A-B-B-A, median and range           hello: the yardstick of requests
//!            └ usage: CPU and memory of each process      disk: the yardstick of the journal
//! ```
//!
//! A figure fails only when the system does something wrong (a row is missing); being slow is
//! reported, never an error.

pub mod copy;
pub mod disk;
pub mod figures;
pub mod hello;
pub mod micro;
pub mod pairs;
pub mod profile;
pub mod report;
pub mod rig;
pub mod usage;

use std::time::Duration;

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub name: &'static str,
    pub pairs: usize,
    /// Rows of one run that ends in the database.
    pub rows: u64,
    /// One run at a rate.
    pub run: Duration,
    /// Of the fleet, all active.
    pub connections: u32,
    /// For the memory of connections that are only open.
    pub idle_connections: u32,
    /// Flushes of one run against the disk.
    pub flushes: u32,
    /// The history that queries are asked of, and how long they are asked, twice.
    pub query_nodes: u32,
    pub query_span_s: i64,
    pub query_run: Duration,
}

impl Size {
    pub const FULL: Self = Self {
        name: "full",
        pairs: 5,
        rows: 1_000_000,
        run: Duration::from_secs(3),
        connections: 1_000,
        idle_connections: 8_000,
        flushes: 2_000,
        query_nodes: 1_000,
        query_span_s: 86_400,
        query_run: Duration::from_secs(45),
    };
    /// Just enough to see that everything works.
    pub const QUICK: Self = Self {
        name: "quick",
        pairs: 1,
        rows: 20_000,
        run: Duration::from_millis(300),
        connections: 50,
        idle_connections: 100,
        flushes: 20,
        query_nodes: 50,
        query_span_s: 3_600,
        query_run: Duration::from_secs(2),
    };
}
