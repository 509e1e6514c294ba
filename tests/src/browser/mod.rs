//! Headless Chromium, driven by its own WebDriver, for whatever looks at the dashboard: tests,
//! audit, screenshots.
//!
//! Everything waits for what it wants to see, and a wait that was in vain says what the page showed.

mod devtools;

pub use devtools::{Screen, Theme};

use anyhow::{Context as _, Result, bail};
use fantoccini::{Client, ClientBuilder};
use fiber_local::scratch::Scratch;
use fiber_local::servers::free_port;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const FLAGS: [&str; 11] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--window-size=1440,900",
];
const START_LIMIT: Duration = Duration::from_secs(30);
/// Only says when to stop hoping.
const HOPE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// Chromium's WebDriver, killed with its browser when it is dropped.
#[derive(Debug)]
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        // Gone already is as good.
        self.0.kill().unwrap_or_default();
        self.0.wait().map(drop).unwrap_or_default();
    }
}

/// One browser with a profile of its own.
#[derive(Debug)]
pub struct Browser {
    pub client: Client,
    // In this order: the profile is removed after the browser is gone.
    _driver: Driver,
    _profile: Scratch,
}

/// Runs `look` with a new browser, and closes it whatever came of that.
pub fn with_browser<T>(look: impl AsyncFnOnce(&Browser) -> Result<T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let browser = Browser::open().await?;
        let looked = look(&browser).await;
        browser.client.clone().close().await?;
        looked
    })
}

impl Browser {
    pub async fn open() -> Result<Self> {
        let profile = Scratch::new("chromium")?;
        let chromium = fiber_local::browser::find_or_install()?;
        let port = free_port()?;
        let child = Command::new(fiber_local::browser::driver_or_install()?)
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let driver = Driver(child);
        let mut args: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
        args.push(format!("--user-data-dir={}", profile.path().display()));
        let options = json!({
            "goog:chromeOptions": {"binary": chromium, "args": args},
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let capabilities = options.as_object().context("an object")?.clone();
        let deadline = Instant::now() + START_LIMIT;
        let client = loop {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            builder.capabilities(capabilities.clone());
            match builder.connect(&format!("http://127.0.0.1:{port}")).await {
                Ok(client) => break client,
                Err(error) if Instant::now() > deadline => return Err(error.into()),
                Err(_) => tokio::time::sleep(POLL).await,
            }
        };
        Ok(Self {
            client,
            _driver: driver,
            _profile: profile,
        })
    }

    pub async fn goto(&self, url: &str) -> Result<()> {
        Ok(self.client.goto(url).await?)
    }

    /// The value of a function's body.
    pub async fn eval(&self, script: &str) -> Result<Value> {
        Ok(self.client.execute(script, Vec::new()).await?)
    }

    /// Polls a script until its value satisfies.
    pub async fn until(
        &self,
        what: &str,
        script: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let deadline = Instant::now() + HOPE;
        loop {
            let value = self.eval(script).await?;
            if holds(&value) {
                return Ok(value);
            }
            if Instant::now() > deadline {
                let page = self
                    .eval("return location.href + '\\n' + document.body.innerText")
                    .await?;
                bail!("waited in vain for {what}; last value {value}; the page says:\n{page}");
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Polls until an expression is true.
    pub async fn until_true(&self, what: &str, expression: &str) -> Result<()> {
        let script = format!("return !!({expression})");
        self.until(what, &script, |value| *value == true)
            .await
            .map(drop)
    }

    /// Waits until the page's text holds this.
    pub async fn until_text(&self, text: &str) -> Result<()> {
        let expression = format!(
            "document.getElementById('app').innerText.includes({})",
            json!(text)
        );
        self.until_true(text, &expression).await
    }

    /// Waits until path and query read like this.
    pub async fn until_at(&self, address: &str) -> Result<()> {
        let script = "return location.pathname + location.search";
        self.until(address, script, |found| found == address)
            .await
            .map(drop)
    }

    /// Clicks the first element that this selects, once it is there.
    pub async fn click(&self, css: &str) -> Result<()> {
        self.until_true(css, &format!("document.querySelector({})", json!(css)))
            .await?;
        let found = self.client.find(fantoccini::Locator::Css(css)).await?;
        found.click().await.with_context(|| format!("click {css}"))
    }

    /// Types into the first element that this selects, once it is there, in place of what it held.
    pub async fn fill(&self, css: &str, text: &str) -> Result<()> {
        self.until_true(css, &format!("document.querySelector({})", json!(css)))
            .await?;
        let found = self.client.find(fantoccini::Locator::Css(css)).await?;
        found.clear().await?;
        found
            .send_keys(text)
            .await
            .with_context(|| format!("type into {css}"))
    }

    /// One key, as the page's own listeners hear it.
    pub async fn press(&self, key: &str) -> Result<()> {
        const PRESS: &str = "(document.activeElement ?? document.body).dispatchEvent(
            new KeyboardEvent('keydown', {key: arguments[0], bubbles: true, cancelable: true}))";
        self.client.execute(PRESS, vec![key.into()]).await?;
        Ok(())
    }

    /// By the page that asks for it; waits until it has led back to the overview.
    pub async fn sign_in(&self, origin: &str, name: &str, password: &str) -> Result<()> {
        self.goto(&format!("{origin}/sign-in")).await?;
        self.fill("input[name=username]", name).await?;
        self.fill("input[name=password]", password).await?;
        self.click(".sign-in button[type=submit]").await?;
        self.until_at("/").await
    }

    /// An error when the page shows that it crashed.
    pub async fn check_alive(&self) -> Result<()> {
        if self
            .eval("return document.getElementById('crash').hidden")
            .await?
            != true
        {
            bail!("the page shows its crash banner");
        }
        Ok(())
    }
}
