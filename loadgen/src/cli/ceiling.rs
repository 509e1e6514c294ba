//! `fiber-loadgen ceiling` and `fiber-loadgen hello`.

use super::{parse_seconds, write_json};
use clap::Args;
use fiber_loadgen::ceiling::{self, Ceiling};
use fiber_loadgen::fleet::{Config, raise_open_files_limit};
use fiber_loadgen::hello::Hello;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct CeilingArgs {
    /// Samples per request; repeat it for several shapes
    #[arg(long, value_delimiter = ',', default_value = "1,500")]
    batch: Vec<u32>,
    /// Connections, one probe each [default: 1000 for single samples, 64 for batches]
    #[arg(long)]
    connections: Option<u32>,
    /// Sending threads, and as many of the server
    #[arg(long, default_value_t = 1)]
    threads: u32,
    /// Seconds of each measurement
    #[arg(long, default_value = "3", value_parser = parse_seconds)]
    duration: Duration,
    /// Write the figures as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

pub(crate) fn run(args: &CeilingArgs) -> anyhow::Result<ExitCode> {
    let mut found: Vec<Ceiling> = Vec::new();
    println!(
        "{:>8}{:>13}{:>9}{:>20}{:>20}{:>20}{:>10}",
        "batch",
        "connections",
        "threads",
        "rendered, samples/s",
        "sent, requests/s",
        "sent, samples/s",
        "CPU µs"
    );
    for batch in &args.batch {
        let config = Config {
            probes: args
                .connections
                .unwrap_or(if *batch == 1 { 1_000 } else { 64 }),
            batch: *batch,
            threads: args.threads,
            // As long as a real one.
            secret: "x".repeat(40),
            ..Config::default()
        };
        let c = ceiling::measure(&config, args.duration)?;
        let samples = |requests_s: f64| requests_s * f64::from(*batch);
        println!(
            "{batch:>8}{:>13}{:>9}{:>20.0}{:>20.0}{:>20.0}{:>10.2}",
            c.connections,
            c.threads,
            samples(c.no_send_requests_s),
            c.hello_requests_s,
            samples(c.hello_requests_s),
            c.cpu_us_per_request
        );
        found.push(c);
    }
    if let Some(path) = &args.json {
        write_json(path, &found)?;
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, Args)]
pub(crate) struct HelloArgs {
    /// Where to listen; port 0 takes a free one, and prints it
    #[arg(long, default_value = "127.0.0.1:9900")]
    listen: SocketAddr,
    #[arg(long, default_value_t = 1)]
    threads: u32,
}

pub(crate) fn hello(args: &HelloArgs) -> anyhow::Result<ExitCode> {
    if let Err(error) = raise_open_files_limit() {
        tracing::debug!(%error, "the open-files limit stays as it is");
    }
    let server = Hello::start(args.listen, args.threads)?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", server.address())?;
    out.flush()?;
    server.wait();
    Ok(ExitCode::SUCCESS)
}
