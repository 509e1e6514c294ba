//! Every level of the rollups against the same figures computed from all rows, in real tables:
//! after late samples, repeats and kills of the engine.

use crate::support::Stack;
use crate::support::client::{ingest, sample};
use crate::support::fleet::{config, start, verify};
use anyhow::{Result, ensure};
use fiber_contract::UnixMicros;
use serde_json::json;
use std::time::Duration;

/// Half the width of a sketch's bin, and the rounding of `float4`.
const RELATIVE_ERROR: &str = "0.0101";

/// Buckets that differ from a recount of the table, or are on one side only. Percentiles are of the
/// nearest rank, as `percentile_disc` has it.
fn differing(stack: &Stack, level: &str, step_s: u32) -> Result<String> {
    stack.sql(&format!(
        "WITH recount AS (
             SELECT series_key, to_timestamp(floor(extract(epoch FROM time) / {step_s}) * {step_s}) AS bucket,
                    count(*) AS count, count(latency_ms) AS latency_count,
                    COALESCE(sum(latency_ms::float8), 0) AS latency_sum,
                    min(latency_ms) AS latency_min, max(latency_ms) AS latency_max,
                    sum(packet_loss::float8) AS loss_sum, sum(uptime_pct::float8) AS uptime_sum,
                    percentile_disc(0.5) WITHIN GROUP (ORDER BY latency_ms) AS p50,
                    percentile_disc(0.95) WITHIN GROUP (ORDER BY latency_ms) AS p95,
                    percentile_disc(0.99) WITHIN GROUP (ORDER BY latency_ms) AS p99
             FROM metrics GROUP BY 1, 2)
         SELECT count(*) FROM recount r FULL JOIN {level} l USING (series_key, bucket)
         WHERE (r.count, r.latency_count, r.latency_min, r.latency_max)
                   IS DISTINCT FROM (l.count, l.latency_count, l.latency_min, l.latency_max)
            OR abs(r.latency_sum - l.latency_sum) > 1e-9 * r.latency_sum
            OR abs(r.loss_sum - l.loss_sum) > 1e-9 * r.loss_sum
            OR abs(r.uptime_sum - l.uptime_sum) > 1e-9 * r.uptime_sum
            OR (r.p50 IS NULL) <> (l.p50 IS NULL)
            OR abs(r.p50 - l.p50) > {RELATIVE_ERROR} * r.p50
            OR abs(r.p95 - l.p95) > {RELATIVE_ERROR} * r.p95
            OR abs(r.p99 - l.p99) > {RELATIVE_ERROR} * r.p99"
    ))
}

fn all_levels_agree(stack: &Stack) -> Result<()> {
    for (level, step_s) in [
        ("rollup_1m", 60),
        ("rollup_1h", 3_600),
        ("rollup_1d", 86_400),
    ] {
        let buckets = stack.sql(&format!("SELECT count(*) FROM {level}"))?;
        ensure!(buckets != "0", "{level} is empty");
        let differ = differing(stack, level, step_s)?;
        ensure!(
            differ == "0",
            "{differ} of {buckets} buckets of {level} differ"
        );
    }
    Ok(())
}

/// Latencies over four decades, some samples without one, a share of them late by up to two days,
/// and each body sent twice.
fn late_and_repeated(stack: &Stack, round: i64) -> Result<()> {
    let now = UnixMicros::now().0;
    let samples: Vec<_> = (0..400)
        .map(|index| {
            // Multiplicative hashing: scattered, and the same in every run.
            let scattered = (round * 400 + index).wrapping_mul(0x9e37_79b9) & 0xffff;
            let age_us = match index % 4 {
                0 => scattered * 2_600_000,
                _ => scattered * 1_000,
            };
            let mut one = sample("late", 0);
            one["timestamp"] = json!(UnixMicros(now - age_us).to_string());
            one["target_host"] = json!(format!("host-{}", index % 3));
            if index % 11 == 0 {
                one["latency_ms"] = json!(null);
                one["packet_loss"] = json!(100);
                one["uptime_pct"] = json!(0);
            } else {
                let exponent = f64::from(u16::try_from(scattered)?) / 16_384.0;
                one["latency_ms"] = json!(10_f64.powf(exponent));
            }
            Ok(one)
        })
        .collect::<Result<_>>()?;
    for _ in 0..2 {
        let answer = ingest(&stack.engine, "late", &samples)?;
        ensure!(answer.status == 202, "{answer:?}");
    }
    Ok(())
}

#[test]
fn every_bucket_is_what_a_recount_of_the_rows_gives() -> Result<()> {
    let mut stack = Stack::start()?;
    let run = start(config(&stack, 2_000.0, 10, Duration::from_secs(6)))?;
    for round in 0..4 {
        late_and_repeated(&stack, round)?;
        std::thread::sleep(Duration::from_millis(700));
        stack.engine.kill9()?;
        stack.engine.restart()?;
    }
    late_and_repeated(&stack, 4)?;
    let report = run.wait()?;
    // Waits until all is in the tables.
    verify(&stack, &report)?;
    all_levels_agree(&stack)?;

    // The comparison can fail.
    stack.sql(
        "UPDATE rollup_1h SET p95 = p95 * 1.03 WHERE bucket = (SELECT max(bucket) FROM rollup_1h)",
    )?;
    ensure!(all_levels_agree(&stack).is_err());
    Ok(())
}
