//! An engine of a test: the release binary, on a free port, with its own data folder.

use super::{free_port, random_secret};
use crate::http;
use crate::process::{Launch, Lifetime, Running, Signal};
use crate::scratch::Scratch;
use crate::{engine_binary, logs};
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const TIED: Lifetime = Lifetime::WithParent {
    death_signal: "KILL",
};
const READY_LIMIT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Stopped and its data removed on drop.
#[derive(Debug)]
pub struct Engine {
    env: Vec<(String, String)>,
    port: u16,
    secret: String,
    running: Option<Running>,
    // Last: removed after the process is gone.
    home: Scratch,
}

impl Engine {
    /// An engine with these variables, ready. What is not given: the port, the data folder, a
    /// secret, `ENV=dev` and limits that a test does not run into by accident.
    pub fn start_with<N, V>(env: impl IntoIterator<Item = (N, V)>) -> Result<Self>
    where
        N: Into<String>,
        V: Into<String>,
    {
        let mut engine = Self::prepared(env)?;
        engine.restart()?;
        Ok(engine)
    }

    /// The same, not started yet.
    pub fn prepared<N, V>(env: impl IntoIterator<Item = (N, V)>) -> Result<Self>
    where
        N: Into<String>,
        V: Into<String>,
    {
        let home = Scratch::new("engine")?;
        let port = free_port()?;
        let mut engine = Self {
            env: Vec::new(),
            port,
            secret: random_secret(),
            running: None,
            home,
        };
        let data_dir = engine.data_dir().display().to_string();
        for (name, value) in [
            ("FIBER_LISTEN", format!("127.0.0.1:{port}")),
            ("FIBER_DATA_DIR", data_dir),
            ("FEDERATION_SECRET", engine.secret.clone()),
            ("ENV", "dev".to_owned()),
            ("RATE_LIMIT_INGEST_RATE", "100000".to_owned()),
            ("RATE_LIMIT_INGEST_BURST", "200000".to_owned()),
            ("RATE_LIMIT_GLOBAL_MAX", "1000000".to_owned()),
            ("RATE_LIMIT_STRANGER_RATE", "100000".to_owned()),
        ] {
            engine.set_env(name, &value);
        }
        for (name, value) in env {
            engine.set_env(&name.into(), &value.into());
        }
        Ok(engine)
    }

    /// Takes effect at the next start.
    pub fn set_env(&mut self, name: &str, value: &str) {
        if name == "FEDERATION_SECRET" {
            value.clone_into(&mut self.secret);
        }
        match self.env.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.env.push((name.to_owned(), value.to_owned())),
        }
    }

    /// Starts it, or starts it again, and waits until `/api/status` answers 200.
    pub fn restart(&mut self) -> Result<()> {
        self.start_unready()?;
        self.await_ready(READY_LIMIT)
    }

    /// Starts it without waiting, for tests in which it must not become ready.
    pub fn start_unready(&mut self) -> Result<()> {
        if self.is_running() {
            bail!("the engine runs already");
        }
        let mut words = self.under().unwrap_or_default().split_whitespace();
        let (program, args) = match words.next() {
            None => (engine_binary()?, vec!["serve".into()]),
            Some(program) => {
                let mut args: Vec<OsString> = words.map(OsString::from).collect();
                args.extend([engine_binary()?.into(), "serve".into()]);
                (PathBuf::from(program), args)
            }
        };
        let launch = Launch {
            program,
            args,
            env: self.env.clone(),
            working_dir: self.home.path().to_path_buf(),
            log: self.log(),
            account: None,
        };
        self.running = Some(launch.start(&TIED)?);
        Ok(())
    }

    /// A program that runs the engine and looks at it, with its arguments: `FIBER_ENGINE_UNDER`.
    fn under(&self) -> Option<&str> {
        let known = self
            .env
            .iter()
            .find(|(name, _)| name == "FIBER_ENGINE_UNDER");
        known.map(|(_, value)| value.as_str())
    }

    /// Another command of the same program with the same variables, to its end.
    pub fn command(&self, arguments: &[&str]) -> Result<Output> {
        self.command_with(arguments, &[])
    }

    /// With more of them.
    pub fn command_with(&self, arguments: &[&str], env: &[(&str, &str)]) -> Result<Output> {
        Command::new(engine_binary()?)
            .args(arguments)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .envs(env.iter().copied())
            .output()
            .context("run fiber-engine")
    }

    /// The same, with this on its standard input.
    pub fn command_with_input(&self, arguments: &[&str], input: &[u8]) -> Result<Output> {
        let mut child = Command::new(engine_binary()?)
            .args(arguments)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("run fiber-engine")?;
        let mut stdin = child.stdin.take().context("its standard input")?;
        stdin.write_all(input).context("write to fiber-engine")?;
        drop(stdin);
        child.wait_with_output().context("wait for fiber-engine")
    }

    pub fn await_ready(&self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        let url = format!("{}/api/status", self.url());
        while !http::get(&url).is_ok_and(|answer| answer.status == 200) {
            if !self.is_running() {
                bail!(
                    "the engine ended. Its log:\n{}",
                    logs::tail(&self.log(), 30)
                );
            }
            if Instant::now() > deadline {
                bail!(
                    "no 200 at {url} in {limit:?}:\n{}",
                    logs::tail(&self.log(), 30)
                );
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// What `Authorization: Bearer` takes.
    pub fn federation_secret(&self) -> &str {
        &self.secret
    }

    /// The JSON lines of all its runs.
    pub fn log(&self) -> PathBuf {
        self.home.path().join("engine.log")
    }

    /// Where the journal is, unless `FIBER_DATA_DIR` was given.
    pub fn data_dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// The folder around data and log.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn pid(&self) -> Option<i32> {
        self.running
            .as_ref()
            .map(|running| running.identity().pid())
    }

    pub fn is_running(&self) -> bool {
        self.running.as_ref().is_some_and(Running::is_alive)
    }

    pub fn kill9(&mut self) -> Result<()> {
        self.running
            .take()
            .context("the engine is not running")?
            .kill()
    }

    /// SIGTERM, then waits for the drain. An error when it is not gone at the limit.
    pub fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.running
            .as_ref()
            .context("the engine is not running")?
            .signal(Signal::TERM)?;
        self.wait_exit(limit)
    }

    /// Waits for an end that comes by itself.
    pub fn wait_exit(&mut self, limit: Duration) -> Result<ExitStatus> {
        let mut running = self.running.take().context("the engine is not running")?;
        let Some(end) = running.wait(limit) else {
            self.running = Some(running);
            bail!("the engine still runs after {limit:?}");
        };
        end.status.context("the exit status is not known")
    }

    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.running
            .as_ref()
            .context("the engine is not running")?
            .signal(signal)
            .map(drop)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            // Its data goes with it, so there is nothing to drain for.
            drop(running.kill());
        }
    }
}
