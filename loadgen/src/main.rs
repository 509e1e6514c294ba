//! `fiber-loadgen`: arguments → configuration → run → report → exit code.

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use fiber_loadgen::fleet::{self, Config, Rate};
use fiber_loadgen::ledger::Ledger;
use fiber_loadgen::report::{Report, progress};
use fiber_loadgen::stack_env::StackEnv;
use fiber_loadgen::verify::{self, Comparison, Patience};
use fiber_loadgen::{demo, report};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Simulates a fleet of probes, measures the engine under it, and proves that no sample was lost.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
#[command(after_help = "\
Exit codes: 0 fine · 1 could not run · 2 verification found a lost, duplicate or ghost sample ·
3 the generator could not keep its own schedule · 4 samples were refused, unsent or of unknown fate

URL, secret and database come from the flags, then the environment (FIBER_URL, FEDERATION_SECRET,
DB_HOST DB_PORT DB_USER DB_PASS DB_NAME), then the nearest .fiber/env of a running stack.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run many probes against a server, on a schedule that its slowness does not change.
    #[command(after_help = "\
Examples:
  fiber-loadgen fleet --probes 1000 --rate 1000 --duration 60     the gate: p95 below 100 ms
  fiber-loadgen fleet --rate 200000 --batch 500 --verify          throughput, then proof
  fiber-loadgen fleet --rate max --probes 64 --batch 500          capacity (closed loop)
  fiber-loadgen fleet --no-send --rate max --batch 500            the generator's own ceiling
  fiber-loadgen fleet --demo                                      60 probes in African cities, until stopped")]
    Fleet(Box<FleetArgs>),
    /// Compare a ledger of earlier runs with the database.
    #[command(after_help = "Example:\n  fiber-loadgen verify --ledger run.ledger --wait 60")]
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
struct FleetArgs {
    /// Probes to simulate [default: 100; with --demo 60]
    #[arg(long)]
    probes: Option<u32>,
    /// Samples per second over the whole fleet, or `max`: each connection sends when answered
    #[arg(long, default_value = "1000", value_parser = parse_rate)]
    rate: Rate,
    /// Samples per request; 1 uses /api/push, more /api/ingest
    #[arg(long, default_value_t = 1)]
    batch: u32,
    /// Seconds to run [default: 10; with --demo until stopped]
    #[arg(long, value_parser = parse_seconds)]
    duration: Option<Duration>,
    /// Same seed, same values
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where to send
    #[arg(long)]
    url: Option<String>,
    /// Bearer token
    #[arg(long, hide_env_values = true)]
    secret: Option<String>,
    /// Connections, if fewer than probes
    #[arg(long)]
    connections: Option<u32>,
    /// Sending threads
    #[arg(long, default_value_t = 1)]
    threads: u32,
    /// Prefix of the node ids [default: from seed and start time, so runs never mix]
    #[arg(long)]
    tag: Option<String>,
    /// Seconds a request is tried again after a lost connection, 429 or 503
    #[arg(long, default_value = "30", value_parser = parse_seconds)]
    retry_for: Duration,
    /// Seconds one try may take
    #[arg(long, default_value = "10", value_parser = parse_seconds)]
    timeout: Duration,
    /// Seconds after the end in which late sends may still go out
    #[arg(long, default_value = "10", value_parser = parse_seconds)]
    drain: Duration,
    /// Ask for answers that wait for the database
    #[arg(long)]
    ack_committed: bool,
    /// Afterwards compare every sample with the database
    #[arg(long, conflicts_with = "demo")]
    verify: bool,
    /// Append the fate of every sample to this file
    #[arg(long)]
    ledger: Option<PathBuf>,
    /// Write the report as JSON
    #[arg(long, conflicts_with = "demo")]
    json: Option<PathBuf>,
    /// Render every request but send none
    #[arg(long, conflicts_with = "demo")]
    no_send: bool,
    /// PEM certificates to trust for https, beside the public ones
    #[arg(long)]
    ca_file: Option<PathBuf>,
    /// The simulated fleet: real cities, a sample each 2 s, outages; endless
    #[arg(long)]
    demo: bool,
    /// No progress, only the report
    #[arg(long)]
    quiet: bool,
}

#[derive(Debug, Args)]
struct VerifyArgs {
    #[arg(long)]
    ledger: PathBuf,
    /// Seconds to wait for the database to catch up
    #[arg(long, default_value = "60", value_parser = parse_seconds)]
    wait: Duration,
    /// Write the findings as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

fn parse_rate(text: &str) -> Result<Rate, String> {
    if text == "max" {
        return Ok(Rate::Max);
    }
    text.replace(['_', ','], "")
        .parse()
        .map(Rate::PerSecond)
        .map_err(|_| "a number or `max`".into())
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .trim_end_matches('s')
        .parse()
        .map_err(|_| "seconds, as in 30 or 0.5")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

const EXIT_NOT_ALL_STORED: u8 = 2;
const EXIT_GENERATOR_LATE: u8 = 3;
const EXIT_NOT_ALL_ACKED: u8 = 4;

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let outcome = match Cli::parse().command {
        Command::Fleet(args) if args.demo => run_demo(*args),
        Command::Fleet(args) => run_fleet(*args),
        Command::Verify(args) => run_verify(&args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("fiber-loadgen: {error:#}");
        ExitCode::FAILURE
    })
}

fn run_fleet(args: FleetArgs) -> anyhow::Result<ExitCode> {
    let env = StackEnv::load();
    let db = if args.verify { Some(env.db()?) } else { None };
    let (json, quiet) = (args.json.clone(), args.quiet);
    let config = fleet_config(args, &env);
    let duration = config.duration;
    let run = fleet::start(config)?;
    stop_on_signal(run.stopper())?;
    if !quiet {
        progress::watch(&run, duration);
    }
    let mut report = run.wait()?;
    if let Some((db, ledger)) = db.zip(report.ledger.as_ref()) {
        let patience = Patience::default();
        let show = |stored, acked| wait_line(quiet, stored, acked);
        report.verification = Some(verify::settle_blocking(ledger, &db, patience, show)?);
    }
    println!("{report}");
    if let Some(path) = json {
        write_json(&path, &report)?;
    }
    Ok(exit_code(&report))
}

fn fleet_config(args: FleetArgs, env: &StackEnv) -> Config {
    let base = Config::from_stack(env);
    Config {
        url: args.url.unwrap_or_else(|| base.url.clone()),
        secret: args.secret.unwrap_or_else(|| base.secret.clone()),
        probes: args.probes.unwrap_or(base.probes),
        rate: args.rate,
        batch: args.batch,
        duration: args.duration.unwrap_or(base.duration),
        seed: args.seed,
        connections: args.connections,
        threads: args.threads,
        tag: args.tag,
        retry_for: args.retry_for,
        request_timeout: args.timeout,
        drain: args.drain,
        ack_committed: args.ack_committed,
        keep_ledger: args.verify,
        ledger_file: args.ledger,
        no_send: args.no_send,
        ca_file: args.ca_file,
    }
}

fn exit_code(report: &Report) -> ExitCode {
    let samples = &report.samples;
    if report
        .verification
        .as_ref()
        .is_some_and(|found| !found.is_clean())
    {
        ExitCode::from(EXIT_NOT_ALL_STORED)
    } else if !report.generator.kept_schedule {
        ExitCode::from(EXIT_GENERATOR_LATE)
    } else if samples.refused + samples.unknown + samples.unsent > 0 {
        ExitCode::from(EXIT_NOT_ALL_ACKED)
    } else {
        ExitCode::SUCCESS
    }
}

fn run_verify(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let db = StackEnv::load().db()?;
    let ledger = Ledger::read(&args.ledger)
        .with_context(|| format!("read ledger {}", args.ledger.display()))?;
    let patience = Patience {
        most: args.wait,
        ..Patience::default()
    };
    let found: Comparison = verify::settle_blocking(&ledger, &db, patience, |stored, acked| {
        wait_line(false, stored, acked);
    })?;
    print!("{found}");
    if let Some(path) = &args.json {
        write_json(path, &found)?;
    }
    Ok(if found.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_NOT_ALL_STORED)
    })
}

fn run_demo(args: FleetArgs) -> anyhow::Result<ExitCode> {
    let env = StackEnv::load();
    let base = demo::Config::from_stack(&env);
    let config = demo::Config {
        url: args.url.unwrap_or_else(|| base.url.clone()),
        secret: args.secret.unwrap_or_else(|| base.secret.clone()),
        probes: args.probes.unwrap_or(base.probes),
        seed: args.seed,
        duration: args.duration,
        ca_file: args.ca_file,
        ledger_file: args.ledger,
        ..base
    };
    let run = demo::Demo::new(config)?;
    stop_on_signal(run.stopper())?;
    println!("{}", run.run()?);
    Ok(ExitCode::SUCCESS)
}

fn wait_line(quiet: bool, stored: u64, acked: u64) {
    if !quiet {
        eprintln!("waiting for the database: {stored} stored of {acked} acked");
    }
}

fn write_json(path: &PathBuf, value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

/// The first SIGINT or SIGTERM ends the run in order; a second one ends the process.
fn stop_on_signal(stop: impl Fn() + Send + 'static) -> anyhow::Result<()> {
    report::host::on_stop_signal(stop).context("listen for signals")
}
