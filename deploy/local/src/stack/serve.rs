//! The engine of the stack.

use super::component::{Component, fingerprint};
use super::settings::{ADMIN_PASSWORD, Settings, url_of};
use crate::process::{Launch, Running, Signal};
use crate::progress::Step;
use crate::servers::is_free;
use crate::{build, engine_binary, http, logs, paths};
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const READY_LIMIT: Duration = Duration::from_secs(60);
/// The engine drains within its own limit; this is the limit of patience with that.
pub(super) const DRAIN_LIMIT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Answers the engine's URL.
pub(super) fn ensure(settings: &mut Settings) -> Result<String> {
    let listen = settings.listen()?;
    let url = url_of(listen);
    let data_dir = paths::state_dir().join("engine");
    fs::create_dir_all(&data_dir).with_context(|| format!("create {}", data_dir.display()))?;
    let launch = Launch {
        program: engine_binary()?,
        args: vec!["serve".into()],
        env: settings.engine_env(listen),
        working_dir: data_dir,
        log: Component::Engine.log(),
        account: None,
    };
    settings.set("FIBER_LISTEN", &listen.to_string());
    settings.set("FIBER_URL", &url);
    settings.store()?;

    let step = Step::start("engine");
    let fingerprint = fingerprint(&launch, &build::dashboard_fingerprint())?;
    if Component::Engine.runs_as(&fingerprint) {
        await_ready(&url, Component::Engine.running().as_ref())?;
        step.done(&format!("runs already at {url}"));
        return Ok(url);
    }
    step.detail("stop the one that runs");
    Component::Engine.stop(Signal::TERM, DRAIN_LIMIT)?;
    if !is_free(&listen.ip().to_string(), listen.port()) {
        bail!(
            "{listen} is in use by another program. Choose another port with `FIBER_PORT=8001 make \
             up`, or another address with FIBER_LISTEN."
        );
    }
    step.detail("migrate");
    migrate(&launch)?;
    add_admin(&launch, settings)?;
    step.detail("wait until it serves");
    let running = Component::Engine.start(&launch, &fingerprint)?;
    await_ready(&url, Some(&running))?;
    step.done(&format!("serves at {url}"));
    Ok(url)
}

fn migrate(launch: &Launch) -> Result<()> {
    let output = Command::new(&launch.program)
        .arg("migrate")
        .envs(launch.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&launch.working_dir)
        .output()
        .context("run fiber-engine migrate")?;
    if !output.status.success() {
        bail!(
            "fiber-engine migrate failed ({}):\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

/// Somebody must be able to sign in; a later password is not touched.
fn add_admin(launch: &Launch, settings: &Settings) -> Result<()> {
    let password = settings
        .get(ADMIN_PASSWORD)
        .with_context(|| format!("{ADMIN_PASSWORD} is not known yet"))?;
    let mut child = Command::new(&launch.program)
        .args(["user", "add", "admin", "--role", "ADMIN", "--if-absent"])
        .envs(launch.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&launch.working_dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("run fiber-engine user add")?;
    let mut stdin = child.stdin.take().context("its standard input")?;
    // One that ended before it read says why by itself.
    let written = stdin.write_all(password.as_bytes());
    drop(stdin);
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!(
            "fiber-engine user add failed ({}):\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    written.context("give the password to fiber-engine user add")
}

fn await_ready(url: &str, running: Option<&Running>) -> Result<()> {
    let status_url = format!("{url}/api/status");
    let deadline = Instant::now() + READY_LIMIT;
    while !http::get(&status_url).is_ok_and(|answer| answer.status == 200) {
        let log = Component::Engine.log();
        if !running.is_some_and(Running::is_alive) {
            bail!(
                "the engine ended at its start. Its log:\n{}",
                logs::tail(&log, 20)
            );
        }
        if Instant::now() > deadline {
            bail!(
                "no 200 from {status_url} after {READY_LIMIT:?}:\n{}",
                logs::tail(&log, 20)
            );
        }
        thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}
