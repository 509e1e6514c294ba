//! The probes' buckets that all engines share, `fiber:limit:{probe}:<key>`: each holds the time, by
//! Redis's clock in microseconds, at which the bucket is empty again, and is gone by itself then.
//!
//! Beside the requests, on a connection of its own: what was admitted since the last exchange goes to
//! Redis in one script, and where the joint buckets stand comes back. The first call that fails or is
//! late makes the policy `local`; the first that works makes it `distributed` again. What was lost
//! with Redis comes again with each engine's own state of the bucket.

use super::client::{BACKOFF_MAX, BACKOFF_MIN, CALL_DEADLINE, connect};
use crate::admit::{RateLimiter, Report, Sharing};
use crate::config::Secret;
use redis::aio::ConnectionManager;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// A lost Redis is noticed after this, a silent one after this and `CALL_DEADLINE`.
const EXCHANGE_EVERY: Duration = Duration::from_millis(25);
/// Of one call: the script takes some 3 µs each, and Redis does nothing else meanwhile.
const REPORTS_MAX: usize = 1_000;
/// One slot for all, so that a cluster takes the script too.
const KEY_PREFIX: &str = "fiber:limit:{probe}:";

/// KEYS: this engine's own, then one a probe. ARGV: the engine's seconds to live, the most that a
/// bucket may be ahead, then per probe the cost, the age and the engine's own bucket, in microseconds.
/// The engine's key says who shares; that it is written every time shows that Redis takes writes.
const SCRIPT: &str = "
    local time = redis.call('TIME')
    local now = time[1] * 1000000 + time[2]
    redis.call('SET', KEYS[1], '1', 'EX', ARGV[1])
    local ahead = {}
    for i = 2, #KEYS do
        local a = 3 * i - 3
        local stored = tonumber(redis.pcall('GET', KEYS[i])) or 0
        local empty_at = math.max(math.max(stored, now - ARGV[a + 1]) + ARGV[a], now + ARGV[a + 2])
        ahead[i - 1] = math.max(0, math.min(empty_at - now, tonumber(ARGV[2])))
        if ahead[i - 1] > 0 then
            redis.call('SET', KEYS[i], string.format('%.0f', now + ahead[i - 1]),
                'PX', string.format('%.0f', math.ceil(ahead[i - 1] / 1000)))
        end
    end
    return ahead";

/// Exchanges until it is dropped.
pub(super) async fn keep(
    url: &Secret,
    instance: &str,
    limiter: &Arc<RateLimiter>,
    sharing: &Sharing,
) {
    let mut backoff = BACKOFF_MIN;
    loop {
        if let Ok(mut connection) = connect(url).await {
            while exchange(&mut connection, instance, limiter).await.is_ok() {
                sharing.exchanged(true);
                backoff = BACKOFF_MIN;
                sleep(EXCHANGE_EVERY).await;
            }
        }
        sharing.exchanged(false);
        sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}

struct Failed;

/// All that is there to report, in as many calls as it takes.
async fn exchange(
    connection: &mut ConnectionManager,
    instance: &str,
    limiter: &RateLimiter,
) -> Result<(), Failed> {
    loop {
        let (asked, reports) = limiter.reports(REPORTS_MAX);
        let script = script(instance, limiter.ahead_max(), &reports);
        let call = script.query_async::<Vec<u64>>(connection);
        let ahead_us = match timeout(CALL_DEADLINE, call).await {
            Ok(Ok(ahead_us)) if ahead_us.len() == reports.len() => ahead_us,
            Ok(Ok(_)) => return Err(failed("an answer of another length")),
            Ok(Err(error)) => return Err(failed(&error.to_string())),
            Err(_) => return Err(failed("no answer within 50 ms")),
        };
        for (report, ahead_us) in reports.iter().zip(ahead_us) {
            limiter.learn(asked, report.probe, Duration::from_micros(ahead_us));
        }
        if reports.len() < REPORTS_MAX {
            return Ok(());
        }
    }
}

/// The connection's own task tells operators that Redis is away.
fn failed(reason: &str) -> Failed {
    tracing::debug!(reason, "exchange budgets; every engine counts for itself");
    Failed
}

fn script(instance: &str, ahead_max: Duration, reports: &[Report]) -> redis::Cmd {
    let us = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    let mut script = redis::cmd("EVAL");
    script
        .arg(SCRIPT)
        .arg(reports.len() + 1)
        .arg(format!("{KEY_PREFIX}engine:{instance}"));
    for report in reports {
        script.arg(format!("{KEY_PREFIX}{:016x}", report.probe.0));
    }
    script.arg(2).arg(us(ahead_max));
    for report in reports {
        script
            .arg(us(report.cost))
            .arg(us(report.age))
            .arg(us(report.own_ahead));
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NodeKey;

    #[test]
    fn the_script_gets_a_key_and_three_numbers_a_probe() {
        let report = Report {
            probe: NodeKey(-1),
            cost: Duration::from_millis(3),
            age: Duration::from_millis(20),
            own_ahead: Duration::from_micros(7),
        };
        let packed = script("west-1", Duration::from_secs(16), &[report]).get_packed_command();
        let text = String::from_utf8(packed).unwrap();
        let after = text.split("return ahead").nth(1).unwrap();
        let words: Vec<&str> = after
            .split("\r\n")
            .filter(|word| !word.is_empty() && !word.starts_with('$'))
            .collect();
        assert_eq!(
            words,
            [
                "2",
                "fiber:limit:{probe}:engine:west-1",
                "fiber:limit:{probe}:ffffffffffffffff",
                "2",
                "16000000",
                "3000",
                "20000",
                "7"
            ]
        );
    }
}
