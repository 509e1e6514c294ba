//! Every page before axe-core: no violation in either theme, nor on a phone. `make audit` has the
//! rest, which takes longer.

use anyhow::{Result, ensure};
use fiber_tests::audit::{PAGES, axe};
use fiber_tests::browser::with_browser;
use fiber_tests::people;
use fiber_tests::stage::Stage;
use std::time::Duration;

#[test]
fn everybody_can_use_every_page() -> Result<()> {
    let script = axe::script()?;
    let stage = Stage::full(&[people::KEY_SECRET], Duration::from_secs(3_600))?;
    people::add_users(&stage)?;
    let origin = stage.url();
    let found = with_browser(async |browser| {
        let mut found = Vec::new();
        people::enter(browser, &origin).await?;
        for page in PAGES {
            for view in axe::VIEWS {
                found.push(axe::judge(browser, &script, &origin, page, view).await?);
            }
        }
        Ok(found)
    })?;
    let misses: Vec<String> = found
        .iter()
        .filter(|one| !one.passed())
        .map(axe::AxeResult::tell)
        .collect();
    ensure!(misses.is_empty(), "{}", misses.join("\n"));
    Ok(())
}
