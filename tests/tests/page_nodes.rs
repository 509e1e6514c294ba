//! The table of nodes: filtered, sorted, walked through, taken along.

use crate::support::client::{ingest, sample};
use crate::support::dashboard;
use anyhow::{Context as _, Result, ensure};
use fiber_tests::browser::{Browser, with_browser};
use serde_json::{Value, json};

const SHOWN: &str = "return [...document.querySelectorAll('.nodes .body .row .name a')]
    .sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)
    .map(link => link.textContent)";

/// Three quick nodes in Accra, one slow, one without an answer.
fn samples() -> Vec<Value> {
    let latencies = [("a-1", 10), ("a-2", 20), ("a-3", 30), ("slow-1", 350)];
    let mut all: Vec<Value> = latencies
        .iter()
        .map(|(node, ms)| {
            let mut one = sample(node, 500);
            one["latency_ms"] = json!(ms);
            one
        })
        .collect();
    let mut dead = sample("dead-1", 500);
    (dead["latency_ms"], dead["packet_loss"]) = (json!(null), json!(100));
    dead["uptime_pct"] = json!(0);
    dead["region"] = json!("Lagos State");
    all.push(dead);
    all
}

#[test]
fn the_table_is_filtered_sorted_walked_and_taken_along() -> Result<()> {
    let stack = dashboard::stack(&[])?;
    let url = stack.engine.url();
    let answer = ingest(&stack.engine, "hub", &samples())?;
    ensure!(answer.status == 202, "{answer:?}");
    with_browser(async |browser| {
        browser.goto(&format!("{url}/nodes?sort=node")).await?;
        shows(browser, &["a-1", "a-2", "a-3", "dead-1", "slow-1"]).await?;
        browser.click(".head .p95 a").await?;
        browser.until_at("/nodes?sort=p95").await?;
        shows(browser, &["slow-1", "a-3", "a-2", "a-1", "dead-1"]).await?;
        let field = ".tools input[type=search]";
        browser.fill(field, "greater a-").await?;
        browser.until_at("/nodes?sort=p95&q=greater%20a-").await?;
        shows(browser, &["a-3", "a-2", "a-1"]).await?;
        take_along(browser).await?;
        // An address brings back what was seen, and the keyboard opens a row.
        browser.goto(&format!("{url}/nodes?q=a-&sort=node")).await?;
        shows(browser, &["a-1", "a-2", "a-3"]).await?;
        browser.eval("document.activeElement.blur()").await?;
        for key in ["j", "j", "j", "k"] {
            browser.press(key).await?;
        }
        let chosen = "return document.querySelector('.row.selected .name')?.textContent ?? ''";
        browser
            .until("the second row", chosen, |name| name == "a-2")
            .await?;
        browser.press("Enter").await?;
        browser.until_at("/nodes/a-2").await?;
        browser.client.back().await?;
        browser.until_at("/nodes?q=a-&sort=node").await?;
        browser.check_alive().await
    })
}

async fn shows(browser: &Browser, expect: &[&str]) -> Result<()> {
    let what = format!("the rows {expect:?}");
    browser
        .until(&what, SHOWN, |found| *found == json!(expect))
        .await
        .map(drop)
}

/// The file has the rows that are shown, in their order.
async fn take_along(browser: &Browser) -> Result<()> {
    let href = browser
        .eval(
            "document.addEventListener('click', event => event.preventDefault(), {once: true});
             const link = document.querySelector('a[download]');
             link.click();
             return decodeURIComponent(link.href)",
        )
        .await?;
    let text = href.as_str().context("a link")?;
    let (kind, csv) = text.split_once(',').context("data")?;
    ensure!(kind == "data:text/csv;charset=utf-8", "{kind}");
    let names: Vec<&str> = csv
        .lines()
        .map(|line| line.split(',').next().unwrap_or_default())
        .collect();
    ensure!(names == ["node", "a-3", "a-2", "a-1"], "{csv}");
    Ok(())
}
