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

impl<'g> Plan<'g> {
    /// `None` for no groups.
    pub(super) fn of(groups: &'g [Group]) -> Option<Self> {
        let (first, last) = (groups.first()?, groups.last()?);
        let promised: u64 = groups.iter().map(|group| u64::from(group.samples)).sum();
        let mut plan = Self {
            first_seq: first.seq,
            last_seq: last.seq,
            records: Vec::new(),
            rows: Vec::with_capacity(usize::try_from(promised).unwrap_or(0)),
            damaged: Vec::new(),
            unreadable: 0,
            spans: HashMap::new(),
        };
        for group in groups {
            for bytes in &group.records {
                plan.read(group.seq, bytes);
            }
        }
        plan.unreadable = promised.saturating_sub(plan.rows.len() as u64);
        plan.sort();
        plan.measure_spans();
        Some(plan)
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

    /// Keys are sorted instead of the rows, which are four times their size.
    fn sort(&mut self) {
        let mut order: Vec<(SeriesKey, UnixMicros, u32)> = Vec::with_capacity(self.rows.len());
        for (at, row) in (0_u32..).zip(&self.rows) {
            order.push((row.series_key, row.sample.time, at));
        }
        order.sort_unstable();
        self.rows = order
            .iter()
            .map(|(_, _, at)| self.rows[*at as usize])
            .collect();
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
