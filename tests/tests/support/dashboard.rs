//! An engine that serves the built dashboard.

use super::Stack;
use anyhow::{Result, ensure};

/// Long enough for the engine's rule.
pub(crate) const PASSWORD: &str = "a long walk to the sea";

/// With more variables for the engine.
pub(crate) fn stack(env: &[(&str, &str)]) -> Result<Stack> {
    let dashboard = fiber_local::build::dashboard_dir();
    ensure!(
        dashboard.join("index.html").is_file(),
        "the dashboard is not built: `make build`"
    );
    let dashboard = dashboard.display().to_string();
    let mut all = vec![("FIBER_DASHBOARD_DIR", dashboard.as_str())];
    all.extend_from_slice(env);
    Stack::with(&all)
}
