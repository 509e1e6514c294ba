//! One PostgreSQL cluster: created, started, asked and stopped. Who keeps it running, and for how
//! long, is the caller's [`Lifetime`].

use crate::process::account::{self, Account};
use crate::process::{Identity, Launch, Lifetime, Running, Signal, children_of};
use crate::provision::ServerPrograms;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const SUPERUSER: &str = "fiber";

const START_LIMIT: Duration = Duration::from_secs(120);
const STOP_LIMIT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A database and how to reach it.
#[derive(Clone, PartialEq, Eq)]
pub struct Database {
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: String,
    pub name: String,
    psql: PathBuf,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Database({}@{}:{}/{})",
            self.user, self.host, self.port, self.name
        )
    }
}

impl Database {
    /// The variables that the engine takes.
    pub fn env(&self) -> Vec<(String, String)> {
        [
            ("DB_HOST", self.host.clone()),
            ("DB_PORT", self.port.to_string()),
            ("DB_USER", self.user.clone()),
            ("DB_PASS", self.password.clone()),
            ("DB_NAME", self.name.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    pub fn url(&self) -> String {
        let Self {
            host,
            port,
            user,
            password,
            name,
            ..
        } = self;
        format!("postgres://{user}:{password}@{host}:{port}/{name}")
    }

    /// In the form of libpq and tokio-postgres.
    pub fn conninfo(&self) -> String {
        let Self {
            host,
            port,
            user,
            password,
            name,
            ..
        } = self;
        format!("host={host} port={port} user={user} password={password} dbname={name}")
    }

    /// Another database of the same cluster.
    pub fn named(&self, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..self.clone()
        }
    }

    /// Runs SQL; answers rows as lines with fields between `|`.
    pub fn psql(&self, sql: &str) -> Result<String> {
        let output = self
            .psql_command()
            .args(["-At", "-c", sql])
            .output()
            .context("run psql")?;
        if !output.status.success() {
            bail!("{sql}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned())
    }

    /// psql, pointed at this database; the password is not among its arguments.
    pub fn psql_command(&self) -> Command {
        let mut command = Command::new(&self.psql);
        command
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", &self.host])
            .args([
                "-p",
                &self.port.to_string(),
                "-U",
                &self.user,
                "-d",
                &self.name,
            ])
            .env("PGPASSWORD", &self.password)
            .env("PGCONNECT_TIMEOUT", "10");
        command
    }
}

/// A cluster's folder and settings.
#[derive(Clone)]
pub struct Cluster {
    programs: ServerPrograms,
    /// Holds `data/`; entered by the server's account.
    home: PathBuf,
    log: PathBuf,
    pub port: u16,
    password: String,
    shared_buffers_mb: u32,
    account: Option<Account>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("home", &self.home)
            .field("port", &self.port)
            .finish()
    }
}

impl Cluster {
    pub fn new(
        programs: ServerPrograms,
        home: &Path,
        log: &Path,
        port: u16,
        password: &str,
        shared_buffers_mb: u32,
    ) -> Result<Self> {
        Ok(Self {
            programs,
            home: home.to_path_buf(),
            log: log.to_path_buf(),
            port,
            password: password.to_owned(),
            shared_buffers_mb,
            account: account::for_database()?,
        })
    }

    pub fn data_dir(&self) -> PathBuf {
        self.home.join("data")
    }

    pub fn log(&self) -> &Path {
        &self.log
    }

    pub fn programs(&self) -> &ServerPrograms {
        &self.programs
    }

    pub fn is_initialised(&self) -> bool {
        self.data_dir().join("fiber-complete").exists()
    }

    pub fn database(&self, name: &str) -> Database {
        Database {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            user: SUPERUSER.to_owned(),
            password: self.password.clone(),
            name: name.to_owned(),
            psql: self.programs.postgres_tool("psql"),
        }
    }

    /// Creates the cluster. What an interrupted run left half done is removed first.
    pub fn initialise(&self) -> Result<()> {
        fs::create_dir_all(&self.home)
            .with_context(|| format!("create {}", self.home.display()))?;
        fs::set_permissions(&self.home, fs::Permissions::from_mode(0o711))?;
        let data = self.data_dir();
        if data.exists() {
            fs::remove_dir_all(&data).with_context(|| format!("remove {}", data.display()))?;
        }
        fs::create_dir(&data).with_context(|| format!("create {}", data.display()))?;
        account::give_to(self.account.as_ref(), &data)?;
        let password_file = self.write_password_file()?;
        let outcome = self.run_initdb(&data, &password_file);
        fs::remove_file(&password_file).context("remove the password file")?;
        outcome?;
        fs::write(data.join("fiber-complete"), b"").context("mark the cluster complete")
    }

    fn write_password_file(&self) -> Result<PathBuf> {
        let path = self.home.join("initial-password");
        drop(fs::remove_file(&path));
        let file = fs::File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("create {}", path.display()))?;
        std::io::Write::write_all(&mut &file, self.password.as_bytes())?;
        account::give_to(self.account.as_ref(), &path)?;
        Ok(path)
    }

    fn run_initdb(&self, data: &Path, password_file: &Path) -> Result<()> {
        let initdb = self.programs.postgres_tool("initdb");
        for path in [initdb.as_path(), data] {
            account::check_reach(self.account.as_ref(), path)?;
        }
        // Not left to finish, and to fight with its successor, when this process is killed.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if let Some(account) = &self.account {
            command.arg(format!("--reuid={}", account.uid));
            command.arg(format!("--regid={}", account.gid));
            command.arg("--clear-groups");
        }
        let output = command
            .arg(&initdb)
            .arg("-D")
            .arg(data)
            .args([
                "-U",
                SUPERUSER,
                "--no-sync",
                "--encoding=UTF8",
                "--auth=scram-sha-256",
            ])
            // Built in: no locale of the host is needed, and an index outlives its C library.
            .args([
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C.UTF-8",
            ])
            .arg("--pwfile")
            .arg(password_file)
            .current_dir(&self.home)
            .stdin(Stdio::null())
            .output()
            .context("run initdb")?;
        if !output.status.success() {
            bail!("initdb: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    fn settings(&self) -> Vec<String> {
        vec![
            format!("port={}", self.port),
            "listen_addresses=127.0.0.1".to_owned(),
            // A socket's path is limited to 107 bytes, which a deep clone would exceed.
            "unix_socket_directories=".to_owned(),
            "shared_preload_libraries=timescaledb".to_owned(),
            "timescaledb.telemetry_level=off".to_owned(),
            format!("shared_buffers={}MB", self.shared_buffers_mb),
            "max_wal_size=4GB".to_owned(),
            "wal_compression=off".to_owned(),
            "jit=off".to_owned(),
            "max_connections=200".to_owned(),
            // In the data folder, so that a killed cluster leaves nothing in /dev/shm.
            "dynamic_shared_memory_type=mmap".to_owned(),
            "log_min_messages=warning".to_owned(),
        ]
    }

    /// Starts the server and waits until it takes connections.
    pub fn start(&self, lifetime: &Lifetime) -> Result<Running> {
        let mut arguments: Vec<OsString> = vec!["-D".into(), self.data_dir().into()];
        for setting in self.settings() {
            arguments.push("-c".into());
            arguments.push(setting.into());
        }
        let launch = Launch {
            program: self.programs.postgres_tool("postgres"),
            args: arguments,
            env: Vec::new(),
            working_dir: self.home.clone(),
            log: self.log.clone(),
            account: self.account.clone(),
        };
        let running = launch.start(lifetime)?;
        self.await_ready(&running)?;
        Ok(running)
    }

    /// Waits until it takes connections; it may have been started by an earlier, interrupted run.
    pub fn await_ready(&self, running: &Running) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        while !self.says_ready(running.identity()) {
            if !running.is_alive() {
                bail!(
                    "PostgreSQL ended at its start. Its log:\n{}",
                    crate::logs::tail(&self.log, 15)
                );
            }
            if Instant::now() > deadline {
                bail!(
                    "PostgreSQL is not ready after {START_LIMIT:?}; see {}",
                    self.log.display()
                );
            }
            thread::sleep(POLL_INTERVAL);
        }
        self.database("postgres")
            .psql("SELECT 1")
            .map(drop)
            .context("first connection")
    }

    /// The postmaster writes its state into the last line of its pid file.
    fn says_ready(&self, identity: &Identity) -> bool {
        let text = fs::read_to_string(self.data_dir().join("postmaster.pid")).unwrap_or_default();
        let mut lines = text.lines();
        lines.next() == Some(identity.pid().to_string().as_str())
            && lines.last().is_some_and(|state| state.trim() == "ready")
    }

    /// Ends sessions, writes a checkpoint, ends.
    pub fn stop(&self, running: &mut Running) -> Result<()> {
        if !running.stop(Signal::INT, STOP_LIMIT)? {
            bail!("PostgreSQL did not stop within {STOP_LIMIT:?} and was killed");
        }
        Ok(())
    }

    /// Kills the whole server the hard way; returns when none of its processes is left.
    pub fn kill(&self, running: &mut Running) -> Result<()> {
        let backends = children_of(running.identity());
        running.signal(Signal::KILL)?;
        for backend in &backends {
            backend.signal(Signal::KILL)?;
        }
        running.kill()?;
        let deadline = Instant::now() + STOP_LIMIT;
        while backends.iter().any(Identity::is_alive) {
            if Instant::now() > deadline {
                bail!("backends survive SIGKILL");
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// A killed postmaster leaves one small System V segment, which only its successor on the
    /// same folder would free; call it when there will be none.
    pub fn free_shared_memory(&self) {
        let text = fs::read_to_string(self.data_dir().join("postmaster.pid")).unwrap_or_default();
        if let Some(id) = text
            .lines()
            .nth(6)
            .and_then(|line| line.split_whitespace().nth(1))
        {
            // Without it a few bytes stay until the next boot; not worth failing for.
            drop(
                Command::new("ipcrm")
                    .args(["-m", id])
                    .stderr(Stdio::null())
                    .status(),
            );
        }
    }

    /// Creates the database if it is not there, with the extension if it is asked for.
    pub fn ensure_database(&self, name: &str, timescale: bool) -> Result<Database> {
        let there = format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'");
        let admin = self.database("postgres");
        if admin.psql(&there)? == "0" {
            admin.psql(&format!("CREATE DATABASE \"{name}\""))?;
        }
        let database = self.database(name);
        if timescale {
            database.psql(
                "SET client_min_messages = warning; CREATE EXTENSION IF NOT EXISTS timescaledb",
            )?;
        }
        Ok(database)
    }
}
