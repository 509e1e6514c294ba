//! The newest stored instant of every series the writer has seen. A sample after it is new by
//! definition and needs no look at the table.

use super::error::Error;
use super::tables::Tables;
use crate::model::SeriesKey;
use fiber_contract::UnixMicros;
use std::collections::HashMap;

/// Of all writers, 16 MiB or so. Beyond it all is forgotten and asked for again, which is one query.
const SERIES_MAX: usize = 1_000_000;

#[derive(Debug)]
pub(super) struct NewestStored {
    series_max: usize,
    /// `None`: nothing is stored.
    by_series: HashMap<SeriesKey, Option<UnixMicros>>,
}

impl NewestStored {
    /// Of one of so many writers.
    pub(super) fn of_one(writers: usize) -> Self {
        Self {
            series_max: SERIES_MAX / writers,
            by_series: HashMap::new(),
        }
    }

    pub(super) fn forget(&mut self) {
        self.by_series.clear();
    }

    /// `None` also for a series that was not loaded.
    pub(super) fn of(&self, series_key: SeriesKey) -> Option<UnixMicros> {
        self.by_series.get(&series_key).copied().flatten()
    }

    pub(super) async fn load(
        &mut self,
        session: &mut impl Tables,
        series: impl Iterator<Item = SeriesKey>,
    ) -> Result<(), Error> {
        if self.by_series.len() > self.series_max {
            self.forget();
        }
        let missing: Vec<i64> = series
            .filter(|key| !self.by_series.contains_key(key))
            .map(|key| key.0)
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        for (key, newest) in session.newest(&missing).await? {
            self.by_series.insert(key, Some(newest));
        }
        for key in missing {
            self.by_series.entry(SeriesKey(key)).or_insert(None);
        }
        Ok(())
    }

    /// A row of the transaction that just committed.
    pub(super) fn advance(&mut self, series_key: SeriesKey, time: UnixMicros) {
        let newest = self.by_series.entry(series_key).or_insert(None);
        *newest = (*newest).max(Some(time));
    }
}
