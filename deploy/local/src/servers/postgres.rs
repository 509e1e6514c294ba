//! A PostgreSQL of a test.

use super::postgres_cluster::{Cluster, Database};
use super::{free_port, random_secret};
use crate::process::{Identity, Lifetime, Running, Signal, children_of};
use crate::provision;
use crate::scratch::Scratch;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

const START_ATTEMPTS_MAX: u32 = 3;

/// On the death of the test process: end at once, but remove the shared memory segment.
const TIED: Lifetime = Lifetime::WithParent {
    death_signal: "QUIT",
};

#[derive(Clone, Copy, Debug)]
pub struct PostgresOptions {
    pub shared_buffers_mb: u32,
    /// A disk of its own, of this size; needs root.
    pub disk_bytes: Option<u64>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            shared_buffers_mb: 128,
            disk_bytes: None,
        }
    }
}

/// A running cluster in a temporary folder, with fsync on. Stopped and removed on drop.
#[derive(Debug)]
pub struct Postgres {
    cluster: Cluster,
    running: Option<Running>,
    was_killed: bool,
    names: AtomicU32,
    // Last: removed after the server is gone.
    _home: Scratch,
}

impl Postgres {
    pub fn start_private() -> Result<Self> {
        Self::with_options(PostgresOptions::default())
    }

    pub fn with_options(options: PostgresOptions) -> Result<Self> {
        let programs = provision::server_programs()?;
        let home = match options.disk_bytes {
            Some(bytes) => Scratch::of_size("postgres", bytes)?,
            None => Scratch::new("postgres")?,
        };
        let log = home.path().join("postgres.log");
        let password = random_secret();
        let mut attempt = 1;
        let (cluster, running) = loop {
            let cluster = Cluster::new(
                programs.clone(),
                home.path(),
                &log,
                free_port()?,
                &password,
                options.shared_buffers_mb,
            )?;
            if !cluster.is_initialised() {
                cluster.initialise()?;
            }
            match cluster.start(&TIED) {
                Ok(running) => break (cluster, running),
                // Somebody else may have taken the port in between.
                Err(_) if attempt < START_ATTEMPTS_MAX => attempt += 1,
                Err(error) => return Err(error),
            }
        };
        Ok(Self {
            cluster,
            running: Some(running),
            was_killed: false,
            names: AtomicU32::new(0),
            _home: home,
        })
    }

    /// A new, empty database with TimescaleDB.
    pub fn database(&self, prefix: &str) -> Result<Database> {
        self.cluster.ensure_database(&self.fresh_name(prefix), true)
    }

    /// A new, empty database of plain PostgreSQL, as managed services offer it.
    pub fn plain_database(&self, prefix: &str) -> Result<Database> {
        self.cluster
            .ensure_database(&self.fresh_name(prefix), false)
    }

    /// The cluster's own database, for `ALTER SYSTEM` and the like.
    pub fn admin(&self) -> Database {
        self.cluster.database("postgres")
    }

    fn fresh_name(&self, prefix: &str) -> String {
        format!("{prefix}_{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    pub fn port(&self) -> u16 {
        self.cluster.port
    }

    pub fn log(&self) -> &Path {
        self.cluster.log()
    }

    pub fn data_dir(&self) -> std::path::PathBuf {
        self.cluster.data_dir()
    }

    pub fn is_running(&self) -> bool {
        self.running.as_ref().is_some_and(Running::is_alive)
    }

    /// Starts it again, on the same port and data.
    pub fn start(&mut self) -> Result<()> {
        if self.is_running() {
            bail!("PostgreSQL runs already");
        }
        self.running = Some(self.cluster.start(&TIED)?);
        self.was_killed = false;
        Ok(())
    }

    /// Fast shutdown: sessions end, a checkpoint is written.
    pub fn stop(&mut self) -> Result<()> {
        let mut running = self.running.take().context("PostgreSQL is not running")?;
        self.cluster.stop(&mut running)
    }

    /// SIGKILL to all of its processes.
    pub fn kill(&mut self) -> Result<()> {
        let mut running = self.running.take().context("PostgreSQL is not running")?;
        self.was_killed = true;
        self.cluster.kill(&mut running)
    }

    /// Freezes all of its processes: connections stay open and nothing answers.
    pub fn pause(&self) -> Result<()> {
        self.signal_all(Signal::STOP)
    }

    pub fn resume(&self) -> Result<()> {
        self.signal_all(Signal::CONT)
    }

    fn signal_all(&self, signal: Signal) -> Result<()> {
        let running = self.running.as_ref().context("PostgreSQL is not running")?;
        // The postmaster first: once it is stopped, no further child appears.
        running.signal(signal)?;
        for backend in children_of(running.identity()) {
            Identity::signal(&backend, signal)?;
        }
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.running.is_some() {
            // A paused server takes no other signal. Errors cannot be reported from here; what
            // stays is swept by the next run.
            drop(self.resume());
            drop(self.stop());
        } else if self.was_killed {
            self.cluster.free_shared_memory();
        }
    }
}
