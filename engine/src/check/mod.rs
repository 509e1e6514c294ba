//! `fiber-engine check`: whether everything that the engine needs can be reached and does its work,
//! asked from where the engine is.
//!
//! It runs inside the network (`docker exec`, a pod, the machine itself) with the engine's own
//! variables, and goes the way of a probe: name, connection, TLS, token, one sample until its row
//! is committed. Beside it, it asks Redis, the database and Elasticsearch themselves, and looks at the disk.
//! Each line says what was asked, how long it took, and what to do when it failed; a failed check
//! does not stop the ones that do not need it.
//!
//! What it leaves behind: one node `fiber-check-<instance>`, always the same, in country `ZZ` (a
//! code that belongs to nobody) with the tag `fiber-check`, and a row for each run. It goes by
//! retention, like all rows. It is not deleted, because the hourly ledger counts it and must agree with the
//! table. The keys in Redis and the file on the disk are removed.
//!
//! Every wait has a limit, so that a check ends. Secrets are never printed.

mod central;
mod database;
mod disk;
mod http;
mod redis;
mod report;
mod search;

pub use report::{Check, Report, State};

use crate::config::Config;
use std::path::PathBuf;
use std::time::Duration;

/// Of one step. A round trip to a committed row has its own.
const DEADLINE: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, Default)]
pub struct Options {
    /// As probes reach the engine; from `FIBER_LISTEN` when not given.
    pub url: Option<String>,
    /// Certificates to trust beside the public ones.
    pub ca_file: Option<PathBuf>,
    /// `ELASTIC_URL`.
    pub elastic_url: Option<String>,
}

/// Asks everything, in the order of a sample's way.
pub async fn run(config: &Config, options: &Options) -> Report {
    let mut report = Report::default();
    let sample = central::check(config, options, &mut report).await;
    redis::check(config, &mut report).await;
    database::check(config, sample.as_ref(), &mut report).await;
    search::check(options, &mut report).await;
    disk::check(config, &mut report);
    report
}
