//! Builds what the stack runs: engine and load generator with cargo, the dashboard with cargo and
//! then [`bundle`], which turns a wasm file into a folder that any web server can serve.

mod bundle;
mod split;
mod template;
mod wasm_opt;

use crate::paths;
use crate::progress::{Step, note};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::{Command, Stdio};

const WASM_TARGET: &str = "wasm32-unknown-unknown";
const WASM_PROFILE: &str = "wasm-release";

/// The folder that `FIBER_DASHBOARD_DIR` points to.
pub fn dashboard_dir() -> PathBuf {
    paths::target_dir().join("dashboard")
}

pub fn all() -> Result<()> {
    programs()?;
    dashboard()
}

/// Engine and load generator.
pub fn programs() -> Result<()> {
    note("cargo build: engine and load generator");
    cargo(&[
        "build",
        "--release",
        // With the features of all: tests and tools then find their dependencies compiled.
        "--workspace",
        "--bin",
        "fiber-engine",
        "--bin",
        "fiber-loadgen",
        "--bin",
        "fiber-probe",
    ])
}

/// The dashboard's folder, made anew when what goes into it has changed.
pub fn dashboard() -> Result<()> {
    require_wasm_target()?;
    note("cargo build: dashboard");
    cargo(&[
        "build",
        "--profile",
        WASM_PROFILE,
        "--target",
        WASM_TARGET,
        "-p",
        "fiber-dashboard",
    ])?;
    let wasm = paths::target_dir()
        .join(WASM_TARGET)
        .join(WASM_PROFILE)
        .join("fiber-dashboard.wasm");
    let source = paths::workspace_root().join("dashboard");
    let step = Step::start("dashboard");
    let outcome = bundle::make(&wasm, &source, &dashboard_dir(), &step)?;
    step.done(&outcome);
    Ok(())
}

/// Changes whenever the dashboard's folder does.
pub fn dashboard_fingerprint() -> String {
    bundle::recorded_inputs(&dashboard_dir()).unwrap_or_default()
}

fn cargo(arguments: &[&str]) -> Result<()> {
    let program = paths::non_empty_var("CARGO").unwrap_or_else(|| "cargo".to_owned());
    let status = Command::new(program)
        .args(arguments)
        .current_dir(paths::workspace_root())
        .stdin(Stdio::null())
        .status()
        .context("run cargo; https://rustup.rs installs it")?;
    if !status.success() {
        bail!("cargo {} failed", arguments.join(" "));
    }
    Ok(())
}

/// Without it cargo only says that it cannot find `core`.
fn require_wasm_target() -> Result<()> {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", WASM_TARGET])
        .current_dir(paths::workspace_root())
        .output()
        .context("run rustc; https://rustup.rs installs it")?;
    let dir = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if !dir.is_dir() {
        bail!("Rust's {WASM_TARGET} target is missing: `rustup target add {WASM_TARGET}`");
    }
    Ok(())
}
