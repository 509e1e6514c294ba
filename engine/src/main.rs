//! Arguments, configuration, application, exit code.

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use fiber_engine::auth::keys::KeyStore;
use fiber_engine::auth::people::Users;
use fiber_engine::{app, check, config, journal, schema, telemetry};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

mod commands;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Takes samples from probes, makes each durable before it answers, writes it to TimescaleDB
/// exactly once, and serves the fleet's state.
///
/// All settings are environment variables (a file /run/secrets/<lower case name> wins over one; a
/// secret may also be in the file that <NAME>_FILE names): FEDERATION_SECRET and DB_PASS are
/// required; FEDERATION_SECRET_PREVIOUS is accepted too while probes change over; API_KEY_SECRET
/// (and API_KEY_SECRET_PREVIOUS) signs keys of single probes and tokens of people; JWT_PUBLIC_KEY (PEM, RSA or P-256),
/// JWT_ISSUER and JWT_AUDIENCE (fiberstack) let in tokens of an issuer; FIBER_LISTEN (0.0.0.0:8000), FIBER_DATA_DIR
/// (/var/lib/fiberstack), FIBER_DASHBOARD_DIR, FIBER_CORES (all), FIBER_WRITERS (the cores, at most 4),
/// FIBER_WRITERS_MIN (1), FIBER_DRIVER (auto, epoll, uring), FIBER_JOURNAL_BYTES_MAX, FIBER_JOURNAL_AGE_MAX_S, FIBER_JOURNAL_ON_DAMAGE (refuse,
/// quarantine), DB_HOST DB_PORT DB_USER DB_NAME DB_READ_HOST, REDIS_URL, RATE_LIMIT_GLOBAL_MAX
/// RATE_LIMIT_INGEST_RATE RATE_LIMIT_INGEST_BURST, CORS_ORIGINS, ENV (dev, staging, prod) and
/// RUST_LOG have defaults.
#[derive(Debug, Parser)]
#[command(name = "fiber-engine", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the engine until SIGTERM.
    Serve {
        /// What this process does; FIBER_ROLE when not given.
        #[arg(long)]
        role: Option<config::Role>,
    },
    /// Bring the database's tables up to date. `serve` does it too.
    Migrate,
    /// Check the configuration, tell everything that is wrong with it, and bind nothing.
    CheckConfig,
    /// Ask everything that the engine needs, from where it is: a sample's whole way to its row,
    /// Redis, database, Elasticsearch, disk. Run it inside the network, with the engine's variables.
    /// Leaves one row of the node fiber-check-<instance>. Exits with 2 if a check fails.
    Check {
        /// As probes reach the engine [default: 127.0.0.1 and the port of FIBER_LISTEN].
        #[arg(long)]
        url: Option<String>,
        /// PEM certificates to trust for https, beside the public ones.
        #[arg(long)]
        ca_file: Option<PathBuf>,
        /// For programs.
        #[arg(long)]
        json: bool,
    },
    /// Keys of single probes. A running engine refuses a revoked one within five seconds.
    #[command(subcommand)]
    Key(commands::KeyCommand),
    /// People who sign in to the dashboard. A running engine knows a change within five seconds.
    #[command(subcommand)]
    User(commands::UserCommand),
    /// The record of who changed what.
    #[command(subcommand)]
    Audit(commands::AuditCommand),
    /// Look into a journal.
    #[command(subcommand)]
    Journal(JournalCommand),
}

#[derive(Debug, Subcommand)]
enum JournalCommand {
    /// Segments, groups, sequences and damage, read-only. Exits with 2 if anything is damaged.
    Inspect {
        /// The folder, `$FIBER_DATA_DIR/journal`.
        dir: PathBuf,
        /// One line for each group as well.
        #[arg(long)]
        groups: bool,
    },
}

/// The exit code of a bad configuration (EX_USAGE); anything else that fails is 1.
const EXIT_CONFIG: u8 = 64;
const EXIT_DAMAGED: u8 = 2;
const EXIT_FAILED_CHECK: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("fiber-engine: {error:#}"));
            let config = error.downcast_ref::<config::Mistakes>().is_some();
            ExitCode::from(if config { EXIT_CONFIG } else { 1 })
        }
    }
}

/// For the commands that ask the database and end.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve { role } => {
            let mut config = config::load(&config::process_environment)?;
            config.role = role.unwrap_or(config.role);
            telemetry::log::init();
            app::run(config)?;
        }
        Command::Migrate => {
            let config = config::load(&config::process_environment)?;
            telemetry::log::init();
            let applied = runtime()?
                .block_on(schema::migrate(&config.database.connection()))
                .context("migrate the database")?;
            tracing::info!(?applied, "the database is up to date");
        }
        Command::CheckConfig => {
            let config = config::load(&config::process_environment)?;
            let mut out = std::io::stdout().lock();
            writeln!(out, "the configuration is good:\n{config:#?}")?;
        }
        Command::Check { url, ca_file, json } => return check_all(url, ca_file, json),
        Command::Key(command) => {
            let config = config::load(&config::process_environment)?;
            runtime()?.block_on(commands::key(&KeyStore::new(&config), command))?;
        }
        Command::User(command) => {
            let config = config::load(&config::process_environment)?;
            let users = Users::new(config.database.connection());
            runtime()?.block_on(commands::user(&users, command))?;
        }
        Command::Audit(command) => {
            let config = config::load(&config::process_environment)?;
            let database = config.database.connection();
            let whole = runtime()?.block_on(commands::audit(&database, command))?;
            return Ok(ExitCode::from(if whole { 0 } else { EXIT_DAMAGED }));
        }
        Command::Journal(JournalCommand::Inspect { dir, groups }) => {
            let mut out = WhileRead(Some(std::io::stdout().lock()));
            let whole = journal::inspect(&dir, groups, &mut out)
                .with_context(|| format!("inspect {}", dir.display()))?;
            return Ok(ExitCode::from(if whole { 0 } else { EXIT_DAMAGED }));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn check_all(
    url: Option<String>,
    ca_file: Option<PathBuf>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let config = config::load(&config::process_environment)?;
    let options = check::Options {
        url,
        ca_file,
        elastic_url: config::process_environment("ELASTIC_URL"),
    };
    let report = runtime()?.block_on(check::run(&config, &options));
    let text = if json {
        serde_json::to_string_pretty(&report)?
    } else {
        report.to_string()
    };
    writeln!(std::io::stdout(), "{text}")?;
    let code = if report.ok { 0 } else { EXIT_FAILED_CHECK };
    Ok(ExitCode::from(code))
}

/// A reader such as `head` may leave early. The rest is looked at all the same, because the exit code
/// speaks for the whole journal.
struct WhileRead<W>(Option<W>);

impl<W: std::io::Write> std::io::Write for WhileRead<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.0.as_mut().map(|out| out.write_all(bytes)) {
            Some(Err(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                self.0 = None;
                Ok(bytes.len())
            }
            Some(Err(error)) => Err(error),
            Some(Ok(())) | None => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self.0.as_mut().map(W::flush) {
            Some(Err(error)) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }
}

/// Nothing can be done when even standard error is closed.
fn complain(message: &str) {
    writeln!(std::io::stderr(), "{message}").unwrap_or_default();
}
