//! The names behind the keys: registered once, verified, remembered.
//!
//! Keys are hashes of names, so a key that the table has under another name is a collision. Its
//! rows are refused: merged, they would be two measurements under one name.

mod fingerprint;
mod rows;

use super::error::{Error, refuses_rows};
use super::instant::PgInstant;
use super::plan::Plan;
use super::session::Session;
use crate::journal::record::SeriesEntry;
use crate::model::{NodeKey, SeriesKey};
use crate::publish::notify::NodeRegistration;
use fiber_contract::UnixMicros;
use fingerprint::{fingerprint, series_fingerprint};
use rows::{describe_nodes, in_savepoint, upsert_nodes, write_series};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

/// How often a node's `last_seen` is written while its samples come.
const TOUCH_INTERVAL: Duration = Duration::from_secs(5);
/// Remembered series of all writers; beyond it all is forgotten and verified again.
const SERIES_MAX: usize = 1_000_000;

#[derive(Debug)]
pub(super) struct Names {
    series_max: usize,
    /// By the fingerprint of all three names.
    series: HashMap<SeriesKey, u64>,
    nodes: HashMap<NodeKey, KnownNode>,
}

#[derive(Debug)]
struct KnownNode {
    fingerprint: u64,
    /// Of country and region.
    details: u64,
    /// Of the place last written; 0 when none was.
    place: u64,
    first_seen: UnixMicros,
    last_seen: UnixMicros,
    /// The two above are ahead of the table.
    touched: bool,
    written_at: Instant,
}

/// What registering a transaction's names came to.
#[derive(Debug, Default)]
pub(super) struct Registered {
    pub nodes: HashMap<NodeKey, Box<NodeRegistration>>,
    /// By record and series; nearly always empty.
    pub refused: HashMap<(u32, SeriesKey), Refusal>,
}

#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub sqlstate: Option<String>,
    pub reason: String,
}

impl KnownNode {
    /// The entry says something about the node that was not written.
    fn differs(&self, entry: &SeriesEntry<'_>) -> bool {
        self.details != fingerprint(&[entry.country, entry.region])
            || (!entry.place.is_empty() && self.place != fingerprint(&[entry.place]))
    }
}

struct NewNode<'g> {
    entry: SeriesEntry<'g>,
    fingerprint: u64,
    place: &'g str,
}

/// A name that may not be used, by key and fingerprint.
type Bad<K> = HashMap<(K, u64), Refusal>;

impl Names {
    /// Of one of so many writers.
    pub(super) fn of_one(writers: usize) -> Self {
        Self {
            series_max: SERIES_MAX / writers,
            series: HashMap::new(),
            nodes: HashMap::new(),
        }
    }

    pub(super) fn forget(&mut self) {
        self.series.clear();
        self.nodes.clear();
    }

    pub(super) fn knows(&self, series_key: SeriesKey) -> bool {
        self.series.contains_key(&series_key)
    }

    /// All names of the plan are good; answers those that were not known.
    #[cfg(test)]
    pub(super) fn learn(&mut self, plan: &Plan<'_>) -> Vec<SeriesKey> {
        let new = |entry: &&SeriesEntry<'_>| {
            let fingerprint = series_fingerprint(entry);
            self.series.insert(entry.series_key, fingerprint).is_none()
        };
        entries(plan)
            .filter(new)
            .map(|entry| entry.series_key)
            .collect()
    }

    /// Registers what is new or changed, in the open transaction. `isolate` finds the names that
    /// the database refuses, one by one.
    pub(super) async fn register(
        &mut self,
        session: &mut Session,
        plan: &Plan<'_>,
        isolate: bool,
    ) -> Result<Registered, Error> {
        if self.series.len() > self.series_max {
            self.forget();
        }
        let (mut new_nodes, mut bad_nodes) = (BTreeMap::new(), Bad::new());
        for round in 0.. {
            let unknown = self.unknown_nodes(plan, &mut bad_nodes, round == 0);
            if unknown.is_empty() {
                break;
            }
            self.write_nodes(session, plan, &unknown, isolate, &mut bad_nodes)
                .await?;
            new_nodes.extend(unknown);
        }
        let (new_series, mut bad_series) = self.unknown_series(plan, &bad_nodes);
        write_series(session, &new_series, isolate, &mut bad_series).await?;
        for (entry, fingerprint) in &new_series {
            if !bad_series.contains_key(&(entry.series_key, *fingerprint)) {
                self.series.insert(entry.series_key, *fingerprint);
            }
        }
        let mut registered = Registered::default();
        if !bad_nodes.is_empty() || !bad_series.is_empty() {
            registered.refused = refusals(plan, &bad_nodes, &bad_series);
        }
        registered.nodes = describe_nodes(session, &new_nodes, &new_series, &bad_nodes).await?;
        Ok(registered)
    }

    /// The names to write next, one per key. When a transaction holds two names for a key, the
    /// other is looked at again once the table has said whose it is; so later rounds are about
    /// keys only, and `with_changes` is false.
    fn unknown_nodes<'g>(
        &self,
        plan: &Plan<'g>,
        bad: &mut Bad<NodeKey>,
        with_changes: bool,
    ) -> BTreeMap<NodeKey, NewNode<'g>> {
        let mut unknown: BTreeMap<NodeKey, NewNode<'g>> = BTreeMap::new();
        for entry in entries(plan) {
            let fingerprint = fingerprint(&[entry.node_id]);
            if bad.contains_key(&(entry.node_key, fingerprint)) {
                continue;
            }
            let known = self.nodes.get(&entry.node_key);
            if known.is_some_and(|known| known.fingerprint != fingerprint) {
                bad.insert((entry.node_key, fingerprint), collision());
                continue;
            }
            if let Some(before) = unknown.get_mut(&entry.node_key) {
                if before.fingerprint == fingerprint {
                    // The newest word on each counts.
                    before.entry = *entry;
                    before.place = if entry.place.is_empty() {
                        before.place
                    } else {
                        entry.place
                    };
                }
            } else if known.is_none_or(|known| with_changes && known.differs(entry)) {
                let new = NewNode {
                    entry: *entry,
                    fingerprint,
                    place: entry.place,
                };
                unknown.insert(entry.node_key, new);
            }
        }
        unknown
    }

    async fn write_nodes(
        &mut self,
        session: &mut Session,
        plan: &Plan<'_>,
        new_nodes: &BTreeMap<NodeKey, NewNode<'_>>,
        isolate: bool,
        bad: &mut Bad<NodeKey>,
    ) -> Result<(), Error> {
        let all: Vec<&NewNode<'_>> = new_nodes.values().collect();
        let portion = if isolate { 1 } else { all.len().max(1) };
        for some in all.chunks(portion) {
            let outcome = in_savepoint(session, isolate, async |session| {
                upsert_nodes(session, plan, some).await
            });
            let written = match outcome.await? {
                Ok(written) => written,
                Err(refusal) => {
                    bad.insert((some[0].entry.node_key, some[0].fingerprint), refusal);
                    continue;
                }
            };
            for new in some {
                let key = new.entry.node_key;
                if written.contains(&key) {
                    self.remember_node(plan, new);
                } else {
                    bad.insert((key, new.fingerprint), collision());
                }
            }
        }
        Ok(())
    }

    fn remember_node(&mut self, plan: &Plan<'_>, new: &NewNode<'_>) {
        let (first_seen, last_seen) = span_of(plan, new.entry.node_key);
        let place = if new.place.is_empty() {
            0
        } else {
            fingerprint(&[new.place])
        };
        let node = self.nodes.entry(new.entry.node_key).or_insert(KnownNode {
            fingerprint: new.fingerprint,
            details: 0,
            place,
            first_seen,
            last_seen,
            touched: false,
            written_at: Instant::now(),
        });
        node.details = fingerprint(&[new.entry.country, new.entry.region]);
        if place != 0 {
            node.place = place;
        }
        node.first_seen = node.first_seen.min(first_seen);
        node.last_seen = node.last_seen.max(last_seen);
    }

    /// Once per name, in order of arrival. A key may be there under two names: the table decides.
    fn unknown_series<'g>(
        &self,
        plan: &Plan<'g>,
        bad_nodes: &Bad<NodeKey>,
    ) -> (Vec<(SeriesEntry<'g>, u64)>, Bad<SeriesKey>) {
        let (mut unknown, mut bad) = (Vec::new(), Bad::new());
        let mut seen = HashSet::new();
        for entry in entries(plan) {
            let fingerprint = series_fingerprint(entry);
            let known = self.series.get(&entry.series_key).copied();
            if known == Some(fingerprint) || !seen.insert((entry.series_key, fingerprint)) {
                continue;
            }
            let node = (entry.node_key, self::fingerprint(&[entry.node_id]));
            if known.is_some() {
                bad.insert((entry.series_key, fingerprint), collision());
            } else if !bad_nodes.contains_key(&node) {
                unknown.push((*entry, fingerprint));
            }
        }
        (unknown, bad)
    }

    /// Notes the instants of a node's stored rows.
    pub(super) fn saw(&mut self, node_key: NodeKey, oldest: UnixMicros, newest: UnixMicros) {
        let Some(node) = self.nodes.get_mut(&node_key) else {
            return;
        };
        if oldest < node.first_seen || newest > node.last_seen {
            node.first_seen = node.first_seen.min(oldest);
            node.last_seen = node.last_seen.max(newest);
            node.touched = true;
        }
    }

    /// Writes what `saw` noted: one narrow update per node every few seconds, which stays within
    /// its page because no index covers these columns.
    pub(super) async fn touch(
        &mut self,
        session: &mut Session,
        nodes: impl Iterator<Item = NodeKey>,
    ) -> Result<(), Error> {
        let (mut keys, mut first, mut last) = (Vec::new(), Vec::new(), Vec::new());
        for key in nodes {
            let Some(node) = self.nodes.get_mut(&key) else {
                continue;
            };
            if node.touched && node.written_at.elapsed() >= TOUCH_INTERVAL {
                node.touched = false;
                node.written_at = Instant::now();
                keys.push(key.0);
                first.push(PgInstant(node.first_seen));
                last.push(PgInstant(node.last_seen));
            }
        }
        if !keys.is_empty() {
            rows::touch_nodes(session, &keys, &first, &last).await?;
        }
        Ok(())
    }
}

impl Refusal {
    /// `None` when the rows are not to blame.
    pub(super) fn of(error: &Error) -> Option<Self> {
        let sqlstate = error
            .sqlstate()
            .filter(|code| refuses_rows(code))?
            .to_owned();
        Some(Self {
            sqlstate: Some(sqlstate),
            reason: error.to_string(),
        })
    }
}

fn refusals(
    plan: &Plan<'_>,
    bad_nodes: &Bad<NodeKey>,
    bad_series: &Bad<SeriesKey>,
) -> HashMap<(u32, SeriesKey), Refusal> {
    let mut refused = HashMap::new();
    for (at, record) in (0_u32..).zip(&*plan.records) {
        for entry in &record.content.series {
            let node = (entry.node_key, fingerprint(&[entry.node_id]));
            let series = (entry.series_key, series_fingerprint(entry));
            if let Some(refusal) = bad_nodes.get(&node).or_else(|| bad_series.get(&series)) {
                refused.insert((at, entry.series_key), refusal.clone());
            }
        }
    }
    refused
}

fn entries<'p, 'g>(plan: &'p Plan<'g>) -> impl Iterator<Item = &'p SeriesEntry<'g>> {
    plan.records
        .iter()
        .flat_map(|record| &record.content.series)
        .filter(|entry| plan.shard.owns(entry.node_key))
}

fn span_of(plan: &Plan<'_>, node_key: NodeKey) -> (UnixMicros, UnixMicros) {
    plan.spans
        .get(&node_key)
        .copied()
        .unwrap_or_else(|| (UnixMicros::now(), UnixMicros::now()))
}

fn collision() -> Refusal {
    Refusal {
        sqlstate: None,
        reason: "the key of this name belongs to another name".to_owned(),
    }
}
