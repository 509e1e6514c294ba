//! `fiber-gates`: which gates → run each → table, files, exit code.

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use fiber_tests::deployment::DeploymentArgs;
use fiber_tests::gates::{Context, Facts, GATES, Gate, Line, Size, Table, Target, Verdict, find};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Measures what FiberStack is held against, and says what was missed.
///
/// Without --url every gate starts servers of its own and removes them. With it, it measures a
/// deployment that runs, before it goes to production: this loads it as hard as it can, and the
/// nodes of the fleet (lg…) stay in its database.
///
/// Exit codes: 0 green, 1 could not run, 2 a bar was missed, 3 no bar was missed and a gate could not be run.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    /// Only these, separated by commas
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Their names, and what they measure
    #[arg(long)]
    list: bool,
    /// Short runs: shows that everything works, the figures mean little
    #[arg(long)]
    quick: bool,
    /// Shorter faults, fewer kills and schedules: some 20 minutes in place of an hour
    #[arg(long, conflicts_with = "quick")]
    short: bool,
    /// Everything measured, for programs
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The table, for people
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    #[command(flatten)]
    deployment: DeploymentArgs,
}

const EXIT_MISSED: u8 = 2;
const EXIT_NOT_RUN: u8 = 3;

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    if cli.list {
        for gate in GATES {
            println!("{:<30} {}", gate.name, gate.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let size = match (cli.quick, cli.short) {
        (true, _) => Size::QUICK,
        (false, true) => Size::SHORT,
        (false, false) => Size::FULL,
    };
    let chosen = chosen(&cli.only)?;
    let (target, name) = match cli.deployment.deployment()? {
        None => (Target::Fresh, "servers made for each gate".to_owned()),
        Some(theirs) => {
            let name = theirs.url.clone();
            (Target::Theirs(Box::new(theirs)), name)
        }
    };
    let facts = Facts::now(name, size.name)?;
    let context = Context::new(size, target);
    let mut lines = Vec::new();
    for (number, gate) in (1..).zip(&chosen) {
        println!("{number}/{} {}: {}", chosen.len(), gate.name, gate.about);
        let found = gate.run(&context);
        for line in &found {
            tell(line);
        }
        lines.extend(found);
    }
    let table = Table::new(facts, lines);
    let text = table.markdown();
    println!("\n{text}");
    if let Some(path) = &cli.markdown {
        write(path, text.as_bytes())?;
    }
    if let Some(path) = &cli.json {
        write(path, &serde_json::to_vec_pretty(&table)?)?;
    }
    Ok(if table.green {
        ExitCode::SUCCESS
    } else if table.count(Verdict::Miss) > 0 {
        ExitCode::from(EXIT_MISSED)
    } else {
        ExitCode::from(EXIT_NOT_RUN)
    })
}

fn tell(line: &Line) {
    println!(
        "    {}: {}  {}",
        line.what,
        line.measured_text(),
        line.verdict_text()
    );
    if !line.note.is_empty() {
        println!("        {}", line.note);
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, bytes).with_context(|| format!("write {}", path.display()))
}

fn chosen(only: &[String]) -> Result<Vec<&'static Gate>> {
    if only.is_empty() {
        return Ok(GATES.iter().collect());
    }
    only.iter()
        .map(|name| match find(name) {
            Some(gate) => Ok(gate),
            None => bail!("no gate is called {name}; --list names them"),
        })
        .collect()
}
