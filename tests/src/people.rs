//! Users and keys for a stage, so that the admin's pages have something to show.

use crate::browser::Browser;
use crate::stage::Stage;
use anyhow::Result;

/// For the engine of the stage: signs keys of probes.
pub const KEY_SECRET: (&str, &str) = ("API_KEY_SECRET", "0f1e2d3c4b5a69788796a5b4c3d2e1f0");
const ADMIN: &str = "ama";
const PASSWORD: &str = "a long walk to the sea";
const ISSUE: &str = "const done = arguments[arguments.length - 1];
    const issue = node => fetch('/api/keys', {method: 'POST', headers: {'Content-Type': 'application/json'},
        body: JSON.stringify({node_id: node, expires_in_days: 90})});
    issue('accra-01').then(() => issue('lagos-01')).then(answer => answer.json()).then(body =>
        fetch('/api/keys/' + body.data.view.key_id, {method: 'DELETE'})).then(() => done(true), error => done(String(error)))";

/// By the engine's command.
pub fn add_users(stage: &Stage) -> Result<()> {
    for (name, role) in [(ADMIN, "ADMIN"), ("kofi", "OPERATOR"), ("esi", "VIEWER")] {
        stage.add_user(name, role, PASSWORD)?;
    }
    Ok(())
}

/// Signs in as the admin; one key is issued, and one more that is revoked.
pub async fn enter(browser: &Browser, origin: &str) -> Result<()> {
    browser.sign_in(origin, ADMIN, PASSWORD).await?;
    let done = browser.client.execute_async(ISSUE, Vec::new()).await?;
    anyhow::ensure!(done == true, "{done}");
    Ok(())
}
