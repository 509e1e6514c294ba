//! `fiber-loadgen verify`.

use super::{EXIT_NOT_ALL_STORED, parse_seconds, wait_line, write_json};
use clap::Args;
use fiber_loadgen::ledger::Ledger;
use fiber_loadgen::stack_env::StackEnv;
use fiber_loadgen::verify::{self, Comparison, Patience};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[arg(long)]
    ledger: PathBuf,
    /// Seconds to wait for the database to catch up
    #[arg(long, default_value = "60", value_parser = parse_seconds)]
    wait: Duration,
    /// Write the findings as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

pub(crate) fn run(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let db = StackEnv::load().db()?;
    let ledger = Ledger::read(&args.ledger)?;
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
