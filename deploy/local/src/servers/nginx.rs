//! An nginx of a test, with the configuration that ships.

use super::free_port;
use crate::process::{Launch, Lifetime, Running, account};
use crate::scratch::Scratch;
use crate::{logs, provision};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const START_LIMIT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(10);
const TIED: Lifetime = Lifetime::WithParent {
    death_signal: "KILL",
};
/// What the shipped file says, and a test has elsewhere.
const ENGINE: &str = "server 127.0.0.1:8000;";
const LISTEN: &str = "listen 80;";

/// Killed and its folder removed on drop.
#[derive(Debug)]
pub struct Nginx {
    port: u16,
    running: Option<Running>,
    // Last: removed after the process is gone.
    home: Scratch,
}

impl Nginx {
    /// In front of the engine at `engine_port`; `site` is the text of the shipped file. Each request is
    /// a line of the access log: the client's X-Trace-ID and the status.
    pub fn start(site: &str, engine_port: u16) -> Result<Self> {
        ensure!(
            site.contains(ENGINE) && site.contains(LISTEN),
            "another file"
        );
        let home = Scratch::new("nginx")?;
        let port = free_port()?;
        let site = site
            .replace(ENGINE, &format!("server 127.0.0.1:{engine_port};"))
            .replace(LISTEN, &format!("listen 127.0.0.1:{port};"));
        fs::write(home.path().join("site.conf"), site).context("write nginx's site")?;
        let config = home.path().join("nginx.conf");
        fs::write(&config, main_config(home.path())).context("write nginx's configuration")?;
        let at = |name: &str| home.path().join(name);
        let launch = Launch {
            program: provision::nginx_program()?,
            args: vec![
                "-p".into(),
                home.path().into(),
                "-c".into(),
                config.into(),
                "-e".into(),
                at("error.log").into(),
            ],
            env: Vec::new(),
            working_dir: home.path().to_path_buf(),
            log: at("nginx.log"),
            account: None,
        };
        let nginx = Self {
            port,
            running: Some(launch.start(&TIED)?),
            home,
        };
        nginx.await_ready()?;
        Ok(nginx)
    }

    fn await_ready(&self) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if !self.running.as_ref().is_some_and(Running::is_alive) || Instant::now() > deadline {
                bail!(
                    "nginx does not listen:\n{}\n{}",
                    logs::tail(&self.home.path().join("nginx.log"), 10),
                    logs::tail(&self.home.path().join("error.log"), 10)
                );
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// A line for each request that nginx saw.
    pub fn access_log(&self) -> Result<String> {
        fs::read_to_string(self.home.path().join("access.log")).context("read nginx's access log")
    }
}

/// One process in the foreground: it ends with the test, however that ends.
fn main_config(home: &Path) -> String {
    let user = if account::is_root() {
        "user root root;\n"
    } else {
        ""
    };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("    {name}_temp_path {}/{name};\n", home.display()))
        .collect();
    format!(
        "{user}daemon off;\nmaster_process off;\npid {home}/nginx.pid;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n{temporary}    log_format canary '$http_x_trace_id $status';\n    \
         access_log {home}/access.log canary;\n    include {home}/site.conf;\n}}\n",
        home = home.display()
    )
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            drop(running.kill());
        }
    }
}
