//! `fiber-benches`: arguments → figures → `RESULTS.md`.

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand, ValueEnum as _};
use fiber_benches::figures::queries::Hold;
use fiber_benches::figures::{Bench, Figure};
use fiber_benches::{Size, disk, hello, profile, report};
use fiber_local::workspace_root;
use std::path::PathBuf;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the system against yardsticks on the same machine and writes benches/RESULTS.md.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Tiny runs: shows that everything works, the figures mean nothing
    #[arg(long)]
    quick: bool,
    /// Only these figures; prints them, and writes no file unless --out says so
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Figure>,
    /// Where the results go [default: benches/RESULTS.md for a full run, else nowhere]
    #[arg(long)]
    out: Option<PathBuf>,
    /// The figures for programs
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// P9: wait for this file before each measurement; measure again until it says `end`
    #[arg(long)]
    hold: Option<PathBuf>,
    /// Pairs of each figure
    #[arg(long)]
    pairs: Option<usize>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The bare server that requests are compared with
    #[command(hide = true)]
    Hello { port: u16 },
    /// Where the engine's time goes: writes benches/FLAME.svg and benches/BUDGET.md
    Profile,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Hello { port }) => {
            let cores = std::thread::available_parallelism()?.get();
            return hello::serve(([127, 0, 0, 1], port).into(), cores);
        }
        Some(Command::Profile) => return profile::run(cli.quick),
        None => {}
    }
    let mut size = if cli.quick { Size::QUICK } else { Size::FULL };
    size.pairs = cli.pairs.unwrap_or(size.pairs).max(1);
    let figures = chosen(&cli);
    let load = load_average();
    let sync = disk::sync_cost(size.flushes)?;
    println!(
        "load {load}; fdatasync p50 {:?} p99 {:?}",
        sync.p50, sync.p99
    );
    let mut bench = Bench::new(size);
    bench.hold = cli.hold.clone().map(Hold);
    let mut sections = Vec::new();
    for figure in figures {
        let section = bench
            .run(figure)
            .with_context(|| format!("measure {figure:?}"))?;
        println!(
            "\n{} {}: {} (target {})\n{}",
            section.id, section.title, section.headline, section.target, section.text
        );
        sections.push(section);
    }
    if let Some(path) = &cli.json {
        std::fs::write(path, serde_json::to_vec_pretty(&sections)?)
            .with_context(|| format!("write {}", path.display()))?;
    }
    let full = cli.only.is_empty() && !cli.quick;
    let default = full.then(|| workspace_root().join("benches/RESULTS.md"));
    if let Some(path) = cli.out.or(default) {
        let load = format!("{load}, after it: {}", load_average());
        let text = report::render(size, sync, &load, &sections);
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        println!("written to {}", path.display());
    }
    Ok(())
}

/// Over 1, 5 and 15 minutes. What the run itself adds is in the second reading only.
fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let parts: Vec<_> = text.split_whitespace().take(3).collect();
    parts.join(" ")
}

fn chosen(cli: &Cli) -> Vec<Figure> {
    if !cli.only.is_empty() {
        return cli.only.clone();
    }
    let all = Figure::value_variants().iter().copied();
    // Criterion's own smoke is `cargo test`.
    let left_out = if cli.quick {
        Figure::Micro
    } else {
        Figure::Queries
    };
    all.filter(|figure| *figure != left_out).collect()
}
