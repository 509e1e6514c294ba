//! The cards of the page.

use super::plot::{HALF_WIDTH, Plot, Scale, Series, WIDTH, put, time_ticks};
use super::{Report, escape, grouped, millis};
use crate::pace::Curve;
use crate::report::Quantiles;
use crate::report::series::{PercentilePoint, SecondRow};
use std::time::Duration;

fn open(out: &mut String, class: &str, title: &str, note: &str) {
    put(
        out,
        format_args!("<section class=\"card {class}\"><h2>{title}</h2><p class=note>{note}</p>"),
    );
}

fn close(out: &mut String) {
    out.push_str("</section>");
}

fn legend(out: &mut String, entries: &[(&str, &str)]) {
    out.push_str("<ul class=legend>");
    for (class, name) in entries {
        put(
            out,
            format_args!(
                "<li><svg viewBox=\"0 0 22 10\" aria-hidden=true><path class=\"series {class}\" d=\"M1 5H21\" />\
                 </svg>{name}</li>"
            ),
        );
    }
    out.push_str("</ul>");
}

fn step_s(rows: &[SecondRow]) -> f64 {
    rows.get(1).map_or(1.0, |row| row.at_s as f64)
}

fn end_s(report: &Report) -> f64 {
    let rows = &report.seconds;
    let last = rows.last().map_or(0.0, |row| row.at_s as f64);
    (last + step_s(rows)).max(1.0)
}

fn middle(
    rows: &[SecondRow],
    value: impl Fn(&SecondRow) -> Option<f64>,
) -> Vec<(f64, Option<f64>)> {
    let half = step_s(rows) / 2.0;
    rows.iter()
        .map(|row| (row.at_s as f64 + half, value(row)))
        .collect()
}

/// A count of a whole second is level over it.
fn steps(rows: &[SecondRow], value: impl Fn(&SecondRow) -> Option<f64>) -> Vec<(f64, Option<f64>)> {
    let step = step_s(rows);
    rows.iter()
        .flat_map(|row| {
            let (at, value) = (row.at_s as f64, value(row));
            [(at, value), (at + step, value)]
        })
        .collect()
}

/// When the probes of a storm had no link.
fn outage(report: &Report) -> Vec<(f64, f64, &'static str)> {
    let curve: Option<Curve> = report.config.curve.parse().ok();
    let duration = Duration::try_from_secs_f64(report.config.duration_s).unwrap_or_default();
    let outage = curve.and_then(|curve| curve.outage(duration));
    outage
        .map(|(from, to)| (from, to, "no link"))
        .into_iter()
        .collect()
}

fn tips(rows: &[SecondRow], text: impl Fn(&SecondRow) -> String) -> Vec<(f64, f64, String)> {
    let step = step_s(rows);
    rows.iter()
        .map(|row| {
            (
                row.at_s as f64,
                step,
                format!("{} s\n{}", row.at_s, text(row)),
            )
        })
        .collect()
}

pub(super) fn latency_over_time(out: &mut String, report: &Report) {
    let rows = &report.seconds;
    open(
        out,
        "wide",
        "Latency over time",
        "Of the requests that were meant to be sent in each second, from that moment to the \
         acknowledgement, so that a stall shows where it began. Logarithmic.",
    );
    if rows.iter().all(|row| row.p50_ms.is_none()) {
        out.push_str("<p class=empty>Nothing was acknowledged.</p>");
        return close(out);
    }
    legend(
        out,
        &[
            ("a", "p50"),
            ("c", "p95"),
            ("b", "p99"),
            ("b thin dash", "slowest"),
        ],
    );
    let line = |class, value: fn(&SecondRow) -> Option<f64>| Series {
        class,
        points: middle(rows, value),
        area: false,
    };
    let ms = |value: Option<f64>| value.map_or("–".to_owned(), |v| format!("{} ms", millis(v)));
    Plot {
        label: "Latency over time: p50, p95, p99 and the slowest",
        width: WIDTH,
        height: 280.0,
        x_max: end_s(report),
        x_ticks: time_ticks(end_s(report)),
        y_scale: Scale::Log,
        y_unit: "ms",
        series: vec![
            line("b thin dash", |row| row.max_ms),
            line("b", |row| row.p99_ms),
            line("c", |row| row.p95_ms),
            line("a", |row| row.p50_ms),
        ],
        bands: outage(report),
        tips: tips(rows, |row| {
            format!(
                "p50 {}\np95 {}\np99 {}\nslowest {}",
                ms(row.p50_ms),
                ms(row.p95_ms),
                ms(row.p99_ms),
                ms(row.max_ms)
            )
        }),
    }
    .both(out);
    close(out);
}

pub(super) fn throughput(out: &mut String, report: &Report) {
    let rows = &report.seconds;
    open(
        out,
        "wide",
        "Offered and acknowledged",
        "Samples per second: what was meant to be sent, and what was acknowledged in that second.",
    );
    let is_offered = rows.iter().any(|row| row.offered_samples_s.is_some());
    let mut series = vec![Series {
        class: "a",
        points: steps(rows, |row| Some(row.acked_samples_s)),
        area: true,
    }];
    if is_offered {
        legend(out, &[("a", "acknowledged"), ("b dash", "offered")]);
        series.push(Series {
            class: "b dash",
            points: steps(rows, |row| row.offered_samples_s),
            area: false,
        });
    } else {
        legend(out, &[("a", "acknowledged")]);
    }
    Plot {
        label: "Samples per second over time, offered and acknowledged",
        width: WIDTH,
        height: 220.0,
        x_max: end_s(report),
        x_ticks: time_ticks(end_s(report)),
        y_scale: Scale::Linear,
        y_unit: "samples/s",
        series,
        bands: outage(report),
        tips: tips(rows, |row| {
            let offered = row.offered_samples_s;
            format!(
                "offered {}\nacknowledged {}\nrefused {}\nerrors {}",
                offered.map_or("–".to_owned(), grouped),
                grouped(row.acked_samples_s),
                grouped(row.refused_samples as f64),
                grouped(row.errors as f64)
            )
        }),
    }
    .both(out);
    close(out);
}

/// 90 % is one, 99 % two.
fn nines(percentile: f64) -> f64 {
    -(1.0 - percentile / 100.0).max(1e-9).log10()
}

fn percentile_tips(points: &[PercentilePoint]) -> Vec<(f64, f64, String)> {
    points
        .windows(2)
        .map(|pair| {
            let (from, to) = (nines(pair[0].percentile), nines(pair[1].percentile));
            let text = format!(
                "{:.3} %\nfrom the intended moment {} ms\nfrom the sending {} ms",
                pair[0].percentile,
                millis(pair[0].latency_ms),
                millis(pair[0].service_ms)
            );
            (from, to - from, text)
        })
        .collect()
}

pub(super) fn percentile_curve(out: &mut String, report: &Report) {
    let points = &report.percentiles;
    open(
        out,
        "",
        "Latency by percentile",
        "Each further nine has the same width. Where the two part, requests waited for their turn: the \
         server stalled, or could not keep up.",
    );
    if points.len() < 2 {
        out.push_str("<p class=empty>Nothing was acknowledged.</p>");
        return close(out);
    }
    let scheduled = report.config.rate_samples_s.is_some();
    let line = |class, value: fn(&PercentilePoint) -> f64| Series {
        class,
        points: points
            .iter()
            .map(|point| (nines(point.percentile), Some(value(point))))
            .collect(),
        area: false,
    };
    let mut series = vec![line("b dash", |point| point.service_ms)];
    if scheduled {
        legend(
            out,
            &[
                ("a", "from the intended moment"),
                ("b dash", "from the sending"),
            ],
        );
        series.push(line("a", |point| point.latency_ms));
    } else {
        legend(out, &[("b dash", "from the sending")]);
    }
    let x_max = points.last().map_or(1.0, |point| nines(point.percentile));
    let names = [
        "", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "6 nines", "7 nines",
    ];
    let x_ticks = (0_u32..)
        .zip(names)
        .map(|(at, name)| (f64::from(at), name.to_owned()))
        .filter(|(at, _)| *at <= x_max + 0.05)
        .chain([(nines(50.0), "50 %".to_owned())])
        .collect();
    out.push_str(
        &Plot {
            label: "Latency by percentile, logarithmic",
            width: HALF_WIDTH,
            height: 300.0,
            x_max,
            x_ticks,
            y_scale: Scale::Log,
            y_unit: "ms",
            series,
            bands: Vec::new(),
            tips: percentile_tips(points),
        }
        .svg(),
    );
    close(out);
}

pub(super) fn errors(out: &mut String, report: &Report) {
    open(
        out,
        "",
        "Answers and errors",
        "Answers by status, and tries without an answer by kind. A request may have had several.",
    );
    let answers = report.answers.iter().map(|(status, count)| {
        let class = if *status < 300 { "" } else { "bar-warn" };
        (format!("answer {status}"), *count, class)
    });
    let errors = report.errors.iter();
    let errors = errors.map(|(kind, count)| (kind.clone(), *count, "bar-bad"));
    let rows: Vec<_> = answers.chain(errors).collect();
    if rows.is_empty() {
        out.push_str("<p class=empty>No answer and no error.</p>");
        return close(out);
    }
    let most = rows
        .iter()
        .map(|(_, count, _)| *count)
        .max()
        .unwrap_or(1)
        .max(1) as f64;
    out.push_str("<div class=scroll><table><tr><th>kind<th>count<th style=\"width:45%\"></tr>");
    for (name, count, class) in rows {
        let width = (count as f64 / most * 100.0).max(0.5);
        put(
            out,
            format_args!(
                "<tr><td>{}<td>{}<td><svg viewBox=\"0 0 100 8\" preserveAspectRatio=none height=10 \
                 style=\"height:10px\" aria-hidden=true><rect class=\"{}\" fill=\"var(--a)\" width={width:.1} height=8 rx=1 />\
                 </svg></tr>",
                escape(&name),
                grouped(count as f64),
                if class.is_empty() { "bar" } else { class }
            ),
        );
    }
    out.push_str("</table></div>");
    let seconds: Vec<_> = report.seconds.iter().filter(|row| row.errors > 0).collect();
    if let (Some(first), Some(last)) = (seconds.first(), seconds.last()) {
        put(
            out,
            format_args!(
                "<p class=note style=\"margin-top:10px\">Failed tries and refusals from second {} to second {}, in {} of the seconds.</p>",
                first.at_s,
                last.at_s,
                seconds.len()
            ),
        );
    }
    close(out);
}

pub(super) fn quantiles(out: &mut String, report: &Report) {
    open(
        out,
        "wide",
        "Milliseconds",
        "The begin of sending and the lag of the event loop are the generator's own.",
    );
    out.push_str(
        "<div class=scroll><table><tr><th><th>p50<th>p90<th>p95<th>p99<th>p99.9<th>max<th>count</tr>",
    );
    let mut row = |name: &str, q: &Quantiles| {
        put(out, format_args!("<tr><td>{name}"));
        for value in [q.p50, q.p90, q.p95, q.p99, q.p999, q.max] {
            put(out, format_args!("<td>{}", millis(value)));
        }
        put(out, format_args!("<td>{}</tr>", grouped(q.count as f64)));
    };
    let scheduled = report.config.rate_samples_s.is_some();
    if scheduled {
        row("acknowledged, from the intended moment", &report.latency_ms);
    }
    row("acknowledged, from the sending", &report.service_ms);
    if scheduled {
        row("begin of sending", &report.generator.begin_lag_ms);
        row("event loop lag", &report.generator.loop_lag_ms);
    }
    out.push_str("</table></div>");
    close(out);
}

/// Rows of a name, a value and a note.
fn facts(out: &mut String, rows: &[(&str, String)]) {
    out.push_str("<div class=scroll><table class=facts>");
    for (name, value) in rows {
        put(
            out,
            format_args!(
                "<tr><th scope=row>{name}<td class=wrap>{}</tr>",
                escape(value)
            ),
        );
    }
    out.push_str("</table></div>");
}

pub(super) fn accounting(out: &mut String, report: &Report) {
    let n = |value: u64| grouped(value as f64);
    let s = &report.samples;
    open(
        out,
        "",
        "What became of the samples",
        "By the generator's own record; with verification, also by what the database holds.",
    );
    let mut rows = Vec::new();
    if let Some(intended) = s.intended {
        rows.push(("intended", n(intended)));
    }
    rows.extend([
        ("acknowledged", n(s.acked)),
        ("refused", n(s.refused)),
        ("sent, answer lost", n(s.unknown)),
        ("not sent in time", n(s.unsent)),
    ]);
    if let Some(p) = &report.planted {
        rows.extend([
            ("sent late, on purpose", n(p.late)),
            ("sent twice, on purpose", n(p.duplicate)),
            ("out of order, on purpose", n(p.reordered)),
            ("from a clock that is off, on purpose", n(p.skewed)),
            ("bad, on purpose", n(p.bad)),
            ("– of these refused for what is wrong", n(p.bad_refused)),
            ("– accepted", n(p.bad_accepted)),
            ("– refused for another reason", n(p.bad_misnamed)),
        ]);
    }
    if let Some(v) = &report.verification {
        rows.extend([
            ("stored", n(v.stored)),
            ("lost: acknowledged, not stored", n(v.lost)),
            ("duplicate: stored more than once", n(v.duplicates)),
            ("ghost: stored, never sent so", n(v.ghosts)),
        ]);
        if v.bad > 0 {
            rows.push(("bad, yet stored", n(v.bad_stored)));
        }
        if let Some(counted) = v.counted_duplicates {
            rows.push((
                "repeats counted by the engine",
                format!("{} of {}", n(counted), n(v.acked_twice)),
            ));
        }
    }
    facts(out, &rows);
    close(out);
}

pub(super) fn configuration(out: &mut String, report: &Report) {
    let c = &report.config;
    open(out, "", "Configuration", "What the run was asked to do.");
    let or_none = |text: &str| {
        if text.is_empty() {
            "none".to_owned()
        } else {
            text.to_owned()
        }
    };
    facts(
        out,
        &[
            ("server", c.url.clone()),
            ("probes", grouped(f64::from(c.probes))),
            ("connections", grouped(f64::from(c.connections))),
            ("samples per request", grouped(f64::from(c.batch))),
            (
                "rate",
                c.rate_samples_s
                    .map_or("as fast as answers come".to_owned(), |r| {
                        format!("{} samples/s", grouped(r))
                    }),
            ),
            ("curve", or_none(&c.curve)),
            ("duration", format!("{} s", c.duration_s)),
            ("acknowledged when", c.ack.clone()),
            ("requests", c.with.join(", ")),
            ("faults", or_none(&c.faults)),
            ("seed", c.seed.to_string()),
        ],
    );
    close(out);
}

pub(super) fn host(out: &mut String, report: &Report) {
    let (h, g) = (&report.hardware, &report.generator);
    let mib = |bytes: u64| format!("{} MiB", grouped(bytes as f64 / f64::from(1 << 20)));
    open(
        out,
        "",
        "Host and generator",
        "What it ran on, and what it took.",
    );
    let mut rows = vec![
        ("processor", format!("{} × {}", h.cores, h.cpu)),
        ("memory", mib(h.memory_bytes)),
        ("kernel", h.kernel.clone()),
        ("sending threads", report.config.threads.to_string()),
        (
            "CPU of these",
            format!(
                "{:.2} s, {:.1} µs per request",
                g.cpu_s, g.cpu_us_per_request
            ),
        ),
        (
            "busiest thread",
            format!("{:.0} % of a core", g.cpu_share * 100.0),
        ),
        (
            "late begins",
            format!(
                "{} ({:.2} %)",
                grouped(g.late_starts as f64),
                g.late_share * 100.0
            ),
        ),
        (
            "memory of the generator",
            format!("{} at most", mib(g.rss_peak_bytes)),
        ),
    ];
    if let Some(c) = &report.ceiling {
        rows.push((
            "ceiling",
            format!(
                "{} requests/s against a server that does nothing, {} without sending",
                grouped(c.hello_requests_s),
                grouped(c.no_send_requests_s)
            ),
        ));
    }
    facts(out, &rows);
    close(out);
}
