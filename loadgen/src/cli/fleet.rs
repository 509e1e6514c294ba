//! `fiber-loadgen fleet`.

use super::{
    EXIT_GENERATOR_LATE, EXIT_NOT_ALL_ACKED, EXIT_NOT_ALL_STORED, parse_seconds, say,
    stop_on_signal, wait_line, write_file, write_json,
};
use clap::{Args, ValueEnum};
use fiber_loadgen::fleet::{self, Config, Format, Rate};
use fiber_loadgen::pace::Curve;
use fiber_loadgen::report::{Report, html, progress, series};
use fiber_loadgen::stack_env::StackEnv;
use fiber_loadgen::verify::{self, Patience};
use fiber_loadgen::workload::faults::Faults;
use fiber_loadgen::workload::{fleet_file, roster};
use fiber_loadgen::{ceiling, demo};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

pub(crate) const EXAMPLES: &str = "\
Examples:
  fiber-loadgen fleet --probes 1000 --rate 1000 --duration 60     the gate: p95 below 100 ms
  fiber-loadgen fleet --rate 200000 --batch 500 --verify          throughput, then proof
  fiber-loadgen fleet --rate max --probes 64 --batch 500 --ceiling   capacity (closed loop)
  fiber-loadgen fleet --no-send --rate max --batch 500            rendering alone
  fiber-loadgen fleet --curve spike:times=10,at=20,for=5 --duration 60 --html spike.html
  fiber-loadgen fleet --curve storm:at=20,for=30 --duration 90 --verify
  fiber-loadgen fleet --faults late=1%,duplicate=2%,reorder=5%,skew=10%,bad=1% --verify
  fiber-loadgen fleet --fleet probes.csv --keys probes.keys --sign
  fiber-loadgen fleet --print-fleet csv --probes 20 > probes.csv  a fleet to edit
  fiber-loadgen fleet --demo                                      60 probes in African cities, until stopped

Curves (--rate is the rate they start from; times in seconds):
  constant                          the rate, all the time
  ramp:from=0,over=60               from so many samples/s to the rate, then level
  spike:times=10,at=20,for=5        so many times the rate for a while
  diurnal:swing=0.8,period=86400    a day around the rate, trough first [period: the run]
  storm:at=20,for=30                all links lost, then all probes back at once with their backlog
  points:0=100,60=5000,90=0         rates at moments, straight lines between them

Faults, each a share of the samples (skew: of the probes): late (an hour old), duplicate (sent again
in another request), reorder (times exchanged with the neighbour), skew (a clock off by up to 240 s),
bad (one rule of the contract broken: must be refused, with that field named).";

#[derive(Debug, Args)]
pub(crate) struct FleetArgs {
    /// Probes to simulate [default: 100; with --fleet all of it; with --demo 60]
    #[arg(long)]
    probes: Option<u32>,
    /// Samples per second over the whole fleet, or `max`: each connection sends when answered
    #[arg(long, default_value = "1000", value_parser = parse_rate)]
    rate: Rate,
    /// How the rate changes over the run; see below
    #[arg(long, default_value = "constant")]
    curve: Curve,
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
    /// Keys of single probes, one a line, as `fiber-engine key issue` prints them
    #[arg(long, conflicts_with = "demo")]
    keys: Option<PathBuf>,
    /// A file with an issuer's token, instead of the secret
    #[arg(long, conflicts_with_all = ["demo", "keys"])]
    jwt: Option<PathBuf>,
    /// Sign every push with the secret
    #[arg(long, conflicts_with = "demo")]
    sign: bool,
    /// Compress bodies (Content-Encoding: gzip)
    #[arg(long, conflicts_with = "demo")]
    gzip: bool,
    /// What probes do wrong; see below
    #[arg(long, default_value = "", conflicts_with = "demo")]
    faults: Faults,
    /// The probes: a CSV or JSON file, as --print-fleet writes it
    #[arg(long, conflicts_with = "demo")]
    fleet: Option<PathBuf>,
    /// Print the fleet that would run, and end
    #[arg(long, value_enum)]
    print_fleet: Option<FleetForm>,
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
    /// Write every sample to this file before it is sent, and its outcome after
    #[arg(long)]
    ledger: Option<PathBuf>,
    /// Write the report as JSON
    #[arg(long, conflicts_with = "demo")]
    json: Option<PathBuf>,
    /// Write the run second by second as CSV
    #[arg(long, conflicts_with = "demo")]
    csv: Option<PathBuf>,
    /// Write the report as a page with plots
    #[arg(long, conflicts_with = "demo")]
    html: Option<PathBuf>,
    /// Afterwards measure what the generator could have sent, for 2 s, and say how far off that is
    #[arg(long, conflicts_with_all = ["demo", "no_send"])]
    ceiling: bool,
    /// Render every request but send none
    #[arg(long, conflicts_with_all = ["demo", "verify", "ledger"])]
    no_send: bool,
    /// PEM certificates to trust for https, beside the public ones
    #[arg(long)]
    ca_file: Option<PathBuf>,
    /// The simulated fleet: real cities, a sample each 2 s, outages; endless
    #[arg(long)]
    pub(crate) demo: bool,
    /// No progress, only the report
    #[arg(long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FleetForm {
    Csv,
    Json,
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

const CEILING_FOR: Duration = Duration::from_secs(2);

pub(crate) fn run(args: FleetArgs) -> anyhow::Result<ExitCode> {
    if let Some(form) = args.print_fleet {
        return print_fleet(&args, form);
    }
    if args.demo {
        return run_demo(args);
    }
    let env = StackEnv::load();
    let db = if args.verify { Some(env.db()?) } else { None };
    let quiet = args.quiet;
    let config = config(&args, &env);
    let run = fleet::start(config.clone())?;
    stop_on_signal(run.stopper())?;
    if !quiet {
        progress::watch(&run, config.duration);
    }
    let mut report = run.wait()?;
    if let Some((db, ledger)) = db.zip(report.ledger.as_ref()) {
        let patience = Patience::default();
        let show = |stored, acked| wait_line(quiet, stored, acked);
        report.verification = Some(verify::settle_blocking(ledger, &db, patience, show)?);
    }
    if args.ceiling {
        report.ceiling = Some(ceiling::measure(&config, CEILING_FOR)?);
    }
    println!("{report}");
    if let Some(path) = &args.json {
        write_json(path, &report)?;
    }
    if let Some(path) = &args.csv {
        write_file(path, &series::csv(&report.seconds))?;
    }
    if let Some(path) = &args.html {
        write_file(path, &html::page(&report))?;
    }
    Ok(exit_code(&report))
}

fn config(args: &FleetArgs, env: &StackEnv) -> Config {
    let base = Config::from_stack(env);
    let all = if args.fleet.is_some() {
        u32::MAX
    } else {
        base.probes
    };
    Config {
        url: args.url.clone().unwrap_or(base.url),
        secret: args.secret.clone().unwrap_or(base.secret),
        probes: args.probes.unwrap_or(all),
        rate: args.rate,
        curve: args.curve.clone(),
        batch: args.batch,
        duration: args.duration.unwrap_or(base.duration),
        seed: args.seed,
        connections: args.connections,
        threads: args.threads,
        tag: args.tag.clone(),
        retry_for: args.retry_for,
        request_timeout: args.timeout,
        drain: args.drain,
        ack_committed: args.ack_committed,
        keep_ledger: args.verify,
        ledger_file: args.ledger.clone(),
        no_send: args.no_send,
        ca_file: args.ca_file.clone(),
        fleet_file: args.fleet.clone(),
        faults: args.faults,
        keys_file: args.keys.clone(),
        jwt_file: args.jwt.clone(),
        sign: args.sign,
        gzip: args.gzip,
        format: Format::Json,
    }
}

fn print_fleet(args: &FleetArgs, form: FleetForm) -> anyhow::Result<ExitCode> {
    let fleet = match &args.fleet {
        Some(path) => fleet_file::read(path)?,
        None => match &args.tag {
            Some(tag) => roster::tagged(tag, args.probes.unwrap_or(100)),
            None => roster::demo(args.probes.unwrap_or(60)),
        },
    };
    let count = args
        .probes
        .map_or(fleet.len(), |n| fleet.len().min(n as usize));
    say(&match form {
        FleetForm::Csv => fleet_file::to_csv(&fleet[..count]),
        FleetForm::Json => fleet_file::to_json(&fleet[..count]),
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn exit_code(report: &Report) -> ExitCode {
    let samples = &report.samples;
    let broken_contract = report
        .planted
        .map_or(0, |planted| planted.bad_accepted + planted.bad_misnamed);
    if report.failure.is_some() {
        ExitCode::FAILURE
    } else if report
        .verification
        .as_ref()
        .is_some_and(|found| !found.is_clean())
    {
        ExitCode::from(EXIT_NOT_ALL_STORED)
    } else if !report.generator.kept_schedule {
        ExitCode::from(EXIT_GENERATOR_LATE)
    } else if samples.refused + samples.unknown + samples.unsent + broken_contract > 0 {
        ExitCode::from(EXIT_NOT_ALL_ACKED)
    } else {
        ExitCode::SUCCESS
    }
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
