//! axe-core and Lighthouse, which judge the dashboard in a browser: npm packages, exactly as locked
//! below `tests/web`, in a folder that all clones of this account share.
//!
//! Lighthouse wants a newer Node than most machines have, so the lock brings one along. Nothing
//! that a package would run at its installation is run.

use crate::process::account;
use crate::progress::Step;
use crate::provision::{self, FileLock};
use crate::{browser, paths};
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const MANIFESTS: [&str; 2] = ["package.json", "package-lock.json"];

/// The script that puts `axe` into a page.
pub fn axe() -> Result<PathBuf> {
    Ok(installed("axe")?.join("node_modules/axe-core/axe.min.js"))
}

/// Lighthouse's command line, with the browser that it shall use.
pub fn lighthouse() -> Result<Command> {
    let modules = installed("lighthouse")?.join("node_modules");
    let arch = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => bail!("no Node is locked for {other}"),
    };
    let mut command = Command::new(modules.join(format!("node-linux-{arch}/bin/node")));
    command
        .arg(modules.join("lighthouse/cli/index.js"))
        .env("CHROME_PATH", browser::find_or_install()?)
        // Its own usage statistics are a third party too.
        .arg("--no-enable-error-reporting");
    Ok(command)
}

/// The folder of one lock, installed if it is not there yet.
fn installed(name: &str) -> Result<PathBuf> {
    let source = paths::workspace_root().join("tests/web").join(name);
    let cache = paths::cache_dir()?;
    let dir = cache.join(format!("web-{name}-{}", digest(&source)?));
    if dir.is_dir() {
        return Ok(dir);
    }
    fs::create_dir_all(&cache).with_context(|| format!("create {}", cache.display()))?;
    let _lock = FileLock::acquire(&cache.join("web.lock"), "another run installs npm packages")?;
    if dir.is_dir() {
        return Ok(dir);
    }
    let step = Step::start(format!("{name} from npm"));
    let partial = dir.with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).context("remove what a broken run left")?;
    }
    fs::create_dir_all(&partial).with_context(|| format!("create {}", partial.display()))?;
    for file in MANIFESTS {
        fs::copy(source.join(file), partial.join(file))
            .with_context(|| format!("copy {file} of {name}"))?;
    }
    npm_ci(&partial)?;
    fs::rename(&partial, &dir).with_context(|| format!("move into {}", dir.display()))?;
    step.done(&format!("installed in {}", dir.display()));
    Ok(dir)
}

/// Of the lock and the machine's kind: the lock names packages for several.
fn digest(source: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    hasher.update(std::env::consts::ARCH);
    for file in MANIFESTS {
        let path = source.join(file);
        hasher.update(fs::read(&path).with_context(|| format!("read {}", path.display()))?);
    }
    let digest = hasher.finalize();
    Ok(digest[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

fn npm_ci(dir: &Path) -> Result<()> {
    let output = Command::new(npm()?)
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .context("run npm")?;
    if !output.status.success() {
        bail!(
            "npm ci failed ({}):\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

fn npm() -> Result<PathBuf> {
    const NPM: &str = "npm";
    if let Some(npm) = paths::find_on_path(NPM) {
        return Ok(npm);
    }
    if !account::is_root() || paths::find_on_path("apt-get").is_none() {
        bail!("npm is missing: `sudo apt-get install npm`");
    }
    provision::install_packages(&[NPM])?;
    paths::find_on_path(NPM).context("apt-get installed npm, but it is not on PATH")
}
