//! Settles a run: the client's ledger against what the database holds.
//!
//! For every series of the ledger the rows of the ledger's time span are read and merged with its
//! entries by time:
//!
//! | finding | meaning | allowed |
//! |---|---|---|
//! | lost | acked, not stored | never |
//! | duplicate | stored more than once | never |
//! | ghost | stored, never sent; or sent with other values (`mismatch`) | never |
//! | unknown, stored or not | the answer was lost on the way | yes |
//! | refused, stored | refused by an answer, yet there | counted, for the reader to judge |
//! | bad, stored | broke the contract on purpose, yet there | never |
//! | uncounted | acked twice on purpose, and the engine's account has no duplicate of it | never |
//!
//! Names find the rows (`nodes`, `series`), not keys computed here: the check must not share the
//! engine's own idea of where a sample belongs. A ledger whose node ids carry a run's tag covers
//! those nodes whole: series that the run never named are ghosts, too.

mod database;
mod merge;

pub use merge::StoredRow;

use crate::ledger::{Entry, Ledger, Outcome};
use crate::report::grouped;
use crate::stack_env::DbConfig;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::{Duration, Instant};

/// The findings of one comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    pub acked: u64,
    pub refused: u64,
    pub unknown: u64,
    /// Rows of the run's nodes in its time span.
    pub stored: u64,
    pub lost: u64,
    pub duplicates: u64,
    /// Mismatches included.
    pub ghosts: u64,
    pub mismatches: u64,
    pub unknown_stored: u64,
    pub refused_stored: u64,
    /// Sent to be refused. Not among the counts above.
    #[serde(default)]
    pub bad: u64,
    #[serde(default)]
    pub bad_stored: u64,
    /// Acks beyond the first of a sample.
    #[serde(default)]
    pub acked_twice: u64,
    /// Duplicates of the run's nodes in the engine's hourly account, where there must be some.
    #[serde(default)]
    pub counted_duplicates: Option<u64>,
    /// The first findings, for a person to look up.
    pub examples: Vec<String>,
}

/// Findings named in a report.
const EXAMPLES_MAX: usize = 10;

impl Comparison {
    /// Nothing lost, nothing twice, nothing invented, nothing bad taken, each repeat accounted for.
    pub const fn is_clean(&self) -> bool {
        self.lost == 0
            && self.duplicates == 0
            && self.ghosts == 0
            && self.bad_stored == 0
            && self.uncounted() == 0
    }

    /// Repeats that the engine's account does not have. It may have more: a retry is one as well.
    pub const fn uncounted(&self) -> u64 {
        match self.counted_duplicates {
            Some(counted) => self.acked_twice.saturating_sub(counted),
            None => 0,
        }
    }

    fn example(&mut self, text: impl FnOnce() -> String) {
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(text());
        }
    }
}

/// How long to wait for the database to catch up.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub most: Duration,
    /// The row count must not move for this long before something counts as lost.
    pub stable_for: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            most: Duration::from_secs(60),
            stable_for: Duration::from_secs(5),
        }
    }
}

/// Compares once, with the database as it is now.
pub async fn compare(ledger: &Ledger, db: &DbConfig) -> anyhow::Result<Comparison> {
    let client = database::connect(db).await?;
    compare_with(&client, ledger, &merge::entries_by_series(ledger)).await
}

/// Waits until every acked sample is stored or the database has settled, then compares.
/// `progress` is told (stored, acked) about twice a second.
pub async fn settle(
    ledger: &Ledger,
    db: &DbConfig,
    patience: Patience,
    mut progress: impl FnMut(u64, u64),
) -> anyhow::Result<Comparison> {
    const LOOK_EVERY: Duration = Duration::from_millis(500);
    let client = database::connect(db).await?;
    let by_series = merge::entries_by_series(ledger);
    let (acked, twice) = merge::acked(&by_series);
    let deadline = Instant::now() + patience.most;
    let (mut last, mut moved) = (u64::MAX, Instant::now());
    let mut judged_at = u64::MAX;
    loop {
        let stored = database::count(&client, ledger).await?;
        let repeated = match twice {
            0 => 0,
            _ => database::duplicates(&client, ledger).await?,
        };
        progress(stored, acked);
        if stored + repeated != last {
            (last, moved) = (stored + repeated, Instant::now());
        }
        // Unknown samples count as well, so "enough rows" is only a reason to look closer.
        let over = Instant::now() >= deadline || moved.elapsed() >= patience.stable_for;
        let enough = stored >= acked && repeated >= twice;
        if over || (enough && stored != judged_at) {
            let comparison = compare_with(&client, ledger, &by_series).await?;
            if over || (comparison.lost == 0 && comparison.uncounted() == 0) {
                return Ok(comparison);
            }
            judged_at = stored;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The same for callers without a runtime.
pub fn settle_blocking(
    ledger: &Ledger,
    db: &DbConfig,
    patience: Patience,
    progress: impl FnMut(u64, u64),
) -> anyhow::Result<Comparison> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(settle(ledger, db, patience, progress))
}

async fn compare_with(
    client: &tokio_postgres::Client,
    ledger: &Ledger,
    by_series: &[Vec<Entry>],
) -> anyhow::Result<Comparison> {
    let good = |outcome| {
        let entries = ledger.entries.iter().filter(|entry| !entry.is_bad());
        entries.filter(|entry| entry.outcome() == outcome).count() as u64
    };
    let mut comparison = Comparison {
        acked: good(Outcome::Acked),
        refused: good(Outcome::Refused),
        unknown: good(Outcome::Unknown),
        bad: ledger.entries.iter().filter(|entry| entry.is_bad()).count() as u64,
        ..Comparison::default()
    };
    let Some(span) = ledger.span_us() else {
        return Ok(comparison);
    };
    let found = database::series_of(client, ledger).await?;
    for (series, entries) in by_series.iter().enumerate() {
        let stored = match found.known.get(&series) {
            Some(key) => database::rows(client, *key, span).await?,
            None => Vec::new(),
        };
        let name = &ledger.series[series];
        merge::compare_series(&mut comparison, name, entries, &stored);
    }
    for (key, name) in &found.strangers {
        let rows = database::rows(client, *key, span).await?;
        merge::compare_series(&mut comparison, name, &[], &rows);
    }
    if comparison.acked_twice > 0 {
        comparison.counted_duplicates = Some(database::duplicates(client, ledger).await?);
    }
    Ok(comparison)
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.is_clean() {
            "every acked sample is stored once"
        } else {
            "NOT ALL IS WELL"
        };
        writeln!(f, "verification: {verdict}")?;
        for (name, value, note) in [
            ("acked", self.acked, ""),
            ("stored", self.stored, ""),
            ("lost", self.lost, "acked, not stored"),
            ("duplicate", self.duplicates, "stored more than once"),
            ("ghost", self.ghosts, "stored, never sent so"),
            (
                "  mismatch",
                self.mismatches,
                "of these, sent with other values",
            ),
            (
                "unknown",
                self.unknown,
                "answer lost: stored or not, both are right",
            ),
            ("  stored", self.unknown_stored, ""),
            ("refused", self.refused, ""),
            ("  stored", self.refused_stored, "refused, yet there"),
        ] {
            writeln!(f, "  {name:<12}{:>14}  {note}", grouped(value as f64))?;
        }
        let mut planted = |name: &str, value: u64, note: &str| {
            writeln!(f, "  {name:<12}{:>14}  {note}", grouped(value as f64))
        };
        if self.bad > 0 {
            planted("bad", self.bad, "sent to be refused")?;
            planted("  stored", self.bad_stored, "bad, yet there")?;
        }
        if let Some(counted) = self.counted_duplicates {
            planted("acked twice", self.acked_twice, "sent again on purpose")?;
            planted(
                "  counted",
                counted,
                "as duplicates in the engine's own account",
            )?;
        }
        self.examples
            .iter()
            .try_for_each(|example| writeln!(f, "  · {example}"))
    }
}
