//! The dashboard in headless Chromium, against a real fleet.

use crate::support::fleet::{config, start};
use crate::support::{Stack, dashboard};
use anyhow::{Context as _, Result, ensure};
use fantoccini::Locator;
use fiber_tests::browser::{Browser, with_browser};
use std::time::Duration;

/// The table draws only the rows in view; what it counts is all of them.
const NODES: &str = "return [document.querySelector('.tools-note')?.textContent ?? '',
    document.querySelectorAll('[role=row]').length]";
const STORED: &str = "return [...document.querySelectorAll('.kpi')]
    .find(kpi => kpi.querySelector('.kpi-label')?.textContent.includes('stored'))
    ?.querySelector('.kpi-value')?.textContent.replace(/[^0-9.]/g, '') ?? ''";

#[test]
fn the_page_shows_the_fleet_and_moves() -> Result<()> {
    let stack = dashboard::stack(&[])?;
    let mut fleet = config(&stack, 40.0, 1, Duration::from_secs(120));
    fleet.probes = 20;
    let run = start(fleet)?;
    let looked = with_browser(async |browser| look(browser, &stack).await);
    run.stop();
    run.wait()?;
    looked
}

async fn look(browser: &Browser, stack: &Stack) -> Result<()> {
    browser.goto(&stack.engine.url()).await?;
    browser
        .until("twenty nodes in the table", NODES, |found| {
            let counted = found[0]
                .as_str()
                .is_some_and(|note| note.starts_with("20 nodes"));
            counted && found[1].as_u64().unwrap_or(0) > 3
        })
        .await?;
    let first = browser
        .until("a count of stored samples", STORED, |text| text != "")
        .await?;
    browser
        .until("the count to move", STORED, |text| {
            text != "" && *text != first
        })
        .await?;
    let node = browser
        .client
        .find(Locator::Css("[role=row] a[href^='/nodes/']"))
        .await?;
    let href = node.attr("href").await?.context("a link")?;
    node.click().await?;
    browser
        .until("the node's page", "return location.pathname", |path| {
            path.as_str() == Some(href.as_str())
        })
        .await?;
    let charts = "return document.querySelectorAll('main svg path[d], main canvas').length";
    browser
        .until("its charts", charts, |count| {
            count.as_u64().unwrap_or(0) > 3
        })
        .await?;
    browser
        .until(
            "its name",
            "return document.querySelector('main h1')?.textContent ?? ''",
            |name| {
                name.as_str()
                    .is_some_and(|name| href.ends_with(name.trim()))
            },
        )
        .await?;
    walk(browser, stack, &href).await?;
    let complaints = browser
        .eval("return document.getElementById('crash').hidden")
        .await?;
    ensure!(complaints == true, "the page shows its crash banner");
    Ok(())
}

const ADDRESS: &str = "return location.pathname + location.search";

/// Through the pages by keyboard, address bar and back button, without loading the page anew.
async fn walk(browser: &Browser, stack: &Stack, node_href: &str) -> Result<()> {
    browser.eval("window.sameDocument = true").await?;
    let address = async |what: &str, expect: String| {
        browser.until(what, ADDRESS, |found| *found == expect).await
    };
    let heading = async |expect: &str| {
        let script = "return document.querySelector('main h1')?.textContent ?? ''";
        browser.until(expect, script, |found| found == expect).await
    };
    browser
        .client
        .find(Locator::Css(
            "nav[aria-label='Time range'] a[href*='range=6h']",
        ))
        .await?
        .click()
        .await?;
    address("the longer range", format!("{node_href}?range=6h")).await?;
    browser.press("+").await?;
    address("the key + to shorten it", format!("{node_href}?range=1h")).await?;
    browser.client.back().await?;
    address("back to undo that", format!("{node_href}?range=6h")).await?;
    browser.press("g").await?;
    browser.press("l").await?;
    heading("Ledger").await?;
    address("the ledger", "/ledger".to_owned()).await?;
    let sum = "return document.querySelector('.account .sum')?.innerText ?? ''";
    browser
        .until("an account that closes or is in flight", sum, |text| {
            let text = text.as_str().unwrap_or_default();
            text.contains("closes") || text.contains("in flight")
        })
        .await?;
    let lines = "return document.querySelectorAll('.account tbody tr').length";
    browser
        .until("a line for every node", lines, |count| {
            count.as_u64().unwrap_or(0) > 20
        })
        .await?;
    let same = browser.eval("return window.sameDocument === true").await?;
    ensure!(same == true, "a link loaded the page anew");
    // An address that nobody can decode is a page that does not exist, not a crash.
    browser
        .goto(&format!("{}/nodes?q=%zz&state=%", stack.engine.url()))
        .await?;
    browser
        .until("no match", "return document.body.innerText", |text| {
            text.as_str()
                .is_some_and(|text| text.contains("No node matches"))
        })
        .await?;
    Ok(())
}
