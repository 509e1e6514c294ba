//! `fiber-audit`: a stack → each page in the browser → table, JSON, exit code.

use anyhow::{Context as _, Result, bail};
use clap::{Parser, ValueEnum};
use fiber_tests::audit::{PAGES, Page, Report, axe, find, lighthouse, table};
use fiber_tests::browser::with_browser;
use fiber_tests::people;
use fiber_tests::stage::Stage;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Judges the built dashboard: accessibility with axe-core, first load with Lighthouse on a
/// simulated phone.
///
/// Starts servers and a simulated fleet of its own, or looks at an engine that runs (--url).
/// Exit codes: 0 every bar reached, 1 could not run, 2 a bar was missed.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    /// Only this judge
    #[arg(long)]
    only: Option<Judge>,
    /// Only these pages, separated by commas
    #[arg(long, value_delimiter = ',')]
    pages: Vec<String>,
    /// Loads of each page for Lighthouse; the median counts
    #[arg(long, default_value_t = 3)]
    loads: usize,
    /// An engine that serves the dashboard and knows the simulated fleet
    #[arg(long)]
    url: Option<String>,
    /// Print JSON to standard output, and the table to standard error
    #[arg(long)]
    json: bool,
    /// Folder for audit.md and audit.json
    #[arg(long, default_value = "target/audit")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Judge {
    Axe,
    Lighthouse,
}

const EXIT_MISSED: u8 = 2;
/// Enough for charts of six hours.
const PAST: Duration = Duration::from_secs(6 * 3_600);

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    let pages = chosen(&cli.pages)?;
    let stage = match cli.url {
        Some(_) => None,
        None => Some(Stage::full(&[people::KEY_SECRET], PAST)?),
    };
    if let Some(stage) = &stage {
        people::add_users(stage)?;
    }
    let origin = match (&cli.url, &stage) {
        (Some(url), _) => url.trim_end_matches('/').to_owned(),
        (None, Some(stage)) => stage.url(),
        (None, None) => bail!("nothing to look at"),
    };
    let mut loads = Vec::new();
    if cli.only != Some(Judge::Axe) {
        // It comes with a new profile each time, in which nobody is signed in.
        for page in pages.iter().filter(|page| !page.admin) {
            eprintln!("Lighthouse: {} …", page.name);
            loads.push(lighthouse::judge(&origin, page, cli.loads)?);
        }
    }
    let mut views = Vec::new();
    if cli.only != Some(Judge::Lighthouse) {
        let script = axe::script()?;
        views = with_browser(async |browser| {
            let mut views = Vec::new();
            if stage.is_some() {
                people::enter(browser, &origin).await?;
            }
            let open = |page: &&&Page| stage.is_some() || !page.admin;
            for page in pages.iter().filter(open) {
                eprintln!("axe-core: {} …", page.name);
                for view in axe::VIEWS {
                    views.push(axe::judge(browser, &script, &origin, page, view).await?);
                }
            }
            Ok(views)
        })?;
    }
    drop(stage);
    publish(&cli, &Report::new(loads, views))
}

fn chosen(names: &[String]) -> Result<Vec<&'static Page>> {
    if names.is_empty() {
        return Ok(PAGES.iter().collect());
    }
    names
        .iter()
        .map(|name| find(name).with_context(|| format!("no page is called {name}")))
        .collect()
}

fn publish(cli: &Cli, report: &Report) -> Result<ExitCode> {
    let (text, json) = (table(report), serde_json::to_string_pretty(report)?);
    std::fs::create_dir_all(&cli.out).with_context(|| format!("create {}", cli.out.display()))?;
    std::fs::write(cli.out.join("audit.md"), &text)?;
    std::fs::write(cli.out.join("audit.json"), &json)?;
    if cli.json {
        println!("{json}");
        eprintln!("\n{text}");
    } else {
        println!("\n{text}");
    }
    for miss in &report.misses {
        eprintln!("MISS {miss}");
    }
    Ok(if report.passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_MISSED)
    })
}
