//! The dashboard in headless Chromium, against a real fleet.

use crate::support::Stack;
use crate::support::fleet::{config, start};
use anyhow::{Context as _, Result, bail, ensure};
use fantoccini::{Client, ClientBuilder, Locator};
use fiber_local::servers::free_port;
use hyper_util::client::legacy::connect::HttpConnector;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        // Gone already is as good.
        self.0.kill().unwrap_or_default();
        self.0.wait().map(drop).unwrap_or_default();
    }
}

const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--window-size=1440,900",
];

async fn browser(profile: &std::path::Path) -> Result<(Driver, Client)> {
    let chromium = fiber_local::browser::find_or_install()?;
    let chromedriver = fiber_local::browser::driver_or_install()?;
    let port = free_port()?;
    let child = Command::new(chromedriver)
        .arg(format!("--port={port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let driver = Driver(child);
    let mut args: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
    args.push(format!("--user-data-dir={}", profile.display()));
    let options = serde_json::json!({
        "goog:chromeOptions": {"binary": chromium, "args": args},
        "goog:loggingPrefs": {"browser": "ALL"},
    });
    let capabilities = options.as_object().context("an object")?.clone();
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities.clone());
        match builder.connect(&format!("http://127.0.0.1:{port}")).await {
            Ok(client) => return Ok((driver, client)),
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Polls a script until its value satisfies.
async fn until(
    client: &Client,
    what: &str,
    script: &str,
    holds: impl Fn(&serde_json::Value) -> bool,
) -> Result<serde_json::Value> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let value = client.execute(script, Vec::new()).await?;
        if holds(&value) {
            return Ok(value);
        }
        if Instant::now() > deadline {
            let page = client
                .execute("return document.body.innerText", Vec::new())
                .await?;
            bail!("waited in vain for {what}; last value {value}; the page says:\n{page}");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The table draws only the rows in view; what it counts is all of them.
const NODES: &str = "return [document.querySelector('.tools-note').textContent,
    document.querySelectorAll('[role=row]').length]";
const STORED: &str = "return [...document.querySelectorAll('.kpi')]
    .find(kpi => kpi.querySelector('.kpi-label').textContent.includes('stored'))
    .querySelector('.kpi-value').textContent.replace(/[^0-9.]/g, '')";

#[test]
fn the_page_shows_the_fleet_and_moves() -> Result<()> {
    let dashboard = fiber_local::build::dashboard_dir();
    ensure!(
        dashboard.join("index.html").is_file(),
        "the dashboard is not built: `make build`"
    );
    let stack = Stack::with(&[("FIBER_DASHBOARD_DIR", &dashboard.display().to_string())])?;
    let mut fleet = config(&stack, 40.0, 1, Duration::from_secs(120));
    fleet.probes = 20;
    let run = start(fleet)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let looked = runtime.block_on(async {
        let profile = fiber_local::scratch::Scratch::new("chromium")?;
        let (_driver, client) = browser(profile.path()).await?;
        let looked = look(&client, &stack).await;
        client.close().await?;
        looked
    });
    run.stop();
    run.wait()?;
    looked
}

async fn look(client: &Client, stack: &Stack) -> Result<()> {
    client.goto(&stack.engine.url()).await?;
    until(client, "twenty nodes in the table", NODES, |found| {
        let counted = found[0]
            .as_str()
            .is_some_and(|note| note.starts_with("20 nodes"));
        counted && found[1].as_u64().unwrap_or(0) > 3
    })
    .await?;
    let first = until(client, "a count of stored samples", STORED, |text| {
        text != ""
    })
    .await?;
    until(client, "the count to move", STORED, |text| {
        text != "" && *text != first
    })
    .await?;
    let node = client
        .find(Locator::Css("[role=row] a[href^='/nodes/']"))
        .await?;
    let href = node.attr("href").await?.context("a link")?;
    node.click().await?;
    until(
        client,
        "the node's page",
        "return location.pathname",
        |path| path.as_str() == Some(href.as_str()),
    )
    .await?;
    let charts = "return document.querySelectorAll('main svg path[d], main canvas').length";
    until(client, "its charts", charts, |count| {
        count.as_u64().unwrap_or(0) > 3
    })
    .await?;
    until(
        client,
        "its name",
        "return document.querySelector('main h1').textContent",
        |name| {
            name.as_str()
                .is_some_and(|name| href.ends_with(name.trim()))
        },
    )
    .await?;
    walk(client, stack, &href).await?;
    let complaints = client
        .execute("return document.getElementById('crash').hidden", Vec::new())
        .await?;
    ensure!(complaints == true, "the page shows its crash banner");
    Ok(())
}

const ADDRESS: &str = "return location.pathname + location.search";

/// Through the pages by keyboard, address bar and back button, without loading the page anew.
async fn walk(client: &Client, stack: &Stack, node_href: &str) -> Result<()> {
    client
        .execute("window.sameDocument = true", Vec::new())
        .await?;
    let address = async |what: &str, expect: String| {
        until(client, what, ADDRESS, |found| *found == expect).await
    };
    let heading = async |expect: &str| {
        let script = "return document.querySelector('main h1')?.textContent ?? ''";
        until(client, expect, script, |found| found == expect).await
    };
    client
        .find(Locator::Css(
            "nav[aria-label='Time range'] a[href*='range=6h']",
        ))
        .await?
        .click()
        .await?;
    address("the longer range", format!("{node_href}?range=6h")).await?;
    press(client, "+").await?;
    address("the key + to shorten it", format!("{node_href}?range=1h")).await?;
    client.back().await?;
    address("back to undo that", format!("{node_href}?range=6h")).await?;
    press(client, "g").await?;
    press(client, "l").await?;
    heading("Ledger").await?;
    address("the ledger", "/ledger".to_owned()).await?;
    let sum = "return document.querySelector('.account .sum')?.innerText ?? ''";
    until(
        client,
        "an account that closes or is in flight",
        sum,
        |text| {
            let text = text.as_str().unwrap_or_default();
            text.contains("closes") || text.contains("in flight")
        },
    )
    .await?;
    let lines = "return document.querySelectorAll('.account tbody tr').length";
    until(client, "a line for every node", lines, |count| {
        count.as_u64().unwrap_or(0) > 20
    })
    .await?;
    let same = client
        .execute("return window.sameDocument === true", Vec::new())
        .await?;
    ensure!(same == true, "a link loaded the page anew");
    // An address that nobody can decode is a page that does not exist, not a crash.
    client
        .goto(&format!("{}/nodes?q=%zz&state=%", stack.engine.url()))
        .await?;
    until(
        client,
        "no match",
        "return document.body.innerText",
        |text| {
            text.as_str()
                .is_some_and(|text| text.contains("No node matches"))
        },
    )
    .await?;
    Ok(())
}

async fn press(client: &Client, key: &str) -> Result<()> {
    client
        .execute(
            "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0], bubbles: true}))",
            vec![key.into()],
        )
        .await?;
    Ok(())
}
