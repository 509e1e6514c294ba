//! Charts, comparison, palette and keyboard of the dashboard, in headless Chromium on a real fleet.

use crate::support::Stack;
use crate::support::fleet::{config, start};
use anyhow::{Context as _, Result, ensure};
use fiber_tests::browser::{Browser, with_browser};
use serde_json::{Value, json};
use std::time::Duration;

#[test]
fn charts_are_zoomed_read_compared_and_found_by_name() -> Result<()> {
    let dashboard = fiber_local::build::dashboard_dir();
    ensure!(
        dashboard.join("index.html").is_file(),
        "the dashboard is not built: `make build`"
    );
    let stack = Stack::with(&[("FIBER_DASHBOARD_DIR", &dashboard.display().to_string())])?;
    let mut fleet = config(&stack, 40.0, 1, Duration::from_secs(240));
    fleet.probes = 20;
    let run = start(fleet)?;
    let looked = with_browser(async |browser| {
        let base = stack.engine.url();
        let nodes = two_nodes(browser, &base).await?;
        let page = format!("/nodes/{}?range=15m", nodes[0]);
        browser.goto(&format!("{base}{page}")).await?;
        all_charts_are_there(browser).await?;
        one_crosshair_for_all(browser).await?;
        a_drag_zooms_and_back_undoes(browser, &page).await?;
        a_finger_reads_and_zooms(browser, &page).await?;
        keys_move_through_time(browser).await?;
        a_focused_chart_speaks(browser).await?;
        two_instants_by_hand(browser).await?;
        the_present_moves_unless_somebody_reads(browser).await?;
        everything_has_a_name(browser, &nodes).await?;
        two_nodes_side_by_side(browser, &base, &nodes).await?;
        an_address_nobody_can_read(browser, &base, &nodes[0]).await?;
        browser.check_alive().await
    });
    run.stop();
    run.wait()?;
    looked
}

async fn two_nodes(browser: &Browser, base: &str) -> Result<[String; 2]> {
    browser.goto(&format!("{base}/nodes?sort=node")).await?;
    let names = "return [...document.querySelectorAll('[role=row] a')]
        .filter(link => link.pathname.startsWith('/nodes/')).map(link => link.textContent)";
    let found = browser
        .until("two nodes", names, |found| {
            found.as_array().is_some_and(|all| all.len() >= 2)
        })
        .await?;
    let name = |at: usize| found[at].as_str().map(str::to_owned).context("a name");
    Ok([name(0)?, name(1)?])
}

async fn all_charts_are_there(browser: &Browser) -> Result<()> {
    for title in ["smoke", "percentiles", "heatmap", "loss", "Uptime"] {
        let found = format!(
            "[...document.querySelectorAll('.chart h3')].some(it => it.textContent.includes('{title}'))"
        );
        browser.until_true(title, &found).await?;
    }
    // Each has drawn something: not all of its pixels are clear.
    let drawn = "[...document.querySelectorAll('.chart')].every(chart => {
        const canvas = chart.querySelector('canvas');
        if (chart.querySelector('h3').textContent.includes('loss')) return canvas.width > 0;
        const data = canvas.width > 0 && canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        return data && data.some(value => value > 0);
    })";
    browser.until_true("ink on every chart", drawn).await
}

/// Where a chart lies in the window.
async fn place(browser: &Browser, chart: usize) -> Result<(f64, f64, f64, f64)> {
    let script = format!(
        "const plot = document.querySelectorAll('.chart-plot')[{chart}];
         plot.scrollIntoView({{block: 'center'}});
         const box = plot.getBoundingClientRect();
         return [box.left, box.top, box.width, box.height]"
    );
    let found = browser.eval(&script).await?;
    let of = |at: usize| found[at].as_f64().context("a number");
    Ok((of(0)?, of(1)?, of(2)?, of(3)?))
}

async fn mouse(browser: &Browser, kind: &str, x: f64, y: f64, clicks: u32) -> Result<()> {
    let held = u32::from(kind != "mouseMoved" || clicks > 0);
    let params = json!({
        "type": kind, "x": x, "y": y, "clickCount": clicks,
        "button": if held > 0 { "left" } else { "none" }, "buttons": held,
    });
    browser
        .devtools("Input.dispatchMouseEvent", params)
        .await
        .map(drop)
}

async fn one_crosshair_for_all(browser: &Browser) -> Result<()> {
    let (left, top, width, height) = place(browser, 1).await?;
    mouse(
        browser,
        "mouseMoved",
        left + width * 0.7,
        top + height / 2.0,
        0,
    )
    .await?;
    let all = "document.querySelectorAll('.overlay .cursor').length
        === document.querySelectorAll('.chart-plot').length";
    browser
        .until_true("a crosshair in every chart", all)
        .await?;
    let same = "return new Set([...document.querySelectorAll('.overlay .cursor')]
        .map(it => it.getAttribute('d').split(' ')[0])).size";
    browser
        .until("all at one instant", same, |count| *count == 1)
        .await?;
    browser.until_text("paused while you read").await?;
    browser
        .until_true(
            "the instant that is read",
            "/\\d\\d:\\d\\d:\\d\\d/.test(document.querySelector('.read-time').textContent)",
        )
        .await?;
    mouse(browser, "mouseMoved", 5.0, 5.0, 0).await?;
    browser
        .until_true(
            "no crosshair",
            "!document.querySelector('.overlay .cursor')",
        )
        .await
}

const ADDRESS: &str = "return location.pathname + location.search";

async fn until_zoomed(browser: &Browser) -> Result<Value> {
    browser
        .until("two instants in the address", ADDRESS, |found| {
            let text = found.as_str().unwrap_or_default();
            text.contains("from=20") && text.contains("to=20")
        })
        .await
}

async fn a_drag_zooms_and_back_undoes(browser: &Browser, page: &str) -> Result<()> {
    let (left, top, width, height) = place(browser, 0).await?;
    let (from, to, y) = (left + width * 0.6, left + width * 0.9, top + height / 2.0);
    mouse(browser, "mouseMoved", from, y, 0).await?;
    mouse(browser, "mousePressed", from, y, 1).await?;
    mouse(browser, "mouseMoved", (from + to) / 2.0, y, 1).await?;
    mouse(browser, "mouseMoved", to, y, 1).await?;
    browser
        .until_true("a brush", "document.querySelector('.overlay .brush')")
        .await?;
    mouse(browser, "mouseReleased", to, y, 1).await?;
    let zoomed = until_zoomed(browser).await?;
    let zoomed = zoomed.as_str().unwrap_or_default();
    // 30 % of the window is about as much of the 15 minutes.
    let span_s = browser
        .eval(
            "const at = new URLSearchParams(location.search);
             return (new Date(at.get('to')) - new Date(at.get('from'))) / 1000",
        )
        .await?;
    let span_s = span_s.as_f64().unwrap_or_default();
    ensure!((200.0..400.0).contains(&span_s), "{span_s} s: {zoomed}");
    browser.until_text("go live").await?;
    browser.client.back().await?;
    browser.until_at(page).await?;
    browser.client.forward().await?;
    browser.until_at(zoomed).await?;
    // Twice is out.
    let (left, top, width, height) = place(browser, 0).await?;
    let (x, y) = (left + width / 2.0, top + height / 2.0);
    for clicks in [1, 2] {
        mouse(browser, "mousePressed", x, y, clicks).await?;
        mouse(browser, "mouseReleased", x, y, clicks).await?;
    }
    browser.until_at(page).await?;
    mouse(browser, "mouseMoved", 5.0, 5.0, 0).await
}

async fn touch(browser: &Browser, kind: &str, at: Option<(f64, f64)>) -> Result<()> {
    let points: Vec<Value> = at.iter().map(|(x, y)| json!({ "x": x, "y": y })).collect();
    let params = json!({ "type": kind, "touchPoints": points });
    browser
        .devtools("Input.dispatchTouchEvent", params)
        .await
        .map(drop)
}

async fn a_finger_reads_and_zooms(browser: &Browser, page: &str) -> Result<()> {
    let enabled = json!({ "enabled": true, "maxTouchPoints": 1 });
    browser
        .devtools("Emulation.setTouchEmulationEnabled", enabled)
        .await?;
    let (left, top, width, height) = place(browser, 0).await?;
    let (x, y) = (left + width * 0.5, top + height / 2.0);
    touch(browser, "touchStart", Some((x, y))).await?;
    touch(browser, "touchEnd", None).await?;
    browser
        .until_true(
            "values that stay when the finger is lifted",
            "document.querySelector('.overlay .cursor')",
        )
        .await?;
    touch(browser, "touchStart", Some((x, y))).await?;
    for step in 1..=8 {
        touch(browser, "touchMove", Some((x + f64::from(step) * 20.0, y))).await?;
    }
    touch(browser, "touchEnd", None).await?;
    until_zoomed(browser).await?;
    let disabled = json!({ "enabled": false });
    browser
        .devtools("Emulation.setTouchEmulationEnabled", disabled)
        .await?;
    browser.press("l").await?;
    browser.until_at(page).await?;
    browser
        .eval("document.activeElement.blur()")
        .await
        .map(drop)
}

async fn keys_move_through_time(browser: &Browser) -> Result<()> {
    let path = browser.eval("return location.pathname").await?;
    let path = path.as_str().unwrap_or_default().to_owned();
    browser.press("-").await?;
    browser.until_at(&format!("{path}?range=1h")).await?;
    browser.press("[").await?;
    let earlier = until_zoomed(browser).await?;
    browser.press("[").await?;
    browser
        .until("half a window more", ADDRESS, |found| *found != earlier)
        .await?;
    browser.press("+").await?;
    let half = "const at = new URLSearchParams(location.search);
        return (new Date(at.get('to')) - new Date(at.get('from'))) / 1000";
    browser
        .until("half an hour", half, |found| {
            // The address has whole seconds.
            found
                .as_f64()
                .is_some_and(|secs| (secs - 1_800.0).abs() < 3.0)
        })
        .await?;
    browser.press("l").await?;
    browser.until_at(&format!("{path}?range=1h")).await?;
    browser.press("+").await?;
    browser.until_at(&format!("{path}?range=15m")).await
}

async fn a_focused_chart_speaks(browser: &Browser) -> Result<()> {
    browser
        .eval("document.querySelector('.chart-plot').focus()")
        .await?;
    browser.press("ArrowLeft").await?;
    let said = "return document.querySelector('.time-bar [aria-live=polite]').textContent";
    let first = browser
        .until("values for the ear", said, |text| {
            text.as_str().is_some_and(|text| text.contains("median"))
        })
        .await?;
    browser.press("ArrowLeft").await?;
    browser
        .until("the values beside them", said, |text| *text != first)
        .await?;
    browser.press("Escape").await?;
    browser
        .until_true(
            "no crosshair",
            "!document.querySelector('.overlay .cursor')",
        )
        .await
}

async fn two_instants_by_hand(browser: &Browser) -> Result<()> {
    let before = browser.eval(ADDRESS).await?;
    let before = before.as_str().unwrap_or_default().to_owned();
    browser.click(".absolute summary").await?;
    let set = |at: usize, text: &str| {
        format!(
            "const field = document.querySelectorAll('.absolute input')[{at}];
             field.value = '{text}'"
        )
    };
    browser.eval(&set(0, "2026-01-02T03:04:05")).await?;
    browser.eval(&set(1, "2026-01-02T03:04:05")).await?;
    browser.click(".absolute [type=submit]").await?;
    browser
        .until_text("The first must be before the second")
        .await?;
    browser.eval(&set(1, "2026-01-02T04:04:05")).await?;
    browser.click(".absolute [type=submit]").await?;
    until_zoomed(browser).await?;
    browser.until_text("No samples in this range").await?;
    browser.client.back().await?;
    browser.until_at(&before).await
}

const ASKED: &str = "return performance.getEntriesByType('resource').filter(it => it.name.includes('/series')).length";

async fn the_present_moves_unless_somebody_reads(browser: &Browser) -> Result<()> {
    let before = browser.eval(ASKED).await?;
    browser
        .until("the next question", ASKED, |count| *count != before)
        .await?;
    let (left, top, width, height) = place(browser, 0).await?;
    mouse(
        browser,
        "mouseMoved",
        left + width / 2.0,
        top + height / 2.0,
        0,
    )
    .await?;
    browser.until_text("paused while you read").await?;
    // What was asked before the pointer came may still arrive.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let held = browser.eval(ASKED).await?;
    tokio::time::sleep(Duration::from_secs(8)).await;
    ensure!(
        browser.eval(ASKED).await? == held,
        "asked while somebody reads"
    );
    mouse(browser, "mouseMoved", 5.0, 5.0, 0).await?;
    browser
        .until("questions again", ASKED, |count| *count != held)
        .await
        .map(drop)
}

async fn chord(browser: &Browser) -> Result<()> {
    let press = "document.body.dispatchEvent(new KeyboardEvent('keydown',
        {key: 'k', ctrlKey: true, bubbles: true, cancelable: true}))";
    browser.eval(press).await?;
    browser
        .until_true(
            "the palette",
            "document.querySelector('dialog.palette[open]')",
        )
        .await
}

async fn everything_has_a_name(browser: &Browser, nodes: &[String; 2]) -> Result<()> {
    chord(browser).await?;
    browser.fill(".palette input", &nodes[1]).await?;
    let first = "return document.querySelector('.palette [aria-selected=true] span')?.textContent";
    browser
        .until("the node by its name", first, |found| {
            *found == nodes[1].as_str()
        })
        .await?;
    browser.press("Enter").await?;
    browser
        .until_true(
            "its page",
            &format!("location.pathname === '/nodes/{}'", nodes[1]),
        )
        .await?;
    browser
        .until_true("no palette", "!document.querySelector('dialog[open]')")
        .await?;
    // Keys of the page do nothing while the palette is open, and Esc closes it.
    browser.press("/").await?;
    browser
        .until_true(
            "the palette",
            "document.querySelector('dialog.palette[open]')",
        )
        .await?;
    browser.fill(".palette input", "ledger").await?;
    browser.press("Enter").await?;
    browser.until_at("/ledger").await?;
    browser.press("?").await?;
    browser
        .until_true(
            "the help",
            "document.querySelector('dialog.help[open] kbd')",
        )
        .await?;
    browser.press("g").await?;
    browser.press("n").await?;
    browser
        .eval("document.querySelector('dialog.help').close()")
        .await?;
    browser.until_at("/ledger").await?;
    browser.press("g").await?;
    browser.press("c").await?;
    browser.until_at("/compare").await?;
    browser.until_text("Nothing to compare yet").await
}

async fn two_nodes_side_by_side(browser: &Browser, base: &str, nodes: &[String; 2]) -> Result<()> {
    let [first, second] = nodes;
    browser
        .goto(&format!("{base}/nodes/{first}?range=15m"))
        .await?;
    browser
        .until_true("the page", "document.querySelector('.chart')")
        .await?;
    chord(browser).await?;
    browser
        .fill(".palette input", &format!("compare {second}"))
        .await?;
    browser
        .until_true(
            "the offer",
            "document.querySelector('.palette [aria-selected=true]')?.textContent.startsWith('Compare with')",
        )
        .await?;
    browser.press("Enter").await?;
    let both = format!("/compare?with={first}~{second}");
    browser.until_at(&both).await?;
    let values = "document.querySelectorAll('.legend tbody tr').length === 2
        && [...document.querySelectorAll('.legend tbody tr')].every(row => row.querySelector('td').textContent > '0')";
    browser.until_true("values of both", values).await?;
    let ink = "const canvas = document.querySelector('.chart canvas');
        const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        return data.some(value => value > 0)";
    browser.until("lines", ink, |drawn| *drawn == true).await?;
    let region = "return document.querySelector('#subjects option').value";
    let region = browser
        .until("a suggestion", region, |found| found.is_string())
        .await?;
    let region = region.as_str().unwrap_or_default();
    browser.fill(".compare-add input", region).await?;
    browser.click(".compare-add button").await?;
    browser
        .until_true(
            "three rows",
            "document.querySelectorAll('.legend tbody tr').length === 3",
        )
        .await?;
    browser
        .fill(".compare-add input", "nobody-of-this-name")
        .await?;
    browser.click(".compare-add button").await?;
    browser.until_text("No node or region of that name").await?;
    browser.client.back().await?;
    browser.until_at(&both).await?;
    browser.click(".legend tbody tr button").await?;
    browser.until_at(&format!("/compare?with={second}")).await
}

async fn an_address_nobody_can_read(browser: &Browser, base: &str, node: &str) -> Result<()> {
    let mangled = format!("{base}/nodes/{node}?range=%zz&from=yesterday&to=2026-13-45T99:00:00Z");
    browser.goto(&mangled).await?;
    browser
        .until_true("charts", "document.querySelector('.chart canvas')")
        .await?;
    browser
        .until_true(
            "the default range",
            "document.querySelector('[aria-label=\"Time range\"] [aria-current]')?.textContent === '1h'",
        )
        .await?;
    browser
        .goto(&format!(
            "{base}/compare?with=~~@~%00~no%20such%20node~@nowhere"
        ))
        .await?;
    browser
        .until_true(
            "a legend or a notice",
            "document.querySelector('.compare-page')",
        )
        .await
}
