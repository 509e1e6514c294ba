//! `/api/metrics/aggregated` and `/api/metrics/cluster`: many nodes summed up over a window.
//!
//! Read from the coarsest rollup that still has several buckets in the window, so the rows behind
//! an answer stay bounded; percentiles come from the merged sketches. Downtime is each observed
//! bucket's length times the share of it that was not up; what nobody observed is neither.

use super::buckets::{self, Group, Step};
use super::context::Context;
use super::error::Error;
use super::params::Params;
use super::respond::{Body, answer};
use super::series::summed_up;
use super::sql::Session;
use crate::model::NodeKey;
use crate::publish::rollup::{Bucket, LEVELS};
use fiber_contract::node::DEGRADED_LATENCY_MS;
use fiber_contract::query::Meta;
use fiber_contract::summary::{AggregateRow, AggregatedAnswer, ClusterAnswer, WorstNode};
use fiber_contract::{NodeState, UnixMicros};
use hyper::Response;
use std::collections::{BTreeMap, HashMap};

const SPAN_DEFAULT_S: i64 = 3_600;
/// Up to here by the minute: 1,000 nodes are 120,000 rows.
const BY_MINUTE_SPAN_MAX_S: i64 = 2 * 3_600;
/// Up to here by the hour: 1,000 nodes are 336,000 rows.
const BY_HOUR_SPAN_MAX_S: i64 = 14 * 86_400;
const TOP_DEFAULT: usize = 10;
const TOP_MAX: usize = 100;

const NODES: &str = "SELECT node_key, node_id, region FROM nodes ORDER BY node_id";

/// Aligned outward to the buckets of the level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    from: UnixMicros,
    to: UnixMicros,
    level: usize,
}

impl Window {
    fn parse(params: &Params, now: UnixMicros) -> Result<Self, Error> {
        let (from, to) = params.window(now, SPAN_DEFAULT_S)?;
        let span_s = (to.0 - from.0) / 1_000_000;
        let level = if span_s <= BY_MINUTE_SPAN_MAX_S {
            0
        } else if span_s <= BY_HOUR_SPAN_MAX_S {
            1
        } else {
            2
        };
        let step_s = LEVELS[level].step_s;
        Ok(Self {
            from: from.floor_to(step_s),
            to: UnixMicros(UnixMicros(to.0 - 1).floor_to(step_s).0 + step_s * 1_000_000),
            level,
        })
    }
}

/// What one node, region or fleet adds up to.
#[derive(Debug)]
struct Sum {
    bucket: Bucket,
    observed_s: f64,
    down_s: f64,
    reporting: u32,
    nodes: u32,
}

impl Sum {
    fn new() -> Self {
        Self {
            bucket: Bucket::new(NodeKey(0)),
            observed_s: 0.0,
            down_s: 0.0,
            reporting: 0,
            nodes: 0,
        }
    }

    /// A step of one node.
    fn observe(&mut self, bucket: &Bucket, step_s: f64) {
        let up = bucket.uptime_sum / bucket.count.max(1) as f64 / 100.0;
        self.observed_s += step_s;
        self.down_s += step_s * (1.0 - up);
        self.reporting = 1;
        self.bucket.merge(bucket);
    }

    fn add(&mut self, other: &Self) {
        self.bucket.merge(&other.bucket);
        self.observed_s += other.observed_s;
        self.down_s += other.down_s;
        self.reporting += other.reporting;
        self.nodes += other.nodes;
    }

    fn row(&self, key: &str) -> AggregateRow {
        let point = summed_up(&self.bucket);
        AggregateRow {
            key: key.to_owned(),
            count: point.count,
            avg_ms: point.avg,
            min_ms: point.min,
            max_ms: point.max,
            p50_ms: point.p50,
            p95_ms: point.p95,
            p99_ms: point.p99,
            loss: point.loss,
            uptime: point.uptime,
            reporting: self.reporting,
            nodes: self.nodes,
            downtime_s: self.down_s,
            availability_pct: availability(self.observed_s, self.down_s),
        }
    }
}

fn availability(observed_s: f64, down_s: f64) -> Option<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "a percentage")]
    (observed_s > 0.0).then(|| (100.0 * (1.0 - down_s / observed_s)) as f32)
}

/// A registered node and what the window holds of it.
#[derive(Debug)]
struct NodeSum {
    node_id: String,
    region: String,
    sum: Sum,
}

/// Every registered node, by name; those without a sample count as not reporting.
async fn read(context: &Context, session: &Session, window: Window) -> Result<Vec<NodeSum>, Error> {
    let mut nodes = Vec::new();
    let mut at = HashMap::new();
    for row in session.query(NODES, &[]).await? {
        at.insert(row.try_get::<_, i64>(0)?, nodes.len());
        let mut sum = Sum::new();
        sum.nodes = 1;
        nodes.push(NodeSum {
            node_id: row.try_get(1)?,
            region: row.try_get(2)?,
            sum,
        });
    }
    let step_s = LEVELS[window.level].step_s as f64;
    let take = |step: &Step| {
        // A node measures several targets at once: its time counts once per step.
        let mut at_once: Option<(usize, Bucket)> = None;
        for bucket in step.buckets() {
            // A node that registered since the first question has its turn next time.
            let Some(at) = at.get(&bucket.node_key.0).copied() else {
                continue;
            };
            match &mut at_once {
                Some((same, sum)) if *same == at => sum.merge(&bucket),
                _ => {
                    if let Some((at, sum)) = at_once.replace((at, bucket)) {
                        nodes[at].sum.observe(&sum, step_s);
                    }
                }
            }
        }
        if let Some((at, sum)) = at_once {
            nodes[at].sum.observe(&sum, step_s);
        }
    };
    let question = buckets::Window {
        group: Group::EachNode,
        level: window.level,
        from: window.from,
        to: window.to,
        series: at.len(),
    };
    buckets::each(&context.buckets, session, &question, take).await?;
    Ok(nodes)
}

fn by_region(nodes: &[NodeSum]) -> Vec<AggregateRow> {
    let mut regions: BTreeMap<&str, Sum> = BTreeMap::new();
    for node in nodes {
        regions
            .entry(&node.region)
            .or_insert_with(Sum::new)
            .add(&node.sum);
    }
    regions.iter().map(|(name, sum)| sum.row(name)).collect()
}

fn meta(window: Window) -> Meta {
    Meta {
        source: LEVELS[window.level].table.to_owned(),
        next_cursor: None,
    }
}

pub(super) async fn aggregated(
    context: &Context,
    params: &Params,
) -> Result<Response<Body>, Error> {
    let window = Window::parse(params, UnixMicros::now())?;
    let dimension = params.text("dimension")?.unwrap_or("region");
    if !["region", "node"].contains(&dimension) {
        return Err(Error::parameter("dimension", "is region or node"));
    }
    let key = format!("aggregated {dimension} {window:?}");
    let made = Box::pin(make_aggregated(context, window, dimension));
    context.kept.answer(&key, made).await
}

async fn make_aggregated(
    context: &Context,
    window: Window,
    dimension: &str,
) -> Result<Response<Body>, Error> {
    let session = Session::for_request(context).await?;
    let nodes = read(context, &session, window).await?;
    let rows = if dimension == "region" {
        by_region(&nodes)
    } else {
        let row = |node: &NodeSum| node.sum.row(&node.node_id);
        nodes.iter().map(row).collect()
    };
    let data = AggregatedAnswer {
        dimension: dimension.to_owned(),
        from: window.from,
        to: window.to,
        rows,
    };
    answer(data, meta(window))
}

pub(super) async fn cluster(context: &Context, params: &Params) -> Result<Response<Body>, Error> {
    let window = Window::parse(params, UnixMicros::now())?;
    let top_n = params.number("top_n")?.unwrap_or(TOP_DEFAULT);
    if !(1..=TOP_MAX).contains(&top_n) {
        let reason = format!("must be 1 to {TOP_MAX}");
        return Err(Error::parameter("top_n", reason));
    }
    let key = format!("cluster {top_n} {window:?}");
    let made = Box::pin(make_cluster(context, window, top_n));
    context.kept.answer(&key, made).await
}

async fn make_cluster(
    context: &Context,
    window: Window,
    top_n: usize,
) -> Result<Response<Body>, Error> {
    let session = Session::for_request(context).await?;
    let nodes = read(context, &session, window).await?;
    let mut fleet = Sum::new();
    nodes.iter().for_each(|node| fleet.add(&node.sum));
    let mut worst: Vec<_> = nodes
        .iter()
        .filter(|node| node.sum.reporting > 0)
        .map(|node| worst_node(context, node))
        .collect();
    worst.sort_by(|a, b| b.score.total_cmp(&a.score));
    worst.truncate(top_n);
    let data = ClusterAnswer {
        from: window.from,
        to: window.to,
        summary: fleet.row("fleet"),
        regions: by_region(&nodes),
        worst,
    };
    answer(data, meta(window))
}

fn worst_node(context: &Context, node: &NodeSum) -> WorstNode {
    let point = summed_up(&node.sum.bucket);
    let live = context.live.node(&node.node_id);
    WorstNode {
        node_id: node.node_id.clone(),
        region: node.region.clone(),
        state: live.map_or(NodeState::Unobserved, |node| node.state),
        score: score(point.uptime, point.loss, point.p95),
        p95_ms: point.p95,
        loss: point.loss,
        uptime: point.uptime,
    }
}

/// Half of it is time down, three tenths are lost packets, two tenths are latency: full at twice
/// the latency from which a node counts as degraded, or where no packet came back at all.
fn score(uptime: f32, loss: f32, p95_ms: Option<f32>) -> f32 {
    let slow = p95_ms.map_or(1.0, |ms| (ms / (2.0 * DEGRADED_LATENCY_MS)).min(1.0));
    0.5 * (100.0 - uptime) + 0.3 * loss + 20.0 * slow
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMicros = UnixMicros(1_795_460_400_000_000);

    fn window(query: &str) -> Result<Window, Error> {
        Window::parse(&Params::parse(Some(query)).unwrap(), NOW)
    }

    #[test]
    fn the_window_is_aligned_outward_to_the_table_it_is_read_from() {
        for (query, table, from, to) in [
            (
                "from=2026-11-23T10:00:30Z&to=2026-11-23T11:00:01Z",
                "rollup_1m",
                "2026-11-23T10:00:00Z",
                "2026-11-23T11:01:00Z",
            ),
            (
                "from=2026-11-22T10:30:00Z&to=2026-11-23T10:00:00Z",
                "rollup_1h",
                "2026-11-22T10:00:00Z",
                "2026-11-23T10:00:00Z",
            ),
            (
                "from=2026-10-22T10:30:00Z&to=2026-11-23T10:00:00Z",
                "rollup_1d",
                "2026-10-22T00:00:00Z",
                "2026-11-24T00:00:00Z",
            ),
        ] {
            let window = window(query).unwrap();
            assert_eq!(LEVELS[window.level].table, table);
            assert_eq!(window.from.to_string(), from);
            assert_eq!(window.to.to_string(), to);
        }
        assert!(window("from=2026-11-23T10:00:00Z&to=2026-11-23T10:00:00Z").is_err());
    }

    #[test]
    fn the_score_goes_from_healthy_to_down_all_the_time() {
        assert!(score(100.0, 0.0, Some(0.0)).abs() < 1e-4);
        assert!((score(0.0, 100.0, None) - 100.0).abs() < 1e-4);
        assert!(score(100.0, 0.0, Some(900.0)) < score(90.0, 100.0, Some(1.0)));
    }

    #[test]
    fn nothing_observed_is_not_available_nor_down() {
        assert_eq!(availability(0.0, 0.0), None);
        assert_eq!(availability(120.0, 30.0), Some(75.0));
    }
}
