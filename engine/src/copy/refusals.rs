//! What was refused, by hour and reason, from the counters into `refusals_hourly`.
//!
//! A run of the engine has rows of its own and writes them with absolute values: a repeated write,
//! or a commit whose answer was lost, changes nothing. While the database is away the hours wait
//! here, bounded. A kill loses what was refused since the last round; a drain writes it.

use super::error::Error;
use super::instant::PgInstant;
use super::session::Session;
use crate::shutdown::Shutdown;
use crate::telemetry::metrics::{Metrics, Refused};
use fiber_contract::UnixMicros;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const INTERVAL: Duration = Duration::from_secs(5);
/// Hours that wait for the database; the oldest is given up beyond it.
const HOURS_MAX: usize = 168;

const WRITE: &str = "INSERT INTO refusals_hourly (hour, instance, reason, requests, samples)
    SELECT $1, $2, u.* FROM UNNEST($3::text[], $4::int8[], $5::int8[]) AS u
    ON CONFLICT (hour, instance, reason)
    DO UPDATE SET requests = excluded.requests, samples = excluded.samples";

/// Requests and samples of one hour, by reason.
type Hour = BTreeMap<&'static str, (u64, u64)>;

#[derive(Debug, Default)]
struct Hours {
    told: BTreeMap<&'static str, (u64, u64)>,
    waiting: BTreeMap<UnixMicros, Hour>,
}

impl Hours {
    /// Adds what the counters grew by; true when something did.
    fn count(&mut self, now: UnixMicros, all: &[Refused]) -> bool {
        let mut grew = false;
        for one in all {
            let told = self.told.entry(one.reason).or_default();
            let (requests, samples) = (one.requests - told.0, one.samples - told.1);
            *told = (one.requests, one.samples);
            if requests + samples > 0 {
                grew = true;
                let hour = self.waiting.entry(now.floor_to(3_600)).or_default();
                let sum = hour.entry(one.reason).or_default();
                *sum = (sum.0 + requests, sum.1 + samples);
            }
        }
        while self.waiting.len() > HOURS_MAX {
            self.waiting.pop_first();
        }
        grew
    }
}

pub(crate) async fn run(
    database: tokio_postgres::Config,
    instance: String,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
) {
    let _registered = shutdown.register("refusals");
    let (mut hours, mut dirty) = (Hours::default(), false);
    loop {
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = shutdown.asked() => {}
        }
        let is_last = shutdown.is_asked();
        dirty |= hours.count(UnixMicros::now(), &metrics.refusals());
        if dirty {
            match write(&database, &instance, &hours).await {
                Ok(()) => {
                    dirty = false;
                    let now = UnixMicros::now().floor_to(3_600);
                    hours.waiting.retain(|hour, _| *hour >= now);
                }
                Err(error) => tracing::debug!(%error, "refusals wait for the database"),
            }
        }
        if is_last {
            return;
        }
    }
}

async fn write(
    database: &tokio_postgres::Config,
    instance: &str,
    hours: &Hours,
) -> Result<(), Error> {
    let mut session = Session::open(database, "fiber-refusals").await?;
    for (hour, sums) in &hours.waiting {
        let reasons: Vec<&str> = sums.keys().copied().collect();
        let requests: Vec<i64> = sums.values().map(|sum| sum.0.cast_signed()).collect();
        let samples: Vec<i64> = sums.values().map(|sum| sum.1.cast_signed()).collect();
        let hour = PgInstant(*hour);
        session
            .execute(
                "write refusals",
                WRITE,
                &[&hour, &instance, &reasons, &requests, &samples],
            )
            .await?;
    }
    Ok(())
}
