//! The fleet as the live stream tells it: one snapshot, then changes merged into it.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use fiber_contract::live::{LiveChange, LiveSnapshot, LiveTotals, NodeChange};
use fiber_contract::node::SPARK_POINTS;
use fiber_contract::{NodeState, NodeView, UnixMicros};

use super::posture::Settling;
use super::sort::sort;

/// A node as of one event. Equal only to itself, so that a row redraws exactly when its node changed.
#[derive(Clone, Debug)]
pub(crate) struct Node(Arc<NodeView>);

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Deref for Node {
    type Target = NodeView;
    fn deref(&self) -> &NodeView {
        &self.0
    }
}

impl From<NodeView> for Node {
    fn from(view: NodeView) -> Self {
        Self(Arc::new(view))
    }
}

/// Every node by its id, with the engine's counters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fleet {
    pub(crate) nodes: BTreeMap<String, Node>,
    pub(crate) totals: Option<LiveTotals>,
    /// The engine's clock at the newest event; `None` before the first.
    pub(crate) now: Option<UnixMicros>,
    pub(crate) settling: Settling,
}

impl Fleet {
    pub(crate) fn apply_snapshot(&mut self, snapshot: LiveSnapshot) {
        self.nodes = snapshot
            .nodes
            .into_iter()
            .map(|mut node| {
                keep_newest(&mut node.spark_ms);
                keep_newest(&mut node.strip);
                (node.node_id.clone(), Node::from(node))
            })
            .collect();
        self.totals = Some(snapshot.totals);
        self.now = Some(snapshot.now);
        self.settle();
    }

    /// Nodes as `/api/nodes` lists them, for a browser that cannot hold a stream open. They bring no
    /// counters, and the clock is the browser's.
    pub(crate) fn apply_list(&mut self, nodes: Vec<NodeView>, now: UnixMicros) {
        let totals = self.totals;
        self.apply_snapshot(LiveSnapshot {
            now,
            nodes,
            totals: LiveTotals::default(),
        });
        self.totals = totals;
    }

    pub(crate) fn apply_change(&mut self, change: LiveChange) {
        for id in &change.removed {
            self.nodes.remove(id);
        }
        for node in change.added {
            self.nodes.insert(node.node_id.clone(), Node::from(node));
        }
        for news in change.nodes {
            // A change for a node nobody introduced is of a stream that was cut: the next snapshot has it.
            if let Some(node) = self.nodes.get_mut(&news.node_id) {
                merge(Arc::make_mut(&mut node.0), news);
            }
        }
        self.totals = Some(change.totals);
        self.now = Some(change.now);
        self.settle();
    }

    /// Lets states that lasted long enough become the shown ones.
    pub(crate) fn settle(&mut self) {
        if let Some(now) = self.now {
            self.settling
                .observe(now, self.nodes.iter().map(|(id, node)| (id, node.state)));
        }
    }

    pub(crate) fn summary(&self) -> Summary {
        let mut summary = Summary {
            nodes: self.nodes.len(),
            ..Summary::default()
        };
        let (mut latencies, mut losses) = (Vec::new(), Vec::new());
        for node in self.nodes.values() {
            summary.by_state[slot(node.state)] += 1;
            // What an unobserved node said last is history, not the present.
            if node.state != NodeState::Unobserved {
                latencies.extend(node.latency_ms.filter(|ms| ms.is_finite()));
                losses.extend(node.packet_loss.filter(|loss| loss.is_finite()));
            }
        }
        sort(&mut latencies, f32::total_cmp);
        summary.p50_ms = nearest_rank(&latencies, 50);
        summary.p95_ms = nearest_rank(&latencies, 95);
        if !losses.is_empty() {
            let sum: f64 = losses.iter().map(|loss| f64::from(*loss)).sum();
            #[expect(clippy::cast_possible_truncation, reason = "a percentage")]
            let mean = (sum / losses.len() as f64) as f32;
            summary.loss_pct = Some(mean);
        }
        summary
    }
}

/// The fleet in one row of figures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Summary {
    pub(crate) nodes: usize,
    by_state: [usize; 4],
    /// Percentiles over the nodes' newest samples.
    pub(crate) p50_ms: Option<f32>,
    pub(crate) p95_ms: Option<f32>,
    /// Mean over the nodes' newest samples.
    pub(crate) loss_pct: Option<f32>,
}

impl Summary {
    pub(crate) fn count(&self, state: NodeState) -> usize {
        self.by_state[slot(state)]
    }
}

const fn slot(state: NodeState) -> usize {
    match state {
        NodeState::Down => 0,
        NodeState::Degraded => 1,
        NodeState::Unobserved => 2,
        NodeState::Up => 3,
    }
}

/// The value that `percent` of the sorted values do not exceed.
fn nearest_rank(sorted: &[f32], percent: usize) -> Option<f32> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.max(1) - 1).copied()
}

fn merge(node: &mut NodeView, news: NodeChange) {
    node.state = news.state;
    node.last_seen = news.last_seen;
    node.latency_ms = news.latency_ms;
    node.uptime_pct = news.uptime_pct;
    node.packet_loss = news.packet_loss;
    node.p50_ms = news.p50_ms;
    node.p95_ms = news.p95_ms;
    node.spark_ms.extend(news.spark_ms);
    node.strip.extend(news.strip);
    keep_newest(&mut node.spark_ms);
    keep_newest(&mut node.strip);
}

fn keep_newest<T>(values: &mut Vec<T>) {
    let surplus = values.len().saturating_sub(SPARK_POINTS);
    values.drain(..surplus);
}

/// Whether the engine's counters add up: every sample received is somewhere.
pub(crate) fn closes(totals: &LiveTotals) -> bool {
    let accounted = [
        totals.stored,
        totals.duplicate,
        totals.quarantined,
        totals.in_flight,
    ]
    .into_iter()
    .try_fold(0_u64, u64::checked_add);
    accounted == Some(totals.received)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn node(id: &str, state: NodeState) -> NodeView {
        NodeView {
            node_id: id.to_owned(),
            country: "GH".to_owned(),
            region: "Greater Accra".to_owned(),
            city: Some("Accra".to_owned()),
            lat: Some(5.6),
            lng: Some(-0.19),
            tags: Vec::new(),
            state,
            first_seen: None,
            last_seen: Some(UnixMicros::from_secs(100)),
            interval_s: 10.0,
            latency_ms: Some(40.0),
            uptime_pct: Some(100.0),
            packet_loss: Some(0.0),
            p50_ms: Some(40.0),
            p95_ms: Some(60.0),
            spark_ms: Vec::new(),
            strip: Vec::new(),
            targets: 1,
        }
    }

    fn news(id: &str, latency_ms: Option<f32>) -> NodeChange {
        NodeChange {
            node_id: id.to_owned(),
            state: NodeState::Degraded,
            last_seen: Some(UnixMicros::from_secs(110)),
            latency_ms,
            uptime_pct: Some(99.0),
            packet_loss: Some(6.0),
            p50_ms: Some(41.0),
            p95_ms: Some(61.0),
            spark_ms: vec![latency_ms],
            strip: vec![NodeState::Degraded],
        }
    }

    pub(crate) fn fleet(nodes: Vec<NodeView>) -> Fleet {
        let mut fleet = Fleet::default();
        fleet.apply_snapshot(LiveSnapshot {
            now: UnixMicros::from_secs(100),
            nodes,
            totals: LiveTotals::default(),
        });
        fleet
    }

    fn change(nodes: Vec<NodeChange>) -> LiveChange {
        LiveChange {
            now: UnixMicros::from_secs(110),
            nodes,
            added: Vec::new(),
            removed: Vec::new(),
            totals: LiveTotals::default(),
        }
    }

    #[test]
    fn a_change_replaces_values_and_appends_history() {
        let mut fleet = fleet(vec![node("a", NodeState::Up), node("b", NodeState::Up)]);
        let untouched = fleet.nodes["b"].clone();
        for _ in 0..70 {
            fleet.apply_change(change(vec![news("a", None)]));
        }
        let a = &fleet.nodes["a"];
        assert_eq!((a.state, a.latency_ms), (NodeState::Degraded, None));
        assert_eq!(
            (a.spark_ms.len(), a.strip.len()),
            (SPARK_POINTS, SPARK_POINTS)
        );
        assert!(
            fleet.nodes["b"] == untouched,
            "a node without news must not redraw"
        );
    }

    #[test]
    fn nodes_come_and_go() {
        let mut fleet = fleet(vec![node("a", NodeState::Up)]);
        let mut event = change(vec![news("nobody", None)]);
        event.added.push(node("b", NodeState::Up));
        event.removed.push("a".to_owned());
        fleet.apply_change(event);
        assert_eq!(fleet.nodes.keys().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn a_new_snapshot_forgets_what_was_before() {
        let mut fleet = fleet(vec![node("a", NodeState::Up)]);
        fleet.apply_snapshot(LiveSnapshot {
            now: UnixMicros::from_secs(200),
            nodes: vec![node("b", NodeState::Down)],
            totals: LiveTotals::default(),
        });
        assert_eq!(fleet.nodes.len(), 1);
        assert_eq!(fleet.summary().count(NodeState::Down), 1);
    }

    #[test]
    fn the_summary_leaves_out_what_is_not_observed() {
        let mut silent = node("c", NodeState::Unobserved);
        silent.latency_ms = Some(9_000.0);
        silent.packet_loss = Some(100.0);
        let mut slow = node("b", NodeState::Degraded);
        slow.latency_ms = Some(500.0);
        slow.packet_loss = Some(10.0);
        let summary = fleet(vec![node("a", NodeState::Up), slow, silent]).summary();
        assert_eq!(summary.nodes, 3);
        assert_eq!(summary.count(NodeState::Unobserved), 1);
        assert_eq!((summary.p50_ms, summary.p95_ms), (Some(40.0), Some(500.0)));
        assert_eq!(summary.loss_pct, Some(5.0));
        assert_eq!(fleet(Vec::new()).summary().p50_ms, None);
    }

    #[test]
    fn the_ledger_closes_only_when_every_sample_is_somewhere() {
        let mut totals = LiveTotals {
            received: 10,
            stored: 6,
            duplicate: 1,
            quarantined: 1,
            in_flight: 2,
            ..LiveTotals::default()
        };
        assert!(closes(&totals));
        totals.in_flight = 1;
        assert!(!closes(&totals));
        totals.stored = u64::MAX;
        assert!(!closes(&totals));
    }

    #[test]
    fn a_list_keeps_the_counters_it_does_not_bring() {
        let mut fleet = fleet(Vec::new());
        fleet.totals = Some(LiveTotals {
            received: 7,
            ..LiveTotals::default()
        });
        fleet.apply_list(vec![node("a", NodeState::Up)], UnixMicros::from_secs(300));
        assert_eq!(fleet.totals.map(|totals| totals.received), Some(7));
        assert_eq!(fleet.nodes.len(), 1);
    }
}
