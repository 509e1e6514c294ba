//! The report as one page: plots as SVG within it, no script, nothing fetched, light and dark.

mod plot;
mod sections;
mod verdicts;

use super::Report;
use super::text::grouped;
use plot::put;

const STYLE: &str = include_str!("style.css");

/// The whole document.
pub fn page(report: &Report) -> String {
    let c = &report.config;
    let rate = c.rate_samples_s.map_or_else(
        || "as fast as answers come".to_owned(),
        |rate| format!("{} samples/s", grouped(rate)),
    );
    let curve = match c.curve.as_str() {
        "" | "constant" => String::new(),
        curve => format!(", {curve}"),
    };
    let title = format!("Load run {}", escape(&c.tag));
    let mut out = format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width,initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head><body><main>\
         <header><h1>{title}</h1><p class=sub>{} · {} probes · {rate}{} · {} s · {}</p></header>",
        escape(&c.url),
        grouped(f64::from(c.probes)),
        escape(&curve),
        c.duration_s,
        minute(report)
    );
    for verdict in verdicts::of(report) {
        verdict.write(&mut out);
    }
    tiles(&mut out, report);
    out.push_str("<div class=cards>");
    sections::latency_over_time(&mut out, report);
    sections::throughput(&mut out, report);
    sections::percentile_curve(&mut out, report);
    sections::accounting(&mut out, report);
    sections::quantiles(&mut out, report);
    sections::configuration(&mut out, report);
    out.push_str("<div class=stack>");
    sections::errors(&mut out, report);
    sections::host(&mut out, report);
    out.push_str("</div>");
    put(
        &mut out,
        format_args!(
            "</div><footer>fiber-loadgen {} · report format {}</footer></main></body></html>\n",
            env!("CARGO_PKG_VERSION"),
            report.format_version
        ),
    );
    out
}

/// `2026-11-25 23:08 UTC`
fn minute(report: &Report) -> String {
    let text = report.began.to_string();
    let (day, time) = text.split_once('T').unwrap_or((&text, ""));
    format!("{day} {} UTC", time.get(..5).unwrap_or(""))
}

fn tiles(out: &mut String, report: &Report) {
    let (s, t, l) = (&report.samples, &report.throughput, &report.latency_ms);
    let scheduled = report.config.rate_samples_s.is_some();
    let latency = if scheduled { l } else { &report.service_ms };
    let from = if scheduled {
        "from the intended moment"
    } else {
        "from the sending"
    };
    let errors: u64 = report.errors.values().sum();
    let intended = s.intended;
    let mut tiles = vec![
        (
            "acknowledged",
            grouped(t.samples_s),
            "samples/s",
            format!("{} requests/s", grouped(t.requests_s)),
        ),
        ("latency, p50", millis(latency.p50), "ms", from.to_owned()),
        (
            "latency, p99",
            millis(latency.p99),
            "ms",
            format!("p95 {} ms", millis(latency.p95)),
        ),
        (
            "samples acked",
            grouped(s.acked as f64),
            "",
            intended.map_or_else(String::new, |all| {
                format!("of {} intended", grouped(all as f64))
            }),
        ),
        (
            "failed tries",
            grouped(errors as f64),
            "",
            format!("{} retries", grouped(report.requests.retries as f64)),
        ),
    ];
    if let Some(ceiling) = &report.ceiling {
        tiles.push((
            "generator's ceiling",
            format!("{:.1}", ceiling.ratio(t.requests_s)),
            "× the rate",
            format!("{} requests/s", grouped(ceiling.hello_requests_s)),
        ));
    }
    out.push_str("<div class=tiles>");
    for (name, value, unit, more) in tiles {
        put(
            out,
            format_args!(
                "<div class=tile><div class=name>{name}</div><div class=value>{value} <small>{unit}</small>\
                 </div><div class=more>{more}</div></div>"
            ),
        );
    }
    out.push_str("</div>");
}

/// Three digits that matter.
fn millis(value: f64) -> String {
    if value >= 100.0 {
        grouped(value)
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests;
