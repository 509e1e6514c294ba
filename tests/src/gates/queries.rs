//! P9: what the dashboard asks, over a window of 24 hours of 1000 probes, while they all push.

use super::{Bar, Context, Line, Target};
use anyhow::{Context as _, Result, ensure};
use fiber_contract::UnixMicros;
use fiber_loadgen::client::{Connection, Limits, TlsRoots, Url};
use fiber_loadgen::fleet::{self, Config, Rate};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

const GATE: &str = "P9";
/// A sample a minute and node: what a fleet of this size leaves in a day at that interval.
const STEP_S: i64 = 60;
const DAY_S: i64 = 86_400;
const LOAD_S: f64 = 1_000.0;

pub(super) fn at_full_ingest(context: &Context) -> Result<Vec<Line>> {
    let endpoint = Target::Fresh.endpoint()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let nodes = context.size.probes;
    let url = Url::parse(&endpoint.url)?;
    let rows = runtime.block_on(fill(&url, &endpoint.secret, nodes, context.is_quick()))?;
    endpoint.await_drained()?;
    let run = fleet::start(Config {
        probes: nodes,
        rate: Rate::PerSecond(LOAD_S),
        batch: 1,
        duration: context.size.run + Duration::from_secs(600),
        ..endpoint.fleet()
    })?;
    let asked = runtime.block_on(ask(&url, &endpoint.secret, nodes, context.size.run));
    run.stop();
    let report = run.wait()?;
    let mut routes = asked?;
    ensure!(report.samples.acked > 0, "nothing was pushed meanwhile");
    let mut all: Vec<f64> = routes
        .iter()
        .flat_map(|route| route.times_ms.iter().copied())
        .collect();
    let each: Vec<_> = routes
        .iter_mut()
        .map(|route| {
            format!(
                "{} {:.0}",
                route.name,
                percentile(&mut route.times_ms, 0.99)
            )
        })
        .collect();
    Ok(vec![
        Line::new(
            GATE,
            "dashboard queries over 24 h at full ingest, p99",
            "ms",
        )
        .stretch(Bar::at_most(50.0))
        .measured(percentile(&mut all, 0.99))
        .note(format!(
            "{} queries, {rows} rows before, {LOAD_S} pushes/s meanwhile; p99 of each: {}",
            all.len(),
            each.join(", ")
        )),
    ])
}

/// The day before now, pushed as hubs push it.
async fn fill(url: &Url, secret: &str, nodes: u32, is_quick: bool) -> Result<u64> {
    let tls = TlsRoots::new(None)?;
    let mut connection = Connection::open(url, &tls, Limits::default()).await?;
    let end = UnixMicros::now().floor_to(STEP_S);
    let steps = if is_quick { 60 } else { DAY_S / STEP_S };
    let mut rows = 0;
    for node in 0..nodes {
        let mut body = format!("{{\"node_id\":\"day-{node}\",\"metrics\":[");
        for step in 0..steps {
            let time = UnixMicros(end.0 - (steps - step) * STEP_S * 1_000_000);
            let latency_ms = 10 + (i64::from(node) + step * 7) % 90;
            let comma = if step == 0 { "" } else { "," };
            write!(
                body,
                "{comma}{{\"node_id\":\"day-{node}\",\"country\":\"KE\",\"region\":\"Region {}\",\
                 \"latency_ms\":{latency_ms},\"uptime_pct\":100,\"packet_loss\":0,\"timestamp\":\"{time}\"}}",
                node % 20
            )?;
        }
        body.push_str("]}");
        let request = format!(
            "POST /api/ingest HTTP/1.1\r\nHost: engine\r\nContent-Type: application/json\r\n\
             Authorization: Bearer {secret}\r\nX-Batch-ID: 0190a7a0-0000-7000-8000-{node:012}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = connection.exchange(request.as_bytes()).await?;
        ensure!(
            answer.status == 202,
            "a day of samples was answered {}",
            answer.status
        );
        rows += steps.unsigned_abs();
    }
    Ok(rows)
}

struct Route {
    name: &'static str,
    times_ms: Vec<f64>,
}

/// One after the other, as one browser asks; another node each time.
async fn ask(url: &Url, secret: &str, nodes: u32, lasts: Duration) -> Result<Vec<Route>> {
    let limits = Limits {
        body_bytes: 64 << 20,
        ..Limits::default()
    };
    let mut connection = Connection::open(url, &TlsRoots::new(None)?, limits).await?;
    let mut routes = Vec::new();
    let (began, mut round) = (Instant::now(), 0_u32);
    while began.elapsed() < lasts {
        let now = UnixMicros::now();
        let from = UnixMicros(now.0 - DAY_S * 1_000_000);
        let node = round.wrapping_mul(7_919) % nodes;
        round += 1;
        let paths = [
            ("nodes", "/api/nodes".to_owned()),
            ("cluster", "/api/metrics/cluster".to_owned()),
            (
                "fleet series",
                format!("/api/metrics/series?from={from}&to={now}&step=auto"),
            ),
            (
                "node series",
                format!("/api/metrics/series?node_id=day-{node}&from={from}&to={now}&step=auto"),
            ),
            (
                "aggregated",
                format!("/api/metrics/aggregated?dimension=region&from={from}&to={now}"),
            ),
            ("raw", format!("/api/metrics?node_id=day-{node}&limit=100")),
        ];
        for (at, (name, path)) in paths.into_iter().enumerate() {
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: engine\r\nAuthorization: Bearer {secret}\r\n\r\n"
            );
            let sent = Instant::now();
            let answer = connection
                .exchange(request.as_bytes())
                .await
                .with_context(|| path.clone())?;
            ensure!(answer.status == 200, "{path}: {}", answer.status);
            if routes.len() <= at {
                routes.push(Route {
                    name,
                    times_ms: Vec::new(),
                });
            }
            routes[at].times_ms.push(sent.elapsed().as_secs_f64() * 1e3);
        }
    }
    ensure!(round > 0, "nothing was asked");
    Ok(routes)
}

fn percentile(times_ms: &mut [f64], q: f64) -> f64 {
    times_ms.sort_unstable_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in the slice: not negative, and far below 2^53"
    )]
    let at = ((times_ms.len().saturating_sub(1)) as f64 * q).ceil() as usize;
    times_ms.get(at).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_99th_of_a_hundred_and_one_is_the_second_highest() {
        let mut times: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut times, 0.99).round(), 99.0);
        assert!(percentile(&mut [], 0.99).is_nan());
    }
}
