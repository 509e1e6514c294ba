//! `fiber-screenshots`: a stack → each page in the browser → PNG files.

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use fiber_tests::audit::{PAGES, Page};
use fiber_tests::browser::{Browser, Screen, Theme, with_browser};
use fiber_tests::people;
use fiber_tests::stage::Stage;
use std::path::PathBuf;
use std::time::Duration;

/// Takes pictures of every page of the built dashboard: light, dark, and as a phone shows it.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    /// Only pages and states of these names, separated by commas
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Folder for the pictures
    #[arg(long, default_value = "dashboard/screenshots")]
    out: PathBuf,
}

const DESKTOP: Screen = Screen {
    height: 1_000,
    ..Screen::DESKTOP
};
const VIEWS: [(&str, Theme, Screen); 3] = [
    ("light", Theme::Light, DESKTOP),
    ("dark", Theme::Dark, DESKTOP),
    ("phone", Theme::Dark, Screen::PHONE),
];
/// Enough for charts of a day.
const PAST: Duration = Duration::from_secs(24 * 3_600);
/// What a repository can carry.
const PNG_BYTES_MAX: usize = 300_000;
/// Charts are drawn a frame after their data is there, and the live stream settles.
const SETTLE: Duration = Duration::from_millis(1_500);
const LIVE: &str = "document.querySelector('.link.live')";

fn main() -> Result<()> {
    let cli = Cli::parse();
    std::fs::create_dir_all(&cli.out).with_context(|| format!("create {}", cli.out.display()))?;
    let mut stage = Stage::empty(&[people::KEY_SECRET])?;
    let origin = stage.url();
    let shooter = Shooter { cli: &cli };
    people::add_users(&stage)?;
    with_browser(async |browser| {
        browser.goto(&origin).await?;
        browser.until_text("Send the first sample").await?;
        shooter.all(browser, "first-run").await?;
        browser.goto(&format!("{origin}/sign-in")).await?;
        browser
            .until_true("the form", "document.querySelector('.sign-in input')")
            .await?;
        shooter.all(browser, "sign-in").await
    })?;
    stage.fill(PAST)?;
    with_browser(async |browser| {
        people::enter(browser, &origin).await?;
        for page in PAGES.iter().filter(|page| page.name != "sign-in") {
            shooter.page(browser, &origin, page).await?;
        }
        shooter.dialogs(browser, &origin).await?;
        browser.goto(&origin).await?;
        browser.until_true("live", LIVE).await?;
        stage.engine.kill9()?;
        browser.until_text("The engine cannot be reached").await?;
        browser.until_text("No live view of the fleet").await?;
        shooter.all(browser, "engine-away").await
    })
}

struct Shooter<'a> {
    cli: &'a Cli,
}

impl Shooter<'_> {
    fn wants(&self, name: &str) -> bool {
        self.cli.only.is_empty() || self.cli.only.iter().any(|only| only == name)
    }

    async fn page(&self, browser: &Browser, origin: &str, page: &Page) -> Result<()> {
        if !self.wants(page.name) {
            return Ok(());
        }
        browser.goto(&format!("{origin}{}", page.path)).await?;
        browser
            .until_true(&format!("the page {}", page.name), page.ready)
            .await?;
        self.all(browser, page.name).await
    }

    /// What lies over a page.
    async fn dialogs(&self, browser: &Browser, origin: &str) -> Result<()> {
        for (name, key, typed) in [("help", "?", None), ("palette", "/", Some("lag"))] {
            if !self.wants(name) {
                continue;
            }
            browser.goto(&format!("{origin}/nodes")).await?;
            browser.until_true("live", LIVE).await?;
            browser.press(key).await?;
            browser
                .until_true(name, "document.querySelector('dialog[open]')")
                .await?;
            if let Some(typed) = typed {
                browser.fill("dialog[open] input", typed).await?;
            }
            self.all(browser, name).await?;
        }
        Ok(())
    }

    /// What the browser shows now, in every view.
    async fn all(&self, browser: &Browser, name: &str) -> Result<()> {
        if !self.wants(name) {
            return Ok(());
        }
        for (view, theme, screen) in VIEWS {
            browser.prefer(theme).await?;
            browser.resize(screen).await?;
            tokio::time::sleep(SETTLE).await;
            let png = browser.png(screen.width, screen.height).await?;
            ensure!(
                png.len() <= PNG_BYTES_MAX,
                "{name}-{view} has {} bytes",
                png.len()
            );
            let path = self.cli.out.join(format!("{name}-{view}.png"));
            std::fs::write(&path, &png).with_context(|| format!("write {}", path.display()))?;
            println!("{} ({} KB)", path.display(), png.len() / 1_000);
        }
        Ok(())
    }
}
