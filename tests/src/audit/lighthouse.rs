//! Lighthouse on a cold first load, as a mid-range phone on slow 4G: 150 ms of round trip, 1.6 Mbit/s
//! and a processor slowed down four times, all simulated from a load that is measured.
//!
//! One load is noise on a machine that does anything else: each page is loaded several times and the
//! median of each figure is judged.

use super::Page;
use anyhow::{Context as _, Result, bail, ensure};
use fiber_local::scratch::Scratch;
use fiber_local::web_tools;
use serde::Serialize;
use serde_json::Value;
use std::process::Stdio;

pub const LCP_MS_MAX: f64 = 900.0;
pub const PERFORMANCE_MIN: f64 = 0.95;
pub const ACCESSIBILITY_MIN: f64 = 1.0;
pub const CLS_MAX: f64 = 0.02;
pub const TRANSFER_BYTES_MAX: f64 = 300_000.0;

const CHROME_FLAGS: &str = "--chrome-flags=--headless=new --no-sandbox --disable-gpu \
    --disable-dev-shm-usage --disable-background-networking --disable-component-update";

/// One page, each figure the median of all loads.
#[derive(Clone, Debug, Serialize)]
pub struct LighthouseResult {
    pub page: &'static str,
    pub loads: usize,
    pub lcp_ms: f64,
    pub fcp_ms: f64,
    pub tbt_ms: f64,
    pub speed_index_ms: f64,
    pub cls: f64,
    pub performance: f64,
    pub accessibility: f64,
    pub best_practices: f64,
    /// Everything that came over the wire until the page was quiet, heads included.
    pub transfer_bytes: f64,
    pub third_party_requests: f64,
    /// Lighthouse's measure of this machine; a mid-range desktop has about 1500.
    pub benchmark_index: f64,
    /// The lowest and highest LCP of the loads.
    pub lcp_range_ms: (f64, f64),
    pub misses: Vec<String>,
}

struct Load {
    /// In the order of `FIGURES`.
    figures: Vec<f64>,
}

type Figure = fn(&Value) -> Option<f64>;
const FIGURES: [Figure; 10] = [
    |r| r["audits"]["largest-contentful-paint"]["numericValue"].as_f64(),
    |r| r["audits"]["first-contentful-paint"]["numericValue"].as_f64(),
    |r| r["audits"]["total-blocking-time"]["numericValue"].as_f64(),
    |r| r["audits"]["speed-index"]["numericValue"].as_f64(),
    |r| r["audits"]["cumulative-layout-shift"]["numericValue"].as_f64(),
    |r| r["categories"]["performance"]["score"].as_f64(),
    |r| r["categories"]["accessibility"]["score"].as_f64(),
    |r| r["categories"]["best-practices"]["score"].as_f64(),
    |r| {
        Some(
            requests(r)
                .filter_map(|one| one["transferSize"].as_f64())
                .sum(),
        )
    },
    |r| r["environment"]["benchmarkIndex"].as_f64(),
];

/// Loads the page `loads` times, each in a new browser.
pub fn judge(origin: &str, page: &'static Page, loads: usize) -> Result<LighthouseResult> {
    ensure!(loads > 0, "at least one load");
    let mut figures = vec![Vec::new(); FIGURES.len()];
    let mut third_party = 0_usize;
    for _ in 0..loads {
        let report = load(origin, page)?;
        let one = Load::of(&report)?;
        for (all, value) in figures.iter_mut().zip(one.figures) {
            all.push(value);
        }
        let foreign = requests(&report).filter(|one| is_foreign(one, origin));
        third_party = third_party.max(foreign.count());
    }
    for all in &mut figures {
        all.sort_by(f64::total_cmp);
    }
    let median = |figure: usize| figures[figure][loads / 2];
    let lcp = &figures[0];
    let mut result = LighthouseResult {
        page: page.name,
        loads,
        lcp_ms: median(0),
        fcp_ms: median(1),
        tbt_ms: median(2),
        speed_index_ms: median(3),
        cls: median(4),
        performance: median(5),
        accessibility: median(6),
        best_practices: median(7),
        transfer_bytes: median(8),
        benchmark_index: median(9),
        third_party_requests: third_party as f64,
        lcp_range_ms: (lcp[0], lcp[loads - 1]),
        misses: Vec::new(),
    };
    result.misses = result.find_misses();
    Ok(result)
}

/// Lighthouse's own report of one load.
fn load(origin: &str, page: &Page) -> Result<Value> {
    let scratch = Scratch::new("lighthouse")?;
    let path = scratch.path().join("report.json");
    let output = web_tools::lighthouse()?
        .arg(format!("{origin}{}", page.path))
        .args(["--quiet", "--output=json"])
        .arg(format!("--output-path={}", path.display()))
        .arg("--only-categories=performance,accessibility,best-practices")
        .arg(CHROME_FLAGS)
        .env("TMPDIR", scratch.path())
        .stdin(Stdio::null())
        .output()
        .context("run Lighthouse")?;
    if !output.status.success() {
        bail!(
            "Lighthouse failed on {} ({}):\n{}",
            page.name,
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let text = std::fs::read(&path).context("read Lighthouse's report")?;
    let report: Value = serde_json::from_slice(&text)?;
    if let Some(error) = report["runtimeError"]["message"].as_str() {
        bail!("Lighthouse on {}: {error}", page.name);
    }
    if let Some(folder) = std::env::var_os("FIBER_AUDIT_KEEP") {
        let kept = std::path::Path::new(&folder).join(format!("{}.json", page.name));
        std::fs::write(&kept, &text).with_context(|| format!("write {}", kept.display()))?;
    }
    Ok(report)
}

fn requests(report: &Value) -> impl Iterator<Item = &Value> {
    report["audits"]["network-requests"]["details"]["items"]
        .as_array()
        .into_iter()
        .flatten()
}

fn is_foreign(request: &Value, origin: &str) -> bool {
    let url = request["url"].as_str().unwrap_or_default();
    !url.starts_with(&format!("{origin}/")) && !url.starts_with("data:")
}

impl Load {
    fn of(report: &Value) -> Result<Self> {
        let figures = FIGURES
            .iter()
            .enumerate()
            .map(|(number, figure)| {
                figure(report).with_context(|| format!("Lighthouse gave no figure {number}"))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { figures })
    }
}

impl LighthouseResult {
    fn find_misses(&self) -> Vec<String> {
        let mut misses = Vec::new();
        let mut most = |name: &str, value: f64, bar: f64| {
            // What is not a number misses too.
            if value.is_nan() || value > bar {
                misses.push(format!("{}: {name} {value:.3} is above {bar}", self.page));
            }
        };
        most("LCP in ms", self.lcp_ms, LCP_MS_MAX);
        most("layout shift", self.cls, CLS_MAX);
        most("bytes transferred", self.transfer_bytes, TRANSFER_BYTES_MAX);
        most("third-party requests", self.third_party_requests, 0.0);
        most("lack of performance", -self.performance, -PERFORMANCE_MIN);
        most(
            "lack of accessibility",
            -self.accessibility,
            -ACCESSIBILITY_MIN,
        );
        misses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> LighthouseResult {
        LighthouseResult {
            page: "overview",
            loads: 3,
            lcp_ms: 800.0,
            fcp_ms: 700.0,
            tbt_ms: 10.0,
            speed_index_ms: 900.0,
            cls: 0.0,
            performance: 1.0,
            accessibility: 1.0,
            best_practices: 1.0,
            transfer_bytes: 250_000.0,
            third_party_requests: 0.0,
            benchmark_index: 1_000.0,
            lcp_range_ms: (790.0, 810.0),
            misses: Vec::new(),
        }
    }

    #[test]
    fn every_bar_can_be_missed() {
        assert_eq!(good().find_misses(), Vec::<String>::new());
        let breaks: [fn(&mut LighthouseResult); 7] = [
            |one| one.lcp_ms = 901.0,
            |one| one.lcp_ms = f64::NAN,
            |one| one.cls = 0.021,
            |one| one.transfer_bytes = 300_001.0,
            |one| one.third_party_requests = 1.0,
            |one| one.performance = 0.94,
            |one| one.accessibility = 0.99,
        ];
        for spoil in breaks {
            let mut result = good();
            spoil(&mut result);
            assert_eq!(result.find_misses().len(), 1, "{result:?}");
        }
    }

    #[test]
    fn another_origin_is_a_third_party() {
        let request = |url: &str| serde_json::json!({ "url": url });
        let origin = "http://127.0.0.1:8000";
        assert!(!is_foreign(&request("http://127.0.0.1:8000/a.js"), origin));
        assert!(is_foreign(&request("http://127.0.0.1:80001/a.js"), origin));
        assert!(is_foreign(&request("https://fonts.example/a"), origin));
    }
}
