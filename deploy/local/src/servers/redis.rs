//! A Redis of a test.

use super::redis_server::RedisServer;
use super::{free_port, random_secret};
use crate::process::{Lifetime, Running, Signal};
use crate::provision;
use crate::scratch::Scratch;
use anyhow::{Context, Result, bail};
use std::path::Path;

const START_ATTEMPTS_MAX: u32 = 3;
const TIED: Lifetime = Lifetime::WithParent {
    death_signal: "KILL",
};

/// A running Redis without persistence: what is stopped or killed comes back empty.
#[derive(Debug)]
pub struct Redis {
    server: RedisServer,
    running: Option<Running>,
    // Last: removed after the server is gone.
    _home: Scratch,
}

impl Redis {
    pub fn start_private() -> Result<Self> {
        let programs = provision::server_programs()?;
        let home = Scratch::new("redis")?;
        let log = home.path().join("redis.log");
        let password = random_secret();
        let mut attempt = 1;
        loop {
            let server = RedisServer::new(
                &programs.redis_server,
                home.path(),
                &log,
                free_port()?,
                &password,
            );
            match server.start(&TIED) {
                Ok(running) => {
                    return Ok(Self {
                        server,
                        running: Some(running),
                        _home: home,
                    });
                }
                // Somebody else may have taken the port in between.
                Err(_) if attempt < START_ATTEMPTS_MAX => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    pub fn port(&self) -> u16 {
        self.server.port
    }

    pub fn log(&self) -> &Path {
        self.server.log()
    }

    /// One command, the first line of its answer; see [`RedisServer::command`].
    pub fn command(&self, command: &str) -> Result<String> {
        self.server.command(command)
    }

    pub fn is_running(&self) -> bool {
        self.running.as_ref().is_some_and(Running::is_alive)
    }

    /// Starts it again, on the same port, empty.
    pub fn start(&mut self) -> Result<()> {
        if self.is_running() {
            bail!("Redis runs already");
        }
        self.running = Some(self.server.start(&TIED)?);
        Ok(())
    }

    pub fn stop(&mut self) -> Result<()> {
        let mut running = self.running.take().context("Redis is not running")?;
        self.server.stop(&mut running)
    }

    pub fn kill(&mut self) -> Result<()> {
        self.running.take().context("Redis is not running")?.kill()
    }

    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        self.running
            .as_ref()
            .context("Redis is not running")?
            .signal(signal)
            .map(drop)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            // It has nothing to save, and a paused one takes no other signal.
            drop(running.kill());
        }
    }
}
