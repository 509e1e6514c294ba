//! The comparison of one series. Pure.

use super::Comparison;
use crate::ledger::{Entry, Ledger, Outcome, SeriesName};
use fiber_contract::UnixMicros;

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredRow {
    pub time_us: i64,
    pub hash: u32,
}

/// Entries of each series, in the order of time.
pub(super) fn entries_by_series(ledger: &Ledger) -> Vec<Vec<Entry>> {
    let mut by_series = vec![Vec::new(); ledger.series.len()];
    for entry in &ledger.entries {
        by_series[entry.series() as usize].push(*entry);
    }
    for entries in &mut by_series {
        entries.sort_unstable_by_key(|entry| entry.time_us);
    }
    by_series
}

/// Samples with an ack, and the acks beyond the first of each.
pub(super) fn acked(by_series: &[Vec<Entry>]) -> (u64, u64) {
    let (mut samples, mut more) = (0, 0);
    for sent in by_series
        .iter()
        .flat_map(|s| s.chunk_by(|a, b| a.time_us == b.time_us))
    {
        let acked = sent
            .iter()
            .filter(|entry| !entry.is_bad() && entry.outcome() == Outcome::Acked)
            .count() as u64;
        samples += acked.min(1);
        more += acked.saturating_sub(1);
    }
    (samples, more)
}

/// Adds the findings of one series. Both slices are in the order of time.
pub(super) fn compare_series(
    comparison: &mut Comparison,
    name: &SeriesName,
    entries: &[Entry],
    stored: &[StoredRow],
) {
    let place = |time_us: i64| {
        format!(
            "{} {} {} at {}",
            name.node_id,
            name.probe_type,
            name.target_host,
            UnixMicros(time_us)
        )
    };
    comparison.stored += stored.len() as u64;
    let mut rows = stored.chunk_by(|a, b| a.time_us == b.time_us).peekable();
    let ghost = |comparison: &mut Comparison, rows: &[StoredRow]| {
        comparison.ghosts += rows.len() as u64;
        comparison.example(|| format!("ghost: {}", place(rows[0].time_us)));
    };
    for sent in entries.chunk_by(|a, b| a.time_us == b.time_us) {
        let time_us = sent[0].time_us;
        while let Some(before) = rows.next_if(|rows| rows[0].time_us < time_us) {
            ghost(comparison, before);
        }
        let good = || sent.iter().filter(|entry| !entry.is_bad());
        let acked = good()
            .filter(|entry| entry.outcome() == Outcome::Acked)
            .count() as u64;
        comparison.acked_twice += acked.saturating_sub(1);
        let Some(found) = rows.next_if(|rows| rows[0].time_us == time_us) else {
            if acked > 0 {
                // Sent twice under one identity, it is stored once: so is its loss.
                comparison.lost += 1;
                comparison.example(|| format!("lost: {}", place(time_us)));
            }
            continue;
        };
        if found.len() > 1 && good().next().is_some() {
            comparison.duplicates += found.len() as u64 - 1;
            comparison.example(|| format!("stored {} times: {}", found.len(), place(time_us)));
        }
        if good().next().is_none() {
            comparison.bad_stored += found.len() as u64;
            comparison.example(|| format!("stored, though bad: {}", place(time_us)));
            continue;
        }
        if !found
            .iter()
            .all(|row| good().any(|entry| entry.hash == row.hash))
        {
            comparison.ghosts += 1;
            comparison.mismatches += 1;
            comparison.example(|| format!("other values: {}", place(time_us)));
        }
        if acked == 0 {
            let unknown = good().any(|entry| entry.outcome() == Outcome::Unknown);
            comparison.unknown_stored += u64::from(unknown);
            comparison.refused_stored += u64::from(!unknown);
        }
    }
    for after in rows {
        ghost(comparison, after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::{Acked, Refused, Unknown};

    /// Sent as (time, hash, outcome), stored as (time, hash); expects
    /// [lost, duplicates, ghosts, mismatches, unknown stored, refused stored].
    fn check(sent: &[(i64, u32, Outcome)], stored: &[(i64, u32)], expect: [u64; 6]) {
        let name = SeriesName {
            node_id: "n".into(),
            target_host: "t".into(),
            probe_type: "p".into(),
        };
        let entries: Vec<_> = sent
            .iter()
            .map(|(t, h, o)| Entry::new(0, *t, *h, *o))
            .collect();
        let rows: Vec<_> = stored
            .iter()
            .map(|(t, h)| StoredRow {
                time_us: *t,
                hash: *h,
            })
            .collect();
        let mut c = Comparison::default();
        compare_series(&mut c, &name, &entries, &rows);
        let got = [
            c.lost,
            c.duplicates,
            c.ghosts,
            c.mismatches,
            c.unknown_stored,
            c.refused_stored,
        ];
        assert_eq!(got, expect, "{sent:?} {stored:?}");
        assert_eq!(c.is_clean(), expect[..3] == [0, 0, 0]);
        assert_eq!(c.stored, stored.len() as u64);
        assert_eq!(c.examples.is_empty(), c.is_clean());
    }

    #[test]
    fn what_was_acked_and_is_there_is_clean() {
        check(&[(1, 9, Acked), (2, 8, Acked)], &[(1, 9), (2, 8)], [0; 6]);
        check(&[], &[], [0; 6]);
        check(&[(1, 9, Refused), (2, 8, Unknown)], &[], [0; 6]);
    }

    #[test]
    fn a_missing_ack_is_lost() {
        check(
            &[(1, 9, Acked), (2, 8, Acked), (3, 7, Acked)],
            &[(2, 8)],
            [2, 0, 0, 0, 0, 0],
        );
    }

    #[test]
    fn a_second_row_is_a_duplicate() {
        check(
            &[(1, 9, Acked)],
            &[(1, 9), (1, 9), (1, 9)],
            [0, 2, 0, 0, 0, 0],
        );
    }

    #[test]
    fn a_row_never_sent_is_a_ghost_wherever_it_lies() {
        check(
            &[(5, 9, Acked)],
            &[(4, 1), (5, 9), (6, 1), (7, 1)],
            [0, 0, 3, 0, 0, 0],
        );
        check(&[], &[(1, 1)], [0, 0, 1, 0, 0, 0]);
    }

    #[test]
    fn other_values_are_a_mismatch_and_a_ghost() {
        check(&[(5, 9, Acked)], &[(5, 10)], [0, 0, 1, 1, 0, 0]);
        check(&[(5, 9, Unknown)], &[(5, 10)], [0, 0, 1, 1, 1, 0]);
    }

    #[test]
    fn unknown_may_be_stored_and_refused_is_only_counted() {
        check(
            &[(1, 9, Unknown), (2, 8, Refused)],
            &[(1, 9), (2, 8)],
            [0, 0, 0, 0, 1, 1],
        );
    }

    #[test]
    fn one_identity_sent_twice_needs_one_row() {
        check(&[(1, 9, Unknown), (1, 9, Acked)], &[(1, 9)], [0; 6]);
        check(&[(1, 9, Acked), (1, 9, Acked)], &[], [1, 0, 0, 0, 0, 0]);
    }

    /// Whatever the server said about it: what was planted says what must be in the table.
    #[test]
    fn a_bad_sample_must_not_be_stored_and_is_never_lost() {
        let name = SeriesName {
            node_id: "n".into(),
            target_host: "t".into(),
            probe_type: "p".into(),
        };
        for outcome in [Acked, Refused, Unknown] {
            let sent = [
                Entry::new(0, 1, 9, outcome).bad(),
                Entry::new(0, 2, 8, Acked),
            ];
            let row = |time_us, hash| StoredRow { time_us, hash };
            let mut absent = Comparison::default();
            compare_series(&mut absent, &name, &sent, &[row(2, 8)]);
            assert!(absent.is_clean(), "{absent:?}");
            let mut there = Comparison::default();
            compare_series(&mut there, &name, &sent, &[row(1, 9), row(2, 8)]);
            assert_eq!((there.bad_stored, there.ghosts, there.lost), (1, 0, 0));
            assert!(!there.is_clean());
        }
    }

    #[test]
    fn samples_acked_again_are_counted() {
        let name = SeriesName {
            node_id: "n".into(),
            target_host: "t".into(),
            probe_type: "p".into(),
        };
        let sent = [1, 1, 2, 2, 2, 3].map(|time| Entry::new(0, time, 9, Acked));
        let rows = [1, 2, 3].map(|time_us| StoredRow { time_us, hash: 9 });
        let mut c = Comparison::default();
        compare_series(&mut c, &name, &sent, &rows);
        assert_eq!((c.acked_twice, c.duplicates), (3, 0));
        c.counted_duplicates = Some(3);
        assert!(c.is_clean());
        c.counted_duplicates = Some(2);
        assert!(!c.is_clean() && c.uncounted() == 1);
    }
}
