//! axe-core on a page that shows data, in both themes and on both screens. Any violation of any of
//! its rules, best practices included, is a failure.

use super::Page;
use crate::browser::{Browser, Screen, Theme};
use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::Value;

/// How a page is looked at: contrast differs by theme, layout and reachability by screen.
pub const VIEWS: [(Theme, Screen); 3] = [
    (Theme::Light, Screen::DESKTOP),
    (Theme::Dark, Screen::DESKTOP),
    (Theme::Dark, Screen::PHONE),
];

#[derive(Clone, Debug, Serialize)]
pub struct AxeResult {
    pub page: &'static str,
    pub theme: &'static str,
    pub screen: &'static str,
    /// Rules that applied and held.
    pub passes: usize,
    pub violations: Vec<Violation>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Violation {
    pub rule: String,
    pub impact: String,
    pub help: String,
    /// The first elements at fault, as axe-core selects them, with what it says about each.
    pub elements: Vec<String>,
}

const RUN: &str = "const done = arguments[arguments.length - 1];
    axe.run(document, {resultTypes: ['violations', 'passes']}).then(
        found => done({
            passes: found.passes.length,
            violations: found.violations.map(one => ({
                rule: one.id, impact: one.impact ?? '', help: one.help,
                elements: one.nodes.slice(0, 4).map(
                    node => node.target.join(' ') + ': ' + node.failureSummary.split('\\n').slice(1).join(' ').trim()),
            })),
        }),
        error => done({error: String(error)}));";

/// The script, read once for all pages.
pub fn script() -> Result<String> {
    let path = fiber_local::web_tools::axe()?;
    std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}

/// Opens the page, waits until it is whole, and judges it.
pub async fn judge(
    browser: &Browser,
    axe: &str,
    origin: &str,
    page: &Page,
    (theme, screen): (Theme, Screen),
) -> Result<AxeResult> {
    browser.prefer(theme).await?;
    browser.resize(screen).await?;
    browser.goto(&format!("{origin}{}", page.path)).await?;
    browser
        .until_true(&format!("the page {}", page.name), page.ready)
        .await?;
    check(browser, axe, page.name, (theme, screen)).await
}

/// Judges what the browser shows now.
pub async fn check(
    browser: &Browser,
    axe: &str,
    name: &'static str,
    (theme, screen): (Theme, Screen),
) -> Result<AxeResult> {
    browser.eval(axe).await?;
    let found = browser.client.execute_async(RUN, Vec::new()).await?;
    let violations = found["violations"]
        .as_array()
        .with_context(|| format!("axe-core says {found}"))?;
    Ok(AxeResult {
        page: name,
        theme: theme.as_str(),
        screen: screen.name,
        passes: usize::try_from(found["passes"].as_u64().unwrap_or(0))?,
        violations: violations.iter().map(Violation::of).collect(),
    })
}

impl Violation {
    fn of(found: &Value) -> Self {
        let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        let elements = found["elements"].as_array().into_iter().flatten();
        Self {
            rule: text("rule"),
            impact: text("impact"),
            help: text("help"),
            elements: elements
                .filter_map(|one| one.as_str().map(str::to_owned))
                .collect(),
        }
    }
}

impl AxeResult {
    /// A page on which nothing was judged proves nothing.
    pub fn passed(&self) -> bool {
        self.violations.is_empty() && self.passes > 5
    }

    pub fn tell(&self) -> String {
        let mut text = format!("{} ({}, {})", self.page, self.theme, self.screen);
        if self.passes <= 5 {
            text.push_str(&format!(": only {} rules applied", self.passes));
        }
        for one in &self.violations {
            text.push_str(&format!("\n  {} [{}] {}", one.rule, one.impact, one.help));
            for element in &one.elements {
                text.push_str(&format!("\n    {element}"));
            }
        }
        text
    }
}
