//! All nodes, and what one tick changes in them. Pure: time comes in as a value.

use super::node::{Difference, Node};
use crate::model::NodeKey;
use crate::publish::notify::{Committed, NodeRegistration, NodeSamples, StoredSample};
use crate::registry::Edit;
use fiber_contract::live::NodeChange;
use fiber_contract::node::SPARK_POINTS;
use fiber_contract::{NodeState, NodeView, UnixMicros};
use std::collections::{BTreeMap, BTreeSet, HashMap};

#[derive(Debug, Default)]
pub(super) struct Fleet {
    nodes: HashMap<NodeKey, Node>,
    /// Sorted, so that lists have a stable order.
    by_id: BTreeMap<String, NodeKey>,
    /// Samples came of a node that is not here: another engine registered it.
    strangers: bool,
    /// Nodes that operators changed and took out since the last tick.
    edited: BTreeSet<NodeKey>,
    removed: BTreeSet<String>,
}

/// What was committed since the last tick. Bounded by the window of each node, however large a
/// backlog is drained between two ticks.
#[derive(Debug, Default)]
pub(super) struct Pending {
    nodes: HashMap<NodeKey, PendingNode>,
}

#[derive(Debug, Default)]
struct PendingNode {
    registered: Option<Box<NodeRegistration>>,
    samples: Vec<StoredSample>,
}

impl Pending {
    pub(super) fn add(&mut self, committed: Committed) {
        for NodeSamples {
            node_key,
            registered,
            samples,
        } in committed.nodes
        {
            let node = self.nodes.entry(node_key).or_default();
            node.registered = registered.or(node.registered.take());
            node.samples.extend(samples);
            if node.samples.len() > 2 * SPARK_POINTS {
                node.samples.sort_by_key(|sample| sample.time);
                node.samples.drain(..node.samples.len() - SPARK_POINTS);
            }
        }
    }
}

/// A node as the database knew it at start.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) node_key: NodeKey,
    pub(super) registration: NodeRegistration,
    pub(super) pinned: Vec<String>,
    pub(super) first_seen: Option<UnixMicros>,
    pub(super) last_seen: Option<UnixMicros>,
    pub(super) samples: Vec<StoredSample>,
}

/// The nodes' part of a change.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Changes {
    pub(super) nodes: Vec<NodeChange>,
    pub(super) whole: Vec<NodeView>,
    pub(super) removed: Vec<String>,
}

impl Fleet {
    /// Folds in what was committed and what was loaded, and finds who fell silent.
    pub(super) fn tick(
        &mut self,
        now: UnixMicros,
        pending: &mut Pending,
        loaded: Vec<Loaded>,
    ) -> Changes {
        let edited = std::mem::take(&mut self.edited).into_iter();
        let mut differences: HashMap<NodeKey, Difference> = edited
            .map(|node_key| (node_key, Difference::Whole))
            .collect();
        for node in loaded {
            differences.insert(node.node_key, Difference::Whole);
            self.merge_loaded(&node);
        }
        for (
            node_key,
            PendingNode {
                registered,
                mut samples,
            },
        ) in pending.nodes.drain()
        {
            samples.sort_by_key(|sample| sample.time);
            let known = differences
                .get(&node_key)
                .copied()
                .unwrap_or(Difference::None);
            let difference = self.fold(node_key, registered.as_deref(), &samples);
            differences.insert(node_key, known.and(difference));
        }
        let mut changes = Changes {
            removed: std::mem::take(&mut self.removed).into_iter().collect(),
            ..Changes::default()
        };
        for (node_key, node) in &mut self.nodes {
            let turned = node.judge(now);
            match differences
                .get(node_key)
                .copied()
                .unwrap_or(Difference::None)
            {
                Difference::Whole => changes.whole.push(node.view().clone()),
                Difference::Appended(samples) => changes.nodes.push(node.change(samples)),
                Difference::None if turned => changes.nodes.push(node.change(0)),
                Difference::None => {}
            }
        }
        changes.nodes.sort_by(|a, b| a.node_id.cmp(&b.node_id));
        changes.whole.sort_by(|a, b| a.node_id.cmp(&b.node_id));
        changes
    }

    /// A sample of a node that nobody introduced yet is left out: the load brings it.
    fn fold(
        &mut self,
        node_key: NodeKey,
        registered: Option<&NodeRegistration>,
        samples: &[StoredSample],
    ) -> Difference {
        let mut difference = Difference::None;
        if let Some(registration) = registered {
            difference = match self.nodes.get_mut(&node_key) {
                Some(node) => node.register(registration),
                None => self.introduce(node_key, registration),
            };
        }
        match self.nodes.get_mut(&node_key) {
            Some(node) => difference.and(node.absorb(samples)),
            None => {
                self.strangers = true;
                Difference::None
            }
        }
    }

    /// Takes an operator's word. Once more changes nothing.
    pub(super) fn edit(&mut self, edit: &Edit, now: UnixMicros) {
        let Edit {
            node_key,
            registration,
            pinned,
            ..
        } = edit;
        if edit.retired {
            if self.nodes.remove(node_key).is_some() {
                self.by_id.remove(&registration.node_id);
                self.edited.remove(node_key);
                self.removed.insert(registration.node_id.clone());
            }
            return;
        }
        let mut difference = Difference::None;
        if !self.nodes.contains_key(node_key) {
            difference = self.introduce(*node_key, registration);
            // What it sent before comes with the next load.
            self.strangers |= edit.last_seen.is_some();
        }
        if let Some(node) = self.nodes.get_mut(node_key) {
            difference = difference.and(node.edit(registration, pinned));
            edit.first_seen
                .into_iter()
                .for_each(|at| node.seen_first(at));
            edit.last_seen.into_iter().for_each(|at| node.seen_last(at));
            node.judge(now);
        }
        if difference != Difference::None {
            self.edited.insert(*node_key);
            self.removed.remove(&registration.node_id);
        }
    }

    pub(super) fn take_strangers(&mut self) -> bool {
        std::mem::take(&mut self.strangers)
    }

    fn introduce(&mut self, node_key: NodeKey, registration: &NodeRegistration) -> Difference {
        self.by_id.insert(registration.node_id.clone(), node_key);
        self.nodes.insert(node_key, Node::new(registration));
        Difference::Whole
    }

    fn merge_loaded(&mut self, loaded: &Loaded) {
        if !self.nodes.contains_key(&loaded.node_key) {
            self.introduce(loaded.node_key, &loaded.registration);
        }
        if let Some(node) = self.nodes.get_mut(&loaded.node_key) {
            node.edit(&loaded.registration, &loaded.pinned);
            node.absorb(&loaded.samples);
            loaded
                .first_seen
                .into_iter()
                .for_each(|at| node.seen_first(at));
            loaded
                .last_seen
                .into_iter()
                .for_each(|at| node.seen_last(at));
        }
    }

    pub(super) fn views(&self) -> Vec<NodeView> {
        self.by_id
            .values()
            .filter_map(|node_key| self.nodes.get(node_key))
            .map(|node| node.view().clone())
            .collect()
    }

    pub(super) fn view(&self, node_id: &str) -> Option<&NodeView> {
        self.by_id
            .get(node_id)
            .and_then(|node_key| self.nodes.get(node_key))
            .map(Node::view)
    }

    pub(super) fn states(&self) -> Vec<(NodeState, usize)> {
        let all = [
            NodeState::Up,
            NodeState::Degraded,
            NodeState::Down,
            NodeState::Unobserved,
        ];
        let in_state = |state| {
            self.nodes
                .values()
                .filter(|node| node.view().state == state)
                .count()
        };
        all.into_iter()
            .map(|state| (state, in_state(state)))
            .collect()
    }
}
