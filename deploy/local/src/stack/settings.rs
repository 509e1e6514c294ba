//! What the stack is run with: the caller's variables, then what the last run kept, then defaults.

use crate::envfile::{self, Values};
use crate::paths;
use crate::servers::random_secret;
use anyhow::{Context, Result};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

const DEFAULT_PORT: u16 = 8000;

/// Room for the load generator; an operator's limits are for an operator's machine.
const LIMITS: [(&str, &str); 3] = [
    ("RATE_LIMIT_INGEST_RATE", "100000"),
    ("RATE_LIMIT_INGEST_BURST", "200000"),
    ("RATE_LIMIT_GLOBAL_MAX", "1000000"),
];

/// Of the user `admin`, whom `make up` adds. Nothing reads it later: the database has a hash.
pub(super) const ADMIN_PASSWORD: &str = "FIBER_ADMIN_PASSWORD";

/// Secrets that are drawn once and kept.
const SECRETS: [&str; 2] = ["FEDERATION_SECRET", "API_KEY_SECRET"];

#[derive(Clone, Debug)]
pub struct Settings {
    values: Values,
    path: PathBuf,
    lookup: fn(&str) -> Option<String>,
}

impl Settings {
    pub fn load() -> Result<Self> {
        Self::load_from(paths::state_dir().join("env"), paths::non_empty_var)
    }

    fn load_from(path: PathBuf, lookup: fn(&str) -> Option<String>) -> Result<Self> {
        Ok(Self {
            values: envfile::load(&path)?,
            path,
            lookup,
        })
    }

    pub fn path(&self) -> &PathBuf {
        &self.path
    }

    /// Set by the caller, not by an earlier run.
    pub fn given(&self, name: &str) -> Option<String> {
        (self.lookup)(name)
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.values
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.values.insert(name.to_owned(), value.to_owned());
    }

    pub fn set_all(&mut self, values: Vec<(String, String)>) {
        self.values.extend(values);
    }

    pub fn store(&self) -> Result<()> {
        envfile::store(&self.path, &self.values)
    }

    /// The caller's value, or the kept one, or a new one; kept from here on.
    pub fn keep(&mut self, name: &str, new: impl FnOnce() -> Result<String>) -> Result<String> {
        let value = match self
            .given(name)
            .or_else(|| self.get(name).map(str::to_owned))
        {
            Some(value) => value,
            None => new()?,
        };
        self.set(name, &value);
        Ok(value)
    }

    pub fn keep_secrets(&mut self) -> Result<()> {
        self.keep(ADMIN_PASSWORD, || Ok(random_secret()))?;
        for name in SECRETS {
            self.keep(name, || Ok(random_secret()))?;
        }
        Ok(())
    }

    /// `FIBER_LISTEN`, or 127.0.0.1 with `FIBER_PORT`, or what the last run used.
    pub fn listen(&self) -> Result<SocketAddr> {
        let parse = |name: &str, text: &str| -> Result<SocketAddr> {
            text.parse()
                .with_context(|| format!("{name}={text} is not an address and a port"))
        };
        if let Some(text) = self.given("FIBER_LISTEN") {
            return parse("FIBER_LISTEN", &text);
        }
        if let Some(text) = self.given("FIBER_PORT") {
            let port = text
                .parse()
                .with_context(|| format!("FIBER_PORT={text} is not a port"))?;
            return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        }
        match self.get("FIBER_LISTEN") {
            Some(text) => parse("FIBER_LISTEN", text),
            None => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT))),
        }
    }

    /// The engine's environment, without what the caller's own environment passes on anyway.
    pub fn engine_env(&self, listen: SocketAddr) -> Vec<(String, String)> {
        let mut env: Vec<(String, String)> = Vec::new();
        let names = [
            "DB_HOST",
            "DB_PORT",
            "DB_USER",
            "DB_PASS",
            "DB_NAME",
            "REDIS_URL",
        ];
        for name in names.iter().chain(&SECRETS) {
            if let Some(value) = self.get(name) {
                env.push(((*name).to_owned(), value.to_owned()));
            }
        }
        let data_dir = paths::state_dir().join("engine").display().to_string();
        let dashboard_dir = crate::build::dashboard_dir().display().to_string();
        let defaults = [
            ("ENV", "dev"),
            ("FIBER_DATA_DIR", data_dir.as_str()),
            ("FIBER_DASHBOARD_DIR", dashboard_dir.as_str()),
            ("FIBER_INSTANCE", "local"),
            ("RUST_LOG", "info"),
        ];
        for (name, default) in defaults.into_iter().chain(LIMITS) {
            let value = self.given(name).unwrap_or_else(|| default.to_owned());
            env.push((name.to_owned(), value));
        }
        // Named so that a change of one restarts the engine; inherited otherwise.
        for name in [
            "FIBER_CORES",
            "FIBER_WRITERS",
            "FIBER_WRITERS_MIN",
            "FIBER_DRIVER",
            "FIBER_ROLE",
            "FIBER_JOURNAL_BYTES_MAX",
            "FIBER_JOURNAL_ON_DAMAGE",
        ] {
            if let Some(value) = self.given(name) {
                env.push((name.to_owned(), value));
            }
        }
        env.push(("FIBER_LISTEN".to_owned(), listen.to_string()));
        env
    }
}

/// Where a client on this machine reaches a server that listens there.
pub(super) fn url_of(listen: SocketAddr) -> String {
    let host = match listen.ip() {
        ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(host, listen.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(_: &str) -> Option<String> {
        None
    }

    fn port_9001(name: &str) -> Option<String> {
        (name == "FIBER_PORT").then(|| "9001".to_owned())
    }

    #[test]
    fn secrets_are_drawn_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("env");
        let mut first = Settings::load_from(path.clone(), nothing).unwrap();
        first.keep_secrets().unwrap();
        first.store().unwrap();
        let mut second = Settings::load_from(path, nothing).unwrap();
        second.keep_secrets().unwrap();
        assert_eq!(first.values, second.values);
        assert!(first.get("FEDERATION_SECRET").unwrap().len() >= 32);
        assert_ne!(first.get("FEDERATION_SECRET"), first.get("API_KEY_SECRET"));
    }

    #[test]
    fn the_callers_port_wins_over_the_kept_address_and_that_over_the_default() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("env");
        let mut settings = Settings::load_from(path, nothing).unwrap();
        assert_eq!(settings.listen().unwrap().to_string(), "127.0.0.1:8000");
        settings.set("FIBER_LISTEN", "0.0.0.0:8100");
        assert_eq!(settings.listen().unwrap().to_string(), "0.0.0.0:8100");
        assert_eq!(url_of(settings.listen().unwrap()), "http://127.0.0.1:8100");
        settings.lookup = port_9001;
        assert_eq!(settings.listen().unwrap().to_string(), "127.0.0.1:9001");
    }
}
