//! binaryen's optimiser, used where it is present: a tenth smaller, never required.

use crate::paths;
use crate::progress::note;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What rustc's wasm target switches on; anything more could keep a browser out.
const FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

pub(super) fn find(dashboard: &Path) -> Option<PathBuf> {
    let root = paths::workspace_root();
    [dashboard.to_path_buf(), dashboard.join("tools"), root]
        .iter()
        .map(|dir| dir.join("node_modules/.bin/wasm-opt"))
        .find(|candidate| paths::is_executable(candidate))
        .or_else(|| paths::find_on_path("wasm-opt"))
}

/// Optimises in place; the file stays as it is when that fails.
pub(super) fn run(program: &Path, wasm: &Path) {
    let optimised = wasm.with_extension("opt.wasm");
    let outcome = Command::new(program)
        .arg("-Oz")
        .args(FEATURES)
        .arg(wasm)
        .arg("-o")
        .arg(&optimised)
        .output();
    let problem = match outcome {
        Ok(output) if output.status.success() => match fs::rename(&optimised, wasm) {
            Ok(()) => return,
            Err(error) => error.to_string(),
        },
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    note(&format!(
        "wasm-opt failed, the dashboard is built without it: {problem}"
    ));
}
