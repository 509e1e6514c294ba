//! One private Redis: started, asked and stopped.

use crate::process::{Launch, Lifetime, Running, Signal};
use anyhow::{Context, Result, bail};
use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(5);
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub struct RedisServer {
    program: PathBuf,
    home: PathBuf,
    log: PathBuf,
    pub port: u16,
    password: String,
}

impl fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisServer")
            .field("home", &self.home)
            .field("port", &self.port)
            .finish()
    }
}

impl RedisServer {
    pub fn new(program: &Path, home: &Path, log: &Path, port: u16, password: &str) -> Self {
        Self {
            program: program.to_path_buf(),
            home: home.to_path_buf(),
            log: log.to_path_buf(),
            port,
            password: password.to_owned(),
        }
    }

    pub fn url(&self) -> String {
        format!("redis://:{}@127.0.0.1:{}/0", self.password, self.port)
    }

    pub fn log(&self) -> &Path {
        &self.log
    }

    pub fn start(&self, lifetime: &Lifetime) -> Result<Running> {
        fs::create_dir_all(&self.home)
            .with_context(|| format!("create {}", self.home.display()))?;
        let launch = Launch {
            program: self.program.clone(),
            args: vec![self.write_config()?.into()],
            env: Vec::new(),
            working_dir: self.home.clone(),
            log: self.log.clone(),
            account: None,
        };
        let running = launch.start(lifetime)?;
        let deadline = Instant::now() + START_LIMIT;
        while self.command("PING").as_deref().ok() != Some("+PONG") {
            if !running.is_alive() {
                bail!(
                    "Redis ended at its start. Its log:\n{}",
                    crate::logs::tail(&self.log, 15)
                );
            }
            if Instant::now() > deadline {
                bail!(
                    "Redis is not ready after {START_LIMIT:?}; see {}",
                    self.log.display()
                );
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(running)
    }

    /// In a file, because arguments are visible to every account.
    fn write_config(&self) -> Result<PathBuf> {
        let path = self.home.join("redis.conf");
        let text = format!(
            "bind 127.0.0.1\nport {}\nrequirepass {}\ndir {}\nsave \"\"\nappendonly no\n\
             daemonize no\n",
            self.port,
            self.password,
            self.home.display()
        );
        fs::File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }

    /// Sends one command without spaces in its arguments; answers the first line of the reply.
    pub fn command(&self, command: &str) -> Result<String> {
        let mut stream =
            TcpStream::connect(("127.0.0.1", self.port)).context("connect to Redis")?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream.write_all(format!("AUTH {}\r\n{command}\r\n", self.password).as_bytes())?;
        let mut lines = BufReader::new(stream).lines();
        let greeting = lines.next().context("no answer from Redis")??;
        if greeting != "+OK" {
            bail!("Redis refuses the password: {greeting}");
        }
        Ok(lines.next().context("no answer from Redis")??)
    }

    pub fn stop(&self, running: &mut Running) -> Result<()> {
        if !running.stop(Signal::TERM, STOP_LIMIT)? {
            bail!("Redis did not stop within {STOP_LIMIT:?} and was killed");
        }
        Ok(())
    }
}
