//! The dashboard tells what is known, what is not, and why.

use crate::support::client::{push, sample};
use crate::support::{Stack, dashboard};
use anyhow::{Result, ensure};
use fiber_tests::browser::{Browser, with_browser};
use serde_json::json;

const STATE: &str = "return document.querySelector('.nodes .body .row .word')?.textContent ?? ''";
const LIVE: &str = "document.querySelector('.link.live')";

fn send(stack: &Stack, loss: u32) -> Result<()> {
    let mut body = sample("states-01", 0);
    body["packet_loss"] = json!(loss);
    if loss == 100 {
        body["latency_ms"] = json!(null);
        body["uptime_pct"] = json!(0);
    }
    let answer = push(&stack.engine, &body)?;
    ensure!(answer.status == 202, "{answer:?}");
    Ok(())
}

#[test]
fn a_first_sample_appears_and_states_follow_without_a_reload() -> Result<()> {
    let stack = dashboard::stack(&[])?;
    with_browser(async |browser| {
        browser.goto(&stack.engine.url()).await?;
        browser.until_text("Send the first sample").await?;
        browser.until_text("curl -X POST").await?;
        browser.eval("window.sameDocument = true").await?;
        send(&stack, 0)?;
        browser
            .until("the node to be up", STATE, |word| word == "up")
            .await?;
        browser.until_text("The node is up").await?;
        send(&stack, 100)?;
        browser
            .until("the node to be down", STATE, |word| word == "down")
            .await?;
        // The probe says nothing more: what it said last is not the present.
        browser
            .until("the silence to be noticed", STATE, |word| {
                word == "unobserved"
            })
            .await?;
        browser.until_text("1 of 1 nodes unobserved").await?;
        browser.until_text("silent for").await?;
        let same = browser.eval("return window.sameDocument === true").await?;
        ensure!(same == true, "the page was loaded anew");
        browser.check_alive().await
    })
}

#[test]
fn a_page_without_its_engine_says_how_old_it_is_and_comes_back() -> Result<()> {
    let mut stack = dashboard::stack(&[])?;
    send(&stack, 0)?;
    with_browser(async |browser| {
        browser.goto(&stack.engine.url()).await?;
        browser.until_true("live", LIVE).await?;
        stack.engine.kill9()?;
        browser.until_text("reconnecting").await?;
        browser.until_text(" old").await?;
        browser.until_text("No live view of the fleet").await?;
        browser.until_text("The engine cannot be reached").await?;
        stack.engine.restart()?;
        let again = format!("{LIVE} && !document.querySelector('.notice')");
        browser.until_true("live again", &again).await?;
        refusal_has_a_trace(browser, &stack).await?;
        crash_is_told(browser, &stack).await
    })
}

/// What the engine refuses is shown with the id under which it logged it.
async fn refusal_has_a_trace(browser: &Browser, stack: &Stack) -> Result<()> {
    let url = format!("{}/ledger?batch=not-a-batch", stack.engine.url());
    browser.goto(&url).await?;
    let trace = "document.querySelector('.receipt .notice-trace code')?.textContent.length > 8";
    browser.until_true("the trace of a refusal", trace).await
}

/// The browser breaks a promise that the application is built on, so that it panics.
async fn crash_is_told(browser: &Browser, stack: &Stack) -> Result<()> {
    browser.goto(&stack.engine.url()).await?;
    browser.until_true("live", LIVE).await?;
    browser.check_alive().await?;
    browser
        .eval(
            "EventSource.prototype.addEventListener = () => { throw new Error('broken'); };
             window.dispatchEvent(new Event('online'));",
        )
        .await?;
    browser
        .until_true(
            "the banner",
            "document.getElementById('crash').checkVisibility() \
             && document.querySelector('#crash a').textContent.includes('Reload')",
        )
        .await?;
    browser.click("#crash a").await?;
    browser.until_true("the page anew", LIVE).await?;
    browser.check_alive().await
}
