//! `fiber-loadgen`: arguments → configuration → run → report → exit code.

mod cli;

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Simulates a fleet of probes, measures the engine under it, and proves that no sample was lost.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
#[command(after_help = "\
Exit codes: 0 fine · 1 could not run, or not to its end · 2 verification found a sample that is lost,
stored twice, never sent or bad · 3 the generator could not keep its own schedule · 4 samples were
refused, unsent or of unknown fate, or bad ones were not refused as they must be

URL, secret and database come from the flags, then the environment (FIBER_URL, FEDERATION_SECRET,
DB_HOST DB_PORT DB_USER DB_PASS DB_NAME), then the nearest .fiber/env of a running stack.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run many probes against a server, on a schedule that its slowness does not change.
    #[command(after_help = cli::fleet::EXAMPLES)]
    Fleet(Box<cli::fleet::FleetArgs>),
    /// Compare a ledger of earlier runs with the database, also one whose generator was killed.
    #[command(after_help = "Example:\n  fiber-loadgen verify --ledger run.ledger --wait 60")]
    Verify(cli::verify::VerifyArgs),
    /// What the generator itself can do on this machine, against a server that does nothing.
    #[command(after_help = "Example:\n  fiber-loadgen ceiling --batch 1,100,500 --threads 2")]
    Ceiling(cli::ceiling::CeilingArgs),
    /// That server: it accepts everything and keeps nothing.
    Hello(cli::ceiling::HelloArgs),
    /// The cities of generated fleets, and the path that each one's probe measures.
    Cities,
    /// Print a JSON report again, or make a page of it.
    #[command(after_help = "Example:\n  fiber-loadgen report --json run.json --html run.html")]
    Report(cli::look::ReportArgs),
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let outcome = match Cli::parse().command {
        Command::Fleet(args) => cli::fleet::run(*args),
        Command::Verify(args) => cli::verify::run(&args),
        Command::Ceiling(args) => cli::ceiling::run(&args),
        Command::Hello(args) => cli::ceiling::hello(&args),
        Command::Cities => cli::look::cities(),
        Command::Report(args) => cli::look::report(&args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("fiber-loadgen: {error:#}");
        ExitCode::FAILURE
    })
}
