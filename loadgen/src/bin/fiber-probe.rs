//! `fiber-probe`: flags → configuration → measure and deliver → exit code.

use clap::Parser;
use fiber_loadgen::probe::{self, config::Flags};
use fiber_loadgen::stack_env::StackEnv;
use std::process::ExitCode;
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Wrong flags, as in sysexits.h.
const EXIT_USAGE: u8 = 64;

fn main() -> ExitCode {
    let flags = Flags::try_parse().unwrap_or_else(|error| {
        let code = if error.use_stderr() { EXIT_USAGE } else { 0 };
        if let Err(broken) = error.print() {
            eprintln!("fiber-probe: {broken}");
        }
        std::process::exit(code.into());
    });
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let once = flags.once;
    let config = match flags.check(&StackEnv::load()) {
        Ok(config) => config,
        Err(mistakes) => {
            eprintln!("{mistakes}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match start(config, once) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("fiber-probe: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(config: probe::Config, once: bool) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    if once {
        let result = runtime.block_on(probe::once(&config))?;
        print!("{result}");
        return Ok(if result.accepted() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }
    let (stopper, stop) = watch::channel(false);
    fiber_loadgen::report::host::on_stop_signal(move || {
        stopper.send_replace(true);
    })?;
    runtime.block_on(probe::run(config, stop))?;
    Ok(ExitCode::SUCCESS)
}
