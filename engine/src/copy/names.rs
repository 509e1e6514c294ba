//! The names behind the keys: registered once, verified, remembered.
//!
//! Keys are hashes of names, so a key that the table has under another name is a collision. Its
//! rows are refused: merged, they would be two measurements under one name.

use super::error::{Error, refuses_rows};
use super::instant::PgInstant;
use super::plan::Plan;
use super::session::Session;
use crate::journal::record::SeriesEntry;
use crate::model::{NodeKey, NodePlace, SeriesKey};
use crate::publish::notify::NodeRegistration;
use fiber_contract::UnixMicros;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

/// How often a node's `last_seen` is written while its samples come.
const TOUCH_INTERVAL: Duration = Duration::from_secs(5);
/// Remembered series of all writers; beyond it all is forgotten and verified again.
const SERIES_MAX: usize = 1_000_000;
/// Any number that the keys are not made with: two hashes of a name then differ independently.
const FINGERPRINT_SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// What an operator pinned is the operator's word. A sample newer than a retirement ends that.
const UPSERT_NODES: &str = "INSERT INTO nodes AS n (node_key, node_id, country, region, city, lat,
        lng, expected_interval_s, tags, first_seen, last_seen)
    SELECT k, id, country, region, city, lat, lng, interval_s,
           COALESCE((SELECT array_agg(tag) FROM jsonb_array_elements_text(tags::jsonb) AS tag), '{}'),
           first_seen, last_seen
    FROM UNNEST($1::int8[], $2::text[], $3::text[], $4::text[], $5::text[], $6::float8[],
                $7::float8[], $8::float4[], $9::text[], $10::timestamptz[], $11::timestamptz[])
         AS u (k, id, country, region, city, lat, lng, interval_s, tags, first_seen, last_seen)
    ON CONFLICT (node_key) DO UPDATE SET
        country = CASE WHEN 'country' = ANY (n.pinned) THEN n.country ELSE excluded.country END,
        region = CASE WHEN 'region' = ANY (n.pinned) THEN n.region ELSE excluded.region END,
        city = CASE WHEN 'city' = ANY (n.pinned) THEN n.city
            ELSE COALESCE(excluded.city, n.city) END,
        lat = CASE WHEN 'lat' = ANY (n.pinned) THEN n.lat ELSE COALESCE(excluded.lat, n.lat) END,
        lng = CASE WHEN 'lng' = ANY (n.pinned) THEN n.lng ELSE COALESCE(excluded.lng, n.lng) END,
        expected_interval_s = CASE WHEN 'expected_interval_s' = ANY (n.pinned)
            THEN n.expected_interval_s
            ELSE COALESCE(excluded.expected_interval_s, n.expected_interval_s) END,
        tags = CASE WHEN excluded.tags = '{}' OR 'tags' = ANY (n.pinned) THEN n.tags
            ELSE excluded.tags END,
        retired_at = CASE WHEN excluded.last_seen > n.retired_at THEN NULL ELSE n.retired_at END,
        first_seen = LEAST(n.first_seen, excluded.first_seen),
        last_seen = GREATEST(n.last_seen, excluded.last_seen)
    WHERE n.node_id = excluded.node_id
    RETURNING node_key";

const INSERT_SERIES: &str = "INSERT INTO series (series_key, node_key, target_host, probe_type)
    SELECT * FROM UNNEST($1::int8[], $2::int8[], $3::text[], $4::text[])
    ON CONFLICT DO NOTHING";

const READ_SERIES: &str = "SELECT series_key, node_key, target_host, probe_type FROM series
    WHERE series_key = ANY($1)";

const COUNT_SERIES: &str = "SELECT node_key, count(*) FROM series
    WHERE node_key = ANY($1) GROUP BY node_key";

const TOUCH_NODES: &str = "UPDATE nodes AS n SET first_seen = LEAST(n.first_seen, u.first_seen),
        last_seen = GREATEST(n.last_seen, u.last_seen),
        retired_at = CASE WHEN u.last_seen > n.retired_at THEN NULL ELSE n.retired_at END
    FROM UNNEST($1::int8[], $2::timestamptz[], $3::timestamptz[])
         AS u (node_key, first_seen, last_seen)
    WHERE n.node_key = u.node_key";

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
            session
                .execute(
                    "note when nodes were seen",
                    TOUCH_NODES,
                    &[&keys, &first, &last],
                )
                .await?;
        }
        Ok(())
    }
}

async fn upsert_nodes(
    session: &mut Session,
    plan: &Plan<'_>,
    nodes: &[&NewNode<'_>],
) -> Result<Vec<NodeKey>, Error> {
    if nodes.is_empty() {
        return Ok(Vec::new());
    }
    let places: Vec<NodePlace> = nodes.iter().map(|new| parse_place(new.place)).collect();
    let keys: Vec<i64> = nodes.iter().map(|new| new.entry.node_key.0).collect();
    let ids: Vec<&str> = nodes.iter().map(|new| new.entry.node_id).collect();
    let countries: Vec<&str> = nodes.iter().map(|new| new.entry.country).collect();
    let regions: Vec<&str> = nodes.iter().map(|new| new.entry.region).collect();
    let cities: Vec<Option<&str>> = places.iter().map(|place| place.city.as_deref()).collect();
    let lats: Vec<Option<f64>> = places.iter().map(|place| place.lat).collect();
    let lngs: Vec<Option<f64>> = places.iter().map(|place| place.lng).collect();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "seconds between rounds need no f64"
    )]
    let intervals: Vec<Option<f32>> = places
        .iter()
        .map(|place| place.interval_s.map(|s| s as f32))
        .collect();
    // As JSON, because the arrays differ in length and SQL's may not.
    let tags: Vec<Option<String>> = places
        .iter()
        .map(|place| serde_json::to_string(place.tags.as_ref()?).ok())
        .collect();
    let spans = nodes.iter().map(|new| span_of(plan, new.entry.node_key));
    let (first, last): (Vec<_>, Vec<_>) = spans
        .map(|(first, last)| (PgInstant(first), PgInstant(last)))
        .unzip();
    let rows = session
        .query(
            "register nodes",
            UPSERT_NODES,
            &[
                &keys, &ids, &countries, &regions, &cities, &lats, &lngs, &intervals, &tags,
                &first, &last,
            ],
        )
        .await?;
    Ok(rows.iter().map(|row| NodeKey(row.get(0))).collect())
}

async fn write_series(
    session: &mut Session,
    new_series: &[(SeriesEntry<'_>, u64)],
    isolate: bool,
    bad: &mut Bad<SeriesKey>,
) -> Result<(), Error> {
    let portion = if isolate { 1 } else { new_series.len().max(1) };
    for some in new_series.chunks(portion) {
        let outcome = in_savepoint(session, isolate, async |session| {
            insert_series(session, some).await
        });
        match outcome.await? {
            Ok(mismatched) => {
                for (entry, fingerprint) in some {
                    if mismatched.contains(&(entry.series_key, *fingerprint)) {
                        bad.insert((entry.series_key, *fingerprint), collision());
                    }
                }
            }
            Err(refusal) => {
                bad.insert((some[0].0.series_key, some[0].1), refusal);
            }
        }
    }
    Ok(())
}

/// The series that the table has under other names.
async fn insert_series(
    session: &mut Session,
    series: &[(SeriesEntry<'_>, u64)],
) -> Result<Vec<(SeriesKey, u64)>, Error> {
    let keys: Vec<i64> = series.iter().map(|(entry, _)| entry.series_key.0).collect();
    let nodes: Vec<i64> = series.iter().map(|(entry, _)| entry.node_key.0).collect();
    let targets: Vec<&str> = series.iter().map(|(entry, _)| entry.target_host).collect();
    let types: Vec<&str> = series.iter().map(|(entry, _)| entry.probe_type).collect();
    session
        .execute(
            "register series",
            INSERT_SERIES,
            &[&keys, &nodes, &targets, &types],
        )
        .await?;
    let rows = session
        .query("verify series", READ_SERIES, &[&keys])
        .await?;
    let stored: HashMap<i64, &tokio_postgres::Row> =
        rows.iter().map(|row| (row.get(0), row)).collect();
    let same = |entry: &SeriesEntry<'_>| {
        stored.get(&entry.series_key.0).is_some_and(|row| {
            row.get::<_, i64>(1) == entry.node_key.0
                && row.get::<_, &str>(2) == entry.target_host
                && row.get::<_, &str>(3) == entry.probe_type
        })
    };
    let mismatched = series.iter().filter(|(entry, _)| !same(entry));
    Ok(mismatched
        .map(|(entry, fingerprint)| (entry.series_key, *fingerprint))
        .collect())
}

/// Runs `work`; with `isolate`, a refusal of its rows is an answer and the transaction goes on.
async fn in_savepoint<T>(
    session: &mut Session,
    isolate: bool,
    work: impl AsyncFnOnce(&mut Session) -> Result<T, Error>,
) -> Result<Result<T, Refusal>, Error> {
    if !isolate {
        return work(session).await.map(Ok);
    }
    session.batch("open a savepoint", "SAVEPOINT name").await?;
    match work(session).await {
        Ok(done) => {
            session
                .batch("close a savepoint", "RELEASE SAVEPOINT name")
                .await?;
            Ok(Ok(done))
        }
        Err(error) => {
            let refusal = Refusal::of(&error).ok_or(error)?;
            session
                .batch("roll back to a savepoint", "ROLLBACK TO SAVEPOINT name")
                .await?;
            Ok(Err(refusal))
        }
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

async fn describe_nodes(
    session: &mut Session,
    new_nodes: &BTreeMap<NodeKey, NewNode<'_>>,
    new_series: &[(SeriesEntry<'_>, u64)],
    bad_nodes: &Bad<NodeKey>,
) -> Result<HashMap<NodeKey, Box<NodeRegistration>>, Error> {
    let mut described = HashMap::new();
    let entries = new_series.iter().map(|(entry, _)| (entry, entry.place));
    // The nodes last: they hold the newest place, and replace what a series said.
    let entries = entries.chain(new_nodes.values().map(|new| (&new.entry, new.place)));
    for (entry, place) in entries {
        let fingerprint = fingerprint(&[entry.node_id]);
        if !bad_nodes.contains_key(&(entry.node_key, fingerprint)) {
            let registration = NodeRegistration {
                node_id: entry.node_id.to_owned(),
                country: entry.country.to_owned(),
                region: entry.region.to_owned(),
                place: parse_place(place),
                series_count: 0,
            };
            described.insert(entry.node_key, Box::new(registration));
        }
    }
    if described.is_empty() {
        return Ok(described);
    }
    let keys: Vec<i64> = described.keys().map(|key| key.0).collect();
    for row in session
        .query("count series", COUNT_SERIES, &[&keys])
        .await?
    {
        if let Some(node) = described.get_mut(&NodeKey(row.get(0))) {
            node.series_count = u32::try_from(row.get::<_, i64>(1)).unwrap_or(u32::MAX);
        }
    }
    Ok(described)
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

fn parse_place(json: &str) -> NodePlace {
    // The sample was accepted with it, and its other members are stored as sent.
    serde_json::from_str(json).unwrap_or_default()
}

fn collision() -> Refusal {
    Refusal {
        sqlstate: None,
        reason: "the key of this name belongs to another name".to_owned(),
    }
}

fn series_fingerprint(entry: &SeriesEntry<'_>) -> u64 {
    fingerprint(&[entry.node_id, entry.target_host, entry.probe_type])
}

/// Never 0, which stands for "none". The same in one step as in several, which set up 600 bytes of
/// state first: two of these are made of every sample that comes alone.
fn fingerprint(names: &[&str]) -> u64 {
    const SHORT_BYTES: usize = 256;
    if let [name] = names {
        return xxh3_64_with_seed(name.as_bytes(), FINGERPRINT_SEED).max(1);
    }
    let (mut all, mut end) = ([0; SHORT_BYTES], 0);
    for name in names {
        let Some(place) = all.get_mut(end..end + name.len()) else {
            return fingerprint_in_steps(names);
        };
        place.copy_from_slice(name.as_bytes());
        end += name.len() + 1;
    }
    match all.get(..end) {
        Some(all) => xxh3_64_with_seed(all, FINGERPRINT_SEED).max(1),
        None => fingerprint_in_steps(names),
    }
}

fn fingerprint_in_steps(names: &[&str]) -> u64 {
    let mut hash = Xxh3::with_seed(FINGERPRINT_SEED);
    for name in names {
        hash.update(name.as_bytes());
        hash.update(&[0]);
    }
    hash.digest().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_same_in_one_step_and_in_several() {
        for length in (0..300).chain([1_000]) {
            let name = "n".repeat(length);
            for names in [["a", &name, ""], [&name, "", "b"], ["", "a", &name]] {
                assert_eq!(
                    fingerprint(&names),
                    fingerprint_in_steps(&names),
                    "{length}"
                );
            }
        }
        assert_ne!(fingerprint(&["a", "b"]), fingerprint(&["ab", ""]));
        assert_ne!(fingerprint(&["a", "b"]), fingerprint(&["", "ab"]));
    }
}
