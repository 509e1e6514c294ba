//! `fiber-drills`: which drills → run each → table, files, exit code.

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use fiber_tests::deployment::DeploymentArgs;
use fiber_tests::drills::{DRILLS, Drill, Outcome, Size, find, theirs};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Breaks servers and links under load, and judges by the client's own ledger.
///
/// Each drill starts servers of its own and stops them; nothing that runs is touched. With --url,
/// commands of yours break and mend a deployment of yours instead.
/// Exit codes: 0 all passed, 1 could not run, 2 a drill failed.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    /// Only these, separated by commas
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Their names, and what they break
    #[arg(long)]
    list: bool,
    /// Faults of 3 s: shows that everything works
    #[arg(long)]
    quick: bool,
    /// Folder for drills.md and drills.json
    #[arg(long, default_value = "target/drills")]
    out: PathBuf,
    #[command(flatten)]
    deployment: DeploymentArgs,
}

const EXIT_FAILED: u8 = 2;

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    if cli.list {
        for drill in DRILLS {
            println!("{:<22}{}", drill.name, drill.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let size = if cli.quick { Size::QUICK } else { Size::FULL };
    let mut outcomes = Vec::new();
    if let Some(deployment) = cli.deployment.deployment()? {
        outcomes.push(told(theirs(&deployment), "your fault"));
    } else {
        let chosen = chosen(&cli.only)?;
        for (number, drill) in (1..).zip(&chosen) {
            println!("{number}/{} {}: {}", chosen.len(), drill.name, drill.about);
            outcomes.push(told(drill.run(size), drill.name));
        }
    }
    let text = table(&outcomes);
    println!("\n{text}");
    std::fs::create_dir_all(&cli.out).with_context(|| format!("create {}", cli.out.display()))?;
    std::fs::write(cli.out.join("drills.md"), &text)?;
    std::fs::write(
        cli.out.join("drills.json"),
        serde_json::to_vec_pretty(&outcomes)?,
    )?;
    let failed = outcomes.iter().filter(|one| !one.passed()).count();
    if failed > 0 {
        println!("{failed} of {} drills failed", outcomes.len());
        return Ok(ExitCode::from(EXIT_FAILED));
    }
    Ok(ExitCode::SUCCESS)
}

/// One that could not be run has failed as well.
fn told(result: Result<Outcome>, name: &'static str) -> Outcome {
    let outcome = result.unwrap_or_else(|error| Outcome::broken_off(name, &error));
    println!("    {}", verdict(&outcome));
    outcome
}

fn chosen(only: &[String]) -> Result<Vec<&'static Drill>> {
    if only.is_empty() {
        return Ok(DRILLS.iter().collect());
    }
    only.iter()
        .map(|name| match find(name) {
            Some(drill) => Ok(drill),
            None => bail!("no drill is called {name}; --list names them"),
        })
        .collect()
}

fn verdict(outcome: &Outcome) -> String {
    let notes = outcome.notes.iter().map(|note| format!("\n    {note}"));
    let notes: String = notes.collect();
    if outcome.passed() {
        format!("passed, back after {:.2} s{notes}", outcome.recovery_s)
    } else {
        format!("FAILED: {}{notes}", outcome.misses.join("; "))
    }
}

fn table(outcomes: &[Outcome]) -> String {
    let mut text = String::from(
        "| drill | fault | back after | bar | failed tries | acked | lost | duplicate | ghost | verdict |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---|\n",
    );
    for one in outcomes {
        writeln!(
            text,
            "| {} | {:.1} s | {:.2} s | {:.0} s | {} | {} | {} | {} | {} | {} |",
            one.drill,
            one.fault_s,
            one.recovery_s,
            one.recovery_bar_s,
            one.failed_tries,
            one.acked,
            one.lost,
            one.duplicates,
            one.ghosts,
            if one.passed() { "pass" } else { "FAIL" }
        )
        .expect("writing to a String does not fail");
    }
    text
}
