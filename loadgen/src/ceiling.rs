//! What the generator itself can do with requests of one shape.
//!
//! A figure that is near it says more about the generator than about the server: it is printed
//! beside every rate for which it is known.

use crate::fleet::{self, Config, Rate};
use crate::hello::Hello;
use crate::pace::Curve;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The generator's own limits, closed loop.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Ceiling {
    pub batch: u32,
    pub connections: u32,
    pub threads: u32,
    /// Rendering only.
    pub no_send_requests_s: f64,
    /// Sent to a server on this machine that does the least.
    pub hello_requests_s: f64,
    /// CPU of the sending threads for each of those.
    pub cpu_us_per_request: f64,
}

/// Less than this, and a rate may be the generator's own.
pub const RATIO_MIN: f64 = 1.3;

/// Measures both, with the same probes, bodies and connections, but without TLS and ledger. The
/// server has one thread of this process: generator and server get a core each where there are two.
pub fn measure(like: &Config, duration: Duration) -> anyhow::Result<Ceiling> {
    let hello = Hello::start(([127, 0, 0, 1], 0).into(), like.threads)?;
    let base = Config {
        url: hello.url(),
        rate: Rate::Max,
        curve: Curve::Constant,
        duration,
        keep_ledger: false,
        ledger_file: None,
        no_send: false,
        faults: crate::workload::faults::Faults {
            reorder: 0.0,
            ..like.faults
        },
        ..like.clone()
    };
    let rendered = fleet::run(Config {
        no_send: true,
        ..base.clone()
    })?;
    let sent = fleet::run(base)?;
    Ok(Ceiling {
        batch: sent.config.batch,
        connections: sent.config.connections,
        threads: sent.config.threads,
        no_send_requests_s: rendered.throughput.requests_s,
        hello_requests_s: sent.throughput.requests_s,
        cpu_us_per_request: sent.generator.cpu_us_per_request,
    })
}

impl Ceiling {
    /// How many times the reported rate the generator could have sent.
    pub fn ratio(&self, requests_s: f64) -> f64 {
        self.hello_requests_s / requests_s.max(1e-9)
    }
}
