//! The content of transactions: the rows of some groups, decoded, dealt to the shards, in the order
//! of series and time, each with its fate.

use super::row::{Row, Tuples};
use super::shard::{Positions, SLOTS, Shard, slot_of};
use crate::journal::Group;
use crate::journal::record::Record;
use crate::model::{GroupSeq, NodeKey, SeriesKey};
use crate::planted::planted;
use crate::publish::notify::StoredSample;
use bytes::Bytes;
use fiber_contract::UnixMicros;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Undecided,
    Stored,
    Duplicate,
    Quarantined,
}

/// One row; `bytes` is its tuple.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlanRow<'g> {
    pub series_key: SeriesKey,
    pub node_key: NodeKey,
    /// Index in [`Plan::records`].
    pub record: u32,
    pub fate: Fate,
    pub sample: StoredSample,
    pub bytes: &'g [u8],
}

impl PlanRow<'_> {
    pub(super) fn time(&self) -> UnixMicros {
        self.sample.time
    }

    /// The identity of a sample.
    pub(super) fn identity(&self) -> (SeriesKey, UnixMicros) {
        (self.series_key, self.sample.time)
    }
}

/// A record without its tuples, which are rows now.
#[derive(Debug)]
pub(super) struct PlanRecord<'g> {
    pub seq: GroupSeq,
    pub content: Record<'g>,
}

/// Bytes that are no record or no tuple although their group's checksum held: a bug of the writer
/// of the journal. They are kept, and whatever could be read is used.
#[derive(Debug)]
pub(super) struct Damaged<'g> {
    pub seq: GroupSeq,
    pub bytes: &'g [u8],
}

/// What one transaction writes: the rows of a shard.
#[derive(Debug)]
pub(super) struct Plan<'g> {
    pub shard: Shard,
    /// It commits after the others of its batch, and writes what belongs to all of them: the receipts,
    /// which are true then, and what could not be read.
    pub closes: bool,
    pub first_seq: GroupSeq,
    pub last_seq: GroupSeq,
    /// Of all shards.
    pub records: Arc<Vec<PlanRecord<'g>>>,
    /// Ordered by series, time and arrival.
    pub rows: Vec<PlanRow<'g>>,
    pub damaged: Vec<Damaged<'g>>,
    /// Samples that the groups promise and that no tuple could be read for.
    pub unreadable: u64,
    /// Oldest and newest sample of every node.
    pub spans: HashMap<NodeKey, (UnixMicros, UnixMicros)>,
}

/// The plans of a batch.
#[derive(Debug)]
pub(super) struct Plans<'g> {
    /// In the order of the shards, and the first closes; `None` where all of a shard is in the tables.
    pub of_shards: Vec<Option<Plan<'g>>>,
    /// How many rows of each group are in no plan, because an earlier transaction wrote their shard.
    pub left_out: BTreeMap<GroupSeq, u64>,
}

/// The rows of some groups, decoded and sorted, without what they borrow: the costly part of a plan,
/// which can be made on another thread before its turn comes.
#[derive(Debug)]
pub(super) struct Order(Vec<Sorted>);

#[derive(Clone, Copy, Debug)]
struct Sorted {
    series_key: SeriesKey,
    node_key: NodeKey,
    sample: StoredSample,
    record: u32,
    /// Of its tuple in the record.
    at: u32,
    len: u32,
}

impl Order {
    /// How many rows each slot has.
    pub(super) fn weights(&self) -> [u64; SLOTS] {
        let mut weights = [0; SLOTS];
        for row in &self.0 {
            weights[slot_of(row.node_key)] += 1;
        }
        weights
    }
}

/// `None` when anything is damaged: [`Plans::of`] looks closer.
pub(super) fn sort(groups: &[Group]) -> Option<Order> {
    let promised: usize = groups.iter().map(|group| group.samples as usize).sum();
    let mut rows = Vec::with_capacity(promised);
    let records = groups.iter().flat_map(|group| &group.records);
    for (record, bytes) in (0_u32..).zip(records) {
        let content = Record::decode(bytes)?;
        let mut tuples = Tuples::new(content.tuples);
        let mut at = 0;
        for tuple in tuples.by_ref() {
            let len = u32::try_from(tuple.bytes.len()).ok()?;
            let row = plan_row(&tuple.row, tuple.bytes, record);
            rows.push(Sorted {
                series_key: row.series_key,
                node_key: row.node_key,
                sample: row.sample,
                record,
                at,
                len,
            });
            at += len;
        }
        if tuples.is_damaged() {
            return None;
        }
    }
    let order = order_of(rows.iter().map(|row| (row.series_key, row.sample.time)));
    Some(Order(
        order.iter().map(|(_, _, at)| rows[*at as usize]).collect(),
    ))
}

/// By series, time and arrival. Keys are sorted instead of the rows, which are four times their size.
fn order_of(
    keys: impl ExactSizeIterator<Item = (SeriesKey, UnixMicros)>,
) -> Vec<(SeriesKey, UnixMicros, u32)> {
    let mut order = Vec::with_capacity(keys.len());
    order.extend(
        (0_u32..)
            .zip(keys)
            .map(|(at, (series, time))| (series, time, at)),
    );
    order.sort_unstable();
    order
}

impl<'g> Plans<'g> {
    /// Of what the positions say is not in the tables yet. `order` is what [`sort`] made of the same
    /// groups, if it did. `None` for no groups.
    pub(super) fn of(
        groups: &'g [Group],
        order: Option<&Order>,
        shards: &[Shard],
        positions: &Positions,
    ) -> Option<Self> {
        let (first, last) = (groups.first()?.seq, groups.last()?.seq);
        let mut read = match order {
            Some(_) => Read::decoded(groups),
            None => Read::closely(groups),
        };
        let records = Arc::new(std::mem::take(&mut read.records));
        let plan = |shard: &Shard| Plan {
            shard: *shard,
            closes: false,
            first_seq: first.max(positions.of(*shard).next()),
            last_seq: last,
            records: Arc::clone(&records),
            rows: Vec::new(),
            damaged: Vec::new(),
            unreadable: 0,
            spans: HashMap::new(),
        };
        let mut plans: Vec<Plan<'g>> = shards.iter().map(plan).collect();
        let left_out = match order {
            Some(Order(order)) => deal(
                order.iter().map(|row| row.of(&records)),
                &mut plans,
                positions,
            ),
            None => deal(read.rows.into_iter(), &mut plans, positions),
        };
        for plan in &mut plans {
            plan.measure_spans();
        }
        let promised: u64 = groups.iter().map(|group| u64::from(group.samples)).sum();
        let dealt: u64 = plans.iter().map(|plan| plan.rows.len() as u64).sum();
        let closing = plans.first_mut()?;
        closing.closes = true;
        closing.damaged = read.damaged;
        closing.unreadable = promised.saturating_sub(dealt + left_out.values().sum::<u64>());
        let is_due = |plan: &Plan<'g>| plan.closes || plan.first_seq <= last;
        Some(Self {
            of_shards: plans
                .into_iter()
                .map(|plan| Some(plan).filter(is_due))
                .collect(),
            left_out,
        })
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Plan<'g>> {
        self.of_shards.iter().flatten()
    }
}

/// Gives each row to its shard, unless it is in the tables; answers how many of each group are.
fn deal<'g>(
    rows: impl ExactSizeIterator<Item = PlanRow<'g>>,
    plans: &mut [Plan<'g>],
    positions: &Positions,
) -> BTreeMap<GroupSeq, u64> {
    let mut left_out = BTreeMap::new();
    let records = Arc::clone(&plans[0].records);
    let is_partly_written = records
        .first()
        .is_some_and(|record| record.seq <= positions.newest());
    if let [plan] = plans
        && !is_partly_written
    {
        plan.rows = rows.collect();
        return left_out;
    }
    let owner_of_slot: [usize; SLOTS] = std::array::from_fn(|slot| {
        let owner = plans.iter().position(|plan| plan.shard.has(slot));
        owner.expect("every slot has a shard")
    });
    let room = rows.len() / plans.len() / 8 * 9;
    for plan in &mut *plans {
        plan.rows.reserve(room);
    }
    for row in rows {
        let seq = records[row.record as usize].seq;
        if is_partly_written
            && seq <= positions.of_node(row.node_key)
            && !planted("written-shard-written-again")
        {
            *left_out.entry(seq).or_default() += 1;
        } else {
            plans[owner_of_slot[slot_of(row.node_key)]].rows.push(row);
        }
    }
    left_out
}

/// What is in some groups.
#[derive(Debug, Default)]
struct Read<'g> {
    records: Vec<PlanRecord<'g>>,
    /// Ordered; none when [`sort`] has them.
    rows: Vec<PlanRow<'g>>,
    damaged: Vec<Damaged<'g>>,
}

impl<'g> Read<'g> {
    /// What [`sort`] could read.
    fn decoded(groups: &'g [Group]) -> Self {
        let record = |seq, bytes: &'g Bytes| PlanRecord {
            seq,
            content: Record::decode(bytes).expect("sort decoded it"),
        };
        let of_group = |group: &'g Group| {
            let records = group.records.iter();
            records.map(move |bytes| record(group.seq, bytes))
        };
        Self {
            records: groups.iter().flat_map(of_group).collect(),
            ..Self::default()
        }
    }

    /// Whatever can be read, and what cannot.
    fn closely(groups: &'g [Group]) -> Self {
        let mut read = Self::default();
        for group in groups {
            for bytes in &group.records {
                read.record(group.seq, bytes);
            }
        }
        let order = order_of(read.rows.iter().map(PlanRow::identity));
        read.rows = order
            .iter()
            .map(|(_, _, at)| read.rows[*at as usize])
            .collect();
        read
    }

    fn record(&mut self, seq: GroupSeq, bytes: &'g [u8]) {
        let Some(content) = Record::decode(bytes) else {
            self.damaged.push(Damaged { seq, bytes });
            return;
        };
        let record = u32::try_from(self.records.len()).expect("records are bounded by their bytes");
        let mut tuples = Tuples::new(content.tuples);
        for tuple in tuples.by_ref() {
            self.rows.push(plan_row(&tuple.row, tuple.bytes, record));
        }
        if tuples.is_damaged() {
            self.damaged.push(Damaged { seq, bytes });
        }
        self.records.push(PlanRecord { seq, content });
    }
}

impl Sorted {
    fn of<'g>(&self, records: &[PlanRecord<'g>]) -> PlanRow<'g> {
        let tuples = records[self.record as usize].content.tuples;
        PlanRow {
            series_key: self.series_key,
            node_key: self.node_key,
            record: self.record,
            fate: Fate::Undecided,
            sample: self.sample,
            bytes: &tuples[self.at as usize..][..self.len as usize],
        }
    }
}

impl Plan<'_> {
    /// For another attempt at the same rows.
    pub(super) fn undecide(&mut self) {
        for row in &mut self.rows {
            row.fate = Fate::Undecided;
        }
    }

    /// Oldest and newest sample of all.
    pub(super) fn span(&self) -> Option<(UnixMicros, UnixMicros)> {
        let oldest = self.spans.values().map(|span| span.0).min()?;
        let newest = self.spans.values().map(|span| span.1).max()?;
        Some((oldest, newest))
    }

    fn measure_spans(&mut self) {
        let same = |a: &PlanRow<'_>, b: &PlanRow<'_>| {
            (a.series_key, a.node_key) == (b.series_key, b.node_key)
        };
        for run in self.rows.chunk_by(same) {
            let (oldest, newest) = (run[0].time(), run[run.len() - 1].time());
            let span = self
                .spans
                .entry(run[0].node_key)
                .or_insert((oldest, newest));
            *span = (span.0.min(oldest), span.1.max(newest));
        }
    }
}

fn plan_row<'g>(row: &Row<'_>, bytes: &'g [u8], record: u32) -> PlanRow<'g> {
    PlanRow {
        series_key: row.series_key,
        node_key: row.node_key,
        record,
        fate: Fate::Undecided,
        sample: StoredSample {
            time: row.time,
            latency_ms: row.latency_ms,
            uptime_pct: row.uptime_pct,
            packet_loss: row.packet_loss,
        },
        bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::copy::row::Row;
    use crate::model::BatchId;
    use crate::testing::random::Random;
    use std::time::Instant;
    use uuid::Uuid;

    fn record(random: &mut Random) -> (Bytes, u32) {
        let (mut tuples, rows) = (Vec::new(), random.below(6));
        for _ in 0..rows {
            let row = Row {
                time: UnixMicros(1_795_460_400_000_000 + random.below(4) as i64),
                series_key: SeriesKey(random.below(3) as i64),
                node_key: NodeKey((random.below(2) as i64 * 5) << 60),
                latency_ms: Some(random.below(9) as f32),
                uptime_pct: 100.0,
                packet_loss: 0.0,
                metadata: random.one_in(3).then_some("{}"),
            };
            row.encode(&mut tuples);
        }
        let rows = u32::try_from(rows).unwrap();
        let mut bytes = Vec::new();
        Record {
            batch_id: BatchId(Uuid::nil()),
            named_by_client: false,
            received_at: UnixMicros(0),
            body_hash: [0; 32],
            source_region: "",
            trace_id: "",
            rejected: 0,
            answer: b"",
            series: Vec::new(),
            rows,
            tuples: &tuples,
        }
        .encode(&mut bytes);
        (Bytes::from(bytes), rows)
    }

    fn groups(random: &mut Random) -> Vec<Group> {
        (1..=1 + random.below(4) as u64)
            .map(|seq| {
                let records: Vec<_> = (0..random.below(4)).map(|_| record(random)).collect();
                Group {
                    seq: GroupSeq(seq),
                    durable_at: Instant::now(),
                    samples: records.iter().map(|(_, rows)| rows).sum(),
                    records: records.into_iter().map(|(bytes, _)| bytes).collect(),
                }
            })
            .collect()
    }

    fn whole<'g>(groups: &'g [Group], order: Option<&Order>) -> Plan<'g> {
        let plans = Plans::of(groups, order, &[Shard::ALL], &Positions::default());
        plans.unwrap().of_shards.remove(0).unwrap()
    }

    /// Every row is in one plan, or an earlier transaction had it.
    #[test]
    fn rows_are_dealt_to_their_shards() {
        let mut random = Random::new(9);
        for _ in 0..500 {
            let groups = groups(&mut random);
            let weights = std::array::from_fn(|_| random.below(9) as u64);
            let shards = Shard::deal(1 + random.below(4), &weights);
            let mut positions = Positions::default();
            for shard in Shard::deal(2, &weights).into_iter().skip(1) {
                positions.advance(shard, GroupSeq(random.below(6) as u64));
            }
            let order = if random.one_in(2) {
                sort(&groups)
            } else {
                None
            };
            let plans = Plans::of(&groups, order.as_ref(), &shards, &positions).unwrap();
            let is_due = |row: &&PlanRow<'_>, records: &[PlanRecord<'_>]| {
                records[row.record as usize].seq > positions.of_node(row.node_key)
            };
            let plain = whole(&groups, None);
            for (plan, shard) in plans.of_shards.iter().zip(&shards) {
                let due = plain.rows.iter();
                let due = due.filter(|row| shard.owns(row.node_key) && is_due(row, &plain.records));
                let due: Vec<_> = due.map(|row| row.identity()).collect();
                let dealt = plan.iter().flat_map(|plan| &plan.rows);
                assert_eq!(dealt.map(PlanRow::identity).collect::<Vec<_>>(), due);
                if let Some(plan) = plan {
                    assert_eq!(
                        plan.first_seq,
                        positions.of(*shard).next().max(groups[0].seq)
                    );
                }
            }
            let left_out: u64 = plans.left_out.values().sum();
            let dealt: usize = plans.all().map(|plan| plan.rows.len()).sum();
            assert_eq!(left_out + dealt as u64, plain.rows.len() as u64);
        }
    }

    #[test]
    fn a_plan_made_ahead_is_the_same_plan() {
        let mut random = Random::new(7);
        for _ in 0..500 {
            let groups = groups(&mut random);
            let order = sort(&groups).unwrap();
            let (mut plain, mut ahead) = (whole(&groups, None), whole(&groups, Some(&order)));
            assert_eq!(ahead.spans, plain.spans);
            // Maps print in any order.
            (plain.spans, ahead.spans) = (HashMap::new(), HashMap::new());
            assert_eq!(format!("{ahead:?}"), format!("{plain:?}"));
            let rows = plain.rows;
            assert!(rows.is_sorted_by_key(|row| (row.identity(), row.record)));
        }
    }

    #[test]
    fn damage_is_left_to_the_closer_look() {
        let mut random = Random::new(8);
        let (good, rows) = std::iter::repeat_with(|| record(&mut random))
            .find(|(_, rows)| *rows > 1)
            .unwrap();
        // Into the last tuple, whose record still decodes, and into the record.
        let mut cut = good.to_vec();
        let last = cut.len() - 1;
        cut[last - 3..].fill(9);
        for bytes in [Bytes::from(cut), good.slice(..last)] {
            let group = Group {
                seq: GroupSeq(1),
                durable_at: Instant::now(),
                samples: rows,
                records: vec![good.clone(), bytes],
            };
            assert!(sort(std::slice::from_ref(&group)).is_none());
            assert_eq!(whole(&[group], None).damaged.len(), 1);
        }
    }
}
