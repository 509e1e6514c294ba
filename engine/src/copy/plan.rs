//! The content of one transaction: the rows of some groups, decoded, in the order of series and
//! time, each with its fate.

use super::row::{Row, Tuples};
use crate::journal::Group;
use crate::journal::record::Record;
use crate::model::{GroupSeq, NodeKey, SeriesKey};
use crate::publish::notify::StoredSample;
use fiber_contract::UnixMicros;
use std::collections::HashMap;

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

#[derive(Debug)]
pub(super) struct Plan<'g> {
    pub first_seq: GroupSeq,
    pub last_seq: GroupSeq,
    pub records: Vec<PlanRecord<'g>>,
    /// Ordered by series, time and arrival.
    pub rows: Vec<PlanRow<'g>>,
    pub damaged: Vec<Damaged<'g>>,
    /// Samples that the groups promise and that no tuple could be read for.
    pub unreadable: u64,
    /// Oldest and newest sample of every node.
    pub spans: HashMap<NodeKey, (UnixMicros, UnixMicros)>,
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

/// `None` when anything is damaged: [`Plan::of`] looks closer.
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

impl<'g> Plan<'g> {
    /// `None` for no groups.
    pub(super) fn of(groups: &'g [Group]) -> Option<Self> {
        let mut plan = Self::empty(groups)?;
        for group in groups {
            for bytes in &group.records {
                plan.read(group.seq, bytes);
            }
        }
        let order = order_of(plan.rows.iter().map(PlanRow::identity));
        plan.rows = order
            .iter()
            .map(|(_, _, at)| plan.rows[*at as usize])
            .collect();
        plan.measure(groups);
        Some(plan)
    }

    /// With what [`sort`] made of the same groups, if it did.
    pub(super) fn with(groups: &'g [Group], order: Option<Order>) -> Option<Self> {
        let Some(Order(order)) = order else {
            return Self::of(groups);
        };
        let mut plan = Self::empty(groups)?;
        for group in groups {
            for bytes in &group.records {
                plan.records.push(PlanRecord {
                    seq: group.seq,
                    content: Record::decode(bytes).expect("sort decoded it"),
                });
            }
        }
        let row = |row: &Sorted| {
            let tuples = plan.records[row.record as usize].content.tuples;
            PlanRow {
                series_key: row.series_key,
                node_key: row.node_key,
                record: row.record,
                fate: Fate::Undecided,
                sample: row.sample,
                bytes: &tuples[row.at as usize..][..row.len as usize],
            }
        };
        plan.rows = order.iter().map(row).collect();
        plan.measure(groups);
        Some(plan)
    }

    fn empty(groups: &'g [Group]) -> Option<Self> {
        Some(Self {
            first_seq: groups.first()?.seq,
            last_seq: groups.last()?.seq,
            records: Vec::new(),
            rows: Vec::new(),
            damaged: Vec::new(),
            unreadable: 0,
            spans: HashMap::new(),
        })
    }

    fn measure(&mut self, groups: &[Group]) {
        let promised: u64 = groups.iter().map(|group| u64::from(group.samples)).sum();
        self.unreadable = promised.saturating_sub(self.rows.len() as u64);
        self.measure_spans();
    }

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

    fn read(&mut self, seq: GroupSeq, bytes: &'g [u8]) {
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
    use bytes::Bytes;
    use std::time::Instant;
    use uuid::Uuid;

    fn record(random: &mut Random) -> (Bytes, u32) {
        let (mut tuples, rows) = (Vec::new(), random.below(6));
        for _ in 0..rows {
            let row = Row {
                time: UnixMicros(1_795_460_400_000_000 + random.below(4) as i64),
                series_key: SeriesKey(random.below(3) as i64),
                node_key: NodeKey(random.below(2) as i64),
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

    #[test]
    fn a_plan_made_ahead_is_the_same_plan() {
        let mut random = Random::new(7);
        for _ in 0..500 {
            let groups = groups(&mut random);
            let order = sort(&groups).unwrap();
            let mut plain = Plan::of(&groups).unwrap();
            let mut ahead = Plan::with(&groups, Some(order)).unwrap();
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
            assert_eq!(Plan::of(&[group]).unwrap().damaged.len(), 1);
        }
    }
}
