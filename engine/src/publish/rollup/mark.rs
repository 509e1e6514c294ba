//! The rows of `rollup_marks`: which minutes a transaction wrote.

use super::Delta;
use crate::copy::Error;
use crate::copy::instant::PgInstant;
use crate::copy::session::Session;
use crate::model::JournalId;
use fiber_contract::UnixMicros;

/// Whose rows a mark stands in: each has rows of its own, so that nobody waits for another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marker {
    pub(crate) journal: JournalId,
    /// Of those that write the journal.
    pub(crate) writer: i16,
}

const WRITE: &str = "
    INSERT INTO rollup_marks (bucket, journal_id, writer, stamp)
    SELECT m.bucket, $3, $4, m.stamp FROM UNNEST($1::timestamptz[], $2::int8[]) AS m (bucket, stamp)
    ON CONFLICT (bucket, journal_id, writer) DO UPDATE SET stamp = excluded.stamp";

/// Each once, ascending: the deltas are ordered by series first.
pub(super) fn minutes(deltas: &[Delta]) -> Vec<UnixMicros> {
    let mut minutes: Vec<_> = deltas.iter().map(|delta| delta.key.1).collect();
    minutes.sort_unstable();
    minutes.dedup();
    minutes
}

pub(super) async fn write(
    session: &mut Session,
    marker: Marker,
    minutes: &[UnixMicros],
) -> Result<(), Error> {
    let stamps = new_stamps(minutes.len());
    let minutes: Vec<_> = minutes.iter().copied().map(PgInstant).collect();
    session
        .execute(
            "mark rollup buckets",
            WRITE,
            &[&minutes, &stamps, &marker.journal.0, &marker.writer],
        )
        .await?;
    Ok(())
}

/// Each another one: readers put those of an hour together by XOR, in which equal ones vanish.
fn new_stamps(len: usize) -> Vec<i64> {
    let mut bytes = vec![0; len * size_of::<i64>()];
    getrandom::fill(&mut bytes).expect("the kernel has random numbers once it has booted");
    let (stamps, _) = bytes.as_chunks();
    stamps.iter().copied().map(i64::from_ne_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_do_not_vanish_when_they_are_put_together() {
        let stamps = new_stamps(60);
        assert_eq!(stamps.len(), 60);
        assert!((1..=60).all(|len| stamps[..len].iter().fold(0, |all, one| all ^ one) != 0));
    }
}
