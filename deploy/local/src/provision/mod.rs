//! Finds the servers' programs on this machine, or unpacks Debian's packages of them.
//!
//! The packages are not installed: they are fetched with apt into a private folder, checked by
//! apt against Debian's keys, unpacked, and run through their own dynamic loader (see
//! [`wrapper`]). So no root, chroot or mount is needed, no system-wide service is started, the
//! machine's own packages stay as they are, and stopping the processes leaves nothing behind.

mod debian;
mod lock;
mod tree;
mod wrapper;

pub use debian::install as install_packages;
pub use lock::FileLock;

use crate::paths;
use crate::progress::Step;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the programs of both servers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerPrograms {
    /// `postgres`, `initdb`, `psql`, `pg_dump` and the rest of PostgreSQL 17.
    pub postgres_bin_dir: PathBuf,
    pub redis_server: PathBuf,
    /// For the terminal: `native`, or the folder they were unpacked in.
    pub origin: String,
}

impl ServerPrograms {
    pub fn postgres_tool(&self, name: &str) -> PathBuf {
        self.postgres_bin_dir.join(name)
    }
}

/// What is unpacked into one tree.
struct Packages {
    shown: &'static str,
    names: &'static [&'static str],
}

const SERVERS: Packages = Packages {
    shown: "PostgreSQL 17 with TimescaleDB and Redis from Debian's packages",
    names: &["postgresql-17", "postgresql-17-timescaledb", "redis-server"],
};
const NGINX: Packages = Packages {
    shown: "nginx from Debian's packages",
    names: &["nginx"],
};

const NATIVE_NGINX: &str = "/usr/sbin/nginx";
const NATIVE_POSTGRES_BIN: &str = "/usr/lib/postgresql/17/bin";
const NATIVE_TIMESCALE: &str = "/usr/share/postgresql/17/extension/timescaledb.control";

/// The programs, provisioned if they are not on this machine yet.
pub fn server_programs() -> Result<ServerPrograms> {
    if let Some(native) = native() {
        return Ok(native);
    }
    let dir = tree::final_dir("")?;
    if !tree::is_complete(&dir) {
        provision(&SERVERS, &dir, |dir| programs_in(dir).map(drop))?;
    }
    programs_in(&dir)
}

/// nginx, for the tests of the engine behind it; provisioned when it is first asked for.
pub fn nginx_program() -> Result<PathBuf> {
    let native = Path::new(NATIVE_NGINX);
    if paths::is_executable(native) {
        return Ok(native.to_path_buf());
    }
    let dir = tree::final_dir("-nginx")?;
    if !tree::is_complete(&dir) {
        provision(&NGINX, &dir, |dir| runs(&dir.join("usr/sbin/nginx"), "-v"))?;
    }
    Ok(dir.join("usr/sbin/nginx"))
}

fn native() -> Option<ServerPrograms> {
    let bin_dir = PathBuf::from(NATIVE_POSTGRES_BIN);
    let has_postgres = ["postgres", "initdb", "psql"]
        .iter()
        .all(|program| paths::is_executable(&bin_dir.join(program)));
    if !has_postgres || !Path::new(NATIVE_TIMESCALE).exists() {
        return None;
    }
    let redis_server = paths::find_on_path("redis-server")?;
    Some(ServerPrograms {
        postgres_bin_dir: bin_dir,
        redis_server,
        origin: "native".into(),
    })
}

fn programs_in(dir: &Path) -> Result<ServerPrograms> {
    let programs = ServerPrograms {
        postgres_bin_dir: dir.join("usr/lib/postgresql/17/bin"),
        redis_server: dir.join("usr/bin/redis-server"),
        origin: dir.display().to_string(),
    };
    for program in [
        programs.postgres_tool("postgres"),
        programs.redis_server.clone(),
    ] {
        runs(&program, "--version")?;
    }
    Ok(programs)
}

fn runs(program: &Path, version: &str) -> Result<()> {
    let output = Command::new(program)
        .arg(version)
        .output()
        .with_context(|| format!("run {}", program.display()))?;
    if !output.status.success() {
        bail!(
            "{} does not run here: {}\nRemove its folder in the cache and try again, or set DB_HOST \
             and REDIS_URL to servers of your own.",
            program.display(),
            String::from_utf8_lossy(&output.stderr).trim(),
        );
    }
    Ok(())
}

fn provision(packages: &Packages, dir: &Path, check: impl Fn(&Path) -> Result<()>) -> Result<()> {
    let parent = dir.parent().context("the cache folder has no parent")?;
    tree::create_public_dir(parent)?;
    let _lock = FileLock::acquire(
        &parent.join("provision.lock"),
        "another run provisions servers",
    )?;
    if tree::is_complete(dir) {
        return Ok(());
    }
    tree::remove_partial_trees(parent)?;
    let step = Step::start(packages.shown);
    let partial = tree::Partial::create(dir)?;
    let archives = debian::download(packages.names, partial.path(), &step)?;
    debian::unpack(&archives, partial.path(), &step)?;
    wrapper::write_all(partial.path())?;
    check(partial.path())?;
    partial.complete(dir)?;
    step.done(&format!("unpacked in {}", dir.display()));
    Ok(())
}
