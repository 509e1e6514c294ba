//! The pages that account for things: ledger, regions, system.

use crate::support::client::{exchange, post, sample};
use crate::support::{Stack, await_that, dashboard};
use anyhow::{Result, ensure};
use fiber_tests::browser::{Browser, with_browser};
use serde_json::{Value, json};

const BATCH: &str = "0190a7a0-0000-7000-9000-00000000b0b0";
const OTHER_BATCH: &str = "0190a7a0-0000-7000-9000-00000000ffff";

/// Five good samples and one that is refused, then a request that is refused whole.
fn send(stack: &Stack) -> Result<()> {
    let mut samples: Vec<Value> = (1..=6).map(|age| sample("records-01", age * 100)).collect();
    samples[3]["latency_ms"] = json!(99_999);
    let body = json!({"node_id": "hub", "metrics": samples}).to_string();
    let id = format!("X-Batch-ID: {BATCH}");
    let request = post(&stack.engine, "/api/ingest", &[&id], body.as_bytes());
    let answer = exchange(&stack.engine, &request)?;
    ensure!(answer.status == 202, "{answer:?}");
    let broken = post(&stack.engine, "/api/push", &[], b"{\"node_id\":");
    ensure!(exchange(&stack.engine, &broken)?.status == 400);
    stack.await_rows(5)?;
    await_that("the refusals", || {
        Ok(stack.sql("SELECT count(*) >= 2 FROM refusals_hourly")? == "t")
    })
}

#[test]
fn every_sample_is_accounted_for_on_the_pages() -> Result<()> {
    let stack = dashboard::stack(&[])?;
    send(&stack)?;
    let url = stack.engine.url();
    with_browser(async |browser| {
        browser.goto(&format!("{url}/ledger")).await?;
        ledger(browser).await?;
        browser.goto(&format!("{url}/regions?range=15m")).await?;
        let row = "return document.querySelector('.regions tbody tr')?.innerText ?? ''";
        browser
            .until("the region's row", row, |text| {
                let text = text.as_str().unwrap_or_default();
                text.contains("Greater Accra") && text.contains("1 of 1")
            })
            .await?;
        browser.click(".regions tbody th a").await?;
        browser.until_at("/nodes?q=Greater%20Accra").await?;
        let rows = "document.querySelectorAll('.nodes .body .row').length === 1";
        browser.until_true("the region's nodes", rows).await?;
        browser.goto(&format!("{url}/system")).await?;
        for part in [
            "Journal",
            "Durable up to group",
            "Writers",
            "Database",
            "Redis",
            "Rate limits",
            "Version",
            "every sample accounted for",
        ] {
            browser.until_text(part).await?;
        }
        browser.check_alive().await
    })
}

async fn ledger(browser: &Browser) -> Result<()> {
    let line = "return [...document.querySelectorAll('.account tbody tr')]
        .find(row => row.innerText.startsWith('records-01'))?.innerText ?? ''";
    browser
        .until("the node's hour", line, |text| {
            let text = text.as_str().unwrap_or_default();
            text.contains('5') && text.contains("closes")
        })
        .await?;
    for reason in ["latency_ms", "MALFORMED_BATCH"] {
        browser.until_text(reason).await?;
    }
    browser.fill(".receipt input", BATCH).await?;
    browser.click(".receipt button").await?;
    browser.until_at(&format!("/ledger?batch={BATCH}")).await?;
    let facts = "return document.querySelector('.receipt .facts')?.innerText ?? ''";
    browser
        .until("the receipt", facts, |text| {
            let text = text.as_str().unwrap_or_default();
            text.contains("committed") && text.contains("SHA-256")
        })
        .await?;
    browser.fill(".receipt input", OTHER_BATCH).await?;
    browser.click(".receipt button").await?;
    browser
        .until_text("No batch of this id was acknowledged")
        .await
}
