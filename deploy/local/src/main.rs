//! `fiber-local`: the stack on this machine.

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use fiber_local::stack::{self, Component, Settings, UpOptions};
use fiber_local::{browser, build, provision};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// Runs FiberStack on this machine.
#[derive(Debug, Parser)]
#[command(name = "fiber-local", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Build everything, start database, Redis, engine and a simulated fleet, wait until healthy
    Up {
        /// Leave the simulated fleet out (also FLEET=0)
        #[arg(long)]
        no_fleet: bool,
    },
    /// Stop everything in order and verify that nothing is left
    Down,
    /// Show the last lines of the logs
    Logs {
        /// One of postgres, redis, engine, fleet; all of them when left out
        names: Vec<String>,
        /// Go on showing new lines
        #[arg(short, long)]
        follow: bool,
    },
    /// Show what runs
    Status,
    /// Remove all stored data of the stopped stack
    CleanData,
    /// Start only database and Redis, and print where they are
    Servers,
    /// Build engine, load generator and dashboard
    Build,
    /// Build only the dashboard
    Dashboard,
    /// Find Chromium, or install it, and print its path
    Browser,
    /// Fetch PostgreSQL, TimescaleDB, Redis and nginx if they are not here, and print where they are
    Provision,
    /// Open psql on the stack's database
    Psql {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().verb) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("✖ {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<ExitCode> {
    match verb {
        Verb::Up { no_fleet } => {
            let with_fleet = !no_fleet && std::env::var("FLEET").as_deref() != Ok("0");
            stack::up(UpOptions { with_fleet })?;
        }
        Verb::Down => stack::down()?,
        Verb::Logs { names, follow } => logs(&names, follow)?,
        Verb::Status => {
            return Ok(if stack::status()? {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            });
        }
        Verb::CleanData => stack::clean_data()?,
        Verb::Servers => print_servers(&stack::start_servers()?),
        Verb::Build => build::all()?,
        Verb::Dashboard => build::dashboard()?,
        Verb::Browser => {
            println!("{}", browser::find_or_install()?.display());
            println!("{}", browser::driver_or_install()?.display());
        }
        Verb::Provision => {
            let programs = provision::server_programs()?;
            let nginx = provision::nginx_program()?;
            println!("{}", programs.postgres_bin_dir.display());
            println!("{}", programs.redis_server.display());
            println!("{}", nginx.display());
        }
        Verb::Psql { arguments } => psql(&arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn print_servers(settings: &Settings) {
    let value = |name: &str| settings.get(name).unwrap_or("-").to_owned();
    let (host, port, name) = (value("DB_HOST"), value("DB_PORT"), value("DB_NAME"));
    println!("  database   {host}:{port}/{name}  (make psql)");
    let redis = value("REDIS_URL");
    println!(
        "  redis      {}",
        redis
            .rsplit_once('@')
            .map_or(redis.as_str(), |(_, place)| place)
    );
    println!(
        "  settings   {}  (with passwords)",
        settings.path().display()
    );
}

fn logs(names: &[String], follow: bool) -> Result<()> {
    let all = [
        Component::Postgres,
        Component::Redis,
        Component::Engine,
        Component::Fleet,
    ];
    if let Some(unknown) = names
        .iter()
        .find(|name| !all.iter().any(|one| one.name() == **name))
    {
        bail!("no log named {unknown}: choose from postgres, redis, engine, fleet");
    }
    let files: Vec<_> = all
        .iter()
        .filter(|one| names.is_empty() || names.iter().any(|name| name == one.name()))
        .map(|one| one.log())
        .filter(|log| log.exists())
        .collect();
    if files.is_empty() {
        bail!("no log yet: `make up` first");
    }
    let mut tail = Command::new("tail");
    tail.args(["-n", "40"])
        .args(follow.then_some("-F"))
        .args(files);
    Err(tail.exec()).context("run tail (package `coreutils`)")
}

fn psql(arguments: &[OsString]) -> Result<()> {
    let settings = Settings::load()?;
    let value = |name: &str| {
        settings
            .get(name)
            .map(str::to_owned)
            .context("no database yet: `make up` first")
    };
    let program = provision::server_programs()?.postgres_tool("psql");
    let error = Command::new(program)
        .args([
            "-h",
            &value("DB_HOST")?,
            "-p",
            &value("DB_PORT")?,
            "-U",
            &value("DB_USER")?,
        ])
        .args(["-d", &value("DB_NAME")?])
        .args(arguments)
        .env("PGPASSWORD", value("DB_PASS")?)
        .exec();
    Err(error).context("run psql")
}
