//! An engine somewhere, and what is known of the servers behind it.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use fiber_loadgen::client::{Connection, Limits, TlsRoots, Url};
use fiber_loadgen::fleet::Config;
use fiber_loadgen::stack_env::DbConfig;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// As an operator names theirs.
#[derive(Clone, Debug, Args)]
pub struct DeploymentArgs {
    /// Of a deployment that runs already; without it, servers are made and removed
    #[arg(long)]
    url: Option<String>,
    /// What probes push with [env: FEDERATION_SECRET]
    #[arg(
        long,
        env = "FEDERATION_SECRET",
        hide_env = true,
        hide_env_values = true
    )]
    secret: Option<String>,
    /// The engine's database, to compare every sample; nothing is compared without it
    #[arg(long, env = "DB_HOST", requires = "db_pass")]
    db_host: Option<String>,
    #[arg(long, env = "DB_PORT", default_value_t = 5432)]
    db_port: u16,
    #[arg(long, env = "DB_USER", default_value = "fiberstack")]
    db_user: String,
    #[arg(long, env = "DB_PASS", hide_env_values = true)]
    db_pass: Option<String>,
    #[arg(long, env = "DB_NAME", default_value = "fiberstack")]
    db_name: String,
    /// PEM certificates to trust for https, beside the public ones
    #[arg(long)]
    ca_file: Option<PathBuf>,
    /// A shell command that breaks something, such as 'docker stop fiber-db'
    #[arg(long, requires_all = ["url", "heal_command"])]
    fault_command: Option<String>,
    /// The one that mends it, such as 'docker start fiber-db'
    #[arg(long, requires = "fault_command")]
    heal_command: Option<String>,
    /// Between the two
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    fault_lasts: u64,
    /// How soon after the heal command the deployment must be back
    #[arg(long, default_value_t = 5, value_name = "SECONDS")]
    recovery_bar: u64,
    /// Pushes may fail during the fault and are sent again: the engine itself or its link is broken
    #[arg(long)]
    pushes_may_fail: bool,
}

#[derive(Clone, Debug)]
pub struct Deployment {
    pub url: String,
    pub secret: String,
    /// Without it nothing can be compared with the tables.
    pub db: Option<DbConfig>,
    pub ca_file: Option<PathBuf>,
    pub faults: Option<Faults>,
}

/// Shell commands that break something and mend it.
#[derive(Clone, Debug)]
pub struct Faults {
    pub fault: String,
    pub heal: String,
    pub lasts: Duration,
    pub recovery_bar: Duration,
    pub pushes_may_fail: bool,
}

const RETRY_FOR: Duration = Duration::from_secs(60);
const DRAIN_HOPE: Duration = Duration::from_secs(120);

impl DeploymentArgs {
    /// None when no URL was given.
    pub fn deployment(self) -> Result<Option<Deployment>> {
        let Some(url) = self.url else {
            return Ok(None);
        };
        let Some(secret) = self.secret else {
            bail!("--url needs --secret or FEDERATION_SECRET");
        };
        let db = self.db_host.map(|host| DbConfig {
            host,
            port: self.db_port,
            user: self.db_user,
            password: self.db_pass.unwrap_or_default(),
            database: self.db_name,
        });
        let faults = self
            .fault_command
            .zip(self.heal_command)
            .map(|(fault, heal)| Faults {
                fault,
                heal,
                lasts: Duration::from_secs(self.fault_lasts),
                recovery_bar: Duration::from_secs(self.recovery_bar),
                pushes_may_fail: self.pushes_may_fail,
            });
        Url::parse(&url)?;
        Ok(Some(Deployment {
            url,
            secret,
            db,
            ca_file: self.ca_file,
            faults,
        }))
    }
}

impl Deployment {
    /// Probes that try a request again until it is answered.
    pub fn fleet(&self) -> Config {
        Config {
            url: self.url.clone(),
            secret: self.secret.clone(),
            ca_file: self.ca_file.clone(),
            keep_ledger: true,
            retry_for: RETRY_FOR,
            drain: RETRY_FOR,
            ..Config::default()
        }
    }

    /// The answer to a GET, which must be 200 and JSON.
    pub fn get(&self, path: &str) -> Result<Value> {
        let url = Url::parse(&self.url)?;
        let tls = TlsRoots::new(self.ca_file.as_deref())?;
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
            url.join(path),
            url.authority(),
            self.secret
        );
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let limits = Limits {
                body_bytes: 64 << 20,
                ..Limits::default()
            };
            let mut connection = Connection::open(&url, &tls, limits).await?;
            let answer = connection.exchange(request.as_bytes()).await?;
            if answer.status != 200 {
                bail!("{path}: {}", answer.status);
            }
            serde_json::from_slice(answer.body).context("the answer is not JSON")
        })
    }

    /// Waits until all that is durable is in the tables; says how long it took.
    pub fn await_drained(&self) -> Result<Duration> {
        let began = Instant::now();
        loop {
            let status = self.get("/api/status")?;
            let journal = &status["journal"];
            let seq = |name: &str| journal[name].as_u64().with_context(|| name.to_owned());
            if seq("committed_seq")? >= seq("durable_seq")? {
                return Ok(began.elapsed());
            }
            if began.elapsed() > DRAIN_HOPE {
                bail!("the journal is not drained after {:?}", began.elapsed());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// By the shell, with its output where ours goes; an exit code other than 0 is an error.
pub(crate) fn shell(command: &str) -> Result<()> {
    let status = Command::new("sh")
        .args(["-c", command])
        .status()
        .context("run sh")?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}
